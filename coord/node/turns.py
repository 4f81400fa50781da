"""Work for a client that takes longer than others should wait: done a slice at a time, and no more
than one slice, whoever's, in each turn of the loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from coord.node.connection import Phase

if TYPE_CHECKING:
    from coord.node.connection import Connection
    from coord.node.gateway import Gateway
    from coord.node.ports import Scheduler

Job = Callable[[], bool]
"""Does one slice; True: that was the last."""


class Turns:
    """The jobs of one node, in rotation.

    Invariant: every job's connection is held: it has one job at most, nothing overtakes the
    answer, and there are no more jobs than connections.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.gateway: Gateway
        self._scheduler = scheduler
        self._jobs: deque[tuple[Connection, Job]] = deque()

    def add(self, conn: Connection, job: Job) -> None:
        """Begin in the next turn; the connection goes on when the job is done."""
        conn.holds += 1
        self._jobs.append((conn, job))
        if len(self._jobs) == 1:
            self._scheduler.call_soon(self._turn)

    def _turn(self) -> None:
        conn, job = self._jobs[0]
        is_done = conn.phase is Phase.CLOSED or job()
        self._jobs.popleft()
        if not is_done:
            self._jobs.append((conn, job))
        if self._jobs:
            self._scheduler.call_soon(self._turn)
        if is_done:
            self.gateway.release(conn)
