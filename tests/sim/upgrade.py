"""A next version of coord, as far as a cluster can tell: it knows feature level 2.

Level 2 brings one entry type (a mark) and a wider record (the mark's, kept with the other facts of
the tree). A member of this version does not know either: a mark that reaches it ends it, so a
cluster must not write one before every member has announced the level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgpack

from coord.model import commands
from coord.model.errors import OK
from coord.store import dispatch
from coord.store.applied import ApplyLimits
from coord.store.schema import CRC_BYTES

if TYPE_CHECKING:
    from coord.node.node import Node
    from coord.store.run import Run, Steps
    from tests.sim.member import Member

LEVEL: Final = 1
NEXT_LEVEL: Final = 2
MARK: Final = 399
MARK_MS: Final = 250
_RECORD: Final = b"marks"
_HEAD: Final = b"\x97\xcd\x01\x8f"
"""How a mark begins behind its stamp: an array of seven, and its kind."""


class NextLimits(ApplyLimits):
    """Given to the state machine of a node of the next version: tells it from an older one."""


def mark(text: str) -> bytes:
    """The command of the new type."""
    packed: bytes = msgpack.packb((MARK, 0, 0, 0, 0, None, text))
    return packed


def apply_command(run: Run, index: int, payload: bytes) -> Steps:
    """As the version that applies knows it: an older one refuses marks like any unknown kind."""
    at = commands.STAMP.size
    is_mark = payload[at : at + len(_HEAD)] == _HEAD
    if not is_mark or not isinstance(run.limits, NextLimits):
        yield from dispatch.apply_command(run, index, payload)
        return
    wall_ms, log_ms, fields = commands.decode(payload)
    run.enter(index, wall_ms, log_ms, 0, None)
    record = run.others("facts").load(_RECORD)
    count = 0 if record is None else msgpack.unpackb(record[CRC_BYTES:])[0]
    packed: bytes = msgpack.packb((count + 1, index, fields[-1]))
    run.put("facts", _RECORD, packed)
    run.keep(MARK, 0, 0, 0, (OK, None, ()))
    run.answer(MARK, 0, 0, 0, OK, (count + 1,))


class Marker:
    """What the next version does with its new entry type: its leader writes one now and then."""

    def __init__(self, member: Member, node: Node) -> None:
        self._member = member
        self._node = node
        self._later()

    def _later(self) -> None:
        self._member.process.call_later(MARK_MS, self._write)

    def _write(self) -> None:
        node = self._node
        if node.driver.accepts_proposals and node.store.machine.feature_level >= NEXT_LEVEL:
            node.driver.propose([mark(self._member.process.name)])
            self._member.reached("entry of the next version")
        self._later()
