"""Leader election: one leader at a time, whose writes can be fenced, and a view of who it is."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from coord.model.paths import join
from coord.model.recipes import HOLDER, refuse_beside_line
from coord_client.client import Client
from coord_client.recipes.hold import Hold
from coord_client.recipes.lock import Holder, Lock
from coord_client.recipes.sequence import claim, first_of


class LeaderElection(Lock):
    """``async with LeaderElection(client, "/app/leader", "node-1") as leadership: …``

    Enters once this candidate is elected; leaving resigns. A leadership survives reconnects, node
    failures and changes of the Raft leader: it ends with the session, by resigning, or when this
    process's own clock says that the service may elect another.
    """

    KIND = "election"

    def __init__(self, client: Client, path: str, identity: str) -> None:
        """``identity`` is what others see as the leader's name."""
        super().__init__(client, path, identity.encode())

    async def campaign(self, timeout_s: float | None = None) -> Hold:
        """Wait to be elected; see :meth:`Lock.acquire`."""
        return await self.acquire(timeout_s)

    async def leader(self) -> str | None:
        """The leader's identity, None between leaders."""
        holder = await self.holder()
        return None if holder is None else holder.data.decode()

    async def run(self, work: Callable[[Hold], Awaitable[None]]) -> None:
        """Campaign; while leading, run ``work``, which is cancelled when leadership is lost.

        Returns when ``work`` does while still leading; campaigns again after a loss.
        """
        while True:
            async with self as leadership:
                await first_of(work(leadership), leadership.wait_lost())
                if leadership.is_held:
                    return

    async def leaders(self) -> AsyncIterator[Holder | None]:
        """The leader now, and again after each change; None between leaders.

        Raises ForeignPathError if candidates of another library stand on the path.
        """
        await claim(self._client, self._path, self.KIND)
        refuse_beside_line(self._path, self.KIND, await self._client.children(self._path))
        with contextlib.closing(self._client.watch(join(self._path, HOLDER))) as stream:
            await stream.wait_established()
            last = await self.holder()
            yield last
            async for _ in stream:
                holder = await self.holder()
                if holder != last:
                    last = holder
                    yield holder
