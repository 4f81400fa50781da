"""Everything that the simulator is for, once a night: ``make sim``.

    python -m tests.sim.nightly [--schedules 5000] [--seeds-from N] [--json]

1. every plan that ever failed;
2. new seeds, of which the first 200 a second time under another hash seed;
3. which lines all that executes;
4. every planted bug must be caught.

Exits 1 if anything failed or a figure is below what is promised.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

from tests.sim.__main__ import say, search
from tests.sim.determinism import HASH_SEEDS, differing, hashes
from tests.sim.keeping import ROOT, corpus
from tests.sim.lines import WANTED, measure, share_of, table
from tests.sim.plan import FAULTS
from tests.sim.run import SITUATIONS, Result
from tests.sim.tally import Tally

SCHEDULES: Final = 5_000
TWICE: Final = 200
MEASURED: Final = 300
"""Runs under coverage, which makes them slower; what they execute, all execute."""
HOURS: Final = 50.0
ACKNOWLEDGED_MIN: Final = 100
STRUCK_MIN: Final = 0.2
"""Share of the runs that each kind of fault must strike."""


@dataclass(slots=True)
class Night:
    """What was found, and what is short of the promise."""

    short: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def demand(self, condition: bool, text: str) -> None:
        """Note what does not hold."""
        if not condition:
            self.short.append(text)


def _schedules(night: Night, first: int, count: int, workers: int) -> Tally:
    seeds = range(first, first + count)
    again: dict[int, str] = {}

    def note(result: Result) -> None:
        if result.plan.seed < first + TWICE:
            again[result.plan.seed] = result.trace_hash

    tally = search(seeds, workers, _tell, hash_seed=HASH_SEEDS[0], on_result=note)
    say(tally.summary())
    other = differing(hashes(sorted(again), HASH_SEEDS[1], workers), again)
    say(f"{len(again)} seeds twice: " + (f"not the same again: {other}" if other else "the same"))
    night.figures["schedules"] = {**tally.as_dict(), "wall_s": round(tally.wall_s)}
    night.figures["twice"] = {"runs": len(again), "differing": other}
    night.demand(not tally.failed, f"{len(tally.failed)} schedules failed")
    night.demand(not other, f"seeds that are another run in another process: {other}")
    return tally


def _demand_figures(night: Night, tally: Tally, schedules: int) -> None:
    hours, scale = tally.simulated_s / 3600, schedules / SCHEDULES
    night.demand(tally.runs >= schedules, f"{tally.runs} schedules of {schedules}")
    night.demand(hours >= HOURS * scale, f"{hours:.1f} cluster-hours")
    fewest, seed = tally.fewest
    night.demand(fewest >= ACKNOWLEDGED_MIN, f"{fewest} operations acknowledged by seed {seed}")
    for kind in FAULTS:
        share = tally.faults[kind] / max(tally.runs, 1)
        night.demand(share >= STRUCK_MIN, f"{kind} struck {share:.0%} of the runs")
    for name in SITUATIONS:
        night.demand(tally.reached[name] > 0, f"no run came by: {name}")


def _corpus(night: Night, workers: int) -> None:
    tally = search([plan for _, plan in corpus()], workers, _tell)
    say(f"{tally.runs} plans that once failed: {len(tally.failed)} fail")
    night.figures["corpus"] = tally.as_dict()
    night.demand(not tally.failed, f"{len(tally.failed)} plans of the corpus failed")


def _lines(night: Night, first: int, workers: int) -> None:
    found = measure(range(first, first + MEASURED), workers or os.cpu_count() or 1)
    share = share_of(found)
    say(table(found))
    night.figures["lines"] = round(share, 1)
    night.demand(share >= WANTED, f"{share:.1f} % of the lines executed")


def _planted(night: Night) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.broken", "check"], cwd=ROOT, check=False
    ).returncode
    night.figures["planted_bugs_caught"] = done == 0
    night.demand(done == 0, "planted bugs were not caught")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> int:
    """Parse the command line and run all parts."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.sim.nightly",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--schedules", type=int, default=SCHEDULES)
    parser.add_argument("--seeds-from", type=int, default=0, help="0: seeds nobody has run")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one per core")
    parser.add_argument("--json", action="store_true", help="a last line with all figures")
    options = parser.parse_args()
    first = options.seeds_from or int(time.time()) * 10_000
    night = Night()
    _corpus(night, options.workers)
    tally = _schedules(night, first, options.schedules, options.workers)
    _demand_figures(night, tally, options.schedules)
    _lines(night, first, options.workers)
    _planted(night)
    for text in night.short:
        say(f"short: {text}")
    if options.json:
        say(json.dumps({**night.figures, "first_seed": first, "short": night.short}))
    return 1 if night.short else 0


if __name__ == "__main__":
    sys.exit(main())
