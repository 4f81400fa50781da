"""Takes commands to the leader: this node's driver, or a peer in one message per batch.

Nothing here is reliable and nothing needs to be: a command stays with its connection until it is
applied *on this node*, and everything unapplied goes out again, in each session's order, whenever
the leader changes, the link to it comes back, it refuses, or nothing moves for a while. Apply
accepts each (session, generation, seq) once and in order, so repeats and gaps have no effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from coord.node.peer_messages import Forward, ForwardRefused
from coord.raft.types import NO_NODE, NodeId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord.node.driver import Driver
    from coord.node.ports import Scheduler

RESEND_MS: Final = 50
PROGRESS_CHECK_MS: Final = 500
FORWARD_BYTES_MAX: Final = 2 * 1024 * 1024
"""Per message; half of what a peer frame holds, so that framing never splits a command."""


class Forwarder:
    """Outgoing commands of one node's gateway."""

    def __init__(self, driver: Driver, scheduler: Scheduler) -> None:
        self._driver = driver
        self._scheduler = scheduler
        self.commands: list[bytes] = []
        """To be sent with the next flush. The gateway appends to it and then calls ``wake``."""
        self._unapplied: Callable[[], Iterable[bytes]] = tuple
        self._resend_due = False
        self._progress_mark = 0
        self.progress = 0
        """Grows with every command of this gateway that is applied here."""
        self.resends = 0

    def bind(self, unapplied: Callable[[], Iterable[bytes]]) -> None:
        """``unapplied`` lists every command taken here and not applied, in order."""
        self._unapplied = unapplied

    def forward(self, command: bytes) -> None:
        """Send one command with the next flush."""
        self.commands.append(command)
        self._driver.wake()

    def wake(self) -> None:
        """Ask for a flush: commands were appended, or a read round waits for one."""
        self._driver.wake()

    def flush(self) -> None:
        """Hand the gathered commands to the leader. Without one they wait to be resent."""
        if not self.commands:
            return
        batch, self.commands = self.commands, []
        if self._driver.is_leader:
            if not self._driver.propose(batch):
                self.resend_later()
            return
        leader = self._driver.raft.leader
        if leader != NO_NODE:
            for part in _parts(batch):
                self._driver.post(leader, Forward(part))

    def resend(self) -> None:
        """Send everything unapplied once more, in order."""
        self.commands = list(self._unapplied())
        if self.commands:
            self.resends += 1
            self._driver.wake()

    def resend_later(self) -> None:
        """Resend after a pause; one at a time."""
        if not self._resend_due:
            self._resend_due = True
            self._scheduler.call_later(RESEND_MS, self._resend_now)

    def _resend_now(self) -> None:
        self._resend_due = False
        self.resend()

    def check_progress(self) -> None:
        """Called every PROGRESS_CHECK_MS: a batch lost on the way goes out again."""
        stalled = self.progress == self._progress_mark
        self._progress_mark = self.progress
        if stalled:
            self.resend()

    # --- the leader's side ----------------------------------------------------------------------

    def on_forward(self, peer: NodeId, message: Forward) -> None:
        """Commands from another node's gateway."""
        if not self._driver.propose(message.commands):
            self._driver.post(peer, ForwardRefused(self._driver.raft.term))

    def on_refused(self, peer: NodeId) -> None:
        """The peer could not propose what was sent."""
        if peer == self._driver.raft.leader:
            self.resend_later()


def _parts(commands: list[bytes]) -> Iterable[list[bytes]]:
    """Cut a batch into messages of bounded size."""
    part: list[bytes] = []
    size = 0
    for command in commands:
        if part and size + len(command) > FORWARD_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(command)
        size += len(command)
    if part:
        yield part
