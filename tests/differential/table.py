"""Operation × error × outcome: how often each was seen, and which must be seen in a long run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from tests.differential.normal import Record
from tests.differential.steps import CONNECTION_STEPS, Sequence, Step

CONNECTION_LOST: Final = -4
"""What a client makes of a connection that ends without a reply."""
ERRORS: Final = {
    0: "ok", CONNECTION_LOST: "no reply",
    -2: "not tried", -5: "marshalling", -6: "unimplemented", -8: "bad arguments",
    -101: "no node", -102: "no auth", -103: "bad version", -108: "no children for ephemerals",
    -110: "node exists", -111: "not empty", -114: "invalid ACL", -115: "auth failed",
    -121: "no watcher", -123: "reconfig disabled",
}  # fmt: skip


class Cell(NamedTuple):
    """``outcome`` says what else happened: "events", "closed", "refused session" or nothing."""

    operation: str
    err: int
    outcome: str


def cells(step: Step, record: Record) -> Iterator[Cell]:
    """What one step adds: itself, and the parts of a multi."""
    err = record["err"]
    if err is None:
        err = 0 if step.name in CONNECTION_STEPS else CONNECTION_LOST
    yield Cell(step.name, err, _outcome(record))
    parts = record.get("body") if err == 0 and step.name in {"multi", "multiRead"} else None
    for (name, _), (_, code, _) in zip(step.args.get("operations", ()), parts or (), strict=False):
        yield Cell(f"{step.name}/{name}", code, "")


def _is_success(step: Step, record: Record) -> bool:
    parts = record.get("body") if step.name == "multi" else None
    if step.name in CONNECTION_STEPS:
        return True
    return record["err"] == 0 and all(code == 0 for _, code, _ in parts or ())


def _outcome(record: Record) -> str:
    if record["closed"]:
        return "closed"
    if any(handshake[0] == 0 for handshake in record.get("handshakes", ())):
        return "refused session"
    return "events" if record["before"] or record["after"] else ""


def _reachable() -> frozenset[tuple[str, int]]:
    new = {0, -8, -101, -102, -108, -110, -114}
    written: dict[str, set[int]] = {
        "create": new | {-5},
        "create2": new | {-5},
        "createContainer": new | {-5},
        "createTTL": new | {-5},
        "delete": {0, -5, -8, -101, -102, -103, -111},
        "setData": {0, -8, -101, -102, -103},
        "setACL": {0, -8, -101, -102, -103, -114},
        "exists": {0, -5, -8, -101, -102},
        "getData": {0, -5, -101, -102},
        "getChildren": {0, -5, -101, -102},
        "getChildren2": {0, -5, -101, -102},
        "getACL": {0, -5, -101, -102},
        "getAllChildrenNumber": {0, -5, -101, -102},
        "getEphemerals": {0},
        "multi": {0, -5},
        "multi/create": new | {-2},
        "multi/create2": new | {-2},
        "multi/createContainer": new | {-2},
        "multi/createTTL": new | {-2},
        "multi/delete": {0, -2, -8, -101, -102, -103, -111},
        "multi/setData": {0, -2, -8, -101, -102, -103},
        "multi/check": {0, -2, -8, -101, -102, -103},
        "multiRead": {0, -5},
        "multiRead/getData": {0, -101, -102},
        "multiRead/getChildren": {0, -101, -102},
        "addWatch": {0, -5},
        "removeWatches": {0, -5, -121},
        "checkWatches": {0, -5, -121},
        "setWatches": {0},
        "setWatches2": {0},
        "auth": {0, -115},
        "reconfig": {-123},
        "unknown": {-6},
        "sync": {0},
        "ping": {0},
        "whoAmI": {0},
        "close": {0},
        "reattach": {0},
        "reattachWrong": {0},
        "reattachEnded": {0},
        "expire": {0},
    }
    return frozenset((name, err) for name, errs in written.items() for err in errs)


REACHABLE: Final = _reachable()
"""(operation, error) that a long run must have seen, on both servers alike."""


class Table:
    """Counts of cells."""

    def __init__(self) -> None:
        self._counts: Counter[Cell] = Counter()
        self.sequences = 0
        self.operations = 0
        self._drawn = 0
        self._succeeded = 0

    def add(
        self, sequence: Sequence, records: Iterable[Record], *, is_handmade: bool = False
    ) -> None:
        """Count one play. What was made by hand, to fail, has no part in ``succeeded``."""
        self.sequences += 1
        self.operations += len(sequence)
        for step, record in zip(sequence, records, strict=True):
            self._counts.update(cells(step, record))
            if not is_handmade:
                self._drawn += 1
                self._succeeded += _is_success(step, record)

    @property
    def succeeded(self) -> float:
        """The part of the drawn steps that succeeded; a multi does if all its parts do."""
        return self._succeeded / max(1, self._drawn)

    def missing(self) -> list[tuple[str, int]]:
        """Reachable cells that nothing has reached."""
        seen = {(cell.operation, cell.err) for cell in self._counts}
        return sorted(REACHABLE - seen)

    def unexpected(self) -> list[tuple[str, int]]:
        """Cells that were reached but are not in the list."""
        seen = {(cell.operation, cell.err) for cell in self._counts}
        return sorted(seen - REACHABLE)

    def as_json(self) -> str:
        """Everything, for a file."""
        rows: list[dict[str, Any]] = [
            {**cell._asdict(), "count": count} for cell, count in sorted(self._counts.items())
        ]
        summary = {
            "sequences": self.sequences,
            "operations": self.operations,
            "succeeded": round(self.succeeded, 4),
            "missing": self.missing(),
            "cells": rows,
        }
        return json.dumps(summary, indent=1) + "\n"

    def __str__(self) -> str:
        lines = [f"{'operation':<22} {'error':<28} {'outcome':<16} {'count':>8}"]
        for cell, count in sorted(self._counts.items(), key=lambda item: _order(item[0])):
            error = f"{cell.err} {ERRORS.get(cell.err, '?')}" if cell.err else "ok"
            lines.append(f"{cell.operation:<22} {error:<28} {cell.outcome:<16} {count:>8}")
        reached = len(REACHABLE) - len(self.missing())
        lines.append(
            f"{self.sequences} sequences, {self.operations} operations, {self.succeeded:.1%}"
            f" succeeded, {reached} of {len(REACHABLE)} reachable cells"
        )
        return "\n".join(lines)


def _order(cell: Cell) -> tuple[str, int, str]:
    return cell.operation, -cell.err, cell.outcome
