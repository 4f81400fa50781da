"""Disks that stall, fail and fill up."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from coord.model.errors import StorageError
from coord.sim import US_PER_S
from tests.sim.member import FREE_BYTES
from tests.sim.strike import Strike


def _stall(strike: Strike) -> None:
    """One disk answers nothing for a while."""
    member = strike.whom()
    if member.writer is not None:
        member.writer.stalled_until_us = strike.kernel.now_us + strike.length_us


def _error(strike: Strike) -> None:
    """The next commit of a log fails, whatever of it is on the disk then: the process must end, and
    is started again a while later."""
    member = strike.whom()
    if member.node is None:
        return
    number = strike.stream.choice((errno.EIO, errno.ENOSPC))
    error = OSError(number, errno.errorcode[number])
    member.disk.fail_log(error, stays=bool(strike.stream.randrange(2)))
    member.may_give_up = True
    member.gave_up = lambda: strike.later(member.start)


def _tree_lost(strike: Strike) -> None:
    """A node is stopped; when it starts again its tree is gone, or lies in a copy of the directory:
    it must be built anew."""
    member = strike.whom()
    member.process.crash()
    if member.disk.trees:
        member.reached("tree not trusted")
    if strike.stream.randrange(3):
        member.disk.replace_trees(device=strike.stream.randrange(1, 3))
    else:
        member.disk.remove_trees()
    strike.later(member.start)


def _full(strike: Strike) -> None:
    """A disk has less than its reserve left, or so little that the reserve itself must go."""
    member = strike.whom()
    if member.store is None:
        return
    reserve = member.disk.reserve
    member.disk.free_bytes = reserve.size * strike.stream.choice((1, 3)) // 4

    def empty() -> None:
        member.disk.free_bytes = FREE_BYTES

    # The guard looks every few MiB or 256 calls: here, when there is something to see.
    member.store.space.look()
    member.reached("full disk refused writes")
    strike.later(empty)


def _tree_error(strike: Strike) -> None:
    """No transaction of a tree can be committed, no snapshot written: applying stalls, and a leader
    that stalls long enough leaves."""
    member = strike.whom()
    error = StorageError("tree: Input/output error")
    member.disk.fail_tree(error)
    member.disk.shelf_error = error
    # A snapshot whose log entry is written and whose tree is not ends the process.
    member.may_give_up = True

    def mend() -> None:
        member.disk.fail_tree(None)
        member.disk.shelf_error = None
        member.start()

    strike.at(strike.length_us + strike.stream.randrange(2 * US_PER_S), mend)


TABLE: Final[dict[str, Callable[[Strike], None]]] = {
    "stall": _stall,
    "disk-error": _error,
    "disk-full": _full,
    "tree-error": _tree_error,
    "tree-lost": _tree_lost,
}
