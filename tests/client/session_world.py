"""A world for the session machine alone: no loop, no sockets, every delivery is a step.

``World`` holds a machine and a little server that speaks the native wire. Bytes wait in two pipes
until a step moves them, so that a test chooses every order of delivery, loss, refusal and attach.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from coord.model import requests as rq
from coord.model.errors import (
    CoordError,
    OverloadedError,
    ResultUnknownError,
    SequenceGapError,
    SessionExpiredError,
)
from coord.protocol.native import NativeCodec
from coord.protocol.native_client import Reply
from coord_client.operations import NEVER_MS, Kind, Operation
from coord_client.session import Session, SessionSettings

SECRET = b"0123456789abcdef"
LIMIT_MS = 1_000_000


class Outcome:
    """A Waiter that remembers; asserts that it hears once."""

    def __init__(self) -> None:
        self.reply: Reply | None = None
        self.error: BaseException | None = None
        self.is_cancelled = False

    def done(self) -> bool:
        """Whether there is an outcome or nobody waits."""
        return self.is_cancelled or self.reply is not None or self.error is not None

    def set_result(self, result: Any, /) -> None:
        """The answer."""
        assert not self.done(), "resolved twice"
        self.reply = result

    def set_exception(self, error: BaseException, /) -> None:
        """The failure."""
        assert not self.done(), "resolved twice"
        self.error = error


class Server:
    """One session's state as the service replicates it: applied writes and kept results."""

    def __init__(self) -> None:
        self.session_id = 0
        self.generation = 0
        self.revision = 10
        self.applied: list[bytes] = []
        """Data of every write that took effect, over all sessions, in order."""
        self.results: dict[int, int] = {}
        self.last_seq = 0
        self.ended: dict[int, tuple[int, dict[int, int]]] = {}
        """Session → (last seq, results)."""

    def open(self) -> None:
        """A new session."""
        self.revision += 1
        self.session_id, self.last_seq, self.results = self.revision, 0, {}

    def expire(self) -> None:
        """The session ends."""
        if self.session_id:
            self.ended[self.session_id] = (self.last_seq, self.results)
            self.session_id = 0
            self.generation += 1


class Connection:
    """The server's end of one connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._codec = NativeCodec()
        self._generation = -1
        self._next_seq = 0
        self.refusals = 0

    def receive(self, data: bytes) -> list[bytes]:
        """Frames in answer, in order."""
        return [self._serve(*item) for item in self._codec.feed(data)]

    def _serve(self, xid: int, request: Any, seq: int, acked: int) -> bytes:
        try:
            body = self._answer(request, seq, acked)
        except CoordError as error:
            return self._codec.error(xid, self._server.revision, error)
        return self._codec.reply(xid, self._server.revision, body)

    def _answer(self, request: Any, seq: int, acked: int) -> tuple[Any, ...]:
        server = self._server
        if isinstance(request, rq.Connect):
            return self._connect(request)
        if isinstance(request, rq.Admin) and request.op == rq.DIGEST:
            return server.revision, "0", []
        if isinstance(request, rq.Admin):
            return self._result_of(request.arguments)
        if not server.session_id or self._generation != server.generation:
            raise SessionExpiredError("gone")
        if isinstance(request, rq.Ping):
            return ()
        if isinstance(request, rq.Set):
            return self._set(request, seq, acked)
        return (b"data", bytes(68))

    def _connect(self, request: rq.Connect) -> tuple[Any, ...]:
        server = self._server
        if not request.session_id:
            server.open()
        elif request.session_id != server.session_id:
            raise SessionExpiredError("gone")
        server.generation += 1
        self._generation = server.generation
        self._next_seq = server.last_seq + 1
        identity = (server.session_id, SECRET, server.generation, 10_000)
        return (*identity, server.last_seq, {"history_id": 1})

    def _set(self, request: rq.Set, seq: int, acked: int) -> tuple[Any, ...]:
        server = self._server
        assert acked < seq
        assert seq - acked <= 256
        if seq > self._next_seq:
            raise SequenceGapError("gap")
        if self.refusals:
            self.refusals -= 1
            raise OverloadedError("busy")
        for old in [each for each in server.results if each <= acked]:
            del server.results[old]
        if seq == self._next_seq:
            server.revision += 1
            server.applied.append(request.data)
            server.results[seq] = server.revision
            server.last_seq = seq
            self._next_seq += 1
        if seq not in server.results:
            raise ResultUnknownError("not kept")
        return (server.results[seq].to_bytes(68, "big"),)

    def _result_of(self, arguments: dict[str, Any]) -> tuple[Any, ...]:
        last_seq, results = self._server.ended[arguments["session"]]
        seq = arguments["seq"]
        if seq > last_seq:
            return "not applied", 0, 0, []
        if seq not in results:
            return "unknown", 0, 0, []
        return "applied", 0, results[seq], [results[seq].to_bytes(68, "big")]


class World:
    """A machine, a server, and what is on its way between them."""

    def __init__(self, **settings: Any) -> None:
        self.now_ms = 1_000
        self.server = Server()
        self.session = Session(SessionSettings(**settings), lambda: 0.0, lambda _: None)
        self.connection: Connection | None = None
        self.to_server: deque[bytes] = deque()
        self.to_client: deque[bytes] = deque()
        self.writes: list[tuple[bytes, Outcome]] = []

    def submit(self, data: bytes, limit_ms: int = LIMIT_MS) -> Outcome:
        """A write that can be told from the others by its data."""
        outcome = Outcome()
        deadline_ms = self.now_ms + limit_ms if limit_ms < NEVER_MS else NEVER_MS
        self.session.submit(Operation(rq.Set("/x", data, -1), outcome, Kind.WRITE, deadline_ms))
        self.writes.append((data, outcome))
        return outcome

    def read(self) -> Outcome:
        """A read."""
        outcome = Outcome()
        request = rq.Get("/x", False, 0)
        self.session.submit(Operation(request, outcome, Kind.READ, self.now_ms + LIMIT_MS))
        return outcome

    def connect(self) -> None:
        """Bring a new connection up, if the machine wants one."""
        if self.session.wants_connection:
            self.connection = Connection(self.server)
            self.session.opened(self.now_ms)
            self.flush()

    def disconnect(self) -> None:
        """Break the connection; what is on its way is lost."""
        self.connection = None
        self.to_server.clear()
        self.to_client.clear()
        self.session.lost("cut")

    def flush(self) -> None:
        """Put the machine's output on its way."""
        if self.session.drop_reason is not None:
            self.disconnect()
            return
        while frames := self.session.take_output(self.now_ms):
            self.to_server.extend(frames)

    def serve(self, count: int = 1) -> None:
        """The server digests what has arrived."""
        while self.connection is not None and self.to_server and count:
            count -= 1
            self.to_client.extend(self.connection.receive(self.to_server.popleft()))

    def deliver(self, count: int = 1) -> None:
        """The client digests what has arrived."""
        while self.to_client and count:
            count -= 1
            self.session.receive(self.to_client.popleft(), self.now_ms)
            self.flush()

    def tick(self, by_ms: int) -> None:
        """Let time pass."""
        self.now_ms += by_ms
        self.session.tick(self.now_ms)
        self.flush()

    def settle(self) -> None:
        """Heal everything and let all of it happen."""
        for _ in range(200):
            if self.connection is None:
                self.connect()
            else:
                self.connection.refusals = 0
            self.serve(1_000)
            self.deliver(1_000)
            self.tick(20)
