"""The planted bugs of the full stack: each can be planted, and is noticed by name."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from coord.store.sessions import NOBODY
from coord_client import connect
from tests.broken import hunting, ledger
from tests.broken.catalogue import BY_NAME, MUTANTS
from tests.broken.focus import FOCUSES, draw_in
from tests.broken.mutant import Edit, Mutant, one
from tests.broken.reaching import places_of, reached
from tests.integration.processes import ServedNode

CLASSES = set(range(1, 56))
NOT_HERE = ledger.NOT_HERE
SAMPLE = (
    "sent-before-sync",
    "retry-applied-twice",
    "applied-ahead-of-tree",
    "local-read-as-linearizable",
    "deposed-leader-expires",
    "retried-under-new-number",
    "lock-without-fence",
)
"""Cheap to catch, one of each kind; ``python -m tests.broken check`` looks for all."""


# --- the list -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_bug_can_be_planted(mutant: Mutant) -> None:
    """Each text occurs exactly once, and what it becomes compiles and changes a function."""
    with mutant.plant():
        pass


def test_the_bugs_cover_the_known_classes() -> None:
    """At least 55, named once each, over every class that the full stack can express."""
    names = Counter(mutant.name for mutant in MUTANTS)
    classes = {bug for mutant in MUTANTS for bug in mutant.bugs if bug}

    assert len(names) == len(MUTANTS) >= 55
    assert CLASSES - classes == set(NOT_HERE)


def test_all_changes_of_a_bug_are_made_and_undone() -> None:
    """Two edits of one module are in force together, and neither is afterwards."""
    module = "coord.store.sessions"
    edits = (
        Edit(module, "return self.facts.timeout_ms", "return 11"),
        Edit(module, "return self.facts.address", 'return "here"'),
    )

    with Mutant("two", (), "", edits).plant():
        assert (NOBODY.timeout_ms, NOBODY.address) == (11, "here")

    assert (NOBODY.timeout_ms, NOBODY.address) == (0, "")


@pytest.mark.parametrize("focus", FOCUSES)
def test_every_kind_of_run_can_be_drawn(focus: str) -> None:
    """Its faults and settings are those that plans have."""
    assert {fault.kind for fault in draw_in(focus, 1).faults} <= FOCUSES[focus].all_kinds()
    assert {mutant.focus for mutant in MUTANTS} <= {"", *FOCUSES}


# --- noticing -----------------------------------------------------------------------------------


def test_a_crash_of_the_mutant_is_no_catch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant that only raises is missed, and the report says how it ended."""
    crash = one(
        "raises",
        (),
        "",
        "coord.store.sessions",
        'assert seq == last_seq + 1, "a session\'s writes are applied in order"',
        'raise KeyError("planted")',
    )
    monkeypatch.setitem(BY_NAME, "raises", crash)

    with pytest.raises(hunting.Missed, match=r"2 crashed, most often: KeyError: 'planted'"):
        hunting.hunt("raises", runs_max=2)


@pytest.mark.simulation
@pytest.mark.parametrize("name", SAMPLE)
def test_a_planted_bug_is_noticed(name: str) -> None:
    """The recorded run notices it, or, if what seeds mean has shifted, one of a few others."""
    found = hunting.check(name, runs_max=30)

    assert found.by


# --- the ledger --------------------------------------------------------------------------------


def test_most_of_them_have_been_noticed() -> None:
    """The ledger knows of at least 55 by what name, of every class, and of none that is gone."""
    known = ledger.load()
    noticed = {bug for name in known for bug in BY_NAME[name].bugs if bug}

    assert set(known) <= set(BY_NAME)
    assert len(known) >= 55
    assert [name for name, record in known.items() if not record.by] == []
    assert [name for name, record in known.items() if record.ran_in < 0] == []
    assert CLASSES - noticed == set(NOT_HERE)


def test_enough_that_are_noticed_can_be_found_from_outside() -> None:
    """The drills on real processes have at least ten to find, in the server and in the client."""
    drills = [mutant for mutant in MUTANTS if mutant.drill and mutant.name in ledger.load()]

    assert len(drills) >= 10
    assert {mutant.side for mutant in drills} == {"client", "server"}


def test_the_documentation_lists_the_figures() -> None:
    """docs/testing.md has the table that the ledger makes."""
    assert ledger.table() in Path("docs/testing.md").read_text()


@pytest.mark.simulation
@pytest.mark.timeout(300)
def test_the_lines_run_where_nothing_fails() -> None:
    """Most of the changed lines are executed by a few runs that pass: a catch is not owed to code
    that runs only when things are wrong already. ``python -m tests.broken reach`` looks at all."""
    found: set[str] = set()
    for seed in range(3):
        if len(found) < 55:
            found |= reached(MUTANTS, draw_in("", seed))

    assert len(found) >= 55


def test_the_lines_of_a_change_are_known() -> None:
    """What differs counts, not what surrounds it; an insertion stands for the line before it."""
    module = "coord.store.sessions"
    path, line = next(iter(places_of(Edit(module, "return self.facts.address", "return 1"))))
    source = Path(path).read_text().splitlines()
    inserted = places_of(
        Edit(
            module,
            "        self.put(row)\n        self.count += 1\n",
            "        self.put(row)\n        assert row\n        self.count += 1\n",
        )
    )

    assert source[line - 1].strip() == "return self.facts.address"
    assert [source[at - 1].strip() for _, at in inserted] == ["self.put(row)"]


# --- real processes -----------------------------------------------------------------------------


class _BrokenNode(ServedNode):
    """``python -m tests.broken NAME serve …``."""

    name = "version-not-compared"

    def command(self, initial: str, *more: str) -> list[str]:
        whole = super().command(initial, *more)
        at = whole.index("coord")
        return [*whole[:at], "tests.broken", self.name, *whole[at + 1 :]]


@pytest.fixture
def broken_node(tmp_path: Path) -> Iterator[_BrokenNode]:
    """A cluster of one with a planted bug."""
    node = _BrokenNode(1, tmp_path / "node")
    node.start(f"1={node.peer}/{node.client}")
    yield node
    node.kill()


@pytest.mark.integration
async def test_a_real_node_runs_with_a_planted_bug(broken_node: _BrokenNode) -> None:
    """It serves, and breaks the promise: a set for a version that has passed succeeds."""
    broken_node.wait_ready()
    async with connect(broken_node.client) as client:
        await client.create("/register", b"0")
        await client.set("/register", b"1", version=0)
        await client.set("/register", b"2", version=0)

        assert (await client.get("/register")).data == b"2"


@pytest.mark.integration
def test_a_module_runs_with_a_planted_bug() -> None:
    """A client's process, for instance."""
    name = "retried-under-new-number"
    done = subprocess.run(
        [sys.executable, "-m", "tests.broken", name, "-m", "platform"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "Python" in done.stdout or "Linux" in done.stdout
