"""Replay one run, or search a range of seeds.

    python -m tests.sim --seed 17 --trace     one run, every event
    python -m tests.sim --plan FILE           the plans of a file, such as a regression's
    python -m tests.sim --seed 17 --shrink    a smaller plan that fails likewise, as JSON
    python -m tests.sim --seeds 1000-1999     a search; failing seeds end in a command each
    python -m tests.sim                       a search over seeds nobody has chosen

Exits 1 if a run failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.sim.drawing import draw
from tests.sim.keeping import keep, load, report
from tests.sim.plan import Plan
from tests.sim.progress import Progress
from tests.sim.run import Result, run_plan
from tests.sim.shrink import RUNS_MAX, Shrinker
from tests.sim.tally import Tally
from tests.sim.workers import Job, run_all, run_job

FAILURES_MAX = 10
"""A search ends here: the seeds after so many failures would say the same."""


def say(text: str) -> None:
    """One line to the standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def seed_range(text: str) -> range:
    """``A-B`` or ``A``. Raises ValueError."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def search(
    jobs: Sequence[Job],
    workers: int = 0,
    tell: Callable[[str], None] = say,
    failures_max: int = FAILURES_MAX,
    hash_seed: str = "",
    on_result: Callable[[Result], None] = lambda _result: None,
) -> Tally:
    """Run all, and tell of each failure when it comes."""
    tally, progress = Tally(), Progress(len(jobs), "schedules")
    results = run_all(jobs, workers, hash_seed)
    for result in results:
        tally.add(result)
        on_result(result)
        progress.step(f"{len(tally.failed)} failed, {tally.pace:.0f} simulated s per CPU s")
        if result.problems:
            progress.end()
            tell(report(result))
            if len(tally.failed) >= failures_max:
                results.close()
                break
    progress.end()
    return tally


def _search(seeds: range, options: argparse.Namespace) -> int:
    tally = search(seeds, options.workers, _to_stderr if options.json else say)
    say(json.dumps(tally.as_dict()) if options.json else tally.summary())
    return 1 if tally.failed else 0


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _shrink(plan: Plan, runs_max: int) -> int:
    """Write the smallest plan found to the standard output, in the form of a regression file."""
    progress = Progress(runs_max, "shrinking")

    def run(candidate: Plan) -> Result:
        progress.step(f"{len(candidate.faults)} faults")
        return run_job(candidate)

    try:
        smallest = Shrinker(run, runs_max).shrink(plan)
    except ValueError as error:
        progress.end()
        _to_stderr(str(error))
        return 2
    progress.end()
    result = run_job(smallest)
    path = keep(smallest, result.problems[0])
    say(path.read_text(encoding="utf-8"))
    _to_stderr(report(result))
    return 1


def _replay(plan: Plan, options: argparse.Namespace) -> int:
    result = run_plan(plan, say if options.trace else None)
    if options.json:
        tally = Tally()
        tally.add(result)
        say(
            json.dumps({**tally.as_dict(), "problems": result.problems, "trace": result.trace_hash})
        )
    elif result.problems:
        say(report(result))
    else:
        say(
            f"seed {plan.seed}: held. {result.simulated_s:.1f} simulated s in {result.cpu_s:.2f} s,"
            f" {result.events} events, {result.acknowledged} of {result.operations} operations"
            f" acknowledged, {result.entries} entries, faults {result.faults},"
            f" trace {result.trace_hash}"
        )
    return 1 if result.problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.sim",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--seed", type=int, help="run this seed alone")
    what.add_argument("--seeds", type=seed_range, metavar="A-B", help="run these seeds")
    what.add_argument("--plan", type=Path, metavar="FILE", help="run the plans of this file")
    parser.add_argument("--trace", action="store_true", help="print every event of one run")
    parser.add_argument("--shrink", action="store_true", help="find a smaller plan that fails")
    parser.add_argument("--runs", type=int, default=RUNS_MAX, help="at most, while shrinking")
    parser.add_argument("--json", action="store_true", help="figures as one line of JSON")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one per core")
    return parser


def main() -> int:
    """Parse the command line and run."""
    parser = _parser()
    options = parser.parse_args()
    if options.seed is not None:
        plans = [draw(options.seed)]
    elif options.plan is not None:
        try:
            plans = load(options.plan)
        except (OSError, ValueError, TypeError) as error:
            parser.error(f"{options.plan}: {error}")
    elif options.shrink or options.trace:
        parser.error("--shrink and --trace are for one run: name it by --seed or --plan")
    else:
        first = int(time.time()) * 1_000
        return _search(options.seeds or range(first, first + 200), options)
    if options.shrink:
        return _shrink(plans[0], options.runs)
    return max(_replay(plan, options) for plan in plans)


if __name__ == "__main__":
    sys.exit(main())
