"""A simulated program that uses the client library as any program does: ``coord_client.Client``
itself, its connector, watches and recipes, on an event loop in virtual time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from typing import Any, Protocol

from coord.model.errors import ProtocolError
from coord.sim import End, Network, Process, host_name
from coord_client.client import Client
from coord_client.connection import Link
from coord_client.hosts import Host
from coord_client.session import SessionSettings
from tests.sim.clients import HURRY_MS, PORT
from tests.sim.history import History
from tests.sim.recorder import SessionRecorder
from tests.sim.tap import Tap
from tests.sim.virtual_loop import VirtualLoop

logging.getLogger("coord_client").addHandler(logging.NullHandler())
"""What the library says of each expired session is in the history."""


class App(Protocol):
    """What a program does again and again until it is stopped."""

    async def turn(self, client: Client) -> None:
        """One round. Cancelled when the program is to stop; CoordErrors are its own affair."""
        ...


MakeApp = Callable[["AppClient"], App]


class _Wire(asyncio.Transport):
    """A stream of the simulated network as the library's link sees it."""

    def __init__(self, end: End, link: Link, loop: VirtualLoop, tap: Tap) -> None:
        super().__init__()
        self._end = end
        self._link = link
        self._loop = loop
        self._tap = tap

    def write(self, data: Any) -> None:
        if not self._end.process.alive:
            return  # its tasks are being ended
        self._tap.sent(bytes(data))
        self._end.write(bytes(data))

    def abort(self) -> None:
        self._end.close()

    def on_item(self, item: bytes) -> None:
        self._tap.received(item)
        with self._loop.turn():
            self._link.data_received(item)

    def on_end(self) -> None:
        with self._loop.turn():
            self._link.connection_lost(None)


class AppClient:
    """One client process; same use by the cluster as ``SimClient``."""

    def __init__(
        self,
        network: Network,
        name: str,
        nodes: int,
        make_app: MakeApp,
        history: History,
        *,
        think_ms: int = 0,
        timeout_ms: int = 4_000,
        patience_ms: int = 2_000,
    ) -> None:
        self.process = Process(network.kernel, name)
        self.history = history
        self.vanished = False
        self.think_ms = think_ms
        self.stream = network.kernel.streams.get(f"client/{name}")
        self._network = network
        self._settings = SessionSettings(
            timeout_ms=timeout_ms, client_name=name, attach_ms=patience_ms, probe_ms=patience_ms
        )
        self._hosts = ",".join(host_name(node + 1) for node in range(nodes))
        self._app = make_app(self)
        self._stopping = False
        self._wire: _Wire | None = None
        self._main: asyncio.Task[None] | None = None
        self._turn: asyncio.Task[None] | None = None
        self._hurried = asyncio.Event()
        self._client: Client
        self._recorder: SessionRecorder
        self._loop: VirtualLoop

    # --- what the cluster asks ------------------------------------------------------------------

    @property
    def session(self) -> int:
        """The present session, 0 if there is none."""
        return self._client.session_id

    @property
    def is_idle(self) -> bool:
        """Stopped, with nothing under way."""
        if self._main is None or not self._main.done():
            return False
        return self._recorder.is_idle and not self._client._tasks

    @property
    def writes_done(self) -> int:
        """How many writes were answered."""
        return self._recorder.writes_done

    @property
    def reads_done(self) -> int:
        """How many reads were answered."""
        return self._recorder.reads_done

    @property
    def stopping(self) -> bool:
        """No new rounds."""
        return self._stopping

    @stopping.setter
    def stopping(self, value: bool) -> None:
        self._stopping = value
        if value and self._turn is not None and not self.vanished:
            with self._loop.turn():
                self._turn.cancel()

    def start(self) -> None:
        """Begin."""
        self.process.start()
        # What it lacks of a loop nothing in a simulation may ask for.
        loop = self._loop = VirtualLoop(self.process)  # type: ignore[abstract]
        self.process.on_death.append(lambda _power: loop.close())
        client = self._client = Client(
            self._hosts,
            self._settings,
            dial=self._dial,
            clock_ms=self.process.clock.monotonic_ms,
            spread=self.stream.random,
        )
        machine = client._session
        self._recorder = SessionRecorder(machine, self.process, self.history)
        _stand_around(client, self._recorder)
        with loop.turn():
            self._main = loop.create_task(self._run())
        self._main.add_done_callback(self._ended)

    def _ended(self, main: asyncio.Task[None]) -> None:
        """A program that dies of an error is a finding."""
        if not main.cancelled() and (error := main.exception()) is not None:
            self._loop.call_exception_handler({"message": "a program died", "exception": error})

    def close(self) -> None:
        """The run is over."""
        self._loop.close()

    def vanish(self) -> None:
        """Die for good: the session is left to expire."""
        self.vanished = True
        self.history.gone(self.session, self._network.kernel.now_us)
        self.process.crash()
        self._network.process_died(self.process, power=False)

    def hang_up(self) -> None:
        """Leave this node; come back on any."""
        if self._wire is not None:
            self._wire.abort()
            self._wire.on_end()

    # --- the program ----------------------------------------------------------------------------

    async def _round(self) -> None:
        await self._app.turn(self._client)
        await self.think()

    async def think(self) -> None:
        """What its app does between operations."""
        pause_s = self.stream.randrange(self.think_ms + 1) / 1_000
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._hurried.wait()
                await asyncio.sleep(min(pause_s, HURRY_MS / 1_000))

    def hurry(self) -> None:
        """The faults are over: think no longer than HURRY_MS, the present pause included."""
        if not self.vanished:
            with self._loop.turn():
                self._hurried.set()

    async def _run(self) -> None:
        await self._client.start(math.inf)
        while not self._stopping:
            self._turn = self._loop.create_task(self._round())
            await asyncio.wait([self._turn])
            if not self._turn.cancelled():
                self._turn.result()

    async def _dial(self, host: Host, link: Link) -> None:
        """Part of the library: its network."""
        dialled = self._loop.create_future()

        def done(end: End | None, _answer: Any) -> None:
            with self._loop.turn():
                if dialled.done():
                    if end is not None:
                        end.close()
                elif end is None:
                    dialled.set_exception(OSError("nobody listens there"))
                else:
                    tap = Tap(self.history, self.process.name)
                    self._wire = end.handler = _Wire(end, link, self._loop, tap)
                    link.connection_made(self._wire)
                    dialled.set_result(None)

        self._network.dial(self.process, host.name, PORT, self.process.name, done)
        await dialled


def _stand_around(client: Client, recorder: SessionRecorder) -> None:
    """Let the recorder see every operation and every change of the session machine, on this one
    object: the class stays as the product has it."""
    machine = client._session

    def noted(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            recorder.note()
            try:
                return method(*args, **named)
            except ProtocolError as error:
                recorder.breach("protocol", error)
                raise
            finally:
                recorder.note()

        return call

    submit, lost = machine.submit, machine.lost

    def watched_submit(operation: Any, *, first: bool = False) -> None:
        recorder.observe(operation)
        submit(operation, first=first)

    def watched_lost(why: str) -> None:
        recorder.lost()
        lost(why)

    machine.submit = watched_submit  # type: ignore[method-assign]
    machine.lost = watched_lost  # type: ignore[method-assign]
    machine.receive = noted(machine.receive)  # type: ignore[method-assign]
    machine.tick = noted(machine.tick)  # type: ignore[method-assign]
    machine.take_output = noted(machine.take_output)  # type: ignore[method-assign]
