"""A long search that can be interrupted: a ledger says what has been run, on which commit.

    python -m tests.sim.campaign --ledger docs/campaigns/2026-11.jsonl --total 100000

Each line of a ledger is one block of seeds: its commit, its range, what it added up to and which
seeds failed. The next run goes on behind the last line. Only committed code is run: the working
tree must have no changes in what decides a run. ``--summary`` shows what a ledger holds.

Exits 1 if a block of this run had a failure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

from tests.sim.__main__ import say, search
from tests.sim.keeping import ROOT

BLOCK: Final = 500
FIRST_SEED: Final = 1_000_000
"""Below it are the seeds that the tests run."""
DECISIVE: Final = ("coord", "client", "tests/sim")
"""What a run is a function of, besides its seed."""
FAILURES_MAX: Final = 1_000
"""A block goes on past failures: the ledger shall name them all."""


class Unclean(Exception):  # noqa: N818 (a refusal)
    """The working tree is not what a commit says."""


def git(*arguments: str) -> str:
    """Output of a git command in this repository. Raises CalledProcessError."""
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def commit() -> str:
    """The commit that is checked out. Raises Unclean if what decides a run differs from it."""
    changed = git("status", "--porcelain", "--", *DECISIVE)
    if changed:
        raise Unclean(f"not committed:\n{changed}")
    return git("rev-parse", "HEAD")


def read(path: Path) -> list[dict[str, Any]]:
    """The blocks of a ledger, oldest first; none if there is no such file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def next_seed(blocks: list[dict[str, Any]]) -> int:
    """The first seed behind every block."""
    return max((block["last"] + 1 for block in blocks), default=FIRST_SEED)


def summary(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """What the blocks add up to, per commit and in all."""
    by_commit: dict[str, Counter[str]] = {}
    failed: dict[str, list[int]] = {}
    for block in blocks:
        sums = by_commit.setdefault(block["commit"][:12], Counter())
        sums["schedules"] += block["runs"]
        sums["failed"] += len(block["failed"])
        sums["simulated_s"] += round(block["simulated_s"])
        sums["acknowledged"] += block["acknowledged"]
        failed.setdefault(block["commit"][:12], []).extend(block["failed"])
    total: Counter[str] = sum(by_commit.values(), Counter())
    return {
        "schedules": total["schedules"],
        "cluster_hours": round(total["simulated_s"] / 3600, 1),
        "acknowledged": total["acknowledged"],
        "failed": {name: seeds for name, seeds in failed.items() if seeds},
        "commits": {name: dict(sums) for name, sums in by_commit.items()},
    }


def run(path: Path, total: int, workers: int) -> int:
    """Blocks until the ledger holds ``total`` schedules; the number of failures of this run.

    Raises Unclean.
    """
    blocks = read(path)
    done, failures = sum(block["runs"] for block in blocks), 0
    while done < total:
        here, first = commit(), next_seed(blocks)
        last = first + min(BLOCK, total - done) - 1
        tally = search(range(first, last + 1), workers, _tell, FAILURES_MAX)
        if commit() != here:
            raise Unclean("another commit was checked out meanwhile; this block does not count")
        block = {"commit": here, "first": first, "last": last, **tally.as_dict()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as ledger:
            ledger.write(json.dumps(block) + "\n")
        blocks.append(block)
        done, failures = done + tally.runs, failures + len(tally.failed)
        say(f"{here[:12]} seeds {first}-{last}: {len(tally.failed)} failed; {done:,} of {total:,}")
    return failures


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> int:
    """Parse the command line and search."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.sim.campaign",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ledger", type=Path, required=True, help="file of blocks, one a line")
    parser.add_argument("--total", type=int, default=100_000, help="schedules it shall hold")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one per core")
    parser.add_argument("--summary", action="store_true", help="only show what the ledger holds")
    options = parser.parse_args()
    if options.summary:
        say(json.dumps(summary(read(options.ledger)), indent=1))
        return 0
    try:
        return 1 if run(options.ledger, options.total, options.workers) else 0
    except Unclean as error:
        _tell(str(error))
        return 2


if __name__ == "__main__":
    sys.exit(main())
