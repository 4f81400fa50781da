"""What is known of each mutant's detection, kept beside them in ``detection.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.broken.catalogue import MUTANTS

PLACE: Final = Path(__file__).with_name("detection.json")

NOT_HERE: Final = {
    25: "there are no leases: every linearizable read asks a majority",
    37: "checksums are tested on real files, by `tests/corruption` and its control",
    48: "closing a session is one small entry, whatever it holds",
}
"""Classes of known bugs that no mutant of the full stack can express, and why."""
NOT_YET: Final = {
    29: "noticed on bare cores only; in a cluster the others close their links to a leader that is"
    " being removed, and depose it, before it could commit its own removal",
}
"""Classes of which no whole run has noticed a mutant, and why."""


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
    for mutant in MUTANTS:
        record = known.get(mutant.name)
        if record is not None:
            bugs = ", ".join(str(bug) for bug in mutant.bugs if bug)
            by = ", ".join(record.by[:2])
            name = f"{mutant.name} †" if mutant.drill else mutant.name
            runs = mutant.focus or "any"
            lines.append(f"| {name} | {bugs} | {mutant.rule} | {by} | {runs} | {record.median} |")
    why = "; ".join(f"{bug}: {reason}" for bug, reason in NOT_HERE.items())
    lines += ["", f"Classes that do not apply here: {why}."]
    late = "; ".join(f"{bug}: {reason}" for bug, reason in NOT_YET.items())
    lines += ["", f"Classes not noticed in the full stack: {late}."]
    missed = [mutant.name for mutant in MUTANTS if mutant.name not in known]
    if missed:
        lines += ["", f"Planted and not noticed by any run yet: {', '.join(missed)}."]
    return "\n".join(lines) + "\n"
