"""The promise of a hold: nobody believes to hold while another does, whatever the network does."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from coord_client import Client, Hold, Lock
from coord_client.connection import Link
from coord_client.hosts import Host
from coord_client.session import SessionSettings
from tests.client.fake_server import FakeCluster, FakeConnection
from tests.client.virtual import fast_in_virtual_time, now_ms

TIMEOUT_MS: Final = 3_000
CLIENTS: Final = 3
END_S: Final = 40.0
OUTAGES = st.lists(
    st.tuples(
        st.integers(0, CLIENTS - 1),
        st.sampled_from(["mute", "deaf", "both", "cut", "refuse"]),
        st.floats(0, 15).map(lambda at: round(at, 2)),
        st.floats(0.1, 8).map(lambda length: round(length, 2)),
    ),
    max_size=8,
)


class Contender:
    """A client that takes the lock again and again, on a network of its own."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.is_refused = False
        self.is_mute = self.is_deaf = False
        self.hold: Hold | None = None
        self.tokens: list[int] = []
        self.connections: list[FakeConnection] = []
        self.client = Client(
            cluster.connect_string,
            SessionSettings(timeout_ms=TIMEOUT_MS),
            dial=self.dial,
            clock_ms=now_ms,
            spread=lambda: 0.0,
        )

    async def dial(self, host: Host, link: Link) -> None:
        """Through this contender's faults."""
        if self.is_refused:
            raise ConnectionRefusedError
        await self._cluster.dial(host, link)
        self.connections.append(self._cluster.connections[-1])
        self._disturb(self.connections[-1])

    def _disturb(self, connection: FakeConnection) -> None:
        connection.is_mute, connection.is_deaf = self.is_mute, self.is_deaf

    def fault(self, kind: str, *, on: bool) -> None:
        """Begin or end an outage."""
        self.is_refused = on and kind == "refuse"
        self.is_mute = on and kind in {"mute", "both"}
        self.is_deaf = on and kind in {"deaf", "both"}
        for connection in self.connections:
            self._disturb(connection)
            if on and kind in {"cut", "refuse"}:
                connection.reset()

    async def work(self) -> None:
        """Hold for long, or as long as it lasts; then again."""
        lock = Lock(self.client, "/x")
        while True:
            async with lock as self.hold:
                self.tokens.append(self.hold.token)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2 * TIMEOUT_MS / 1_000):
                        await self.hold.wait_lost()


async def _outage(contender: Contender, kind: str, at_s: float, length_s: float) -> None:
    await asyncio.sleep(at_s)
    contender.fault(kind, on=True)
    await asyncio.sleep(length_s)
    contender.fault(kind, on=False)


@settings(max_examples=40)
@given(OUTAGES)
@fast_in_virtual_time
async def test_no_two_clients_believe_to_hold(plan: list[tuple[int, str, float, float]]) -> None:
    """Sessions end after their timeout of silence, clients are cut off in one direction or both:
    at every moment at most one of them answers True, tokens only grow, and in the end the lock is
    taken again."""
    cluster = FakeCluster()
    contenders = [Contender(cluster) for _ in range(CLIENTS)]
    loop = asyncio.get_running_loop()
    for contender in contenders:
        await contender.client.start()
    tasks = [asyncio.ensure_future(contender.work()) for contender in contenders]
    tasks += [
        asyncio.ensure_future(_outage(contenders[who], kind, at_s, length_s))
        for who, kind, at_s, length_s in plan
    ]
    grants = 0
    while loop.time() < 1_000 + END_S:
        await asyncio.sleep(0.02)
        cluster.expire_overdue(loop.time())
        holding = [each for each in contenders if each.hold is not None and each.hold.is_held]
        assert len(holding) <= 1, "two clients believe to hold"
        if loop.time() < 1_000 + END_S - 12:
            grants = sum(len(contender.tokens) for contender in contenders)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for contender in contenders:
        await contender.client.close()

    assert sum(len(contender.tokens) for contender in contenders) > grants
    for contender in contenders:
        assert contender.tokens == sorted(set(contender.tokens))
