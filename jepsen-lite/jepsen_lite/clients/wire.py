"""kazoo: ZooKeeper's wire protocol, against ZooKeeper or against coord."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from kazoo import exceptions
from kazoo.client import KazooClient

from jepsen_lite.clients.store import (
    Check,
    ConflictError,
    ExistsError,
    InDoubtError,
    Make,
    NoNodeError,
    Part,
    Put,
    RefusedError,
    Store,
    StoreError,
    UnavailableError,
    Value,
    Written,
)
from jepsen_lite.history import UNKNOWN_REVISION

if TYPE_CHECKING:
    from kazoo.interfaces import IAsyncResult

REFUSALS: Final[tuple[tuple[type[Exception], type[RefusedError]], ...]] = (
    (exceptions.NoNodeError, NoNodeError),
    (exceptions.NodeExistsError, ExistsError),
    (exceptions.BadVersionError, ConflictError),
    (exceptions.NotEmptyError, ConflictError),
    (exceptions.RolledBackError, ConflictError),
)
OPEN_WITHIN_S: Final = 15.0
_RETRY: Final = {"max_tries": -1, "delay": 0.05, "max_delay": 0.5, "backoff": 2}

logging.getLogger("kazoo.client").setLevel(logging.CRITICAL)


def translated(error: Exception) -> StoreError:
    """Kazoo's error as a refusal or a doubt."""
    for kind, refusal in REFUSALS:
        if isinstance(error, kind):
            return refusal(str(error))
    return InDoubtError(f"{type(error).__name__} {error}")


class KazooStore(Store):
    """A session over ZooKeeper's protocol.

    ``barrier``: what makes a read linearizable. "sync" is what coord promises; ZooKeeper's own
    sync does not ask a quorum, so there a write of our own comes before the read ("write").
    """

    kind = "kazoo"

    def __init__(
        self,
        hosts: str,
        number: int,
        *,
        barrier: str,
        session_timeout_s: float,
        request_timeout_s: float,
    ) -> None:
        self._client: Any = KazooClient(
            hosts=hosts,
            timeout=session_timeout_s,
            connection_retry=_RETRY,
            command_retry={"max_tries": 0},
        )
        self._barrier = barrier
        self._own = f"/jepsen-barrier-{number}"
        self._timeout_s = request_timeout_s

    @property
    def session_id(self) -> int:
        known = self._client.client_id
        return 0 if known is None else int(known[0])

    async def open(self) -> None:
        connected = self._client.start_async()
        if not await asyncio.to_thread(connected.wait, OPEN_WITHIN_S):
            raise UnavailableError("no session in time")
        if self._barrier == "write":
            await self.ensure(self._own)

    async def close(self) -> None:
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        self._client.stop()
        self._client.close()

    async def _ask(self, asked: IAsyncResult) -> Any:
        """The answer to a request. Raises StoreError."""
        loop = asyncio.get_running_loop()
        answered = asyncio.Event()
        asked.rawlink(lambda _: loop.call_soon_threadsafe(answered.set))
        try:
            async with asyncio.timeout(self._timeout_s):
                await answered.wait()
        except TimeoutError:
            raise InDoubtError("no answer in time") from None
        if asked.exception is not None:
            raise translated(asked.exception) from asked.exception
        return asked.value

    async def _fresh(self, path: str) -> None:
        """See to it that the next read shows what was acknowledged to anybody before."""
        if self._barrier == "write":
            await self._ask(self._client.set_async(self._own, b""))
        else:
            await self._ask(self._client.sync_async(path))

    async def get(self, path: str) -> Value:
        await self._fresh(path)
        data, stat = await self._ask(self._client.get_async(path))
        return Value(data, stat.version, stat.czxid)

    async def children(self, path: str) -> list[str]:
        await self._fresh(path)
        return list(await self._ask(self._client.get_children_async(path)))

    async def create(
        self, path: str, data: bytes = b"", *, ephemeral: bool = False, sequential: bool = False
    ) -> Written:
        made, stat = await self._ask(
            self._client.create_async(
                path, data, ephemeral=ephemeral, sequence=sequential, include_data=True
            )
        )
        return Written(made, stat.version, stat.czxid, stat.mzxid)

    async def set(self, path: str, data: bytes, version: int = -1) -> Written:
        stat = await self._ask(self._client.set_async(path, data, version))
        return Written(path, stat.version, stat.czxid, stat.mzxid)

    async def delete(self, path: str, version: int = -1) -> int:
        await self._ask(self._client.delete_async(path, version))
        return UNKNOWN_REVISION

    async def commit(self, parts: Sequence[Part]) -> int:
        txn = self._client.transaction()
        for part in parts:
            if isinstance(part, Check):
                txn.check(part.path, part.version)
            elif isinstance(part, Put):
                txn.set_data(part.path, part.data, part.version)
            elif isinstance(part, Make):
                txn.create(part.path, part.data)
            else:
                txn.delete(part.path, part.version)
        results = await self._ask(txn.commit_async())
        failed = [each for each in results if isinstance(each, Exception)]
        if failed:
            raise ConflictError(", ".join(type(each).__name__ for each in failed))
        return UNKNOWN_REVISION
