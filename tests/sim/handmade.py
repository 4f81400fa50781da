"""Small histories made by hand: a log and the operations that go with it, right unless changed."""

from __future__ import annotations

import struct
from typing import Any

import msgpack

from tests.sim.codes import CREATE, DELETE, EXPIRE_SESSION, MULTI, OPEN_SESSION, SET
from tests.sim.history import Committed, History, Op, Outcome
from tests.sim.model import Model

WORLD = ((31, "world", "anyone"),)
STEP_US = 1_000
SECRET_HASH = bytes(32)


def entry(index: int, fields: tuple[Any, ...], *, term: int = 1) -> Committed:
    """One command of the log, stamped with a time that grows with the index."""
    stamp = struct.pack(">QQ", 1_000_000 + index, index)
    return Committed(index, term, 0, stamp + msgpack.packb(fields))


class Handmade:
    """A legal history that grows step by step; one session, one operation at a time."""

    def __init__(self) -> None:
        self.history = History()
        self.model = Model()
        self.now_us = 0
        self.session = 0
        self.seq = 0
        self.who: tuple[tuple[str, str], ...] | None = None
        """What the session's client has proven."""

    def open_session(self) -> int:
        """Open the session that later writes belong to."""
        self.session = self._commit((OPEN_SESSION, 0, 0, 0, 0, None, 10_000, SECRET_HASH, "a", "t"))
        self.seq = 0
        return self.session

    def expire_session(self) -> int:
        """End the session from the service's side."""
        return self._commit((EXPIRE_SESSION, self.session, 1, 0, 0, None, {}))

    def _commit(self, fields: tuple[Any, ...]) -> int:
        index = self.model.index + 1
        committed = entry(index, fields)
        self.history.log.append(committed)
        self.history.applied_us[index] = self.now_us
        self.answer = self.model.apply(index, 0, committed.payload)
        return index

    def write(self, kind: str, number: int, *args: Any) -> Op:
        """A write that is invoked, committed and answered."""
        self.seq += 1
        op = Op("c1", self.session, self.seq, kind, args, invoke_us=self._tick())
        op.revision = self._commit(
            (number, self.session, 1, self.seq, max(0, self.seq - 1), self.who, *args)
        )
        assert self.answer is not None
        op.code, op.body = self.answer.code, self.answer.body
        return self._complete(op)

    def create(self, path: str, data: bytes = b"", mode: int = 0) -> Op:
        """Create a node."""
        return self.write("create", CREATE, path, data, WORLD, mode, 0)

    def set(self, path: str, data: bytes, version: int = -1) -> Op:
        """Set a node."""
        return self.write("set", SET, path, data, version)

    def delete(self, path: str, version: int = -1) -> Op:
        """Delete a node."""
        return self.write("delete", DELETE, path, version)

    def multi(self, *operations: tuple[Any, ...]) -> Op:
        """All or nothing; operations as in the log."""
        return self.write("multi", MULTI, operations)

    def get(self, path: str) -> Op:
        """A linearizable read of the present state."""
        op = Op("c2", 0, 0, "get", (path,), invoke_us=self._tick(), revision=self.model.index)
        op.code, op.body = self.model.tree.read("get", path)
        return self._complete(op)

    def _tick(self) -> int:
        self.now_us += STEP_US
        return self.now_us

    def _complete(self, op: Op) -> Op:
        op.complete_us = self._tick()
        op.outcome = Outcome.OK
        self.history.ops.append(op)
        return op
