"""Random damage to one member's files: right answers, an exact refusal, or a tree built anew."""

from __future__ import annotations

import pytest

from coord.store.lmdb_kv import DATA_FILE
from tests.corruption import campaign
from tests.corruption.damage import KINDS, Damage
from tests.corruption.places import place
from tests.corruption.specimen import make_specimen
from tests.corruption.trial import TRUSTING_WORKER, Outcome

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("corruption")]

TRIALS = 240
"""Of the thousand and more that ``python -m tests.corruption`` runs."""
SEED = 1


def test_damage_is_met_as_promised() -> None:
    """Every file and every kind, node down and node up. No answer is wrong, no node goes on with
    a damaged log, every refusal names what is damaged."""
    outcomes: list[Outcome] = []
    with place() as directory:
        tally = campaign.run(directory, TRIALS, SEED, outcomes.append)
    assert [(str(o.damage), o.mode, o.path, o.problem) for o in tally.problems] == []
    refusals = [o for o in outcomes if o.end == "refused"]
    assert all(DATA_FILE in o.said[-1] for o in refusals), [o.said[-1] for o in refusals]
    ways = {(mode, path) for mode, _, path, _ in tally.rows()}
    for expected in (
        ("down", "unharmed"),
        ("down", "refused"),
        ("down", "rebuilt"),
        ("up", "stopped refused"),
        ("up", "scrub rebuilt"),
        ("up", "ended rebuilt"),
    ):
        assert expected in ways, f"no trial came to {expected}"


class _Wrong(Exception):  # noqa: N818 - what the control waits for
    """An answer that no check has stopped."""


def test_without_checks_the_trials_find_wrong_answers() -> None:
    """The control: a store that believes what it reads is caught."""

    def judge(outcome: Outcome) -> None:
        if outcome.problem.startswith("wrong"):
            raise _Wrong

    with place() as directory, pytest.raises(_Wrong):
        campaign.run(directory, 48, SEED, judge, TRUSTING_WORKER)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damage_is_decided_by_its_seed(kind: str) -> None:
    """The same seed does the same, so that a trial can be looked into again."""
    with place() as directory:
        specimen = make_specimen(directory / "specimen")
        name = f"log/{DATA_FILE}"
        found = set()
        for number in range(2):
            copy = directory / str(number)
            specimen.copy(copy)
            (copy / name).write_bytes(specimen.older[name][-1])
            assert Damage(kind, name, 5).strike(copy, specimen.older[name][:-1])
            found.add((copy / name).read_bytes())
    assert len(found) == 1
