"""What many runs add up to."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from tests.sim.run import SITUATIONS, Result


class Tally:
    """Sums over results; ``failed`` keeps those with problems."""

    def __init__(self) -> None:
        self.runs = 0
        self.failed: list[Result] = []
        self.simulated_s = 0.0
        self.cpu_s = 0.0
        self.events = 0
        self.entries = 0
        self.acknowledged = 0
        self.fewest: tuple[int, int] = (1 << 31, 0)
        """Least number of acknowledged operations in a run, and its seed."""
        self.faults: Counter[str] = Counter()
        """Runs that a kind of fault struck."""
        self.reached: Counter[str] = Counter()
        """Runs that came by a situation."""
        self._started_s = time.monotonic()

    def add(self, result: Result) -> None:
        """One more."""
        self.runs += 1
        self.simulated_s += result.simulated_s
        self.cpu_s += result.cpu_s
        self.events += result.events
        self.entries += result.entries
        self.acknowledged += result.acknowledged
        self.fewest = min(self.fewest, (result.acknowledged, result.plan.seed))
        self.faults.update(kind for kind, count in result.faults.items() if count)
        self.reached.update(name for name in SITUATIONS if result.reached[name])
        if result.problems:
            self.failed.append(result)

    @property
    def wall_s(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._started_s

    @property
    def pace(self) -> float:
        """Simulated cluster-seconds per second of CPU."""
        return self.simulated_s / self.cpu_s if self.cpu_s else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For ``--json`` and for ledgers."""
        return {
            "runs": self.runs,
            "failed": sorted(result.plan.seed for result in self.failed),
            "simulated_s": round(self.simulated_s, 1),
            "cpu_s": round(self.cpu_s, 1),
            "events": self.events,
            "entries": self.entries,
            "acknowledged": self.acknowledged,
            "fewest_acknowledged": self.fewest[0] if self.runs else 0,
            "faults": dict(sorted(self.faults.items())),
            "situations": {name: self.reached[name] for name in SITUATIONS},
        }

    def summary(self) -> str:
        """A few lines for people."""
        if not self.runs:
            return "no runs"
        fewest, seed = self.fewest
        lines = (
            f"{self.runs} runs, {len(self.failed)} failed",
            f"{self.simulated_s / 3600:.2f} simulated cluster-hours in {self.wall_s:.0f} s",
            f"{self.pace:.0f} simulated seconds per second of CPU",
            f"{self.events:,} events, {self.entries:,} entries",
            f"{self.acknowledged:,} operations acknowledged; fewest: {fewest}, by seed {seed}",
            "runs struck by: " + _listed(self.faults, sorted(self.faults)),
            "runs that came by: " + _listed(self.reached, SITUATIONS),
        )
        return "\n".join(lines)


def _listed(counts: Counter[str], names: Any) -> str:
    return ", ".join(f"{name} {counts[name]}" for name in names) or "nothing"
