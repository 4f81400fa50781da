"""What is known of each mutant's detection, kept beside them in ``detection.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.broken.catalogue import MUTANTS

PLACE: Final = Path(__file__).with_name("detection.json")


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
    missed = [mutant.name for mutant in MUTANTS if mutant.name not in known]
    if missed:
        lines += ["", f"Planted and not noticed by any run yet: {', '.join(missed)}."]
    return "\n".join(lines) + "\n"
