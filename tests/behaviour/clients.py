"""Clients of either wire, on a node in this process or on one behind a socket."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from coord.model import requests as rq
from coord.model.acl import OPEN, Acl
from coord.model.errors import OK
from coord.protocol.native import NativeCodec
from coord.protocol.zookeeper import ZooKeeperCodec
from tests.behaviour.wires import WIRES, Answer, Event, Message, NativeWire, Opened, Request

if TYPE_CHECKING:
    from tests.node.single import Single

PATIENCE_S: Final = 20.0
"""Of the tests, not a promise of the product."""
TIMEOUT_MS: Final = 10_000


class Client(ABC):
    """One connection. ``received`` holds all that came, in order."""

    def __init__(self, wire: str) -> None:
        self.wire = WIRES[wire]()
        self.received: list[Message] = []
        self.opened: Opened | None = None
        self.is_closed = False
        self._heard = 0

    @abstractmethod
    def transmit(self, data: bytes) -> None:
        """Hand bytes to the server, as one read."""

    @abstractmethod
    def progress(self) -> bool:
        """Let something happen; False if nothing will."""

    @abstractmethod
    def drop(self) -> None:
        """Cut the connection without a word."""

    # --- sessions ---------------------------------------------------------------------------------

    def open(self, session: int = 0, secret: bytes = b"", timeout_ms: int = TIMEOUT_MS) -> Opened:
        """Open a session, or attach to one."""
        self.transmit(self.wire.hello(session, secret, timeout_ms))
        self._until(lambda: bool(self.received))
        opened = self.received[0]
        assert isinstance(opened, Opened)
        self.opened = opened
        return opened

    # --- requests ---------------------------------------------------------------------------------

    def send(self, *requests: Request) -> list[int]:
        """Send all in one read; their ids."""
        ids, frames = zip(*map(self.wire.encode, requests), strict=True)
        self.transmit(b"".join(frames))
        return list(ids)

    def answer(self, identity: int) -> Answer:
        """The answer to a request, when it has come."""
        self._until(lambda: self._answer(identity) is not None)
        found = self._answer(identity)
        assert found is not None
        return found

    def _answer(self, identity: int) -> Answer | None:
        answers = (found for found in reversed(self.received) if isinstance(found, Answer))
        return next((answer for answer in answers if answer.id == identity), None)

    def call(self, request: Request) -> Answer:
        """Send one and wait for its answer."""
        (identity,) = self.send(request)
        return self.answer(identity)

    def ok(self, request: Request) -> tuple[Any, ...]:
        """The body of the answer to a request that must succeed."""
        answer = self.call(request)
        assert answer.code == OK, (request, answer)
        return answer.body

    def code(self, request: Request) -> int:
        """The code of the answer."""
        return self.call(request).code

    # --- events -----------------------------------------------------------------------------------

    def events(self) -> list[tuple[int, str]]:
        """(kind, path) of what was heard since the last call. A barrier makes sure that nothing
        that has happened is still to come: events precede the replies that reflect them."""
        self.ok(rq.Sync("/"))
        new, self._heard = self.received[self._heard :], len(self.received)
        return [(event.kind, event.path) for event in new if isinstance(event, Event)]

    def wait_closed(self) -> None:
        """Until the server has hung up."""
        self._until(lambda: self.is_closed)

    def _until(self, is_so: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_so():
            assert self.progress(), f"nothing more comes: {self.received[-3:]}"
            assert time.monotonic() < deadline_s, f"nothing came in time: {self.received[-3:]}"


class LocalClient(Client):
    """On a node in this process, which moves only when told."""

    def __init__(self, single: Single, wire: str) -> None:
        super().__init__(wire)
        self._single = single
        is_native = isinstance(self.wire, NativeWire)
        self._codec = NativeCodec() if is_native else ZooKeeperCodec()
        self._conn = single.node.gateway.open(self, self._codec, "198.51.100.8:4001")

    def transmit(self, data: bytes) -> None:
        """As a socket's ``data_received`` does."""
        self._single.node.gateway.receive(self._conn, self._codec.feed(data))

    def progress(self) -> bool:
        """Until nothing is left to do at this moment."""
        before = len(self.received), self.is_closed
        self._single.run()
        return before != (len(self.received), self.is_closed)

    def drop(self) -> None:
        """The socket is gone."""
        self._single.node.gateway.lost(self._conn)
        self._single.run()

    # --- what the node calls ----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Bytes from the node."""
        assert not self.is_closed, "nothing is sent after close"
        self.received += self.wire.decode(data)

    def close(self) -> None:
        """The node hangs up."""
        self.is_closed = True

    def pause_reading(self) -> None:
        """The node reads no more: these clients have nothing more to say then."""

    def resume_reading(self) -> None:
        """The node reads again."""


class SocketClient(Client):
    """On a node behind a socket."""

    def __init__(self, address: str, wire: str) -> None:
        super().__init__(wire)
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), PATIENCE_S)

    def transmit(self, data: bytes) -> None:
        """Send."""
        self._socket.sendall(data)

    def progress(self) -> bool:
        """Wait for bytes, a moment at most."""
        if self.is_closed:
            return False
        readable, _, _ = select.select([self._socket], [], [], 0.1)
        if readable:
            data = b""
            with contextlib.suppress(ConnectionResetError):
                data = self._socket.recv(65_536)
            self.is_closed = not data
            self.received += self.wire.decode(data)
        return True

    def drop(self) -> None:
        """Close this end."""
        self.is_closed = True
        self._socket.close()


# --- requests, with what is usual left out --------------------------------------------------------


def create(
    path: str, data: bytes = b"", mode: int = 0, acl: tuple[Acl, ...] = OPEN, ttl_ms: int = 0
) -> rq.Create:
    """Persistent unless told."""
    return rq.Create(path, data, acl, mode, ttl_ms)


def put(path: str, data: bytes, version: int = -1) -> rq.Set:
    """Any version unless told."""
    return rq.Set(path, data, version)


def delete(path: str, version: int = -1) -> rq.Delete:
    """Any version unless told."""
    return rq.Delete(path, version)


def get(path: str, *, watch: bool = False) -> rq.Get:
    """A session read."""
    return rq.Get(path, watch, 1)


def exists(path: str, *, watch: bool = False) -> rq.Exists:
    """A session read."""
    return rq.Exists(path, watch, 1)


def children(path: str, *, watch: bool = False) -> rq.Children:
    """A session read of all names."""
    return rq.Children(path, watch, 1, "", 0, 0)


def watch(path: str, mode: int) -> rq.Watch:
    """Persistent or recursive, from now on."""
    return rq.Watch(path, mode, False, None)


def multi(*operations: rq.Operation) -> rq.Multi:
    """All or none."""
    return rq.Multi(operations)
