"""A simulated client: one native session at a time, resumed wherever a node answers.

It follows the protocol's promises to the letter: writes carry dense numbers, an unanswered write
is sent again under its number after every reconnect, and only the log can leave its fate open.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

from coord.model import errors
from coord.model import requests as rq
from coord.protocol.native_client import OPENING, ClientCodec, NoticePush, Reply, encode_request
from coord.sim import US_PER_MS, End, Network, Process, host_name
from tests.sim.history import History, Op, Outcome, Repeat, SessionLife

if TYPE_CHECKING:
    from tests.sim.programs import Intent, Program

PORT: Final = "client"
RECONNECT_MS_MAX: Final = 100
HURRY_MS: Final = 400
CHECK_MS: Final = 100
TRY_AGAIN: Final = frozenset({
    errors.OverloadedError.code,
    errors.NotReadyError.code,
    errors.SequenceGapError.code,
    errors.SessionMovedError.code,
    errors.NotLeaderError.code,
    errors.NoSpaceError.code,
    errors.ListingExpiredError.code,
})  # fmt: skip
"""Refusals that leave no entry in the log and no answer to the write: it is sent again. A paged
listing that took too long, or one too many at a time, is begun again."""
WRITES: Final = (rq.Set, rq.Create, rq.Delete, rq.SetAcl, rq.Multi, rq.Close)


KEPT_MAX: Final = 4
FORGETS: Final = 0.3
ASKS_AGAIN: Final = 0.2
"""How often a client that comes back asks for answers that it has had."""


class _Sent:
    """A request that waits for its answer."""

    __slots__ = ("again", "op", "request")

    def __init__(self, op: Op, request: rq.Request, *, again: bool = False) -> None:
        self.op = op
        self.request = request
        self.again = again
        """Answered before: what it is told now is compared."""


class SimClient:
    """One client process. ``program`` decides what it does, ``stopping`` ends that.

    Invariant: ``_sent`` holds, in order, what was sent and not answered; after a reconnect the
    writes among it are sent again in that order before anything new.
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
        self.stopping = False
        self.writes_done = 0
        self.reads_done = 0
        self.timeout_ms = timeout_ms
        self.patience_ms = patience_ms
        self.vanished = False
        self._network = network
        self._nodes = nodes
        self._place = network.kernel.streams.get(f"client/{name}").randrange(nodes)
        """Which node it went to last: it tries them in turn."""
        self._depth = depth
        self.think_ms = think_ms
        self._stream = network.kernel.streams.get(f"client/{name}")
        self._end: End | None = None
        self._codec = ClientCodec()
        self._ready = False
        self._dialling = False
        self._xid = 0
        self._connect_xid = 0
        self._connect_us = 0
        self._heard_us = 0
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._pings: dict[int, int] = {}
        self._pinged_us = 0
        self._pump_due = False
        self._credential = str(getattr(program, "credential", ""))
        self._auth_xid = 0
        self._reset_session()

    def _reset_session(self) -> None:
        self._session = 0
        self._secret = b""
        self._seq = 0
        self._acked = 0
        self._revision = 0
        self._kept: deque[_Sent] = deque()
        """Answered writes whose answers are not acknowledged yet: they can be asked for again."""

    @property
    def is_idle(self) -> bool:
        """Nothing is under way."""
        return not self._sent

    @property
    def session(self) -> int:
        """The present session, 0 if there is none yet."""
        return self._session

    def start(self) -> None:
        """Begin."""
        self.process.start()
        self._connect()
        self.process.call_later(CHECK_MS, self._check)

    def vanish(self) -> None:
        """Die for good: the session is left to expire."""
        self.vanished = True
        self.history.gone(self.session, self._network.kernel.now_us)
        self.process.crash()
        self._network.process_died(self.process, power=False)

    # --- connecting -----------------------------------------------------------------------------

    def _connect(self) -> None:
        if self._dialling or self._end is not None:
            return
        self._dialling = True
        self._place = (self._place + 1) % self._nodes
        node = host_name(self._place + 1)
        self._network.dial(self.process, node, PORT, self.process.name, self._dialled)

    def _dialled(self, end: End | None, _answer: Any) -> None:
        self._dialling = False
        if end is None:
            self._later()
            return
        self._end, self._codec = end, ClientCodec()
        end.handler = self
        self._heard_us = self._now()
        self._xid = self._connect_xid = 1
        self._connect_us = self._now()
        connect = rq.Connect(
            self._session, self._secret, self.timeout_ms, self._revision, self.process.name
        )
        end.write(OPENING + encode_request(1, connect))

    def _later(self) -> None:
        self.process.call_later(self._stream.randrange(1, RECONNECT_MS_MAX), self._connect)

    def _now(self) -> int:
        return self._network.kernel.now_us

    def hang_up(self) -> None:
        """Leave this node; come back on any."""
        if self._end is not None:
            self._end.close()
            self._lost()

    def _lost(self) -> None:
        self._end = None
        self._ready = False
        self._pings.clear()
        kept: OrderedDict[int, _Sent] = OrderedDict()
        for xid, sent in self._sent.items():
            if sent.again:
                continue
            if sent.op.is_write:
                kept[xid] = sent
            else:
                self._finish(sent.op, Outcome.INFO)
        self._sent = kept
        self._later()

    # --- StreamHandler --------------------------------------------------------------------------

    def on_item(self, item: bytes) -> None:
        """Bytes from the node."""
        self._heard_us = self._now()
        try:
            messages = self._codec.feed(item)
        except errors.ProtocolError as error:
            self._breach("protocol", error)
            self.hang_up()
            return
        for message in messages:
            if self._end is None:
                return
            if isinstance(message, Reply):
                self._on_reply(message)
            elif isinstance(message, NoticePush):
                self.hang_up()

    def on_end(self) -> None:
        """The connection is gone."""
        self._lost()

    # --- answers --------------------------------------------------------------------------------

    def _on_reply(self, reply: Reply) -> None:
        if reply.xid == self._connect_xid:
            self._on_connected(reply)
            return
        pinged_us = self._pings.pop(reply.xid, -1)
        if pinged_us >= 0:
            if reply.code == 0:
                self.history.sessions[self._session].confirmed_us = pinged_us
            return
        if reply.xid == self._auth_xid:
            return
        sent = self._sent.get(reply.xid)
        if sent is None:
            self._breach("answer-to-nothing", reply)
            return
        if reply.code in TRY_AGAIN:
            if sent.op.is_write:
                self.hang_up()
                return
            del self._sent[reply.xid]
            self._finish(sent.op, Outcome.FAIL)
        elif reply.code == errors.SessionExpiredError.code:
            self._expired()
            return
        else:
            self._settle(reply, sent)
        self._pump()

    def _breach(self, rule: str, what: object) -> None:
        self.history.breach(rule, f"{self.process.name}: {what}")

    def _settle(self, reply: Reply, sent: _Sent) -> None:
        """An answer decided by the log, or a read."""
        op = sent.op
        first = next(iter(self._sent))
        if first != reply.xid:
            self._breach("reply-order", f"{reply} overtakes {self._sent[first].op}")
        del self._sent[reply.xid]
        if sent.again:
            self.history.repeats.append(Repeat(op, reply.code, reply.revision, reply.body))
            return
        op.code, op.revision, op.body = reply.code, reply.revision, reply.body
        self._revision = max(self._revision, reply.revision)
        if op.is_write:
            self._acked = op.seq
            self.writes_done += 1
            self._kept.append(sent)
            if len(self._kept) > KEPT_MAX or self._stream.random() < FORGETS:
                self._kept.popleft()
        else:
            self.reads_done += 1
        self._finish(op, Outcome.OK)
        if op.kind == "close" and op.code == 0:
            self.history.sessions[self._session].closed_by_client = True
            self._end_session()

    def _finish(self, op: Op, outcome: Outcome) -> None:
        op.outcome = outcome
        op.complete_us = self._now()
        self.program.answered(op)

    def _on_connected(self, reply: Reply) -> None:
        if reply.code == errors.SessionExpiredError.code:
            self._expired()
            return
        if reply.code != 0:
            self.hang_up()
            return
        session, secret, _generation, timeout_ms, last_seq, _info = reply.body
        if not self._session:
            self._session, self._secret = session, secret
            self.history.sessions[session] = SessionLife(session, timeout_ms, secret)
        if session != self._session:
            self._breach("attach", f"to {session} instead of {self._session}")
            return
        if not self._acked <= last_seq <= self._seq:
            known = f"sent up to {self._seq}, answered up to {self._acked}"
            self._breach("attach", f"{last_seq} said to be applied, {known}")
        self.history.sessions[session].confirmed_us = self._connect_us
        self._revision = max(self._revision, reply.revision)
        self._ready = True
        self._pinged_us = self._now()
        if self._credential:
            self._prove()
        waiting, self._sent = self._sent, OrderedDict()
        if self._stream.random() < ASKS_AGAIN:
            for answered in self._kept:
                self._transmit(_Sent(answered.op, answered.request, again=True))
        for sent in waiting.values():
            self._transmit(sent)
        self._pump()

    def _prove(self) -> None:
        assert self._end is not None
        self._xid += 1
        self._auth_xid = self._xid
        auth = rq.Auth("digest", self._credential.encode())
        self._end.write(encode_request(self._xid, auth))

    def _expired(self) -> None:
        """The service says that the session has ended: what is unanswered stays unknown."""
        life = self.history.sessions[self._session]
        if not any(sent.op.kind == "close" for sent in self._sent.values()):
            life.told_expired_us = self._now()
        self._end_session()

    def _end_session(self) -> None:
        unknown = [sent.op for sent in self._sent.values() if not sent.again]
        self._sent.clear()
        for op in unknown:
            self._finish(op, Outcome.INFO)
        self._reset_session()
        self.hang_up()

    # --- requests -------------------------------------------------------------------------------

    def hurry(self) -> None:
        """The faults are over: think no longer than HURRY_MS, the present pause included."""
        self.think_ms = min(self.think_ms, HURRY_MS)
        if self._pump_due and self.process.alive:
            self.process.call_soon(self._send_next)

    def _pump(self) -> None:
        """Think a while, then keep ``depth`` requests in flight."""
        if self._pump_due or self.stopping or not self._ready:
            return
        self._pump_due = True
        pause_ms = self._stream.randrange(self.think_ms + 1) if self.think_ms else 0
        self.process.call_later(pause_ms, self._send_next)

    def _send_next(self) -> None:
        self._pump_due = False
        while self._ready and not self.stopping and len(self._sent) < self._depth:
            intent = self.program.next()
            if intent is None:
                return
            self._send(intent)

    def _send(self, intent: Intent) -> None:
        write = isinstance(intent.request, WRITES)
        if write:
            self._seq += 1
        op = Op(
            self.process.name,
            self._session,
            self._seq if write else 0,
            intent.kind,
            intent.args,
            intent.level,
            self._now(),
        )
        if self._credential:
            op.who = self.program.who  # type: ignore[attr-defined]
        self.history.ops.append(op)
        self._transmit(_Sent(op, intent.request))

    def _transmit(self, sent: _Sent) -> None:
        assert self._end is not None
        self._xid += 1
        self._sent[self._xid] = sent
        seq = sent.op.seq
        acked = min(self._acked, seq - 1) if seq else 0
        if self._kept:
            acked = min(acked, self._kept[0].op.seq - 1)
        self._end.write(encode_request(self._xid, sent.request, seq, acked))

    # --- time -----------------------------------------------------------------------------------

    def _check(self) -> None:
        """Heartbeats, and the end of patience with a silent node."""
        self.process.call_later(CHECK_MS, self._check)
        if self._end is None:
            return
        now_us = self._now()
        waits = bool(self._sent) or bool(self._pings) or not self._ready
        if waits and now_us - self._heard_us > self.patience_ms * US_PER_MS:
            self.hang_up()
        elif self._ready and now_us - self._pinged_us > self.timeout_ms * US_PER_MS // 3:
            self._pinged_us = now_us
            self._xid += 1
            self._pings[self._xid] = now_us
            self._end.write(encode_request(self._xid, rq.Ping()))
