"""The native client of coord: every request is recorded as well."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from coord.model import errors
from coord.model.znode import CreateMode
from coord_client.client import Client
from coord_client.connection import Link, TcpDialer
from coord_client.hosts import Host
from coord_client.session import SessionSettings
from jepsen_lite.clients import store
from jepsen_lite.clients.calls import RecordedSession
from jepsen_lite.clients.store import Check, Make, Part, Put, Store, Value, Written
from jepsen_lite.history import UNKNOWN_REVISION

if TYPE_CHECKING:
    from jepsen_lite.history_file import Writer

T = TypeVar("T")

OPEN_WITHIN_S: Final = 15.0
REFUSALS: Final[dict[type[errors.CoordError], type[store.RefusedError]]] = {
    errors.NoNodeError: store.NoNodeError,
    errors.NodeExistsError: store.ExistsError,
    errors.BadVersionError: store.ConflictError,
    errors.NotEmptyError: store.ConflictError,
    errors.TransactionError: store.ConflictError,
    errors.GuardError: store.ConflictError,
}


def translated(error: errors.CoordError) -> store.StoreError:
    """The library's error as a refusal or a doubt."""
    kind = REFUSALS.get(type(error))
    if kind is not None:
        return kind(str(error))
    if error.definite:
        return store.UnavailableError(f"{type(error).__name__} {error}")
    if isinstance(error, errors.SessionExpiredError):
        return store.SessionLostError(str(error))
    return store.InDoubtError(f"{type(error).__name__} {error}")


async def ask(work: Awaitable[T]) -> T:
    """Await a call of the library. Raises StoreError."""
    try:
        return await work
    except errors.CoordError as error:
        raise translated(error) from error


class _Dial:
    """TCP until told to hang up for good."""

    def __init__(self) -> None:
        self._dial = TcpDialer()
        self._link: Link | None = None
        self._is_over = False

    async def __call__(self, host: Host, link: Link) -> None:
        if self._is_over:
            raise ConnectionRefusedError("this client has vanished")
        self._link = link
        await self._dial(host, link)

    def hang_up(self) -> None:
        self._is_over = True
        if self._link is not None:
            self._link.abort("vanished")


class NativeStore(Store):
    """A session of ``coord_client``."""

    kind = "native"

    def __init__(
        self,
        hosts: str,
        writer: Writer,
        *,
        name: str = "jepsen-lite",
        session_timeout_s: float,
        request_timeout_s: float,
        node: str | None = None,
    ) -> None:
        self._node = node
        self.session_timeout_s = session_timeout_s
        self._dial = _Dial()
        self._writer = writer
        self.client = Client(
            hosts,
            SessionSettings(round(session_timeout_s * 1_000), name),
            request_timeout_s=request_timeout_s,
            machine=self._make_session,
            dial=self._dial,
        )
        self._is_open = False

    def _make_session(self, *arguments: Any) -> RecordedSession:
        self._session = RecordedSession(self._writer, *arguments)
        return self._session

    @property
    def session_id(self) -> int:
        return self.client.session_id

    @property
    def node(self) -> str | None:
        return self._node

    async def open(self) -> None:
        await ask(self.client.start(OPEN_WITHIN_S))
        self._is_open = True

    async def close(self) -> None:
        if self._is_open:
            with contextlib.suppress(errors.CoordError):
                await self.client.close()

    async def end_session(self) -> None:
        """Close, and be told that the session has ended. Raises InDoubtError if nobody says so."""
        await self.close()
        if not self._session.was_closed:
            raise store.InDoubtError("the close was not answered")

    def vanish(self) -> None:
        """Be gone as if the machine had lost power: the service hears nothing any more."""
        self._dial.hang_up()

    async def owner(self, path: str) -> tuple[int, int]:
        """(session that an ephemeral belongs to, revision). Raises NoNodeError."""
        node = await ask(self.client.get(path))
        return node.stat.ephemeral_owner, node.revision

    async def get(self, path: str) -> Value:
        node = await ask(self.client.get(path))
        return Value(node.data, node.stat.version, node.stat.czxid, node.revision)

    async def children(self, path: str) -> list[str]:
        return await ask(self.client.children(path))

    async def create(
        self, path: str, data: bytes = b"", *, ephemeral: bool = False, sequential: bool = False
    ) -> Written:
        mode = CreateMode((1 if ephemeral else 0) | (2 if sequential else 0))
        made = await ask(self.client.create(path, data, mode=mode))
        return Written(made.path, made.stat.version, made.stat.czxid, made.stat.mzxid)

    async def set(self, path: str, data: bytes, version: int = -1) -> Written:
        stat = await ask(self.client.set(path, data, version=version))
        return Written(path, stat.version, stat.czxid, stat.mzxid)

    async def delete(self, path: str, version: int = -1) -> int:
        await ask(self.client.delete(path, version=version))
        return UNKNOWN_REVISION

    async def commit(self, parts: Sequence[Part]) -> int:
        txn = self.client.transaction()
        for part in parts:
            if isinstance(part, Check):
                txn.check(part.path, part.version)
            elif isinstance(part, Put):
                txn.set(part.path, part.data, version=part.version)
            elif isinstance(part, Make):
                txn.create(part.path, part.data)
            else:
                txn.delete(part.path, version=part.version)
        await ask(txn.commit())
        return UNKNOWN_REVISION
