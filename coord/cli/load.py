"""Load for ``coord bench``: many requests in flight over a few connections, and what they took."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from coord.model.errors import CoordError, NoNodeError
from coord.model.paths import join
from coord.model.types import ReadLevel

if TYPE_CHECKING:
    from coord_client import Client

WORKS: Final = ("set", "get", "create", "mixed")
MIXED_READS: Final = 0.9
WARM_UP_S: Final = 0.5
ERROR_PAUSE_S: Final = 0.02
"""Rest of a worker whose request failed: a refusing service is not hammered."""
AT_ONCE: Final = 256
"""Nodes created at a time while preparing."""

_PER_E: Final = 50.0
"""Buckets for each factor e: a quantile is at most 2 % too high."""
_BUCKETS: Final = 1 + int(_PER_E * math.log(3_600e6))


class Latencies:
    """How often each latency occurred, in buckets that grow with it: constant memory."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.max_s = 0.0

    def add(self, seconds: float) -> None:
        """One request took so long."""
        self.count += 1
        self.max_s = max(self.max_s, seconds)
        bucket = int(_PER_E * math.log(max(1.0, seconds * 1e6)))
        self._counts[min(bucket, _BUCKETS - 1)] += 1

    def quantile_s(self, share: float) -> float:
        """So many of the requests took at most this long; 0 if there was none."""
        wanted = math.ceil(share * self.count)
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(math.exp((bucket + 1) / _PER_E) / 1e6, self.max_s)
        return 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: ``depth`` requests in flight on each connection, for ``seconds``."""

    path: str
    depth: int
    seconds: float
    size: int
    level: ReadLevel


@dataclass(slots=True)
class Outcome:
    """What came of one kind of work. Only what ended in the measured time counts."""

    work: str
    seconds: float
    latencies: Latencies = field(default_factory=Latencies)
    errors: Counter[str] = field(default_factory=Counter)
    first_error: str = ""
    cpu_share: float = 0.0
    """Of one core, by this process."""

    @property
    def rate(self) -> float:
        """Successful requests a second."""
        return self.latencies.count / self.seconds if self.seconds else 0.0

    def failed(self, error: CoordError) -> None:
        """Count a failure."""
        self.first_error = self.first_error or str(error)
        self.errors[type(error).__name__.removesuffix("Error")] += 1


class Load:
    """Workers over ``clients``. Keys are made once; :meth:`run` may be called for each work."""

    def __init__(
        self,
        clients: Sequence[Client],
        plan: Plan,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clients = clients
        self._plan = plan
        self._clock = clock
        self._value = random.Random(plan.size).randbytes(plan.size)
        workers = len(clients) * plan.depth
        self._keys = [join(plan.path, f"k{number}") for number in range(workers)]
        self._created = 0

    async def prepare(self) -> None:
        """Make the node that each worker sets."""
        for start in range(0, len(self._keys), AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for number, key in enumerate(self._keys[start : start + AT_ONCE]):
                    client = self._clients[number % len(self._clients)]
                    group.create_task(client.create(key, self._value))

    async def clean(self) -> None:
        """Delete every node that was made. Raises CoordError for the first that stays."""
        created = (join(self._plan.path, f"c{number + 1}") for number in range(self._created))
        made = [*self._keys, *created]
        for start in range(0, len(made), AT_ONCE):
            deletes = (
                self._clients[number % len(self._clients)].delete(path)
                for number, path in enumerate(made[start : start + AT_ONCE])
            )
            for failure in await asyncio.gather(*deletes, return_exceptions=True):
                if failure is not None and not isinstance(failure, NoNodeError):
                    raise failure

    async def run(self, work: str, outcome: Outcome) -> None:
        """Do ``work`` for the plan's time after a warm-up; ``outcome`` fills while it runs."""
        begin = self._clock() + WARM_UP_S
        end = begin + self._plan.seconds
        cpu = asyncio.create_task(self._measure_cpu(outcome))
        try:
            async with asyncio.TaskGroup() as group:
                for number, key in enumerate(self._keys):
                    client = self._clients[number % len(self._clients)]
                    group.create_task(self._worker(client, work, key, outcome, begin, end))
        finally:
            cpu.cancel()
        outcome.seconds = self._plan.seconds

    async def _worker(
        self, client: Client, work: str, key: str, outcome: Outcome, begin: float, end: float
    ) -> None:
        clock = self._clock
        started = clock()
        while started < end:
            try:
                await self._request(client, work, key)
            except CoordError as error:
                outcome.failed(error)
                await asyncio.sleep(ERROR_PAUSE_S)
                started = clock()
                continue
            now = clock()
            if begin <= now < end:
                outcome.latencies.add(now - started)
                outcome.seconds = now - begin
            started = now

    def _request(self, client: Client, work: str, key: str) -> Awaitable[object]:
        if work == "create":
            self._created += 1
            return client.create(join(self._plan.path, f"c{self._created}"), self._value)
        if work == "get" or (work == "mixed" and random.random() < MIXED_READS):
            return client.get(random.choice(self._keys), level=self._plan.level)
        return client.set(key, self._value)

    async def _measure_cpu(self, outcome: Outcome) -> None:
        """Keep ``outcome.cpu_share`` up to date."""
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        while True:
            await asyncio.sleep(WARM_UP_S)
            spent = time.perf_counter() - wall_s
            outcome.cpu_share = (time.process_time() - cpu_s) / spent if spent else 0.0
