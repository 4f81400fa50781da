"""What a workload is: what it prepares, what each process does next, who judges it."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from jepsen_lite.history import Outcome

if TYPE_CHECKING:
    from jepsen_lite.clients.store import Store
    from jepsen_lite.history import Json, Op
    from jepsen_lite.recorder import Answer, Recorder

ROOT: Final = "/jepsen"
"""Everything that workloads write lies below it."""


@dataclass(slots=True)
class Worker:
    """One client process of a workload, and what it may use.

    After an operation in doubt its ``process`` number changes: the old one may still be at it.
    """

    process: int
    store: Store
    dice: random.Random
    recorder: Recorder
    workers: int
    open_store: Callable[[], Awaitable[Store]]
    """A further client, of the same kind; who asks for it closes it."""
    memory: dict[str, Json] = field(default_factory=dict)
    """Whatever the workload wants to keep for this worker."""

    async def perform(
        self,
        f: str,
        key: str | int | None,
        value: Json,
        action: Callable[[], Awaitable[Answer]],
        store: Store | None = None,
    ) -> Op:
        """Run ``action`` as one operation of the history."""
        op = await self.recorder.perform(self.process, store or self.store, f, key, value, action)
        if op.outcome is Outcome.INFO:
            self.process += self.workers
        return op


class Workload(ABC):
    """One kind of work. An instance serves one run."""

    name: ClassVar[str]
    model: ClassVar[str]
    """Names the checkers, in the header of the history."""
    clients: ClassVar[tuple[str, ...]] = ("native", "kazoo", "etcd")
    """Kinds of client it can use."""
    ok_min: ClassVar[int] = 50
    """Fewer successful operations prove nothing."""
    summary: ClassVar[str]
    workers: ClassVar[int] = 10
    tolerates_pause: ClassVar[bool] = True

    def __init__(self, dice: random.Random, *, nodes: int, workers: int) -> None:
        self.dice = dice
        self.nodes = nodes
        self.worker_count = workers

    def meta(self) -> dict[str, Json]:
        """What its checkers must know besides the operations."""
        return {}

    @abstractmethod
    async def prepare(self, store: Store) -> None:
        """Make what must be there before the first operation."""

    @abstractmethod
    async def step(self, worker: Worker) -> None:
        """Do one thing with one worker."""

    async def finish(self, worker: Worker) -> None:  # noqa: B027 - not every workload has any
        """Final reads, once everything is healed and the workers have stopped."""

    async def leave(self, worker: Worker) -> None:  # noqa: B027 - most hold nothing
        """What each worker does after its last step, before it closes."""
