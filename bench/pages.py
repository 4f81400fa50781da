"""What open pages cost the programs that use a cluster.

    python -m bench.pages                   50 pages on a directory of 100,000 nodes, four rounds
    python -m bench.pages --pages 200 --rounds 2 --seconds 5

Sets go to nodes of that directory, in a closed loop of 1 and of 64 connections, by turns with and
without the pages (A B B A …), all of them on the node that leads: the dearest place. The pages are
what a browser asks of a node (``page_readers``), since the browsers themselves would take the
processors away from what is measured; they run at the lowest priority, as people's browsers run on
other machines.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench import machine, tools
from bench.coord_servers import Coord
from bench.servers import mode_of

PORT: Final = 23_281
DIRECTORY: Final = "/big"
CONNECTIONS: Final = (1, 64)
LOAD: Final = ("-o", "set", "-d", "1", "-v", "100", "-f", "0", "-p", DIRECTORY)
GROWTH_MAX: Final = 1.2
"""What the pages may do to p99."""


class CoordWithPages(Coord):
    """Nodes with an HTTP port."""

    def command(self, number: int) -> list[str]:
        """As ever, and the port."""
        return [*super().command(number), "--set", f"node.http={self.address(number, 2)}"]

    def leader(self) -> int:
        """Number of the node that leads."""
        return next(n for n in range(self.count) if mode_of(self.address(n)) == "leader")


@contextlib.contextmanager
def open_pages(servers: CoordWithPages, count: int) -> Iterator[None]:
    """Pages that stay open while the body runs; prints what they heard."""
    url = f"http://{servers.address(servers.leader(), 2)}"
    argv = [
        "nice",
        "-n",
        "19",
        sys.executable,
        "-m",
        "bench.page_readers",
        url,
        "--pages",
        str(count),
    ]
    argv += ["--directory", DIRECTORY]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as readers:
        assert readers.stdin is not None
        assert readers.stdout is not None
        assert readers.stdout.readline() == "open\n", "the pages open"
        try:
            yield
        finally:
            readers.stdin.close()
            print(f"  pages heard {readers.stdout.readline().strip()}", file=sys.stderr)


def measure(
    servers: CoordWithPages, options: argparse.Namespace, connections: int
) -> dict[str, list[Any]]:
    """Figures with and without pages, in the order taken."""
    found: dict[str, list[Any]] = {"without": [], "with": []}
    more = ("-k", str(options.nodes), "-c", str(connections), "-t", str(options.seconds), "-w", "2")
    order = ["without", "with", "with", "without"] * options.rounds
    for which in order[: 2 * options.rounds]:
        pages = open_pages(servers, options.pages) if which == "with" else contextlib.nullcontext()
        with pages:
            figures = tools.load("native", servers.hosts, *LOAD, *more, "-n")
        found[which].append(figures)
        print(
            f"{connections:>2} connections, {which:>7} pages: {figures['ops_s']:>6.0f} sets/s,"
            f" p50 {figures['p50_us'] / 1e3:.2f} ms, p99 {figures['p99_us'] / 1e3:.2f} ms",
            file=sys.stderr,
        )
    return found


def summary(found: dict[str, list[Any]]) -> dict[str, Any]:
    """Medians, and what the pages did to p99."""
    medians = {
        which: {
            key: statistics.median(figures[key] for figures in trials)
            for key in ("ops_s", "p50_us", "p99_us")
        }
        for which, trials in found.items()
    }
    return {**medians, "p99_growth": medians["with"]["p99_us"] / medians["without"]["p99_us"]}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--pages", type=int, default=50)
    add("--nodes", type=int, default=100_000, help="in the directory")
    add("--rounds", type=int, default=4, help="of each kind")
    add("--seconds", type=int, default=10, help="measured, each")
    add("--port", type=int, default=PORT, help="first of about thirty")
    return parser.parse_args()


def main() -> int:
    """The command: 0 if p99 grew by no more than it may."""
    options = parse()
    tools.build()
    with (
        tempfile.TemporaryDirectory(prefix="bench-pages-") as directory,
        CoordWithPages(Path(directory), options.port) as servers,
    ):
        tools.load("native", servers.hosts, *LOAD, "-c", "64", "-k", str(options.nodes), "-F")
        results = {
            f"set {count}x1": summary(measure(servers, options, count)) for count in CONNECTIONS
        }
    print(json.dumps({"machine": machine.describe(), "pages": options.pages, **results}))
    return int(any(result["p99_growth"] > GROWTH_MAX for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
