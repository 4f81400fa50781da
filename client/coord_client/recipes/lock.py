"""A lock: at most one holder at a time, granted in the order of asking, with a fencing token."""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import NamedTuple

from coord.model.errors import MisuseError, NoNodeError
from coord.model.paths import join
from coord.model.recipes import HOLDER
from coord_client.client import Client
from coord_client.recipes.hold import Hold
from coord_client.recipes.sequence import acquire, acquire_nowait


class Holder(NamedTuple):
    """Who holds: what it said of itself, and its grant."""

    data: bytes
    token: int
    session_id: int


class Lock:
    """``async with Lock(client, "/locks/report") as hold: …``

    The path belongs to the lock alone. Not reentrant; tasks that share a Lock object must each
    call :meth:`acquire`, or have an object of their own.
    """

    KIND = "lock"

    def __init__(self, client: Client, path: str, data: bytes = b"") -> None:
        """``data`` tells others who holds."""
        self._client = client
        self._path = path
        self._data = data
        self._is_entered = False
        self._hold: Hold | None = None

    async def acquire(self, timeout_s: float | None = None) -> Hold:
        """Wait in line, for ``timeout_s`` seconds at most (None: as long as it takes).

        Raises OperationTimeoutError, and ForeignPathError if contenders of another library stand
        there: nothing is held then and our place is given up.
        """
        try:
            async with asyncio.timeout(None if timeout_s == math.inf else timeout_s):
                return await acquire(self._client, self._path, self.KIND, self._data)
        except TimeoutError:
            raise self._client.timed_out(f"acquire {self._path}", timeout_s) from None

    async def acquire_nowait(self) -> Hold | None:
        """The hold if nobody has it or waits for it, else None."""
        return await acquire_nowait(self._client, self._path, self.KIND, self._data)

    async def holder(self) -> Holder | None:
        """Who holds it now."""
        try:
            node = await self._client.get(join(self._path, HOLDER))
        except NoNodeError:
            return None
        return Holder(node.data, node.stat.mzxid, node.stat.ephemeral_owner)

    async def __aenter__(self) -> Hold:
        if self._is_entered:
            raise MisuseError(f"the lock {self._path} is held or waited for through this object")
        self._is_entered = True
        try:
            self._hold = await self.acquire()
        except BaseException:
            self._is_entered = False
            raise
        return self._hold

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        hold, self._hold = self._hold, None
        self._is_entered = False
        if hold is not None:
            await hold.release()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._path}>"
