"""Heartbeats of sessions, both sides: this node's gateway tells the leader whom it has heard, and,
while this node leads, its policy decides whose silence has lasted too long.

Heartbeats do not go through the log; ends of sessions do (design section 6).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from coord.model import commands
from coord.node.peer_messages import Touches, TouchesConfirmed
from coord.raft.types import NO_NODE, NodeId
from coord.session.expiry import ExpiryPolicy
from coord.session.heartbeats import HeartbeatBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord.node.connection import Connection
    from coord.node.driver import Driver
    from coord.node.gateway import Gateway
    from coord.node.ports import Clock
    from coord.node.reads import ReadRounds
    from coord.store.applied import Applied
    from coord.store.member_store import Store


class _Ping(NamedTuple):
    """A heartbeat that waits for the leader's acknowledgement."""

    conn: Connection
    xid: int


class _Unconfirmed(NamedTuple):
    """A batch of contacts whose sender (None: this node) waits for the acknowledgement."""

    round: int
    peer: NodeId | None
    batch: int
    refused: list[int]


class Liveness:
    """Who is alive, as this node knows it."""

    def __init__(
        self,
        driver: Driver,
        store: Store,
        clock: Clock,
        own_id: NodeId,
        rounds: ReadRounds,
        grace_ms: int,
    ) -> None:
        self.gateway: Gateway
        self._driver = driver
        self._store = store
        self._clock = clock
        self._policy = ExpiryPolicy(own_id, grace_ms)
        self._rounds = rounds
        self._unconfirmed: list[_Unconfirmed] = []
        """Batches counted, not yet acknowledged. Invariant: rounds do not fall."""
        self.controls: Counter[int] = Counter()
        """Sessions opened, attached, closed and expired in the cluster, by the command's kind."""
        self._contacts: dict[int, int] = {}
        """Sessions heard since the last batch, and when first."""
        self.now_ms = clock.monotonic_ms()
        """As of the last tick."""
        self._heartbeats = HeartbeatBatch(clock.monotonic_ms(), grace_ms)

    # --- the gateway's side ---------------------------------------------------------------------

    def heard(self, session: int) -> None:
        """Any request of this session arrived. Hot path: dated by the first contact since the
        last batch and by the last tick, which is early by less than BATCH_INTERVAL_MS + TICK_MS;
        only heartbeats (:meth:`ping`), on which holds stand, are dated exactly."""
        if session not in self._contacts:
            self._contacts[session] = self.now_ms

    def ping(self, conn: Connection, xid: int) -> None:
        """A heartbeat: answered once the leader has acknowledged its batch."""
        self._heartbeats.ping(conn.session, _Ping(conn, xid), self._clock.monotonic_ms())

    def send_batch(self) -> None:
        """Called every BATCH_INTERVAL_MS."""
        now_ms = self._clock.monotonic_ms()
        contacts, self._contacts = self._contacts, {}
        for session, heard_ms in contacts.items():
            self._heartbeats.heard(session, heard_ms)
        for conn in self.gateway.admission.in_line():
            self._heartbeats.heard(conn.session, now_ms)
        self.gateway.set_cut_off(self._heartbeats.is_cut_off(now_ms))
        leader = self._driver.raft.leader
        if leader == NO_NODE:
            return
        batch = self._heartbeats.take(now_ms)
        if self._driver.is_leader:
            self._count(None, batch.id, batch.heard, now_ms)
        else:
            self._driver.post(leader, Touches(batch.id, [list(pair) for pair in batch.heard]))

    def on_confirmed(self, message: TouchesConfirmed) -> None:
        """The leader's answer to one of our batches."""
        self._confirmed(message.batch, message.refused)

    def _confirmed(self, batch: int, refused: list[int]) -> None:
        revision = self._store.machine.applied_index
        for token in self._heartbeats.acknowledged(batch, frozenset(refused)):
            assert isinstance(token, _Ping)
            conn, xid = token
            self.gateway.send(conn, conn.codec.reply(xid, revision, ()))
        self.gateway.flush()

    # --- the leader's side ----------------------------------------------------------------------

    def on_touches(self, peer: NodeId, message: Touches) -> None:
        """A gateway's batch; unanswered unless contact counts here."""
        pairs = [(session, ago_ms) for session, ago_ms in message.pairs]
        self._count(peer, message.batch, pairs, self._clock.monotonic_ms())

    def _count(
        self, peer: NodeId | None, batch: int, pairs: list[tuple[int, int]], now_ms: int
    ) -> None:
        """Extend deadlines now, acknowledge after a read round that began after the batch came:
        it proves that no newer leader had started its deadlines before."""
        refused = self._policy.touch(pairs, now_ms)
        if refused is not None:
            self._unconfirmed.append(_Unconfirmed(self._rounds.join(), peer, batch, refused))
            self._driver.wake()

    def on_round_confirmed(self) -> None:
        """This node led when the rounds up to ``rounds.confirmed`` began."""
        confirmed = self._rounds.confirmed
        done = [entry for entry in self._unconfirmed if entry.round <= confirmed]
        self._unconfirmed = [entry for entry in self._unconfirmed if entry.round > confirmed]
        for _, peer, batch, refused in done:
            if peer is None:
                self._confirmed(batch, refused)
            else:
                self._driver.post(peer, TouchesConfirmed(batch, refused))

    def deadlines(self) -> Iterator[tuple[int, int]] | None:
        """(session, when its timeout ends unless it is heard); None unless this node leads."""
        return self._policy.deadlines()

    def on_leadership(self) -> None:
        """Term or leader changed: what was sent to the old leader goes to the new one."""
        self._heartbeats.leader_changed()
        self._unconfirmed.clear()
        self._policy.deactivate()

    def on_applied(self) -> None:
        """After each batch: the moment this leader's own first entry is applied, contact counts,
        and every session has its whole timeout again."""
        if not self._policy.is_active and self._driver.accepts_proposals:
            rows = self._store.machine.sessions
            sessions = ((row.id, row.generation, row.timeout_ms) for row in rows)
            self._policy.activate(sessions, self._clock.monotonic_ms())

    def on_control(self, applied: Applied) -> None:
        """A session was opened, attached or ended."""
        if applied.code != 0:
            return
        self.controls[applied.kind] += 1
        if applied.kind in (commands.OPEN_SESSION, commands.ATTACH_SESSION):
            row = self._store.machine.sessions.get(applied.session)
            if row is not None:
                now_ms = self._clock.monotonic_ms()
                self._policy.opened(row.id, row.generation, row.timeout_ms, now_ms)
        elif applied.kind in (commands.CLOSE_SESSION, commands.EXPIRE_SESSION):
            self._policy.closed(applied.session)

    def check(self) -> None:
        """Propose the end of sessions that were silent too long; called every CHECK_INTERVAL_MS."""
        if not self._driver.accepts_proposals:
            return
        ends = self._policy.check(self._clock.monotonic_ms())
        if not ends:
            return
        # Once queued, a proposal is in doubt until the log or a new term has decided: the policy
        # refuses the session's contact until then.
        proposals = [commands.expire_session(*end) for end in ends]
        if not self._driver.propose(proposals):
            for end in ends:
                self._policy.withdrawn(end.session)

    def slept(self) -> None:
        """This process did not run for longer than an election timeout: it decides nothing until
        it leads again, and ZooKeeper's clients are not told that they are alive."""
        self.gateway.set_cut_off(self._heartbeats.is_cut_off(self._clock.monotonic_ms()))
        self._policy.deactivate()
        self._unconfirmed.clear()
