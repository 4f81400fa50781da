"""Each planted bug is noticed, by name, by an invariant; without it the same run is clean."""

from __future__ import annotations

from collections import Counter

import pytest

from coord.raft.invariants import InvariantViolation
from tests.broken.planting import patched, planted
from tests.broken.raft_mutants import MUTANTS, Mutant, Run, Scenario

RUNS = sorted({mutant.found_by for mutant in MUTANTS}, key=repr)


@pytest.mark.simulation
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_caught(mutant: Mutant) -> None:
    """The recorded run raises one of the invariants that the bug breaks."""
    with mutant.plant(), pytest.raises(InvariantViolation) as caught:
        mutant.found_by()

    assert caught.value.name in mutant.caught_by


@pytest.mark.simulation
@pytest.mark.parametrize("run", RUNS, ids=repr)
def test_without_a_bug_the_same_run_is_clean(run: Run | Scenario) -> None:
    """A run that notices a bug notices nothing in its absence."""
    run()


def test_the_planted_bugs_cover_the_known_classes() -> None:
    """At least 25, each with a name of its own, over every class that the core can express."""
    names = Counter(mutant.name for mutant in MUTANTS)
    classes = {mutant.bug for mutant in MUTANTS}
    elsewhere = {16, 20, 25}
    """Compaction order and snapshot contents belong to the store; there are no leases."""

    assert len(names) == len(MUTANTS) >= 25
    assert classes >= set(range(1, 34)) - elsewhere


def test_planting_is_undone() -> None:
    """After the block the core is as before, even if the block raised."""
    mutant = MUTANTS[0]
    run = mutant.found_by

    with pytest.raises(InvariantViolation), mutant.plant():
        run()

    run()


def test_a_change_must_match_exactly_one_place() -> None:
    """A mutant whose line moved or was duplicated is an error, not a silent pass."""
    assert patched("a = 1\n", "1", "2") == "a = 2\n"
    with pytest.raises(ValueError, match="2 times"):
        patched("a = a\n", "a", "b")
    with (
        pytest.raises(AssertionError, match="touches no function"),
        planted("coord.raft.quorum", '"""Majority and joint', '"""Majority, joint'),
    ):
        pass
