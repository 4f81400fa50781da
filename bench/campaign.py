"""Carries a plan out: starts the servers of each block, warms them up, and records every trial.

A trial during which a processor of the machine stood still is kept, marked, and done again, at
most TRIES times in all.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.canary import Canary
from bench.cases import WIRES
from bench.plan import Block, Scale, Trial
from bench.servers import Servers, ServersError
from bench.tools import load

TRIES: Final = 3

Record = dict[str, Any]


class Progress:
    """One line on standard error: how far we are and how long it will still take."""

    def __init__(self, blocks: list[Block]) -> None:
        self._estimate_s = sum(block.estimate_s for block in blocks)
        self._count = sum(len(block.trials) for block in blocks)
        self._done_s = 0.0
        self._number = 0
        self._started_s = time.monotonic()

    def show(self, what: str) -> None:
        """Say what is being done now."""
        elapsed_s = time.monotonic() - self._started_s
        pace = elapsed_s / self._done_s if self._done_s > 60 else 1.0
        left_s = max(self._estimate_s - self._done_s, 0.0) * pace
        line = f"{self._number}/{self._count}  {what:<42} about {left_s / 60:.0f} min left"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def advance(self, estimate_s: float, *, is_trial: bool = True) -> None:
        """What was estimated at so many seconds is done."""
        self._done_s += estimate_s
        self._number += is_trial

    def end(self) -> None:
        """Leave a clean line."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def carry_out(blocks: list[Block], scale: Scale, port: int, records: list[Record]) -> None:
    """Every trial of every block, appended to ``records``, which an interruption leaves usable.

    A record says which trial, which attempt, stalls, and figures or an error. Servers that fail
    end their block, not the comparison.
    """
    progress = Progress(blocks)
    try:
        for block in blocks:
            try:
                _carry_out_block(block, scale, port, progress, records)
            except ServersError as error:
                progress.end()
                print(f"{block.kind.name}, round {block.round + 1}: {error}", file=sys.stderr)
    finally:
        progress.end()


def _carry_out_block(
    block: Block, scale: Scale, port: int, progress: Progress, records: list[Record]
) -> None:
    with running(block, scale, port, progress) as servers:
        for trial in block.trials:
            progress.show(f"round {block.round + 1}: {trial.system} {trial.case}")
            attempt(block.round, trial, servers, records)
            progress.advance(trial.estimate_s)


@contextlib.contextmanager
def running(block: Block, scale: Scale, port: int, progress: Progress) -> Iterator[Servers]:
    """The block's servers, warm, with all keys in their tree; nothing of them remains."""
    progress.show(f"round {block.round + 1}: starting {block.kind.name}")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        block.kind(Path(folder), port) as servers,
    ):
        warm_up(servers, scale)
        progress.advance(
            block.estimate_s - sum(trial.estimate_s for trial in block.trials), is_trial=False
        )
        yield servers


def warm_up(servers: Servers, scale: Scale) -> None:
    """Make the keys and keep the servers busy with reads and writes for their time."""
    wire = WIRES[servers.name]
    seconds = str(max(1, round(servers.warmup_s)))
    load(
        wire, servers.hosts, "-o", "mixed", "-r", "50", "-c", "64", "-k", str(scale.keys),
        "-t", seconds, "-w", "0",
    )  # fmt: skip


def attempt(number: int, trial: Trial, servers: Servers, records: list[Record]) -> None:
    """One trial, again if the machine stood still meanwhile. Failures are recorded, too.

    Raises ServersError if it never succeeds: the servers are of no use any more.
    """
    first = len(records)
    for attempted in range(TRIES):
        record: Record = {
            "round": number,
            "case": trial.case,
            "system": trial.system,
            "attempt": attempted,
            "figures": {},
        }
        canary = Canary()
        with canary:
            try:
                record["figures"] = trial.run(servers)
            except ServersError as error:
                record["error"] = str(error)
        record["longest_stall_ms"] = canary.longest_ms
        record["stalls"] = canary.stalls
        record["realtime_canary"] = canary.is_realtime
        records.append(record)
        is_good = "error" not in record
        if is_good and (not canary.stalls or not trial.is_repeatable):
            return
        if not is_good and not trial.is_repeatable:
            break
    if all("error" in record for record in records[first:]):
        raise ServersError(
            f"{trial.system} {trial.case}: {records[-1]['error']}\n{servers.last_words()}"
        )
