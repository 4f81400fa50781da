"""Plans in files: those that once failed and must hold for ever, and those that fail now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.sim.plan import Plan, from_dict, to_dict, to_json
from tests.sim.run import Result

ROOT: Final = Path(__file__).resolve().parents[2]
REGRESSIONS: Final = Path(__file__).parent / "regressions"
FAILED: Final = ROOT / ".sim"
"""Where plans go that failed just now. Not under version control."""


def load(path: Path) -> list[Plan]:
    """The plans of a file: one plan, or what it ``found`` and ``plans``. Raises ValueError."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError(f"{path}: neither a plan nor a file of plans")
    return [from_dict(plan) for plan in data.get("plans", [data])]


def corpus() -> Iterator[tuple[str, Plan]]:
    """Every plan that ever failed, with the name of its file."""
    for path in sorted(REGRESSIONS.glob("*.json")):
        for plan in load(path):
            yield path.stem, plan


def keep(plan: Plan, found: str) -> Path:
    """Write a plan that failed, in the form of a regression file: to keep it, move it there and
    say what it found."""
    FAILED.mkdir(exist_ok=True)
    digest = hashlib.blake2b(to_json(plan).encode(), digest_size=6).hexdigest()
    path = FAILED / f"{digest}.json"
    text = json.dumps({"found": found, "plans": [to_dict(plan)]}, indent=1)
    path.write_text(f"{text}\n", encoding="utf-8")
    return path


def report(result: Result) -> str:
    """A failed run and the one command that shows it again."""
    if result.is_drawn:
        return result.report()
    path = keep(result.plan, result.problems[0])
    with suppress(ValueError):  # Started elsewhere: the whole path is what helps.
        path = path.relative_to(Path.cwd())
    return result.report(f"python -m tests.sim --plan {path} --trace")
