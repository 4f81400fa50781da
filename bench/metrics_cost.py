"""What counting for /metrics costs a request: instructions of a node that serves the same requests
with and without, counted by callgrind.

    python -m bench.metrics_cost                     sets and gets in turn, 10,000 of them
    python -m bench.metrics_cost --requests 2000     quicker

A node on a simulated disk answers a client of the native wire, from bytes to bytes, in one process.
Without: the same from a copy of the sources in which the lines that only count are left out. What
a process needs to start and to make the requests is subtracted. Prints instructions for each
request and the share that counting has; ends with 1 if that is more than 2 %.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from coord.model import requests as rq
from coord.protocol.native import NativeCodec
from coord.protocol.native_client import OPENING, encode_request
from tests.node.single import Single, create, get, put

ROOT: Final = Path(__file__).parents[1]
SHARE_MAX: Final = 0.02
_PATHS: Final = [f"/k{number}" for number in range(100)]
_VALUE: Final = b"x" * 100
_IN_A_READ: Final = 10
"""Requests that come in one read of the socket."""
_READS_A_TICK: Final = 20

COUNTING: Final = {
    "coord/node/gateway.py": ("asked = self.traffic.asked", "asked[kind] += 1"),
    "coord/node/driver.py": ("self.proposed += count",),
    "coord/node/traffic.py": (
        "traffic.timed = request",
        "self._observe(traffic.timed, elapsed_ms)",
    ),
}
"""Lines on a request's way that are there for metrics alone."""


def copy_without(directory: Path) -> None:
    """The sources less what counts. Raises ValueError if a line is not where it should be."""
    for package in ("coord", "tests", "bench"):
        shutil.copytree(
            ROOT / package,
            directory / package,
            ignore=shutil.ignore_patterns("__pycache__", "static", "bin"),
        )
    for name, lines in COUNTING.items():
        source = (directory / name).read_text(encoding="utf-8").splitlines()
        for line in lines:
            places = [at for at, text in enumerate(source) if text.strip() == line]
            if len(places) != 1:
                raise ValueError(f"{name} has the line {line!r} {len(places)} times")
            del source[places[0]]
        (directory / name).write_text("\n".join(source) + "\n", encoding="utf-8")


class Sink:
    """A client that reads and does nothing about it."""

    def __init__(self) -> None:
        self.received = 0

    def write(self, data: bytes) -> None:
        """Answers."""
        self.received += len(data)

    def close(self) -> None:
        """Not expected."""

    def pause_reading(self) -> None:
        """Not expected."""

    def resume_reading(self) -> None:
        """Not expected."""


def reads_of(count: int) -> list[bytes]:
    """What the sockets deliver: sets and gets in turn."""
    made: list[bytes] = []
    seq = 0
    for start in range(0, count, _IN_A_READ):
        frames: list[bytes] = []
        for number in range(start, start + _IN_A_READ):
            path, xid = _PATHS[number % len(_PATHS)], 1_000 + number
            if number % 2:
                seq += 1
                acked = max(0, seq - 2 * _IN_A_READ)
                frames.append(encode_request(xid, put(path, _VALUE), seq, acked))
            else:
                frames.append(encode_request(xid, get(path)))
        made.append(b"".join(frames))
    return made


def replay(count: int, *, serve: bool) -> None:
    """A client's requests, made and, if ``serve``, answered."""
    single = Single()
    writer = single.client()
    for path in _PATHS:
        writer.call(create(path, _VALUE))
    sink, codec = Sink(), NativeCodec()
    conn = single.node.gateway.open(sink, codec, "198.51.100.7:1")
    connect = encode_request(1, rq.Connect(0, b"", 10_000, 0, "bench"))
    single.node.gateway.receive(conn, codec.feed(OPENING + connect))
    single.run()
    for number, data in enumerate(reads_of(count)):
        if serve:
            single.node.gateway.receive(conn, codec.feed(data))
            single.run()
            if not number % _READS_A_TICK:
                single.pass_ms(20)
    if serve and count:
        assert not conn.backlog
        assert sink.received > 50 * count, "every request is answered"


def instructions(sources: Path, count: int, *, serve: bool) -> int:
    """Of a process that replays ``count`` requests."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "callgrind.out"
        command = [
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={report}",
            sys.executable, "-m", "bench.metrics_cost", "--replay", str(count),
            *(("--serve",) if serve else ()),
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(sources)}
        subprocess.run(command, env=environment, cwd=sources, check=True, capture_output=True)
        for line in report.read_text(encoding="utf-8").splitlines():
            if line.startswith(("summary:", "totals:")):
                return int(line.split()[1])
    raise RuntimeError("callgrind told no total")


def per_request(sources: Path, count: int) -> float:
    """Instructions that the node alone spends on one."""
    served = instructions(sources, count, serve=True)
    return (served - instructions(sources, count, serve=False)) / count


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--replay", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay is not None:
        replay(options.replay, serve=options.serve)
        return
    counting = per_request(ROOT, options.requests)
    with tempfile.TemporaryDirectory() as directory:
        copy_without(Path(directory))
        plain = per_request(Path(directory), options.requests)
    share = (counting - plain) / plain
    print(f"{counting:,.0f} instructions a request, {plain:,.0f} without metrics: {share:.2%} more")
    if share > SHARE_MAX:
        raise SystemExit(f"more than the {SHARE_MAX:.0%} that metrics may cost")


if __name__ == "__main__":
    main()
