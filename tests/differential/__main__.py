"""Compare coord with a real ZooKeeper at length.

    python -m tests.differential --sequences 2000 --seed 1
    python -m tests.differential --sequences 200 --expiring    sessions that end by silence, too

Stored sequences come first: corners and regressions. Each difference is shrunk, printed and stored
as one more; the search goes on with another seed until it has ten. Ends with the table of
operation × error × outcome, which ``--json FILE`` also writes. Exits 1 if anything differed, if a
reachable cell was not reached, or if fewer than 60 % of the operations succeeded.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.differential.campaign import both_servers, regressions, search, store
from tests.differential.compare import Difference, Side, compare
from tests.differential.corners import CORNERS
from tests.differential.servers import is_zookeeper_installed
from tests.differential.table import Table

ROUND: Final = 100
"""Sequences per round of drawing: each has a seed of its own, which repeats it alone."""
DIFFERENCES_MAX: Final = 10
SUCCEEDED_MIN: Final = 0.6


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _replayed(sides: tuple[Side, Side], table: Table) -> list[Difference]:
    found = []
    for name, sequence in (CORNERS | regressions()).items():
        records, difference = compare(sequence, *sides)
        table.add(sequence, records, is_handmade=name in CORNERS)
        if difference is not None:
            _say(f"the stored sequence {name!r} differs\n{difference}")
            found.append(difference)
    return found


def _searched(sides: tuple[Side, Side], table: Table, options: argparse.Namespace) -> int:
    """How many differences a search found."""
    found, played, started = 0, 0, time.monotonic()
    rounds = -(-options.sequences // ROUND)
    for number in range(rounds):
        count = min(ROUND, options.sequences - number * ROUND)
        seed = options.seed + number
        difference = search(
            sides, sequences_max=count, seed_=seed, table=table, expiring=options.expiring
        )
        played += count
        if difference is not None:
            found += 1
            _say(f"seed {seed}: {difference}\nstored as {store(difference.sequence)}")
            if found == DIFFERENCES_MAX:
                break
        pace = (time.monotonic() - started) / played
        _say(f"{played} of {options.sequences} sequences, {found} differences, {pace:.2f} s each")
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.differential",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sequences", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--expiring", action="store_true")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> int:
    """Run; the exit code."""
    options = _options()
    if not is_zookeeper_installed():
        _say("ZooKeeper is missing: apt-get install libzookeeper-java default-jre-headless")
        return 2
    table = Table()
    with tempfile.TemporaryDirectory() as directory, both_servers(Path(directory)) as sides:
        found = len(_replayed(sides, table)) + _searched(sides, table, options)
    _say(str(table))
    if options.json is not None:
        options.json.write_text(table.as_json(), encoding="utf-8")
    missing = table.missing()
    for cell in missing:
        _say(f"never reached: {cell}")
    is_good = not found and not missing and table.succeeded >= SUCCEEDED_MIN
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
