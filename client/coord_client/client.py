"""The client: typed asynchronous operations on the tree."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from coord.model import requests as rq
from coord.model.acl import OPEN, Acl
from coord.model.errors import (
    ConnectionLostError,
    CoordError,
    MisuseError,
    NoNodeError,
    NotEmptyError,
    OperationTimeoutError,
)
from coord.model.limits import PAGE_CHILDREN_MAX, SESSION_TIMEOUT_MS
from coord.model.types import ReadLevel
from coord.model.znode import CreateMode, Stat
from coord.protocol.native_client import Reply
from coord_client.admin import Admin
from coord_client.arguments import checked_data, checked_path, milliseconds, ttl_ms_of
from coord_client.connection import Connector, Dial, TcpDialer, boot_clock_ms, random_spread
from coord_client.credentials import checked_credential, checked_credentials
from coord_client.forks import fork_count
from coord_client.hosts import Rotation, parse_connect_string
from coord_client.operations import NEVER_MS, Kind, Operation
from coord_client.session import ConnectionState, Session, SessionSettings
from coord_client.subtree import (
    RACES_MAX,
    create_above,
    delete_with_all_below,
    list_in_pages,
    names_in_pages,
    set_or_create,
)
from coord_client.transaction import Transaction
from coord_client.values import Created, Listing, Node
from coord_client.watches import (
    PERSISTENT,
    RECURSIVE,
    Subscription,
    WatchStream,
    WatchTable,
)

T = TypeVar("T")

REQUEST_TIMEOUT_S: Final = 10.0
CLOSE_S: Final = 2.0
"""How long close() waits for the service to end the session; then it ends by its timeout."""


def connect(
    hosts: str,
    *,
    session_timeout_s: float = SESSION_TIMEOUT_MS / 1_000,
    request_timeout_s: float = REQUEST_TIMEOUT_S,
    client_name: str = "",
    session: bool = True,
    tls: ssl.SSLContext | None = None,
    auth: Iterable[tuple[str, str | bytes]] = (),
) -> Client:
    """A client of the service at ``hosts``; use it with ``async with``, or start() and close().

    ``hosts``: "h1:2181,h2:2181/app": any of the nodes, and a path that all paths lie under.
    ``request_timeout_s``: default for each operation. ``session`` False: no session; only admin
    calls and reads at ReadLevel.STALE, but they work on a node without quorum. ``auth``:
    credentials as for :meth:`Client.add_auth`; if one is refused, start() raises AuthFailedError.
    """
    return Client(
        hosts,
        SessionSettings(round(session_timeout_s * 1_000) if session else 0, client_name),
        request_timeout_s=request_timeout_s,
        dial=TcpDialer(tls),
        auth=auth,
    )


class Client:
    """A session with the service, kept through reconnects and leader changes.

    Belongs to the event loop it was started on; not thread-safe (``coord_client.sync`` is).
    Each operation takes ``timeout_s``: None means the client's default, ``math.inf`` no limit; it
    raises OperationTimeoutError when the time is up, whose ``definite`` says whether the operation
    certainly did not happen.
    """

    def __init__(
        self,
        hosts: str,
        settings: SessionSettings | None = None,
        *,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        dial: Dial | None = None,
        clock_ms: Callable[[], int] = boot_clock_ms,
        spread: Callable[[], float] = random_spread,
        auth: Iterable[tuple[str, str | bytes]] = (),
        machine: Callable[..., Session] = Session,
    ) -> None:
        """``dial``, ``clock_ms``, ``spread``: network, clock, randomness; ``machine``: Session."""
        address = parse_connect_string(hosts)
        self._hosts = hosts
        self._chroot = address.chroot
        self._timeout_ms = milliseconds(request_timeout_s)
        self._clock_ms = clock_ms
        self._spread = spread
        self._session = machine(settings or SessionSettings(), spread, self._pushed)
        rotation = Rotation(address.hosts, int(spread() * len(address.hosts)))
        self._connector = Connector(
            self._session,
            rotation,
            self,
            dial=dial or TcpDialer(),
            clock_ms=clock_ms,
            spread=spread,
        )
        self._watches = WatchTable(
            self._session_submit, self._strip, self._position, self._list_in_pages
        )
        self._callbacks: dict[Callable[[ConnectionState], None], None] = {}
        self._connected: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._forks = fork_count()
        self._auth = checked_credentials(auth)
        self.admin: Final = Admin(self._ask_admin, self._full)

    # --- life ----------------------------------------------------------------------------------

    async def start(self, timeout_s: float | None = None) -> Self:
        """Connect and open the session. Raises OperationTimeoutError with each host's reason,
        AuthFailedError."""
        if self._loop is not None:
            raise MisuseError("the client has been started")
        self._loop = asyncio.get_running_loop()
        self._connector.start()
        proofs = [self._prove(credential) for credential in self._auth]
        try:
            await self.wait_connected(timeout_s)
            await self._proven(proofs, timeout_s)
        except BaseException:
            await self._stop()
            raise
        return self

    async def close(self) -> None:
        """End the session (its ephemerals go at once) and the connection. Never raises."""
        if self._loop is None or self._session.state is ConnectionState.CLOSED:
            return
        if self._session.session_id and self._forks == fork_count():
            self._session.let_go()
            self.on_state_change(self._session.state)  # Holds end before the service hears of it.
            with contextlib.suppress(CoordError):
                await self._call(rq.Close(), Kind.WRITE, CLOSE_S)
        await self._stop()

    async def _stop(self) -> None:
        self._watches.close(ConnectionLostError("the client was closed", definite=True))
        self._session.close()
        await self._connector.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.on_state_change(ConnectionState.CLOSED)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def state(self) -> ConnectionState:
        """Whether a node answers, and whether the session lives."""
        return self._session.state

    @property
    def session_id(self) -> int:
        """The session's id; 0 before the first connection and after an expiry. It changes only
        when a session ended and another was opened."""
        return self._session.session_id

    @property
    def hold_until_ms(self) -> int:
        """On ``clock_ms``: until then the service cannot end this session by silence, nor give
        what it holds to another. Ask at every use: it moves with each confirmed heartbeat."""
        return self._session.hold_until_ms

    @property
    def hold_remaining_s(self) -> float:
        """Seconds from now to ``hold_until_ms``; 0 if the session might have ended."""
        return max(0, self._session.hold_until_ms - self._clock_ms()) / 1_000

    @property
    def clock_ms(self) -> Callable[[], int]:
        """The clock of ``hold_until_ms``: it runs while the machine sleeps."""
        return self._clock_ms

    def on_state(self, callback: Callable[[ConnectionState], None]) -> Callable[[], None]:
        """Call ``callback`` at each change of state, on the client's loop; returns how to stop."""
        self._callbacks[callback] = None
        return lambda: self._callbacks.pop(callback, None)

    async def wait_connected(self, timeout_s: float | None = None) -> None:
        """Until the session is attached. Raises OperationTimeoutError with each host's reason."""
        self._check_usable()
        if self.state is ConnectionState.CONNECTED:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connected.append(waiter)
        limit_s = self.limit_s(timeout_s)
        try:
            async with asyncio.timeout(limit_s):
                await waiter
        except TimeoutError:
            reasons = self._connector.describe_failures()
            raise OperationTimeoutError(
                f"no session with {self._hosts} within {limit_s:g} s ({reasons})",
                definite=True,
            ) from None
        finally:
            self._connected = [each for each in self._connected if each is not waiter]

    # --- identity ------------------------------------------------------------------------------

    async def add_auth(
        self, scheme: str, credential: str | bytes, *, timeout_s: float | None = None
    ) -> None:
        """Prove another identity: scheme "digest", credential "user:password".

        It holds for all later calls, through reconnects: each connection is told again. Raises
        AuthFailedError if the service refuses it; it is then forgotten.
        """
        self._check_usable()
        await self._proven([self._prove(checked_credential(scheme, credential))], timeout_s)

    async def who_am_i(self, *, timeout_s: float | None = None) -> list[tuple[str, str]]:
        """(scheme, name) of every identity that the node knows this connection by."""
        reply = await self._call(rq.WhoAmI(), Kind.READ, timeout_s)
        return [(scheme, name) for scheme, name in reply.body[0]]

    async def _proven(self, proofs: list[asyncio.Future[Reply]], timeout_s: float | None) -> None:
        limit_s = self.limit_s(timeout_s)
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.gather(*proofs)
        except TimeoutError:
            text = f"auth: no verdict on a credential within {limit_s:g} s"
            raise OperationTimeoutError(text) from None

    def _prove(self, credential: rq.Auth) -> asyncio.Future[Reply]:
        assert self._loop is not None
        proof: asyncio.Future[Reply] = self._loop.create_future()
        proof.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._session.prove(credential, proof)
        self._connector.flush_soon()
        return proof

    # --- reads ---------------------------------------------------------------------------------

    async def get(
        self,
        path: str,
        *,
        level: ReadLevel = ReadLevel.LINEARIZABLE,
        timeout_s: float | None = None,
    ) -> Node:
        """A node's data and stat. Raises NoNodeError."""
        request = rq.Get(self._full(checked_path(path)), False, level)
        reply = await self._call(request, Kind.READ, timeout_s)
        data, stat = reply.body
        return Node(path, data, Stat.unpack(stat), reply.revision)

    async def exists(
        self,
        path: str,
        *,
        level: ReadLevel = ReadLevel.LINEARIZABLE,
        timeout_s: float | None = None,
    ) -> Stat | None:
        """A node's stat, None if it does not exist."""
        request = rq.Exists(self._full(checked_path(path)), False, level)
        try:
            reply = await self._call(request, Kind.READ, timeout_s)
        except NoNodeError:
            return None
        return Stat.unpack(reply.body[0])

    async def children(
        self,
        path: str,
        *,
        level: ReadLevel = ReadLevel.LINEARIZABLE,
        timeout_s: float | None = None,
    ) -> list[str]:
        """Names of a node's children, sorted, all as of one revision; asked for in pages.

        Raises NoNodeError; ListingExpiredError if paging was too slow several times.
        """
        request = rq.Children(
            self._full(checked_path(path)), False, level, "", PAGE_CHILDREN_MAX, 0
        )
        return await names_in_pages(
            lambda page: self._call(page, Kind.READ, timeout_s), request, self._spread
        )

    async def get_acl(
        self,
        path: str,
        *,
        level: ReadLevel = ReadLevel.LINEARIZABLE,
        timeout_s: float | None = None,
    ) -> tuple[tuple[Acl, ...], Stat]:
        """A node's ACL and stat. Raises NoNodeError."""
        request = rq.GetAcl(self._full(checked_path(path)), level)
        reply = await self._call(request, Kind.READ, timeout_s)
        entries, stat = reply.body
        return tuple(Acl(*entry) for entry in entries), Stat.unpack(stat)

    async def sync(self, path: str = "/", *, timeout_s: float | None = None) -> int:
        """Barrier: what was acknowledged to anyone before this call is applied on our node when it
        returns; the node's revision."""
        reply = await self._call(rq.Sync(self._full(checked_path(path))), Kind.READ, timeout_s)
        return reply.revision

    # --- writes --------------------------------------------------------------------------------

    async def create(
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
        """Create a node, exactly once. ``make_parents`` also creates what is missing above it.

        Raises NodeExistsError, NoNodeError (no parent), NoChildrenForEphemeralsError.
        """
        checked_path(path, sequential=mode.is_sequential)
        request = rq.Create(self._full(path), checked_data(data), acl, mode, ttl_ms_of(mode, ttl_s))
        for attempt in range(RACES_MAX):
            try:
                reply = await self._call(request, Kind.WRITE, timeout_s)
            except NoNodeError:
                if not make_parents or attempt == RACES_MAX - 1:
                    raise
                await create_above(
                    lambda above: self._call(
                        rq.Create(above, b"", OPEN, CreateMode.PERSISTENT, 0), Kind.WRITE, timeout_s
                    ),
                    request.path,
                )
            else:
                name, stat = reply.body
                return Created(self._strip(name), Stat.unpack(stat))
        raise AssertionError("unreachable")

    async def set(
        self, path: str, data: bytes, *, version: int = -1, timeout_s: float | None = None
    ) -> Stat:
        """Replace a node's data, if it has ``version`` (−1: any). Raises NoNodeError,
        BadVersionError."""
        request = rq.Set(self._full(checked_path(path)), checked_data(data), version)
        reply = await self._call(request, Kind.WRITE, timeout_s)
        return Stat.unpack(reply.body[0])

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        make_parents: bool = False,
        timeout_s: float | None = None,
    ) -> Stat:
        """Set a node's data, or create it with that data."""
        return await set_or_create(self, path, data, make_parents, timeout_s)

    async def set_acl(
        self,
        path: str,
        acl: tuple[Acl, ...],
        *,
        version: int = -1,
        timeout_s: float | None = None,
    ) -> Stat:
        """Replace a node's ACL, if its aversion is ``version`` (−1: any)."""
        request = rq.SetAcl(self._full(checked_path(path)), acl, version)
        reply = await self._call(request, Kind.WRITE, timeout_s)
        return Stat.unpack(reply.body[0])

    async def delete(
        self,
        path: str,
        *,
        version: int = -1,
        recursive: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """Delete a node. ``recursive`` deletes what is below it first, in bounded batches: not
        atomic, and what others create meanwhile goes too. Raises NoNodeError, BadVersionError,
        NotEmptyError."""
        request = rq.Delete(self._full(checked_path(path)), version)
        try:
            await self._call(request, Kind.WRITE, timeout_s)
        except NotEmptyError:
            if not recursive:
                raise
            await delete_with_all_below(self, path, version, timeout_s)

    def transaction(self) -> Transaction:
        """Operations of which all happen or none."""
        return Transaction(
            lambda multi, timeout_s: self._call(multi, Kind.WRITE, timeout_s),
            self._full,
            self._strip,
        )

    # --- watches, history ----------------------------------------------------------------------

    def watch(self, path: str, *, recursive: bool = False, values: bool = False) -> WatchStream:
        """Listen to changes of a node and of its list of children, or of everything below it.

        The stream listens from this call on: it hears of every write that is sent later.
        ``values``: changes carry data and previous data.
        """
        return WatchStream(self._subscribe(path, recursive, values, listing=False))

    async def list_and_watch(
        self,
        path: str,
        *,
        recursive: bool = True,
        values: bool = True,
        timeout_s: float | None = None,
    ) -> tuple[Listing, WatchStream]:
        """What is there at one revision, and every change after it: nothing falls between.

        The listing has the node first, then what is below it (without ``recursive``: its
        children). Above 10,000 nodes it is read in pages: each node as of that revision or later,
        and the changes that follow bring all of them to the same. Raises NoNodeError.
        """
        limit_s = self.limit_s(timeout_s)
        subscription = self._subscribe(path, recursive, values, listing=True)
        try:
            async with asyncio.timeout(limit_s):
                batch = await subscription.next_batch()
        except TimeoutError:
            subscription.close()
            raise self.timed_out(f"list_and_watch {path}", limit_s) from None
        except BaseException:
            subscription.close()
            raise
        assert batch is not None, "only closing the stream ends it"
        assert batch.listing is not None, "a listing comes first"
        return Listing(batch.revision, batch.listing), WatchStream(subscription)

    def _subscribe(
        self, path: str, recursive: bool, values: bool, *, listing: bool
    ) -> Subscription:
        self._check_usable()
        subscription = Subscription(
            self._watches,
            self._full(checked_path(path)),
            RECURSIVE if recursive else PERSISTENT,
            values=values,
            listing=listing,
        )
        self._watches.add(subscription)
        return subscription

    async def history(
        self, path: str, *, before: int | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """What happened to a node, newest first; see :meth:`Admin.history`."""
        return await self.admin.history(path, before=before, limit=limit)

    async def why_session(self, session_id: int) -> dict[str, Any]:
        """Why a session ended; see :meth:`Admin.why_session`."""
        return await self.admin.why_session(session_id)

    # --- for recipes ---------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run ``work`` in the background; cancelled when the client closes."""
        self._check_usable()
        assert self._loop is not None
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def clean_up(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` in the background, unless the client is closed: then the session's end has
        cleaned up."""
        if self._session.state is ConnectionState.CLOSED:
            work.close()
        else:
            _ = self.spawn(work, "coord-clean-up")

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever awaits it hears of it; nobody has to

    def limit_s(self, timeout_s: float | None) -> float | None:
        """A caller's ``timeout_s`` for ``asyncio.timeout``: None is no limit there."""
        limit_ms = self._timeout_ms if timeout_s is None else milliseconds(timeout_s)
        return None if limit_ms >= NEVER_MS else limit_ms / 1_000

    @staticmethod
    def timed_out(what: str, limit_s: float | None) -> OperationTimeoutError:
        """For operations made of several, none of which is in doubt."""
        return OperationTimeoutError(f"{what}: not done within {limit_s:g} s", definite=True)

    # --- inner workings ------------------------------------------------------------------------

    def _call(
        self, request: rq.Request, kind: Kind, timeout_s: float | None
    ) -> asyncio.Future[Reply]:
        """Submit a request; it leaves with the others of this turn of the loop.

        A cancelled future withdraws the request if it has not been sent.
        """
        self._check_usable()
        assert self._loop is not None
        waiter: asyncio.Future[Reply] = self._loop.create_future()
        limit_ms = self._timeout_ms if timeout_s is None else milliseconds(timeout_s)
        deadline_ms = NEVER_MS if limit_ms >= NEVER_MS else self._clock_ms() + limit_ms
        self._session.submit(Operation(request, waiter, kind, deadline_ms))
        self._connector.flush_soon()
        return waiter

    def _ask_admin(
        self, request: rq.Admin, kind: Kind, timeout_s: float | None
    ) -> asyncio.Future[Reply]:
        return self._call(request, kind, timeout_s)

    def _session_submit(self, operation: Operation, *, first: bool = False) -> None:
        self._session.submit(operation, first=first)
        self._connector.flush_soon()

    def _list_in_pages(self, subscription: Subscription) -> None:
        self.clean_up(list_in_pages(self, subscription, self._strip(subscription.path)))

    def _position(self) -> tuple[Any, int]:
        return self._session.info.get("history_id"), self._session.last_revision

    def _check_usable(self) -> None:
        if self._forks != fork_count():
            raise MisuseError("this client was made before a fork; make one in this process")
        if self._loop is None:
            raise MisuseError("the client has not been started: use `async with connect(…)`")
        if self._session.state is ConnectionState.CLOSED:
            raise MisuseError("the client is closed")

    def _full(self, path: str) -> str:
        if not self._chroot:
            return path
        return self._chroot if path == "/" else self._chroot + path

    def _strip(self, full: str) -> str:
        if not self._chroot:
            return full
        return full.removeprefix(self._chroot) or "/"

    # --- Observer: what the connection brings ----------------------------------------------------

    def _pushed(self, push: Any) -> None:
        self._watches.on_push(push)

    def on_attached(self) -> None:
        """Part of Observer."""
        self._watches.renew()

    def on_state_change(self, state: ConnectionState) -> None:
        """Part of Observer."""
        if state in (ConnectionState.CONNECTED, ConnectionState.CLOSED):
            for waiter in self._connected:
                if not waiter.done() and state is ConnectionState.CONNECTED:
                    waiter.set_result(None)
                elif not waiter.done():
                    waiter.set_exception(MisuseError("the client was closed"))
        for callback in tuple(self._callbacks):
            assert self._loop is not None
            self._loop.call_soon(callback, state)
