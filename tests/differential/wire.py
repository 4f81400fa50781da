"""A synchronous ZooKeeper client of few lines, which hides nothing that the server said.

One connection, one request in flight unless the caller says otherwise; events keep their place
between the replies. It shares no code with ``coord.protocol``: a misreading there must not be
repeated here.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any, Final, NamedTuple, Self

from tests.differential import jute
from tests.differential.operations import SPECS, XIDS, Args

PATIENCE_S: Final = 15.0
"""How long a reply may take before the test gives up on the server."""
EVENT_XID: Final = -1
NO_PASSWORD: Final = b"\0" * 16


class Event(NamedTuple):
    """A watch event. ``zxid`` stands in the header of its frame."""

    kind: int
    state: int
    path: str | None
    zxid: int


class Reply(NamedTuple):
    """An answer: its header, and its decoded body if there was no error.

    ``trailing`` are bytes behind what the body should hold.
    """

    xid: int
    zxid: int
    err: int
    body: Any
    trailing: bytes = b""


class Handshake(NamedTuple):
    """What the server answers to a connect request."""

    protocol: int
    timeout_ms: int
    session_id: int
    password: bytes | None
    read_only: bool | None


def _event(zxid: int, reader: jute.Reader) -> Event:
    kind, state, path = reader.integer(), reader.integer(), reader.string()
    assert not reader.rest(), "bytes behind an event"
    return Event(kind, state, path, zxid)


class Disconnected(Exception):  # noqa: N818 - what happened, and often what a test expects
    """The server closed the connection."""


class Wire:
    """One connection. ``events`` grows as they arrive; ``take_events`` empties it."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        timeout_ms: int = 30_000,
        session_id: int = 0,
        password: bytes = NO_PASSWORD,
        last_zxid: int = 0,
        read_only: bool | None = False,
    ) -> None:
        """Connect and shake hands.

        ``read_only`` None leaves the flag's byte out, as old clients do. Raises Disconnected if
        the server hangs up instead of answering.
        """
        self.events: list[Event] = []
        self._xid = 0
        self._socket = socket.create_connection(address, PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        flag = b"" if read_only is None else jute.boolean(read_only)
        try:
            self.send_frame(
                jute.integer(0)
                + jute.long(last_zxid)
                + jute.integer(timeout_ms)
                + jute.long(session_id)
                + jute.buffer(password)
                + flag
            )
            self.handshake = self._shaken(self.receive_frame())
        except Disconnected:
            self.drop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    @staticmethod
    def _shaken(frame: bytes) -> Handshake:
        reader = jute.Reader(frame)
        protocol, timeout_ms = reader.integer(), reader.integer()
        session_id, password = reader.long(), reader.buffer()
        rest = reader.rest()
        assert len(rest) <= 1, f"{len(rest)} bytes behind the handshake"
        return Handshake(
            protocol, timeout_ms, session_id, password, rest != b"\0" if rest else None
        )

    @property
    def is_valid(self) -> bool:
        """Whether the server knew (or made) the session."""
        return self.handshake.timeout_ms > 0

    # --- requests -------------------------------------------------------------------------------

    def call(self, name: str, args: Args | None = None, *, xid: int | None = None) -> Reply:
        """Ask and wait for the answer. Raises Disconnected."""
        sent = self.send(name, args or {}, xid=xid)
        reply = self.receive(name)
        assert reply.xid == sent, f"the reply to {name} carries xid {reply.xid}, not {sent}"
        return reply

    def send(self, name: str, args: Args, *, xid: int | None = None) -> int:
        """Send a request without waiting; its xid."""
        spec = SPECS[name]
        chosen = self._next_xid(name) if xid is None else xid
        self.send_frame(jute.integer(chosen) + jute.integer(spec.opcode) + spec.encode(args))
        return chosen

    def _next_xid(self, name: str) -> int:
        if name in XIDS:
            return XIDS[name]
        self._xid += 1
        return self._xid

    def receive(self, name: str) -> Reply:
        """The next answer, read as one to ``name``; events before it are kept.

        Raises Disconnected.
        """
        while True:
            reader = jute.Reader(self.receive_frame())
            xid, zxid, err = reader.integer(), reader.long(), reader.integer()
            if xid == EVENT_XID:
                self.events.append(_event(zxid, reader))
                continue
            body = None if err else SPECS[name].decode(reader)
            return Reply(xid, zxid, err, body, reader.rest())

    def wait_for_event(self) -> Event:
        """The next event, where nothing but events can come. Raises Disconnected."""
        if not self.events:
            reader = jute.Reader(self.receive_frame())
            xid, zxid, _ = reader.integer(), reader.long(), reader.integer()
            assert xid == EVENT_XID, "a reply to nothing"
            return _event(zxid, reader)
        return self.events.pop(0)

    def take_events(self) -> list[Event]:
        """Events since the last call, in order of arrival."""
        taken, self.events = self.events, []
        return taken

    # --- bytes ----------------------------------------------------------------------------------

    def send_frame(self, payload: bytes) -> None:
        """Send bytes behind their length."""
        self.send_raw(jute.integer(len(payload)) + payload)

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are. Raises Disconnected."""
        try:
            self._socket.sendall(data)
        except ConnectionError as error:
            raise Disconnected from error

    def receive_frame(self) -> bytes:
        """The next frame's payload. Raises Disconnected."""
        (length,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            try:
                part = self._socket.recv(size)
            except ConnectionError as error:
                raise Disconnected from error
            if not part:
                raise Disconnected
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def is_hung_up(self) -> bool:
        """Whether the server closes the connection without another frame but events."""
        with contextlib.suppress(Disconnected):
            while True:
                reader = jute.Reader(self.receive_frame())
                if reader.integer() != EVENT_XID:
                    return False
        return True

    def drop(self) -> None:
        """Close the socket, and nothing else: the session lives on."""
        self._socket.close()
