"""One running member: wires the front half (gateway) to the back half (driver) and keeps time.

Takes its collaborators as arguments and reads no clock, opens no socket and starts no thread of
its own, so that the simulator runs the same object (``coord.app`` is the other caller).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from coord.model.errors import CorruptionError
from coord.model.limits import TICK_MS
from coord.node.admin import CALL_MS_MAX, Admin
from coord.node.attach import Attachments
from coord.node.digests import DigestBook, Verdict
from coord.node.driver import Driver
from coord.node.features import FeatureKeeper
from coord.node.forwarding import PROGRESS_CHECK_MS, Forwarder
from coord.node.gateway import Gateway
from coord.node.housekeeping import Housekeeping
from coord.node.leaders import LeaderBook
from coord.node.liveness import Liveness
from coord.node.peer_messages import (
    AdminAnswer,
    AdminCall,
    DigestSample,
    Forward,
    ForwardRefused,
    Touches,
    TouchesConfirmed,
)
from coord.node.questions import Questions
from coord.node.quota_warnings import QuotaWarnings
from coord.node.reads import ReadRounds, ReadServer
from coord.node.reconfig import Reconfigurer
from coord.node.replacement import MembershipKeeper
from coord.node.status import NodeStatus, describe
from coord.node.streams import Streams
from coord.node.ticker import Ticker
from coord.node.traffic import NodeTraffic
from coord.node.turns import Turns
from coord.node.watch_requests import WatchRequests
from coord.raft import Index, RaftNode, RaftRefusal
from coord.session.expiry import CHECK_INTERVAL_MS
from coord.session.heartbeats import BATCH_INTERVAL_MS
from coord.store.reader import TreeReader
from coord.watch.notify import BOOKMARK_MS
from coord.watch.registry import WatchRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord.node.ports import Clock, Scheduler, Transport
    from coord.node.settings import NodeSettings
    from coord.raft.types import NodeId, SnapshotMeta, Term
    from coord.store.applied import AppliedBatch
    from coord.store.log_writer import LogWriter
    from coord.store.member_store import Store

UPKEEP_MS: Final = 100
HANDSHAKE_CHECK_MS: Final = 200
HOUSEKEEPING_MS: Final = 1_000
STUCK_LOOK_MS: Final = 200
REAP_AGAIN_MS: Final = 200
"""Between two batches of nodes to reap when one look has found many."""


class Node:
    """A member of the cluster. All methods run on one thread."""

    def __init__(
        self,
        settings: NodeSettings,
        store: Store,
        clock: Clock,
        scheduler: Scheduler,
        transport: Transport,
        log_writer: LogWriter,
        random_bytes: Callable[[int], bytes],
        jitter: Callable[[int], int],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self._transport = transport
        self._on_fatal = on_fatal
        self.started_ms = clock.monotonic_ms()
        self.id = settings.raft.id
        raft = RaftNode(settings.raft, store.log, jitter, Index(store.machine.applied_index))
        self.raft = raft
        self.log_writer = log_writer
        self.driver = Driver(raft, store, log_writer, transport, scheduler, clock, self)
        self.leaders = LeaderBook(self.id, clock, self.is_linked)
        self.driver.on_transfer = self.leaders.handing_over
        self.reader = TreeReader(store.tree)
        self.registry = WatchRegistry()
        self.rounds = ReadRounds()
        self.reads = ReadServer(self.reader, self.registry, clock)
        self.streams = Streams(self.registry, self.reader, store, scheduler)
        self.forwarder = Forwarder(self.driver, scheduler)
        self.liveness = Liveness(self.driver, store, clock, self.id, self.rounds, settings.grace_ms)
        self.keeper = MembershipKeeper(self.driver, self.id)
        self.features = FeatureKeeper(self.driver, store, self.id, settings.feature_level)
        self.housekeeping = Housekeeping(self.driver, store, log_writer)
        self.admin = Admin(
            self.driver, store, self.reader, self.keeper, self.housekeeping, self._status_dict
        )
        self.gateway = self._make_gateway(scheduler)
        self.gateway.attachments = self._attachments(random_bytes)
        self.admin.gateway = self.gateway
        self.liveness.gateway = self.gateway
        self.forwarder.bind(self._unapplied)
        self.ticker = Ticker(clock, scheduler, self._tick, self.woke_after_stall, settings.stall_ms)
        self.quota_warnings = QuotaWarnings(clock, lambda: self.driver.is_leader)
        self._digests = DigestBook(self.id)
        self._last_sample = 0
        self._membership = raft.membership
        self._ticks = 0
        self.digest_alarm = False
        self.apply_stalls = 0
        self._links: set[NodeId] = set()
        self._periodic = self._upkeep_table()
        self._periodic_due_ms = 0

    def _make_gateway(self, scheduler: Scheduler) -> Gateway:
        turns = Turns(scheduler)
        gateway = Gateway(
            self.store,
            self.reads,
            self.rounds,
            self.streams,
            (
                Questions(self.reads, turns, self.settings.super_digest),
                WatchRequests(self.registry, self.reads, turns),
                Reconfigurer(self, scheduler, is_allowed=self.settings.reconfig),
            ),
            self.forwarder,
            self.liveness,
            self.admin,
            NodeTraffic(self.clock),
            offers_read_only=self.settings.read_only,
        )
        turns.gateway = gateway
        return gateway

    def _attachments(self, random_bytes: Callable[[int], bytes]) -> Attachments:
        return Attachments(
            self.gateway,
            self.store,
            self.forwarder,
            self.rounds,
            self.clock,
            random_bytes,
            self.settings.clamp_timeout_ms,
            self._handshake_info,
        )

    def _upkeep_table(self) -> tuple[tuple[int, Callable[[], None]], ...]:
        """(interval in ms, what to do that often)."""
        return (
            (UPKEEP_MS, self.keeper.upkeep),
            (UPKEEP_MS, self.features.upkeep),
            (CHECK_INTERVAL_MS, self.liveness.check),
            (BATCH_INTERVAL_MS, self.liveness.send_batch),
            (HANDSHAKE_CHECK_MS, self.gateway.attachments.expire),
            (PROGRESS_CHECK_MS, self.forwarder.check_progress),
            (PROGRESS_CHECK_MS, self.reads.pages.expire),
            (HOUSEKEEPING_MS, self.housekeeping.check),
            (HOUSEKEEPING_MS, self._leave_if_full),
            (STUCK_LOOK_MS, self._send_clients_away_if_stuck),
            (CALL_MS_MAX, self.admin.expire),
            (self.settings.reap_interval_ms, self._reap),
            (REAP_AGAIN_MS, self._reap_more),
            (BOOKMARK_MS // 2, self._bookmark),
        )

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick and to talk to peers."""
        self._transport.set_members(self.raft.membership)
        self._transport.start(self)
        self.ticker.start()
        self.driver.wake()

    def stop(self) -> None:
        """Stop at once; the store is closed by the caller."""
        self.ticker.stop()
        self.driver.stop()
        self.reads.pages.close()
        self.reader.close()

    def drain(self) -> None:
        """Send clients to other nodes; they resume there. Leadership is handed over first by
        the caller (:meth:`hand_over`)."""
        self.gateway.draining = True
        self.gateway.end_all("draining", "this node is stopping; reconnect to another")

    def hand_over(self) -> bool:
        """Give leadership to the best follower; False if this node does not lead or none can."""
        successor = self.driver.best_successor()
        if not self.driver.is_leader or not successor:
            return False
        try:
            self.driver.transfer(successor)
        except RaftRefusal:
            return bool(self.raft.transferee)  # A transfer is under way already, or impossible.
        return True

    def _leave_if_full(self) -> None:
        """A leader without space for the log would refuse everybody's writes: another leads."""
        if self.driver.is_leader and not self.gateway.admission.has_space:
            self.hand_over()

    def on_apply_stalled(self) -> None:
        """This node's tree cannot be written: as leader it would know no new session, and its
        clients would wait here for results that other nodes have."""
        self.apply_stalls += 1
        self.hand_over()
        self.gateway.end_all("draining", "this node cannot write its tree; reconnect to another")

    def woke_after_stall(self, gap_ms: int) -> None:
        """The process did not run for ``gap_ms``: its beliefs are stale. Called before any queued
        input is handled."""
        del gap_ms
        self.liveness.slept()
        self.raft.woke_after_stall()
        self.driver.wake()

    def _tick(self) -> None:
        self.liveness.now_ms = self.clock.monotonic_ms()
        self.gateway.tick(has_space=self.store.writes_allowed())
        self.driver.tick()
        before_ms = self._ticks * TICK_MS
        self._ticks += 1
        now_ms = before_ms + TICK_MS
        if now_ms >= self._periodic_due_ms:
            self._run_periodic(before_ms, now_ms)

    def _run_periodic(self, before_ms: int, now_ms: int) -> None:
        """What is due between two ticks. Most ticks are nobody's turn."""
        for interval_ms, call in self._periodic:
            if before_ms // interval_ms != now_ms // interval_ms:
                call()
        self._periodic_due_ms = min(
            (now_ms // interval_ms + 1) * interval_ms for interval_ms, _ in self._periodic
        )

    def _send_clients_away_if_stuck(self) -> None:
        """What they ask of this node waits for its disk, whoever leads; the others have their own.
        Again and again: some come back here."""
        if self.raft.disk_is_stuck:
            self.gateway.end_all("draining", "the disk of this node is stuck; reconnect to another")

    def _reap(self) -> None:
        self.housekeeping.reap(self.reader)

    def _reap_more(self) -> None:
        if self.housekeeping.has_more_to_reap:
            self._reap()

    def _bookmark(self) -> None:
        self.streams.bookmark(self.gateway.send)
        self.gateway.flush()

    # --- DriverEvents ---------------------------------------------------------------------------

    def wants_flush(self) -> bool:
        """``on_flush`` would hand something over: a read round waits for a leader, say."""
        return bool(
            self.forwarder.commands
            or self.rounds.is_wanted
            or self.raft.membership is not self._membership
        )

    def on_flush(self) -> None:
        """Hand gathered commands and read rounds to the core."""
        self.forwarder.flush()
        self.rounds.start(self.driver)
        if self.raft.membership is not self._membership:
            self._membership = self.raft.membership
            self._transport.set_members(self._membership)

    def on_send_failed(self, peer: NodeId) -> None:
        """Forwarded commands may be among what was dropped."""
        if peer == self.raft.leader:
            self.forwarder.resend_later()

    def on_applied(self, batch: AppliedBatch) -> None:
        """Entries were applied: answer, notify, compare."""
        self.gateway.on_applied(batch)
        if batch.over_quota:
            self.quota_warnings.note(batch.over_quota)
        self.liveness.on_applied()
        samples = self.store.machine.digests
        if samples and samples[-1][0] > self._last_sample:
            self._share_digests([pair for pair in samples if pair[0] > self._last_sample])

    def on_reads_confirmed(self, read_id: int) -> None:
        """Serve the reads of that round, acknowledge the contacts that waited for it."""
        self.gateway.on_reads_confirmed(read_id)
        self.liveness.on_round_confirmed()

    def on_reads_dropped(self) -> None:
        """Ask again for everything that waits."""
        self.rounds.retry()

    def on_leadership(self, term: Term, leader: NodeId) -> None:
        """Whatever the old leader had not done goes to the new one."""
        self.leaders.changed(term, leader)
        self.liveness.on_leadership()
        self.admin.on_leadership()
        self.rounds.retry()
        if leader:
            self.forwarder.resend()
        self.liveness.on_applied()

    def on_installed(self) -> None:
        """The tree is another one: every client comes back and resumes."""
        self.gateway.end_all("draining", "this node has installed a snapshot; reconnect")
        self.reads.pages.close()
        self.reader.close()
        self.reader = TreeReader(self.store.tree)
        self.reads.reader = self.streams.reader = self.admin.reader = self.reader

    def on_snapshot_refused(self, meta: SnapshotMeta) -> None:
        """A follower could not use it."""
        self.housekeeping.on_snapshot_refused(meta)

    def on_fatal(self, error: BaseException) -> None:
        """The node cannot go on."""
        self._on_fatal(error)

    # --- PeerHandler ----------------------------------------------------------------------------

    def on_messages(self, peer: NodeId, incarnation: int, messages: list[Any]) -> None:
        """A batch from a peer."""
        del incarnation
        raft_messages = []
        for message in messages:
            handler = _PEER_TABLE.get(type(message))
            if handler is None:
                raft_messages.append(message)
            else:
                handler(self, peer, message)
        if raft_messages:
            self.driver.step(raft_messages)

    def on_link_up(self, peer: NodeId, hello: dict[str, Any]) -> None:
        """A peer introduced itself; if it leads, it may have missed what was forwarded."""
        self._links.add(peer)
        self.keeper.introduced(peer, hello)
        self.features.introduced(peer, hello)
        if peer == self.raft.leader:
            self.forwarder.resend_later()

    def on_link_lost(self, peer: NodeId) -> None:
        """Fast failover: EOF from the leader voids our own stickiness to it."""
        self._links.discard(peer)
        self.raft.link_lost(peer)
        self.driver.wake()

    # --- digests --------------------------------------------------------------------------------

    def _share_digests(self, samples: list[tuple[int, int]]) -> None:
        for index, digest in samples:
            self._last_sample = index
            for member in self.raft.membership.members:
                if member.id != self.id:
                    self.driver.post(member.id, DigestSample(index, digest))
            self._judge(self.id, index, digest)

    def _judge(self, node: NodeId, index: int, digest: int) -> None:
        voters = [member.id for member in self.raft.membership.members if member.role == 0]
        verdict = self._digests.note(node, index, digest, voters)
        if verdict is Verdict.MINORITY:
            self.store.distrust_tree()
            self.on_fatal(
                CorruptionError(
                    f"the state of this node at revision {index} differs from the majority's; its"
                    " tree is marked untrusted and is rebuilt at the next start"
                )
            )
        elif verdict is Verdict.SPLIT:
            self.digest_alarm = True

    def _on_digest(self, peer: NodeId, message: DigestSample) -> None:
        self._judge(peer, message.revision, message.digest)

    # --- facts ----------------------------------------------------------------------------------

    def _unapplied(self) -> list[bytes]:
        return [*self.gateway.attachments.unapplied(), *self.gateway.unapplied()]

    def is_linked(self, peer: NodeId) -> bool:
        """Whether a link to the peer is up."""
        return peer in self._links

    def statistics(self) -> NodeStatus:
        """An immutable picture of this node, for status, logs and metrics."""
        return describe(self)

    def _status_dict(self) -> dict[str, Any]:
        return self.statistics().as_dict()

    def _handshake_info(self) -> dict[str, Any]:
        return {
            "node": int(self.id),
            "version": self.settings.version,
            "history_id": self.store.machine.history_id,
            "leader": int(self.raft.leader),
            "drift_ppm": self.settings.drift_ppm,
        }


_PEER_TABLE: Final[dict[type, Callable[[Node, NodeId, Any], None]]] = {
    Forward: lambda node, peer, message: node.forwarder.on_forward(peer, message),
    ForwardRefused: lambda node, peer, _message: node.forwarder.on_refused(peer),
    Touches: lambda node, peer, message: node.liveness.on_touches(peer, message),
    TouchesConfirmed: lambda node, _peer, message: node.liveness.on_confirmed(message),
    AdminCall: lambda node, peer, message: node.admin.on_call(peer, message),
    AdminAnswer: lambda node, _peer, message: node.admin.on_answer(message),
    DigestSample: lambda node, peer, message: node._on_digest(peer, message),
}
