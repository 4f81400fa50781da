"""A client of the gateway inside its own process: requests go in as values, answers come back as
the frames of the native wire, so that HTTP has the order, admission, limits and exactly-once of any
other connection, and no way around them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from coord.model import requests as rq
from coord.model.errors import (
    ConnectionLostError,
    CoordError,
    NotReadyError,
    OperationTimeoutError,
)
from coord.model.limits import KIB
from coord.model.types import NO_SESSION, ReadLevel
from coord.node.callers import adopt
from coord.node.connection import Phase
from coord.protocol.framing import FrameSplitter
from coord.protocol.native import NativeCodec
from coord.protocol.native_client import (
    CancelledPush,
    Incoming,
    NoticePush,
    Reply,
    StreamPush,
    decode_message,
)

if TYPE_CHECKING:
    from coord.model.acl import Identity
    from coord.node.gateway import Gateway

ANSWER_S: Final = 10.0
"""How long a request may take; a write without an answer by then may still happen."""

Push = StreamPush | CancelledPush
SHARED_BYTES_MAX: Final = 2 * KIB
SHARED_MAX: Final = 256
_PUSHED: Final = b"\xff"
"""Second byte of a push to a stream: its kind, −1."""

_decode_push: Final = lru_cache(SHARED_MAX)(decode_message)


def _decoded(payload: bytes) -> Incoming:
    """What many watches hear at the same time is decoded once: their frames are equal, because
    every watch is its caller's first stream."""
    if payload[1:2] == _PUSHED and len(payload) <= SHARED_BYTES_MAX:
        return _decode_push(payload)
    return decode_message(payload)


class Caller:
    """One connection. Its session is opened by the first request that needs one.

    One write is under way at a time, so the number of the next is always the one that the gateway
    expects. A caller whose link has ended (``is_open`` is False) is not used again.
    """

    def __init__(
        self,
        gateway: Gateway,
        address: str,
        identities: tuple[Identity, ...],
        *,
        client: str,
        timeout_ms: int,
        lease: tuple[int, bytes] = (NO_SESSION, b""),
    ) -> None:
        """``lease``: id and secret of the session to attach; without one a session is opened."""
        self._gateway = gateway
        self._frames = FrameSplitter()
        self._client = client
        self._timeout_ms = timeout_ms
        self._lease = lease
        self._answers: dict[int, asyncio.Future[Reply]] = {}
        self._xid = 0
        self.identities = identities
        self._ended: CoordError | None = None
        self._attaching: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._listeners: dict[int, Callable[[Push], None]] = {}
        """By watch id, the xid of the request that opened the stream."""
        self.on_end: Callable[[CoordError], None] | None = None
        """Told once, when the link ends."""
        self.used_s = 0.0
        """When a request last asked for this caller, on the loop's clock."""
        self.standing = asyncio.Lock()
        """Held while a place in a line is looked for or made: a session has one in each."""
        self.users = 0
        """Requests that are using it."""
        self.conn = gateway.open(self, NativeCodec(), address)
        adopt(self.conn, identities)

    # --- ClientLink -----------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Frames from the gateway, which is not called back from within."""
        for payload in self._frames.feed(data):
            message = _decoded(payload)
            if isinstance(message, Reply):
                answer = self._answers.pop(message.xid, None)
                if answer is not None and not answer.done():
                    answer.set_result(message)
            elif isinstance(message, NoticePush):
                self._ended = ConnectionLostError(f"{message.reason}: {message.message}")
            elif isinstance(message, Push):
                listener = self._listeners.get(message.watch_id)
                if listener is not None:
                    listener(message)

    def close(self) -> None:
        """The gateway ends the connection."""
        self._ended = self._ended or ConnectionLostError("the node has ended this connection")
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            if not answer.done():
                answer.set_exception(ConnectionLostError(str(self._ended)))
                answer.exception()  # Nobody may be waiting any more.
        if self.on_end is not None:
            on_end, self.on_end = self.on_end, None
            on_end(self._ended)

    def pause_reading(self) -> None:
        """HTTP requests wait for their answers one by one: there is nothing to hold back."""

    def resume_reading(self) -> None:
        """See ``pause_reading``."""

    # --- requests -------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Requests can be sent."""
        return self._ended is None

    @property
    def secret(self) -> bytes:
        """What lets its session be attached elsewhere."""
        return self._lease[1]

    async def ask(self, request: rq.Request) -> Reply:
        """Send what is no write, and wait for the answer. Raises CoordError."""
        if getattr(request, "level", None) != ReadLevel.STALE and not isinstance(request, rq.Admin):
            await self.attached()
        try:
            return await self._exchange(request, 0, 0)
        except (ConnectionLostError, OperationTimeoutError) as error:
            error.definite = not isinstance(request, rq.Admin)
            raise

    async def listen(
        self, request: rq.Watch, listener: Callable[[Push], None]
    ) -> tuple[int, Reply]:
        """(watch id, reply) of an open stream; ``listener`` hears it until ``unlisten`` or the end
        of the link. It must not call the gateway. Raises CoordError."""
        await self.attached()
        watch_id = self._xid + 1
        self._listeners[watch_id] = listener
        try:
            return watch_id, await self._exchange(request, 0, 0)
        except BaseException:
            del self._listeners[watch_id]
            raise

    async def unlisten(self, watch_id: int) -> None:
        """Close a stream; one that has ended by itself is no error."""
        self._listeners.pop(watch_id, None)
        with contextlib.suppress(CoordError):
            await self.ask(rq.Unwatch(watch_id))

    async def write_one(self, request: rq.Write | rq.Close, seq: int | None = None) -> Reply:
        """Send a write in its turn. ``seq``: its number in the session, from a client that numbers
        its writes. Raises CoordError; one that is not ``definite`` leaves open what happened."""
        await self.attached()
        async with self._writing:
            number = self.conn.next_seq if seq is None else seq
            try:
                return await self._exchange(request, number, number - 1)
            except (OperationTimeoutError, asyncio.CancelledError):
                self.hang_up()  # Later writes must not queue behind one that may never be done.
                raise

    def touch(self) -> None:
        """A heartbeat that nobody waits for."""
        if self.conn.phase is Phase.ATTACHED:
            self._xid += 1
            self._gateway.receive(self.conn, [(self._xid, rq.Ping(), 0, 0)])

    def end_session(self) -> None:
        """Close the session, and with it the connection; nobody waits for that."""
        if self.conn.phase is Phase.ATTACHED:
            seq = self.conn.next_seq
            self._xid += 1
            self._gateway.receive(self.conn, [(self._xid, rq.Close(), seq, seq - 1)])
        else:
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection; the session goes on without it until it expires."""
        self._gateway.close(self.conn)

    async def attached(self) -> None:
        """Have a session, opening or attaching it the first time. Raises CoordError; NotReadyError
        at once where everything would only wait for a quorum."""
        if self._gateway.is_cut_off:
            raise NotReadyError(
                "this node is in no quorum: read with level=stale, or ask another node"
            )
        if self.conn.phase is Phase.ATTACHED:
            return
        if self._attaching is None:
            self._attaching = asyncio.ensure_future(self._attach())
            self._attaching.add_done_callback(self._attach_over)
        await asyncio.shield(self._attaching)

    def _attach_over(self, task: asyncio.Task[None]) -> None:
        self._attaching = None
        if not task.cancelled():
            task.exception()  # Those who wait for it are told; perhaps nobody does any more.

    async def _attach(self) -> None:
        session, secret = self._lease
        connect = rq.Connect(session, secret, self._timeout_ms, session, self._client)
        reply = await self._exchange(connect, 0, 0)
        self._lease = (reply.body[0], reply.body[1])

    async def _exchange(self, request: Any, seq: int, acked: int) -> Reply:
        if self._ended is not None:
            raise ConnectionLostError(str(self._ended), definite=True)
        self._xid += 1
        xid = self._xid
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._answers[xid] = answer
        try:
            self._gateway.receive(self.conn, [(xid, request, seq, acked)])
            async with asyncio.timeout(ANSWER_S):
                reply = await answer
        except TimeoutError:
            raise OperationTimeoutError(
                f"no answer within {ANSWER_S:.0f} s: the cluster has no leader, or is overloaded"
            ) from None
        finally:
            self._answers.pop(xid, None)
        if reply.code:
            raise reply.error()
        return reply
