"""``python -m tests.corruption``: damage files at random and see what their member makes of it.

    python -m tests.corruption --trials 1000             # every file and kind, node down and up
    python -m tests.corruption --seed 7 --trials 100 --json

Exits with 1 if a trial ended otherwise than promised, and prints which.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from coord.cli import output
from tests.corruption import campaign
from tests.corruption.places import place
from tests.corruption.trial import Outcome


def main() -> int:
    """Run and report; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.corruption")
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    began = time.monotonic()
    done = 0

    def progress(_: Outcome) -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done} of {chosen.trials} trials")
            sys.stderr.flush()

    with place() as directory:
        tally = campaign.run(directory, chosen.trials, chosen.seed, progress)
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    _report(tally, time.monotonic() - began, as_json=chosen.json)
    return 1 if tally.problems else 0


def _report(tally: campaign.Tally, seconds: float, *, as_json: bool) -> None:
    problems = [
        {"damage": str(o.damage), "mode": o.mode, "path": o.path, "problem": o.problem}
        for o in tally.problems
    ]
    if as_json:
        rows = [
            {"mode": mode, "part": part, "path": path, "times": times}
            for mode, part, path, times in tally.rows()
        ]
        sys.stdout.write(json.dumps({"ends": rows, "problems": problems, "s": seconds}) + "\n")
        return
    table = output.Table(("node", "damaged", "what happened", "times"))
    for row in tally.rows():
        table.add(*row)
    table.show()
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    sys.stdout.write(f"{tally.trials} trials in {seconds:.0f} s, {len(problems)} not as promised\n")


if __name__ == "__main__":
    sys.exit(main())
