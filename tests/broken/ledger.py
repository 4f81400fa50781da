"""What is known of each mutant's detection, kept beside them in ``detection.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.broken.catalogue import MUTANTS
from tests.broken.mutant import Mutant

PLACE: Final = Path(__file__).with_name("detection.json")

NOT_HERE: Final = {
    25: "there are no leases: every linearizable read asks a majority",
    37: "checksums are tested on real files, by `tests/corruption` and its control",
    48: "closing a session is one small entry, whatever it holds",
}
"""Classes of known bugs that no mutant of the full stack can express, and why."""
ONLY_BARE: Final = {
    "wiped-disk-votes": "a node that lost its disk introduces itself as empty, and the transport"
    " carries nothing to or from it before it is listed",
    "heartbeat-commits-blindly": "for the same reason: a heartbeat never promises more than the"
    " incarnation that gets it has acknowledged",
    "second-snapshot-during-install": "the driver refuses the second one by itself;"
    " `installed-twice` breaks both",
}
"""Mutants of the core that another part of a whole node makes up for, and how. They are noticed on
bare cores, by the run that ``raft_mutants`` records."""


@dataclass(frozen=True, slots=True)
class Record:
    """How a mutant was found by the last hunt.

    ``seed``: the cheapest run that catches it (within its focus). ``by``: what noticed it, the most
    frequent first. ``median``: runs until it is caught. Of ``tried`` runs ``caught`` were caught by
    name and ``crashed`` ended in an exception of the mutant. ``ran_in``: a seed whose run passes
    without the bug and executes the line; −1: none is known.
    """

    name: str
    seed: int
    by: tuple[str, ...]
    median: int
    tried: int
    caught: int
    crashed: int
    ran_in: int = -1


def load() -> dict[str, Record]:
    """All records by name; nothing before the first hunt."""
    if not PLACE.exists():
        return {}
    rows = json.loads(PLACE.read_text())
    return {row["name"]: Record(**{**row, "by": tuple(row["by"])}) for row in rows}


def save(records: Iterable[Record]) -> None:
    """Write them, in the catalogue's order; those of mutants that no longer exist go."""
    by_name = {record.name: record for record in records}
    rows = [asdict(by_name[mutant.name]) for mutant in MUTANTS if mutant.name in by_name]
    lines = ",\n".join(json.dumps(row) for row in rows)
    PLACE.write_text(f"[\n{lines}\n]\n")


def table() -> str:
    """The records as Markdown, one row for each mutant that was noticed; then the others."""
    known = load()
    lines = [
        "| planted bug | class | rule that it breaks | noticed by | runs | median |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_row(mutant, known[mutant.name]) for mutant in MUTANTS if mutant.name in known]
    lines += ["", f"Classes that do not apply here: {_listed(NOT_HERE)}."]
    lines += [
        "",
        f"Noticed on bare cores only (`tests/raft/test_mutants.py`): {_listed(ONLY_BARE)}.",
    ]
    missed = unexplained()
    if missed:
        lines += ["", f"Planted and not noticed by any run yet: {', '.join(missed)}."]
    return "\n".join(lines) + "\n"


def unexplained() -> list[str]:
    """Mutants that nothing has noticed though something should."""
    noticed = load().keys() | ONLY_BARE.keys()
    return [mutant.name for mutant in MUTANTS if mutant.name not in noticed]


def _row(mutant: Mutant, record: Record) -> str:
    bugs = ", ".join(str(bug) for bug in mutant.bugs if bug)
    name = f"{mutant.name} †" if mutant.drill else mutant.name
    runs, by = mutant.focus or "any", ", ".join(record.by[:2])
    return f"| {name} | {bugs} | {mutant.rule} | {by} | {runs} | {record.median} |"


def _listed(reasons: Mapping[Any, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
