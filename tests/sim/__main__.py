"""Replay one seed, or search a range of them.

    python -m tests.sim --seed 17 --trace     one run, every event
    python -m tests.sim --seeds 1000-1999     a search; failing seeds end in a command each
    python -m tests.sim                       a search over seeds nobody has chosen

Exits 1 if a run failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

from tests.sim.run import SITUATIONS, Result, run_seed

FAILURES_MAX = 10
"""A search ends here: the seeds after so many failures would say the same."""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _search(seeds: Iterable[int], workers: int) -> list[Result]:
    failed: list[Result] = []
    started, runs, simulated_s, entries = time.monotonic(), 0, 0.0, 0
    reached: Counter[str] = Counter()
    with ProcessPoolExecutor(workers) as pool:
        for result in pool.map(run_seed, seeds, chunksize=4):
            runs += 1
            simulated_s += result.simulated_s
            entries += result.entries
            reached.update(situation for situation in SITUATIONS if result.reached[situation])
            if result.problems:
                failed.append(result)
                _say(result.report())
                if len(failed) == FAILURES_MAX:
                    pool.shutdown(cancel_futures=True)
                    break
    took_s = time.monotonic() - started
    _say(
        f"{runs} runs, {len(failed)} failed, {simulated_s:,.0f} simulated cluster-seconds and"
        f" {entries:,} entries in {took_s:.0f} s ({simulated_s / took_s:.1f} times real time)"
    )
    _say("runs that came by: " + ", ".join(f"{name} {reached[name]}" for name in SITUATIONS))
    return failed


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this seed alone")
    parser.add_argument("--seeds", type=_range, metavar="A-B", help="run these seeds")
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.seed is None:
        first = int(time.time()) * 1_000
        seeds = options.seeds or range(first, first + 200)
        return 1 if _search(seeds, options.workers) else 0
    result = run_seed(options.seed, _say if options.trace else None)
    if result.problems:
        _say(result.report())
        return 1
    _say(
        f"seed {result.seed}: held. {result.simulated_s:.1f} simulated s, {result.events} events,"
        f" {result.operations} operations, {result.entries} entries, faults {result.faults},"
        f" trace {result.trace_hash}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
