"""The asyncio driver of the session machine: dials hosts, moves bytes, runs one timer.

One task per client dials; everything else happens in callbacks of the connection. Requests
submitted during one turn of the loop leave in one socket write.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, cast

from coord.model.errors import ProtocolError
from coord_client.hosts import Host, Rotation
from coord_client.operations import NEVER_MS
from coord_client.session import ConnectionState, Session

_log: Final = logging.getLogger("coord_client")

DIAL_S: Final = 1.5
"""How long one address may take to accept a connection."""

Dial = Callable[[Host, "Link"], Awaitable[None]]
"""Connects a Link to a host; raises OSError. Tests and simulations put their network here."""


def boot_clock_ms() -> int:
    """Milliseconds of the clock that also counts while the machine sleeps."""
    return _boot_clock_ns() // 1_000_000


def _find_boot_clock() -> Callable[[], int]:
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):  # the latter counts sleep on macOS
        number = getattr(time, name, None)
        if number is not None:
            return lambda: time.clock_gettime_ns(number)
    return time.monotonic_ns


_boot_clock_ns: Final = _find_boot_clock()


class Observer(Protocol):
    """Who hears what the connection brings."""

    def on_state_change(self, state: ConnectionState) -> None:
        """The session's state changed."""
        ...

    def on_attached(self) -> None:
        """A connection was attached; nothing has been sent on it since."""
        ...


class Link(asyncio.Protocol):
    """One connection: hands bytes to the connector and says when it is gone."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._transport: asyncio.Transport | None = None
        self.can_write = True
        self.is_gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Part of asyncio.Protocol."""
        self._connector.received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio.Protocol."""
        self._gone(f"the connection was lost ({exc})" if exc else "the node closed the connection")

    def pause_writing(self) -> None:
        """Part of asyncio.Protocol."""
        self.can_write = False

    def resume_writing(self) -> None:
        """Part of asyncio.Protocol."""
        self.can_write = True
        self._connector.flush_soon()

    def write(self, data: bytes) -> None:
        """Send bytes; void once the connection is gone."""
        if self._transport is not None:
            self._transport.write(data)

    def abort(self, why: str) -> None:
        """Close without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()
        self._gone(why)

    def _gone(self, why: str) -> None:
        if not self.is_gone.done():
            self.is_gone.set_result(why)
            self._connector.link_lost(self, why)


class TcpDialer:
    """Dials over TCP (or TLS), resolving the name every time.

    A name with several addresses is tried from another one at each dial.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._dials = 0

    async def __call__(self, host: Host, link: Link) -> None:
        """Connect ``link`` to ``host``. Raises OSError if no address accepts."""
        addresses = await _resolve(host)
        offset = self.turn(len(addresses))
        error: OSError | None = None
        for address in addresses[offset:] + addresses[:offset]:
            try:
                await self._connect(host, address, link)
            except OSError as failure:  # TimeoutError is one
                error = failure
            else:
                return
        assert error is not None
        raise error

    def turn(self, count: int) -> int:
        """Which of ``count`` addresses to begin with this time."""
        self._dials += 1
        return (self._dials - 1) % count

    async def _connect(self, host: Host, address: str, link: Link) -> None:
        loop = asyncio.get_running_loop()
        name = host.name if self._tls else None
        async with asyncio.timeout(DIAL_S):
            await loop.create_connection(
                lambda: link, address, host.port, ssl=self._tls, server_hostname=name
            )


async def _resolve(host: Host) -> list[str]:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.name)
        except OSError:
            continue
        return [host.name]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(DIAL_S):
            found = await loop.getaddrinfo(host.name, host.port, type=socket.SOCK_STREAM)
    except RuntimeError:  # no threads any more: the interpreter is exiting
        found = socket.getaddrinfo(host.name, host.port, type=socket.SOCK_STREAM)
    if not found:
        raise OSError(f"{host.name} has no address")
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Connector:
    """Keeps a session machine connected until closed.

    Invariant: ``_link`` is the connection the session was last ``opened`` on, or None.
    """

    def __init__(
        self,
        session: Session,
        rotation: Rotation,
        observer: Observer,
        *,
        dial: Dial,
        clock_ms: Callable[[], int],
        spread: Callable[[], float],
    ) -> None:
        self._session = session
        self._rotation = rotation
        self._observer = observer
        self._dial = dial
        self._clock_ms = clock_ms
        self._spread = spread
        self._link: Link | None = None
        self._is_proven = False
        """Whether the node at the other end of ``_link`` has served us."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = NEVER_MS
        self._flush_is_due = False
        self._state = session.state
        self._attaches = 0
        self.host: Host | None = None
        """The host of the current or last connection."""
        self.failures: dict[Host, str] = {}
        """Why each host could not be used, last time it was tried."""

    def start(self) -> None:
        """Begin to dial, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._keep_connected(), name="coord-client-connector")
        self._task.add_done_callback(self._dialling_ended)

    async def stop(self) -> None:
        """Drop the connection and stop dialling."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._link is not None:
            self._link.abort("the client was closed")

    # --- dialling ------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        while self._session.wants_connection:
            host, pause_ms = self._rotation.next_host(self._spread())
            if pause_ms:
                await asyncio.sleep(pause_ms / 1_000)
            link = Link(self)
            self.host = host
            try:
                await self._dial(host, link)
            except (OSError, UnicodeError) as error:  # the latter: a name that cannot be one
                self._failed(host, str(error) or type(error).__name__)
                continue
            if link.is_gone.done():
                self._failed(host, link.is_gone.result())
                continue
            self._link, self._is_proven = link, False
            self._session.opened(self._clock_ms())
            self._after_input()
            why = await link.is_gone
            if self._is_proven:
                _log.info("connection to %s ended: %s", host, why)
            else:
                self._failed(host, why)

    def _failed(self, host: Host, why: str) -> None:
        _log.debug("no session through %s: %s", host, why)
        self.failures[host] = why
        self._rotation.failed()

    def _dialling_ended(self, task: asyncio.Task[None]) -> None:
        """A defect must not look like an outage."""
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "the coord client cannot dial any more", "exception": error}
            task.get_loop().call_exception_handler(context)

    def describe_failures(self) -> str:
        """One line for people: what each host said."""
        return "; ".join(f"{host}: {why}" for host, why in self.failures.items()) or "no answer yet"

    # --- what the link and the client call -----------------------------------------------------

    def received(self, link: Link, data: bytes) -> None:
        """Bytes came in on ``link``."""
        if link is not self._link:
            return
        try:
            self._session.receive(data, self._clock_ms())
        except ProtocolError as error:
            link.abort(f"protocol error: {error}")
            return
        if not self._is_proven and self._session.is_attached:
            self._is_proven = True
            self._rotation.succeeded()
        self._after_input()

    def link_lost(self, link: Link, why: str) -> None:
        """``link`` is gone."""
        if link is self._link:
            self._link = None
            self._session.lost(why)
            self._after_input()

    def flush_soon(self) -> None:
        """Write what the session wants to send at the end of this turn of the loop."""
        if not self._flush_is_due:
            self._flush_is_due = True
            assert self._loop is not None
            self._loop.call_soon(self._flush)

    # --- inner workings ------------------------------------------------------------------------

    def _after_input(self) -> None:
        session = self._session
        if session.attaches != self._attaches:
            self._attaches = session.attaches
            _log.info("session %d attached through %s", session.session_id, self.host)
            self._observer.on_attached()
        if session.state is not self._state:
            self._state = session.state
            if session.state is ConnectionState.EXPIRED:
                _log.warning("the session has expired; another one will be opened")
            self._observer.on_state_change(session.state)
        if session.drop_reason is not None and self._link is not None:
            self._link.abort(session.drop_reason)
            return
        self.flush_soon()

    def _flush(self) -> None:
        self._flush_is_due = False
        link = self._link
        while link is not None and link.can_write:
            frames = self._session.take_output(self._clock_ms())
            if not frames:
                break
            link.write(b"".join(frames))
        self._arm()

    def _arm(self) -> None:
        wake_ms = self._session.wake_at_ms
        if self._timer is not None:
            if wake_ms >= self._timer_ms:
                return  # it fires early and arms itself again
            self._timer.cancel()
            self._timer = None
        if wake_ms < NEVER_MS and self._loop is not None:
            self._timer_ms = wake_ms
            delay_ms = max(0, wake_ms - self._clock_ms())
            self._timer = self._loop.call_later(delay_ms / 1_000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._session.tick(self._clock_ms())
        self._after_input()


def random_spread() -> float:
    """Randomness in [0, 1) for pauses and for the choice of the first host."""
    return int.from_bytes(os.urandom(4)) / 2**32
