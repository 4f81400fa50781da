"""docs/raft.md names what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from tests.broken.raft_mutants import MUTANTS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "raft.md").read_text()


def _table(title: str) -> list[list[str]]:
    """Cells of the rows of the table in a section, without its head."""
    section = TEXT.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_every_planted_bug_is_listed() -> None:
    """Name, class, rule and invariants, as planted."""
    listed = {tuple(row) for row in _table("Planted bugs")}

    assert listed == {
        (mutant.name, str(mutant.bug), mutant.rule, ", ".join(mutant.caught_by))
        for mutant in MUTANTS
    }


def test_every_invariant_is_listed() -> None:
    """Every name that may be raised is in the table, and every name there may be raised."""
    sources = [*(ROOT / "coord" / "raft").glob("*.py"), *Path(__file__).parent.glob("*.py")]
    raised = set()
    for path in sources:
        text = path.read_text()
        for call in re.finditer(r"(?:InvariantViolation|require)\(", text):
            name = re.search(r'"([a-z]+(?:-[a-z]+)+)"', text[call.end() : call.end() + 400])
            if name is not None:
                raised.add(name[1])

    listed = {
        name
        for row in _table("Properties and where they are checked")
        for name in row[0].split(", ")
    }

    assert raised == listed
