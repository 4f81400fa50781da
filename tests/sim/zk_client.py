"""A simulated ZooKeeper client: its wire, its session rules, its watches.

It does what the clients of ZooKeeper do and no more: nothing is sent again after a connection is
lost (what was under way is unknown), reads come from the node it talks to, watches are set again on
the next connection. It shares no code with ``coord.protocol``.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from coord.sim import US_PER_MS, End, Network, Process, host_name
from tests.differential import jute
from tests.differential.operations import SPECS
from tests.differential.wire import NO_PASSWORD
from tests.sim import zk_words
from tests.sim.clients import CHECK_MS, HURRY_MS, PORT, RECONNECT_MS_MAX
from tests.sim.history import (
    UNKNOWN_REVISION,
    Asked,
    Fired,
    History,
    Op,
    Outcome,
    Replied,
    SessionLife,
    Transcript,
)
from tests.sim.zk_watches import ArmedWatches

if TYPE_CHECKING:
    from tests.sim.programs import Intent, Program

EVENT_XID: Final = -1
PING_XID: Final = -2
SET_WATCHES_XID: Final = -8
NO_SPACE: Final = -125
"""Refused before the log: it leaves no entry."""
WATCHED: Final = 0.7
"""How many of the reads arm a watch."""
STANDING: Final = 0.1
"""How many requests are preceded by one that adds a standing watch."""


class _Sent(NamedTuple):
    """A request that waits for its answer; ``op`` is None for those about watches."""

    name: str
    op: Op | None
    asked: Asked | None
    sent_us: int


class ZkClient:
    """One client process; same use by the cluster as ``SimClient``.

    Invariant: ``_sent`` holds, in order, what was sent on this connection and not answered.
    """

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
        self.writes_done = self.reads_done = 0
        self._network = network
        self._nodes = nodes
        self._depth = depth
        self.think_ms = think_ms
        self._timeout_ms = timeout_ms
        self._patience_ms = patience_ms
        self._stream = network.kernel.streams.get(f"client/{name}")
        self._end: End | None = None
        self._dialling = self._pump_due = False
        self._greeted = False
        self._rest = b""
        self._xid = 0
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._transcript = Transcript(name)
        self._heard_us = self._wrote_us = self._dialled_us = 0
        self._ping_us = -1
        self._reset_session()

    def _reset_session(self) -> None:
        self.session = 0
        self._password = NO_PASSWORD
        self._zxid = 0
        self._watches = ArmedWatches()

    @property
    def is_idle(self) -> bool:
        """Nothing is under way."""
        return not self._sent

    def start(self) -> None:
        """Begin."""
        self.process.start()
        self._connect()
        self.process.call_later(CHECK_MS, self._check)

    def vanish(self) -> None:
        """Die for good: the session is left to expire."""
        self.vanished = True
        self.history.gone(self.session, self._now())
        self.process.crash()
        self._network.process_died(self.process, power=False)

    def hang_up(self) -> None:
        """Leave this node; come back on any."""
        if self._end is not None:
            self._end.close()
            self._lost()

    def _now(self) -> int:
        return self._network.kernel.now_us

    def _breach(self, rule: str, what: object) -> None:
        self.history.breach(rule, f"{self.process.name}: {what}")

    # --- connecting -----------------------------------------------------------------------------

    def _connect(self) -> None:
        if not self._dialling and self._end is None:
            self._dialling = True
            node = host_name(self._stream.randrange(self._nodes) + 1)
            self._network.dial(self.process, node, PORT, self.process.name, self._dialled)

    def _dialled(self, end: End | None, _answer: Any) -> None:
        self._dialling = False
        if end is None:
            self._later()
            return
        self._end, self._rest, self._greeted = end, b"", False
        end.handler = self
        self._heard_us = self._wrote_us = self._dialled_us = self._now()
        self._transcript = Transcript(self.process.name)
        self.history.transcripts.append(self._transcript)
        self._frame(self._hello(self.session, self._password, read_only=False))

    def _hello(self, session: int, password: bytes, *, read_only: bool) -> bytes:
        return (
            jute.integer(0)
            + jute.long(self._zxid)
            + jute.integer(self._timeout_ms)
            + jute.long(session)
            + jute.buffer(password)
            + jute.boolean(read_only)
        )

    def _later(self) -> None:
        self.process.call_later(self._stream.randrange(1, RECONNECT_MS_MAX), self._connect)

    def _lost(self) -> None:
        self._end = None
        self._ping_us = -1
        self._pump_due = False
        sent, self._sent = self._sent, OrderedDict()
        for each in sent.values():
            if each.op is not None:
                self._finish(each.op, Outcome.INFO)
        self._later()

    def on_end(self) -> None:
        """The connection is gone."""
        self._lost()

    def on_item(self, item: bytes) -> None:
        """Bytes from the node."""
        self._heard_us = self._now()
        self._rest += item
        while self._end is not None and len(self._rest) >= 4:
            (length,) = struct.unpack_from(">i", self._rest)
            if len(self._rest) < 4 + length:
                return
            frame, self._rest = self._rest[4 : 4 + length], self._rest[4 + length :]
            reader = jute.Reader(frame)
            try:
                self._on_frame(reader)
            except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
                self._breach("protocol", f"{frame!r:.80}: {error!r}")
                self.hang_up()

    # --- answers --------------------------------------------------------------------------------

    def _on_frame(self, reader: jute.Reader) -> None:
        if not self._greeted:
            self._on_handshake(reader)
            return
        xid, zxid, err = reader.integer(), reader.long(), reader.integer()
        if xid == EVENT_XID:
            kind, _state, path = reader.integer(), reader.integer(), reader.string()
            self._on_event(Fired(kind, path or "", zxid))
        elif xid == PING_XID:
            self._confirmed(self._ping_us)
            self._ping_us = -1
            self._transcript.items.append(Replied(xid, err, zxid))
        else:
            self._on_reply(xid, zxid, err, reader)

    def _on_handshake(self, reader: jute.Reader) -> None:
        _, timeout_ms, session = reader.integer(), reader.integer(), reader.long()
        password = reader.buffer() or NO_PASSWORD
        self._greeted = True
        if timeout_ms <= 0:
            if self.session in self.history.sessions:
                self.history.sessions[self.session].told_expired_us = self._now()
            self._reset_session()
            self.hang_up()
        else:
            self._welcomed(session, password, timeout_ms, read_only=reader.rest() == b"\1")

    def _welcomed(self, session: int, password: bytes, timeout_ms: int, *, read_only: bool) -> None:
        if read_only:
            self._breach("read-only", "served without a quorum, and had not asked for that")
        if not self.session:
            self.session = session
            life = SessionLife(session, timeout_ms, is_numbered=False)
            self.history.sessions[session] = life
        elif session != self.session:
            self._breach("attach", f"to {session} instead of {self.session}")
        self._password = password
        self._confirmed(self._dialled_us)
        self._go_on()

    def _go_on(self) -> None:
        if self._watches:
            self._set_watches()
        self._pump()

    def _confirmed(self, sent_us: int) -> None:
        if self.session and sent_us >= 0:
            life = self.history.sessions[self.session]
            life.confirmed_us = max(life.confirmed_us, sent_us)

    def _on_event(self, event: Fired) -> None:
        self._transcript.items.append(event)
        self._zxid = max(self._zxid, event.revision)
        self._watches.fired(event)

    def _on_reply(self, xid: int, zxid: int, err: int, reader: jute.Reader) -> None:
        if xid not in self._sent:
            self._breach("answer-to-nothing", f"xid {xid}")
            return
        first = next(iter(self._sent))
        if first != xid:
            self._breach("reply-order", f"{xid} overtakes {self._sent[first]}")
        sent = self._sent.pop(xid)
        body = SPECS[sent.name].decode(reader) if not err else None
        self._zxid = max(self._zxid, zxid)
        self._confirmed(sent.sent_us)
        if sent.asked is not None:
            self._watches.answered(sent.asked, err)
        self._transcript.items.append(Replied(xid, err, zxid))
        if sent.op is not None:
            self._settle(sent.op, zxid, err, body)
        self._pump()

    def _settle(self, op: Op, zxid: int, err: int, body: Any) -> None:
        op.code, op.revision = err, zxid
        op.body = zk_words.body_of(op.kind, body) if not err else ()
        if op.kind == "multi" and not err:
            op.code = zk_words.multi_code(body)
        if err == NO_SPACE:
            op.revision = UNKNOWN_REVISION
            self._finish(op, Outcome.FAIL)
            return
        if op.is_write:
            self.writes_done += 1
        else:
            self.reads_done += 1
        self._finish(op, Outcome.OK)
        if op.kind == "close" and not err:
            self.history.sessions[self.session].closed_by_client = True
            self._reset_session()
            self.hang_up()

    def _finish(self, op: Op, outcome: Outcome) -> None:
        op.outcome = outcome
        op.complete_us = self._now()
        self.program.answered(op)

    # --- requests -------------------------------------------------------------------------------

    def hurry(self) -> None:
        """The faults are over: think no longer than HURRY_MS, the present pause included."""
        self.think_ms = min(self.think_ms, HURRY_MS)
        if self._pump_due and self.process.alive:
            self.process.call_soon(self._send_next)

    def _pump(self) -> None:
        if self._pump_due or self.stopping or self._end is None:
            return
        self._pump_due = True
        pause_ms = self._stream.randrange(self.think_ms + 1) if self.think_ms else 0
        self.process.call_later(pause_ms, self._send_next)

    def _send_next(self) -> None:
        self._pump_due = False
        if self._end is None or not self._greeted:
            return
        while not self.stopping and len(self._sent) < self._depth:
            intent = self.program.next()
            if intent is None:
                return
            if self._stream.random() < STANDING:
                self._add_watch(intent)
            self._send(intent)

    def _send(self, intent: Intent) -> None:
        name, arguments = zk_words.request_of(intent)
        op = Op(
            self.process.name, self.session, 0, intent.kind, intent.args, 1, invoke_us=self._now()
        )
        if intent.kind == "multi":
            op.args = zk_words.multi_args(intent)
        elif intent.kind == "sync":
            op.level = 0
        elif intent.kind == "children":
            op.args = intent.args[:1]  # it knows no pages
        self.history.ops.append(op)
        asked = None
        if intent.kind in zk_words.READS and self._stream.random() < WATCHED:
            arguments["watch"] = True
            asked = Asked(self._xid + 1, intent.kind, intent.args[0])
        self._request(name, arguments, op, asked)

    def _add_watch(self, intent: Intent) -> None:
        """A standing watch on what is asked for next, in either mode."""
        if not intent.args or not isinstance(intent.args[0], str):
            return
        path, mode = intent.args[0], self._stream.randrange(2)
        asked = Asked(self._xid + 1, "add_watch", path, mode + 1)
        self._request("addWatch", {"path": path, "mode": mode}, None, asked)

    def _set_watches(self) -> None:
        """What real clients do first thing on a new connection."""
        asked = self._watches.again(SET_WATCHES_XID, self._zxid)
        arguments: dict[str, Any] = {"zxid": self._zxid}
        for table, path in asked.armed:
            arguments.setdefault(table, []).append(path)
        self._request("setWatches2", arguments, None, asked, xid=SET_WATCHES_XID)

    def _request(
        self, name: str, arguments: Any, op: Op | None, asked: Asked | None, xid: int = 0
    ) -> None:
        if not xid:
            self._xid += 1
            xid = self._xid
        if asked is not None:
            self._transcript.items.append(asked)
        self._sent[xid] = _Sent(name, op, asked, self._now())
        spec = SPECS[name]
        self._frame(jute.integer(xid) + jute.integer(spec.opcode) + spec.encode(arguments))

    def _frame(self, payload: bytes) -> None:
        assert self._end is not None
        self._wrote_us = self._now()
        self._end.write(jute.buffer(payload))

    # --- time -----------------------------------------------------------------------------------

    def _check(self) -> None:
        """Pings when nothing else was sent, and the end of patience with a silent node."""
        self.process.call_later(CHECK_MS, self._check)
        if self._end is None:
            return
        now_us = self._now()
        waits = bool(self._sent) or self._ping_us >= 0 or not self._greeted
        if waits and now_us - self._heard_us > self._patience_ms * US_PER_MS:
            self.hang_up()
            return
        silent_us = now_us - self._wrote_us
        if self._greeted and self._ping_us < 0 and silent_us > self._timeout_ms * US_PER_MS // 3:
            self._ping_us = now_us
            self._frame(jute.integer(PING_XID) + jute.integer(SPECS["ping"].opcode))
