"""The client for programs without an event loop: the same operations, blocking.

    with coord_client.sync.connect("h1:2181,h2:2181") as client:
        client.put("/a", b"x")

A thin facade: one background thread runs the asynchronous client. Every method may be called from
any thread, also inside a running event loop (which it then blocks) and while the interpreter
exits. After a fork the child must make its own client: the parent's raises MisuseError.
"""

from __future__ import annotations

import asyncio
import atexit
import ssl
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from coord.model.acl import OPEN, Acl
from coord.model.errors import MisuseError, OperationTimeoutError
from coord.model.limits import SESSION_TIMEOUT_MS
from coord.model.types import ReadLevel
from coord.model.znode import CreateMode, Stat
from coord_client import client as asynchronous
from coord_client.background import Background
from coord_client.client import REQUEST_TIMEOUT_S, Client
from coord_client.recipes import Group, LeaderElection, Lock
from coord_client.session import ConnectionState
from coord_client.sync_recipes import SyncGroup, SyncLock
from coord_client.transaction import Operations, Result
from coord_client.values import Created, Listing, Node, WatchBatch
from coord_client.watches import WatchStream

T = TypeVar("T")

_open_clients: Final[weakref.WeakSet[SyncClient]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Handlers that were registered after this import run before it, with clients still open."""
    for client in tuple(_open_clients):
        client.close()


def connect(
    hosts: str,
    *,
    session_timeout_s: float = SESSION_TIMEOUT_MS / 1_000,
    request_timeout_s: float = REQUEST_TIMEOUT_S,
    client_name: str = "",
    session: bool = True,
    tls: ssl.SSLContext | None = None,
    auth: Iterable[tuple[str, str | bytes]] = (),
) -> SyncClient:
    """A client of the service at ``hosts``; use it with ``with``, or start() and close().

    The arguments are those of :func:`coord_client.connect`.
    """
    return SyncClient(
        lambda: asynchronous.connect(
            hosts,
            session_timeout_s=session_timeout_s,
            request_timeout_s=request_timeout_s,
            client_name=client_name,
            session=session,
            tls=tls,
            auth=auth,
        )
    )


class SyncClient:
    """Blocking twin of :class:`coord_client.Client`, which documents the operations."""

    def __init__(self, make: Callable[[], Client]) -> None:
        """``make`` is called on the background thread."""
        self._make = make
        self._background: Background | None = None
        self._inner: Client | None = None
        self._starting = threading.Lock()

    # --- life ----------------------------------------------------------------------------------

    def start(self, timeout_s: float | None = None) -> Self:
        """Connect and open the session."""
        with self._starting:
            if self._background is not None:
                raise MisuseError("the client has been started")
            background = Background()
            try:
                inner = background.read(self._make)
                background.run(inner.start(timeout_s))
            except BaseException:
                background.stop()
                raise
            self._background, self._inner = background, inner
            _open_clients.add(self)
        return self

    def close(self) -> None:
        """End the session and the connection; fine if that was done or a fork lies between."""
        with self._starting:
            background, inner = self._background, self._inner
            _open_clients.discard(self)
            self._background = None
        if background is None or inner is None:
            return
        try:
            background.run(inner.close())
        except MisuseError:
            return  # after a fork: the session is the parent's, and so is the thread
        background.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _started(self) -> tuple[Background, Client]:
        background, inner = self._background, self._inner
        if background is None or inner is None:
            raise MisuseError("the client is not open: use `with connect(…)`")
        return background, inner

    def call(self, work: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Anything the asynchronous client can do: ``client.call(lambda c: c.admin.status())``."""
        background, inner = self._started()
        return background.run(work(inner))

    def read(self, function: Callable[[Client], T]) -> T:
        """Something of the asynchronous client that needs no waiting."""
        background, inner = self._started()
        return background.read(lambda: function(inner))

    @property
    def state(self) -> ConnectionState:
        """See Client.state."""
        return self.read(lambda inner: inner.state)

    @property
    def session_id(self) -> int:
        """See Client.session_id."""
        return self.read(lambda inner: inner.session_id)

    @property
    def hold_remaining_s(self) -> float:
        """See Client.hold_remaining_s."""
        return self.read(lambda inner: inner.hold_remaining_s)

    def on_state(self, callback: Callable[[ConnectionState], None]) -> Callable[[], None]:
        """Like Client.on_state; ``callback`` runs on the background thread and must not block."""
        stop = self.read(lambda inner: inner.on_state(callback))
        return lambda: self.read(lambda _: stop())

    # --- operations ----------------------------------------------------------------------------

    def add_auth(
        self, scheme: str, credential: str | bytes, *, timeout_s: float | None = None
    ) -> None:
        """See Client.add_auth."""
        return self.call(lambda inner: inner.add_auth(scheme, credential, timeout_s=timeout_s))

    def who_am_i(self, *, timeout_s: float | None = None) -> list[tuple[str, str]]:
        """See Client.who_am_i."""
        return self.call(lambda inner: inner.who_am_i(timeout_s=timeout_s))

    def get(
        self,
        path: str,
        *,
        level: ReadLevel = ReadLevel.LINEARIZABLE,
        timeout_s: float | None = None,
    ) -> Node:
        """See Client.get."""
        return self.call(lambda inner: inner.get(path, level=level, timeout_s=timeout_s))

    def exists(
        self,
        path: str,
        *,
        level: ReadLevel = ReadLevel.LINEARIZABLE,
        timeout_s: float | None = None,
    ) -> Stat | None:
        """See Client.exists."""
        return self.call(lambda inner: inner.exists(path, level=level, timeout_s=timeout_s))

    def children(
        self,
        path: str,
        *,
        level: ReadLevel = ReadLevel.LINEARIZABLE,
        timeout_s: float | None = None,
    ) -> list[str]:
        """See Client.children."""
        return self.call(lambda inner: inner.children(path, level=level, timeout_s=timeout_s))

    def get_acl(
        self,
        path: str,
        *,
        level: ReadLevel = ReadLevel.LINEARIZABLE,
        timeout_s: float | None = None,
    ) -> tuple[tuple[Acl, ...], Stat]:
        """See Client.get_acl."""
        return self.call(lambda inner: inner.get_acl(path, level=level, timeout_s=timeout_s))

    def sync(self, path: str = "/", *, timeout_s: float | None = None) -> int:
        """See Client.sync."""
        return self.call(lambda inner: inner.sync(path, timeout_s=timeout_s))

    def create(
        self,
        path: str,
        data: bytes = b"",
        *,
        mode: CreateMode = CreateMode.PERSISTENT,
        acl: tuple[Acl, ...] = OPEN,
        make_parents: bool = False,
        ttl_s: float | None = None,
        timeout_s: float | None = None,
    ) -> Created:
        """See Client.create."""
        return self.call(
            lambda inner: inner.create(
                path,
                data,
                mode=mode,
                acl=acl,
                make_parents=make_parents,
                ttl_s=ttl_s,
                timeout_s=timeout_s,
            )
        )

    def set(
        self, path: str, data: bytes, *, version: int = -1, timeout_s: float | None = None
    ) -> Stat:
        """See Client.set."""
        return self.call(lambda inner: inner.set(path, data, version=version, timeout_s=timeout_s))

    def put(
        self,
        path: str,
        data: bytes,
        *,
        make_parents: bool = False,
        timeout_s: float | None = None,
    ) -> Stat:
        """See Client.put."""
        return self.call(
            lambda inner: inner.put(path, data, make_parents=make_parents, timeout_s=timeout_s)
        )

    def set_acl(
        self,
        path: str,
        acl: tuple[Acl, ...],
        *,
        version: int = -1,
        timeout_s: float | None = None,
    ) -> Stat:
        """See Client.set_acl."""
        return self.call(
            lambda inner: inner.set_acl(path, acl, version=version, timeout_s=timeout_s)
        )

    def delete(
        self,
        path: str,
        *,
        version: int = -1,
        recursive: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """See Client.delete."""
        return self.call(
            lambda inner: inner.delete(
                path, version=version, recursive=recursive, timeout_s=timeout_s
            )
        )

    def transaction(self) -> SyncTransaction:
        """See Client.transaction."""
        return SyncTransaction(self)

    def watch(self, path: str, *, recursive: bool = False, values: bool = False) -> SyncStream:
        """See Client.watch."""
        background, _ = self._started()
        stream = self.read(lambda inner: inner.watch(path, recursive=recursive, values=values))
        return SyncStream(background, stream)

    def list_and_watch(
        self,
        path: str,
        *,
        recursive: bool = True,
        values: bool = True,
        timeout_s: float | None = None,
    ) -> tuple[Listing, SyncStream]:
        """See Client.list_and_watch."""
        background, _ = self._started()
        listing, stream = self.call(
            lambda inner: inner.list_and_watch(
                path, recursive=recursive, values=values, timeout_s=timeout_s
            )
        )
        return listing, SyncStream(background, stream)

    def history(
        self, path: str, *, before: int | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """See Client.history."""
        return self.call(lambda inner: inner.history(path, before=before, limit=limit))

    def why_session(self, session_id: int) -> dict[str, Any]:
        """See Client.why_session."""
        return self.call(lambda inner: inner.why_session(session_id))

    # --- recipes -------------------------------------------------------------------------------

    def lock(self, path: str, data: bytes = b"") -> SyncLock:
        """See coord_client.Lock."""
        background, inner = self._started()
        return SyncLock(background, Lock(inner, path, data))

    def election(self, path: str, identity: str) -> SyncLock:
        """See coord_client.LeaderElection."""
        background, inner = self._started()
        return SyncLock(background, LeaderElection(inner, path, identity))

    def group(self, path: str) -> SyncGroup:
        """See coord_client.Group."""
        background, inner = self._started()
        return SyncGroup(background, Group(inner, path))


class SyncTransaction(Operations):
    """See coord_client.Transaction; commits at the end of a ``with`` block."""

    def __init__(self, client: SyncClient) -> None:
        self._client = client
        inner = client.read(lambda inner: inner.transaction())
        super().__init__(inner.full, inner.strip)
        self._inner = inner

    def commit(self, timeout_s: float | None = None) -> list[Result]:
        """Perform all of it. Raises TransactionError if any operation refused: none happened."""
        request = self.request()

        async def send(_: Client) -> list[Result]:
            return self.committed(await self._inner.send(request, timeout_s))

        return self._client.call(send)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self.results is None:
            self.commit()


class SyncStream:
    """Blocking iterator of WatchBatch; close it when done (``with`` does)."""

    def __init__(self, background: Background, inner: WatchStream) -> None:
        self._background = background
        self._inner = inner

    def next(self, timeout_s: float | None = None) -> WatchBatch | None:
        """The next batch; None if the stream is closed. Raises OperationTimeoutError."""
        return self._background.run(self._next(timeout_s))

    async def _next(self, timeout_s: float | None) -> WatchBatch | None:
        try:
            async with asyncio.timeout(timeout_s):
                return await anext(self._inner, None)
        except TimeoutError:
            text = f"no change within {timeout_s:g} s"
            raise OperationTimeoutError(text, definite=True) from None

    def __iter__(self) -> Iterator[WatchBatch]:
        while (batch := self.next()) is not None:
            yield batch

    def close(self) -> None:
        """Stop listening."""
        self._background.read(self._inner.close)

    def __enter__(self) -> Self:
        self._background.run(self._inner.wait_established())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
