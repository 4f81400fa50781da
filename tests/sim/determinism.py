"""A run is a function of its plan: every seed twice, in processes with different hash seeds.

    python -m tests.sim.determinism --seeds 1-200

Exits 1 and names the seeds whose traces differ. What iterates over a set of strings, or looks at
an address, shows up here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from tests.sim.__main__ import say, seed_range
from tests.sim.progress import Progress
from tests.sim.workers import run_all

HASH_SEEDS: Final = ("1", "2")


def hashes(seeds: Sequence[int], hash_seed: str, workers: int = 0) -> dict[int, str]:
    """Trace hash of every seed."""
    progress = Progress(len(seeds), f"PYTHONHASHSEED={hash_seed}")
    found = {}
    for result in run_all(seeds, workers, hash_seed):
        found[result.plan.seed] = result.trace_hash
        progress.step()
    progress.end()
    return found


def differing(one: dict[int, str], other: dict[int, str]) -> list[int]:
    """Seeds of ``other`` that were another run in ``one``."""
    return sorted(seed for seed, trace in other.items() if one.get(seed) != trace)


def main() -> int:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.determinism")
    parser.add_argument("--seeds", type=seed_range, default=range(1, 201), metavar="A-B")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one per core")
    options = parser.parse_args()
    one, other = (hashes(options.seeds, pinned, options.workers) for pinned in HASH_SEEDS)
    bad = differing(one, other)
    say(
        f"{len(other)} seeds twice, {len(set(other.values()))} different traces; "
        + (f"not the same run again: {bad}" if bad else "all the same run again")
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
