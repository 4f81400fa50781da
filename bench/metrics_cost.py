"""What counting for /metrics costs a request: instructions of a node that serves the same requests
with and without, counted by callgrind.

    python -m bench.metrics_cost                     sets and gets in turn, 10,000 of them
    python -m bench.metrics_cost --requests 2000     quicker

A node on a simulated disk answers a client of the native wire, from bytes to bytes, in one process.
Without: the lines that only count are taken out of the functions on a request's way before the
requests run. What is told: instructions for each request, and the share that counting has.
"""

from __future__ import annotations
import __future__

import argparse
import inspect
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from coord.model import requests as rq
from coord.node.driver import Driver
from coord.node.gateway import Gateway
from coord.node.traffic import NodeTraffic
from tests.node.single import Single, create, get, put

SHARE_MAX: Final = 0.02
_PATHS: Final = [f"/k{number}" for number in range(100)]
_VALUE: Final = b"x" * 100
_IN_A_READ: Final = 10
"""Requests that come in one read of the socket."""

COUNTING: Final[tuple[tuple[type, str, tuple[str, ...]], ...]] = (
    (Gateway, "receive", ("asked = self.traffic.asked", "asked[kind] += 1")),
    (Driver, "_propose_queued", ("self.proposed += count",)),
    (NodeTraffic, "arrived", ("traffic.timed = request",)),
    (NodeTraffic, "answered", ("self._observe(traffic.timed, elapsed_ms)",)),
)
"""Lines on a request's way that are there for metrics alone."""


def without(function: Callable[..., Any], lines: tuple[str, ...]) -> Callable[..., Any]:
    """The same function less these lines. Raises ValueError if one is not there."""
    source = textwrap.dedent(inspect.getsource(function)).splitlines()
    for line in lines:
        places = [at for at, text in enumerate(source) if text.strip() == line]
        if len(places) != 1:
            raise ValueError(f"{function.__qualname__} has the line {line!r} {len(places)} times")
        del source[places[0]]
    made: dict[str, Any] = {}
    program = compile(
        "\n".join(source),
        inspect.getfile(function),
        "exec",
        flags=__future__.annotations.compiler_flag,
        dont_inherit=True,
    )
    exec(program, function.__globals__, made)  # noqa: S102 - our own source
    found: Callable[..., Any] = made[function.__name__]
    return found


def switch_off() -> None:
    """Stop counting in this process."""
    for owner, name, lines in COUNTING:
        setattr(owner, name, without(getattr(owner, name), lines))


def replay(count: int) -> None:
    """A client that sets and gets in turn."""
    single = Single()
    client = single.client()
    for path in _PATHS:
        client.call(create(path, _VALUE))
    for start in range(0, count, _IN_A_READ):
        batch: list[rq.Request] = []
        for number in range(start, start + _IN_A_READ):
            path = _PATHS[number % len(_PATHS)]
            batch.append(put(path, _VALUE) if number % 2 else get(path))
        client.send(*batch, acked=max(0, client.seq))
        single.run()
        if start % 1_000 == 0:
            single.pass_ms(20)
        client.link.received.clear()


def instructions(count: int, *, counting: bool) -> int:
    """Of a process that replays ``count`` requests, its start included."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "callgrind.out"
        command = [
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={report}",
            sys.executable, "-m", "bench.metrics_cost", "--replay", str(count),
            *(() if counting else ("--off",)),
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONMALLOC": "pymalloc"}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        for line in report.read_text().splitlines():
            if line.startswith(("summary:", "totals:")):
                return int(line.split()[1])
    raise RuntimeError("callgrind told no total")


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--replay", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--off", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.off:
        switch_off()
    if options.replay is not None:
        replay(options.replay)
        return
    on, off = (
        (instructions(options.requests, counting=counting) - instructions(0, counting=counting))
        / options.requests
        for counting in (True, False)
    )
    share = (on - off) / off
    print(f"{on:,.0f} instructions a request with metrics, {off:,.0f} without: {share:.2%} more")
    if share > SHARE_MAX:
        raise SystemExit(f"more than the {SHARE_MAX:.0%} that metrics may cost")


if __name__ == "__main__":
    main()
