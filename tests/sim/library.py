"""A simulated client that is the client library: its session machine, driven in virtual time.

The machine decides what is sent again and what became of it; this file only moves bytes and lets
time pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from coord.model.errors import ProtocolError
from coord.protocol.native_client import Incoming
from coord.sim import End, Network, Process, host_name
from coord_client.operations import NEVER_MS, Kind, Operation
from coord_client.session import Session, SessionSettings
from tests.sim.clients import HURRY_MS, PORT, RECONNECT_MS_MAX
from tests.sim.history import WRITE_KINDS, History, Op
from tests.sim.recorder import SessionRecorder

if TYPE_CHECKING:
    from coord.sim.kernel import Event
    from tests.sim.programs import Program


HASTY: Final = 0.1
"""How many of the operations have a deadline."""
HASTE_MS_MAX: Final = 200


class LibraryClient:
    """One client process on the library's session machine; same use as ``SimClient``."""

    def __init__(
        self,
        network: Network,
        name: str,
        nodes: int,
        program: Program,
        history: History,
        *,
        depth: int = 1,
        think_ms: int = 0,
        timeout_ms: int = 4_000,
        patience_ms: int = 2_000,
    ) -> None:
        self.process = Process(network.kernel, name)
        self.history = history
        self.program = program
        self.stopping = self.vanished = False
        self._network = network
        self._nodes = nodes
        self._place = network.kernel.streams.get(f"client/{name}").randrange(nodes)
        """Which node it went to last: it tries them in turn."""
        self._depth = depth
        self.think_ms = think_ms
        self._stream = network.kernel.streams.get(f"client/{name}")
        settings = SessionSettings(
            timeout_ms=timeout_ms, client_name=name, attach_ms=patience_ms, probe_ms=patience_ms
        )
        self._machine = Session(settings, self._stream.random, self._on_push)
        self._recorder = SessionRecorder(self._machine, self.process, history, self._ended)
        self._end: End | None = None
        self._dialling = False
        self._timer: Event | None = None
        self._pump_due = False

    @property
    def is_idle(self) -> bool:
        """Nothing is under way."""
        return self._recorder.is_idle

    @property
    def writes_done(self) -> int:
        """How many writes were answered."""
        return self._recorder.writes_done

    @property
    def reads_done(self) -> int:
        """How many reads were answered."""
        return self._recorder.reads_done

    @property
    def session(self) -> int:
        """The present session, 0 if there is none."""
        return self._machine.session_id

    def start(self) -> None:
        """Begin."""
        self.process.start()
        self._connect()
        self._pump()

    def vanish(self) -> None:
        """Die for good: the session is left to expire."""
        self.vanished = True
        self.history.gone(self.session, self._network.kernel.now_us)
        self.process.crash()
        self._network.process_died(self.process, power=False)

    def hang_up(self) -> None:
        """Leave this node; come back on any."""
        if self._end is not None:
            self._end.close()
            self._lost("hung up")

    # --- connection -----------------------------------------------------------------------------

    def _connect(self) -> None:
        if not self._dialling and self._end is None and self._machine.wants_connection:
            self._dialling = True
            self._place = (self._place + 1) % self._nodes
            node = host_name(self._place + 1)
            self._network.dial(self.process, node, PORT, self.process.name, self._dialled)

    def _dialled(self, end: End | None, _answer: Any) -> None:
        self._dialling = False
        if end is None:
            self._later()
            return
        self._end = end
        end.handler = self
        self._machine.opened(self._now_ms())
        self._after()

    def _later(self) -> None:
        self.process.call_later(self._stream.randrange(1, RECONNECT_MS_MAX), self._connect)

    def _lost(self, why: str) -> None:
        self._end = None
        self._recorder.lost()
        self._machine.lost(why)
        self._later()
        self._after()

    def on_item(self, item: bytes) -> None:
        """Bytes from the node."""
        self._recorder.note()
        try:
            self._machine.receive(item, self._now_ms())
        except ProtocolError as error:
            self.history.breach("protocol", f"{self.process.name}: {error}")
            self.hang_up()
            return
        self._after()

    def on_end(self) -> None:
        """The connection is gone."""
        self._lost("the node has gone")

    def _on_push(self, push: Incoming) -> None:
        self.history.breach("event-to-nobody", f"{self.process.name}: {push}")

    def _now_ms(self) -> int:
        return self.process.clock.monotonic_ms()

    def _after(self) -> None:
        """The driver's duties after any call."""
        machine, end = self._machine, self._end
        while end is not None and (frames := machine.take_output(self._now_ms())):
            end.write(b"".join(frames))
        self._recorder.note()
        if machine.drop_reason is not None and end is not None:
            end.close()
            self._lost(machine.drop_reason)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if machine.wake_at_ms < NEVER_MS:
            delay_ms = max(1, machine.wake_at_ms - self._now_ms())
            self._timer = self.process.call_later(delay_ms, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._recorder.note()
        self._machine.tick(self._now_ms())
        self._after()

    def _ended(self, op: Op) -> None:
        self.program.answered(op)
        self._pump()

    # --- requests -------------------------------------------------------------------------------

    def hurry(self) -> None:
        """The faults are over: think no longer than HURRY_MS, the present pause included."""
        self.think_ms = min(self.think_ms, HURRY_MS)
        if self._pump_due and self.process.alive:
            self.process.call_soon(self._submit)

    def _pump(self) -> None:
        if not self._pump_due and not self.stopping:
            self._pump_due = True
            pause_ms = self._stream.randrange(self.think_ms + 1) if self.think_ms else 0
            self.process.call_later(pause_ms, self._submit)

    def _deadline_ms(self) -> int:
        """Most callers wait as long as it takes, some have little time."""
        if self._stream.random() >= HASTY:
            return NEVER_MS
        return self._now_ms() + self._stream.randrange(1, HASTE_MS_MAX)

    def _submit(self) -> None:
        self._pump_due = False
        while not self.stopping and self._recorder.under_way < self._depth:
            intent = self.program.next()
            if intent is None:
                return
            waiting = self._recorder.begin(intent.kind, intent.args, intent.level, None)
            kind = Kind.WRITE if intent.kind in WRITE_KINDS else Kind.READ
            waiting.operation = Operation(intent.request, waiting, kind, self._deadline_ms())
            self._machine.submit(waiting.operation)
        self._after()
