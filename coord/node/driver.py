"""The Ready loop: propose → persist → send → apply → notify. Sole caller of RaftNode, sole applier.

One flush serves everything that arrived in one turn of the loop: proposals become one run of
entries, messages one frame per peer, durable work one transaction of the log writer, committed
entries one transaction of the tree. Nothing here is paid per request.

Order of durability (docs/raft.md): ``messages`` leave at once, ``messages_after`` only when every
write submitted before them is durable; entries are applied only once durable on this node.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from coord.model.commands import STAMP
from coord.model.errors import (
    CorruptionError,
    ForeignDataError,
    NewerFormatError,
    StorageError,
)
from coord.model.limits import MIB
from coord.raft import NO_NODE, Index, Role
from coord.raft.messages import InstallSnapshot
from coord.store.raft_log import LogWrite
from coord.store.state_machine import cut_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from coord.node.ports import Clock, Scheduler, Transport
    from coord.raft import LogSlice, NodeId, RaftNode, Ready, SnapshotMeta, Term
    from coord.raft.messages import Message
    from coord.store.applied import AppliedBatch
    from coord.store.log_writer import LogWriter
    from coord.store.member_store import Store

APPLY_BUDGET_MS: Final = 5
"""An apply that takes longer is cut here and continued after ticks, heartbeats and peers."""
APPLY_ENTRIES_MAX: Final = 4_096
APPLY_RETRY_MS: Final = 200
APPLY_FAILURES_TO_LEAVE: Final = 10
"""After 2 s of failed applies a leader hands over."""
APPLY_FAILURES_TO_END: Final = 150
"""After 30 s of failed applies, though there is space, the tree's file is beyond hope."""
PROPOSALS_MAX: Final = 65_536
"""Commands waiting for a leader that may not propose yet; past it new ones are dropped and
their gateways send them again."""


WRITES_UNDER_WAY_MAX: Final = 1
"""While this many log writes are under way, proposals gather for the next: the disk sets the pace,
and a batch costs one write, one message to each peer and one apply, however many clients there are.
"""
PROPOSAL_BYTES_MAX: Final = 64 * MIB
RUN_BYTES_MAX: Final = 4 * MIB


class DriverEvents(Protocol):
    """What the rest of the node hears."""

    def on_flush(self) -> None:
        """A flush begins: hand over what has gathered (commands, read rounds)."""

    def wants_flush(self) -> bool:
        """``on_flush`` would hand something over. Asked by each tick."""
        ...

    def on_send_failed(self, peer: NodeId) -> None:
        """Messages to this peer were dropped."""

    def on_applied(self, batch: AppliedBatch) -> None:
        """The tree has taken these entries; called once per batch, in order."""

    def on_apply_stalled(self) -> None:
        """The tree could not be written for a while."""

    def on_reads_confirmed(self, read_id: int) -> None:
        """Rounds up to ``read_id`` may be served from the applied state."""

    def on_reads_dropped(self) -> None:
        """Outstanding read rounds are void; start new ones."""

    def on_leadership(self, term: Term, leader: NodeId) -> None:
        """Term or leader changed as this node sees it (leader 0: unknown)."""

    def on_installed(self) -> None:
        """A snapshot replaced the tree."""

    def on_snapshot_refused(self, meta: SnapshotMeta) -> None:
        """A follower could not use the snapshot that it was sent."""

    def on_fatal(self, error: BaseException) -> None:
        """The node cannot go on; nothing unacknowledged may be acknowledged any more."""


class _Turn:
    """A Ready whose messages wait until it, and every one before it, is durable."""

    __slots__ = ("durable", "messages", "seq")

    def __init__(self, seq: int, messages: list[Message]) -> None:
        self.seq = seq
        self.messages = messages
        self.durable = False


class Driver:
    """Runs one RaftNode on one store. Single-threaded; never blocks on the log's disk."""

    def __init__(
        self,
        raft: RaftNode,
        store: Store,
        log_writer: LogWriter,
        transport: Transport,
        scheduler: Scheduler,
        clock: Clock,
        events: DriverEvents,
    ) -> None:
        self.raft = raft
        self.store = store
        self.stopped = False
        self._log_writer = log_writer
        self._transport = transport
        self._scheduler = scheduler
        self._clock = clock
        self._events = events
        self._flush_due = False
        self._proposals: list[bytes] = []
        self._proposal_bytes = 0
        self._outgoing: dict[NodeId, list[Any]] = {}
        self._waiting: deque[_Turn] = deque()
        """Readys that wait for their turn of durability. Invariant: seqs grow, and the first is
        not durable yet."""
        self._committed: list[LogSlice] = []
        self._applying: Generator[None, None, AppliedBatch] | None = None
        """The batch ``_current`` on its way into the tree."""
        self._apply_pause_due = False
        self._reads: deque[tuple[int, Index]] = deque()
        self._leadership: tuple[Term, NodeId] = (raft.term, raft.leader)
        self._stamp_term: Term | None = None
        self._stamp_base_ms = 0
        self._install_due: SnapshotMeta | None = None
        self._installing = False
        self._storage_failures: tuple[type[Exception], ...] = (
            StorageError,
            *store.tree.failures,
        )
        self._fatal_failures: tuple[type[Exception], ...] = (
            CorruptionError,
            NewerFormatError,
            *store.tree.damage,
        )
        self._apply_failures = 0
        self.on_transfer: Callable[[Term], None] = lambda _term: None
        """Told when this leader has asked another to take over."""
        self.applied_entries = 0
        self.proposed = 0
        """Commands that entered this leader's log."""
        self.flushes = 0

    # --- inputs ---------------------------------------------------------------------------------

    @property
    def is_leader(self) -> bool:
        """This node leads its term (perhaps not yet ready to take proposals)."""
        return self.raft.role is Role.LEADER

    @property
    def accepts_proposals(self) -> bool:
        """Leader whose own first entry is applied: it knows every session and the log's time."""
        return self.is_leader and self.store.machine.applied_term == self.raft.term

    def propose(self, commands: list[bytes]) -> bool:
        """Queue commands for the next flush; False if the queue is full or this is no leader."""
        if not self.is_leader or len(self._proposals) >= PROPOSALS_MAX:
            return False
        if self._proposal_bytes >= PROPOSAL_BYTES_MAX:
            return False
        self._proposals.extend(commands)
        self._proposal_bytes += sum(map(len, commands))
        self.wake()
        return True

    def post(self, to: NodeId, message: object) -> None:
        """Send a node-to-node message with the next flush (dropped if there is no link)."""
        self._outgoing.setdefault(to, []).append(message)
        self.wake()

    def step(self, messages: list[Message]) -> None:
        """Raft messages from a peer."""
        step = self.raft.step
        for message in messages:
            step(message)
        self.wake()

    def tick(self) -> None:
        """One Raft tick. Most leave nothing to do, and then nothing is flushed."""
        self.raft.tick()
        if self._has_work():
            self.wake()

    def _has_work(self) -> bool:
        """A flush would do something."""
        return bool(
            self.raft.has_ready()
            or self._proposals
            or self._outgoing
            or self._committed
            or self._applying is not None
            or self._leadership != (self.raft.term, self.raft.leader)
            or self._events.wants_flush()
        )

    def queues(self) -> dict[str, int]:
        """What waits: proposals for the log, log writes for the disk, committed runs for apply."""
        return {
            "proposals": len(self._proposals),
            "log_writes": len(self._waiting),
            "apply": len(self._committed),
        }

    def read_index(self, read_id: int) -> bool:
        """Start a linearizable read round; False if no leader is known (the next tick's flush
        asks again). Called while a flush begins, which then sends it."""
        return self.raft.read_index(read_id)

    def transfer(self, successor: NodeId) -> None:
        """Give leadership away. Raises RaftRefusal."""
        self.raft.transfer(successor)
        self.on_transfer(self.raft.term)
        self.wake()

    def wake(self) -> None:
        """Flush once after the input of this turn of the loop."""
        if not self._flush_due and not self.stopped:
            self._flush_due = True
            self._scheduler.call_soon(self.flush)

    def stop(self) -> None:
        """Do nothing any more; a write in flight is left to the log writer."""
        self.stopped = True
        self._drop_applying()

    def fail(self, error: BaseException) -> None:
        """The node cannot go on: nothing is acknowledged from here on."""
        self.stopped = True
        self._events.on_fatal(error)

    # --- the loop -------------------------------------------------------------------------------

    def flush(self) -> None:
        """Turn queued input into one batch of output."""
        self._flush_due = False
        if self.stopped:
            return
        self.flushes += 1
        self._events.on_flush()
        if self._proposals:
            self._propose_queued()
        raft = self.raft
        while raft.has_ready():
            ready = raft.ready()
            self._dispatch(ready)
            if ready.committed:
                break  # Apply it before asking for more; the next flush follows at once.
        if self._outgoing:
            self._send()
        self._note_leadership()
        if self._has_applying_to_do():
            self._apply()
        if raft.has_ready() or self._outgoing:
            self.wake()

    def _propose_queued(self) -> None:
        if not self.is_leader:
            self._forget_proposals()
        elif self.accepts_proposals and len(self._waiting) < WRITES_UNDER_WAY_MAX:
            stamp = self._stamp()
            while self._proposals:
                count = self._run_length()
                run = [stamp + command for command in self._proposals[:count]]
                if self.raft.propose(run) is None:
                    return  # Too much is uncommitted, or leadership moves: they wait.
                self.proposed += count
                del self._proposals[:count]
                self._proposal_bytes -= sum(map(len, run)) - count * len(stamp)

    def _run_length(self) -> int:
        """How many of the queued commands make the next run: all but when they are large."""
        if self._proposal_bytes <= RUN_BYTES_MAX:
            return len(self._proposals)
        room = RUN_BYTES_MAX
        for count, command in enumerate(self._proposals):
            room -= len(command)
            if room < 0:
                return max(1, count)
        return len(self._proposals)

    def _forget_proposals(self) -> None:
        """Their gateways send them to the next leader."""
        self._proposals.clear()
        self._proposal_bytes = 0

    def _stamp(self) -> bytes:
        """wall_ms and log_ms of a batch: log time starts at the last applied value and advances
        by this leader's monotonic clock, so that clock steps have no effect."""
        now_ms = self._clock.monotonic_ms()
        if self._stamp_term != self.raft.term:
            self._stamp_term = self.raft.term
            self._stamp_base_ms = self.store.machine.log_ms - now_ms
        return STAMP.pack(self._clock.wall_ms(), max(0, self._stamp_base_ms + now_ms))

    @property
    def log_now_ms(self) -> int:
        """Log time as this leader would stamp it now."""
        if self._stamp_term != self.raft.term:
            return self.store.machine.log_ms
        return self._stamp_base_ms + self._clock.monotonic_ms()

    def _dispatch(self, ready: Ready) -> None:
        for message in ready.messages:
            self._outgoing.setdefault(message.to, []).append(message)
        if ready.must_wait:
            self._persist(ready)
        if ready.committed:
            self._committed.extend(ready.committed)
        if ready.read_states:
            self._reads.extend((state.read_id, state.index) for state in ready.read_states)
            self._confirm_reads()
        if ready.reads_dropped:
            self._events.on_reads_dropped()
        if ready.snapshot_chunk is not None:
            self._store_chunk(ready)
        if ready.refused_snapshot is not None:
            self._events.on_snapshot_refused(ready.refused_snapshot)

    def _queue(self, messages: list[Message]) -> None:
        for message in messages:
            self._outgoing.setdefault(message.to, []).append(message)

    def _send(self) -> None:
        outgoing, self._outgoing = self._outgoing, {}
        for peer, messages in outgoing.items():
            for at, message in enumerate(messages):
                if type(message) is InstallSnapshot and message.data is None:
                    messages[at] = self._filled(message)
            whole = [message for message in messages if message is not None]
            if whole and not self._transport.send(peer, whole):
                self.raft.unreachable(peer)
                self._events.on_send_failed(peer)

    # --- durability -----------------------------------------------------------------------------

    def _persist(self, ready: Ready) -> None:
        turn = _Turn(ready.seq, ready.messages_after)
        self._waiting.append(turn)
        if not ready.needs_sync:
            turn.durable = True
            self._release()
            return
        write = LogWrite(ready.entries, ready.hard_state, ready.appended_membership)

        def done(error: BaseException | None) -> None:
            if self.stopped:
                return
            if error is not None:
                # EIO, ENOSPC and short writes look alike: what the disk holds is unknown, so
                # nothing may be acknowledged from here on (docs/storage.md).
                self.fail(error)
                return
            turn.durable = True
            self._release()

        self._log_writer.submit(write, done)

    def _release(self) -> None:
        """Report and let go what is durable, in order."""
        seq = 0
        waiting = self._waiting
        while waiting and waiting[0].durable:
            turn = waiting.popleft()
            seq = turn.seq
            self._queue(turn.messages)
        if seq:
            self.raft.persisted(seq)
            self._maybe_install()
            self.wake()

    # --- applying -------------------------------------------------------------------------------

    def _apply(self) -> None:
        """Apply what is committed, at most APPLY_BUDGET_MS at a time."""
        if self._apply_pause_due or self._installing:
            return
        deadline_ms = self._clock.monotonic_ms() + APPLY_BUDGET_MS
        while self._has_applying_to_do():
            try:
                has_waited = self._apply_step()
            except self._fatal_failures as error:
                self._applying = None
                self.fail(error)
                return
            except self._storage_failures as error:
                self._apply_failed(error)
                return
            if has_waited or self._clock.monotonic_ms() >= deadline_ms:
                if self._has_applying_to_do():
                    self._pause_apply(0)
                return

    def _has_applying_to_do(self) -> bool:
        return bool(self._committed) or self._applying is not None or self._machine_folds()

    def _machine_folds(self) -> bool:
        machine = self.store.machine
        return machine.is_folding or machine.must_fold

    def _apply_step(self) -> bool:
        """A step of the batch on its way; between two batches, one of the fold. True: there was
        only a fold to go on with, which nobody waits for."""
        machine = self.store.machine
        if self._applying is None and self._machine_folds():
            machine.fold_step()
            if not self._committed or machine.must_fold:
                return not machine.must_fold
        if self._applying is None:
            self._current = self._take_committed()
            self._applying = machine.apply_steps(self._current)
        try:
            next(self._applying)
        except StopIteration as end:
            self._applying = None
            self._applied(end.value)
        return False

    def _apply_failed(self, error: Exception) -> None:
        """A local failure is never a result: nothing was applied, stall and try again."""
        if self._applying is not None:
            self._applying = None
            self._committed[:0] = self._current
        self._apply_failures += 1
        if self._apply_failures >= APPLY_FAILURES_TO_END and self.store.writes_allowed():
            self.fail(self._given_up(error))
            return
        if self._apply_failures % APPLY_FAILURES_TO_LEAVE == 0:
            self._events.on_apply_stalled()
        self._pause_apply(APPLY_RETRY_MS)

    def _drop_applying(self) -> None:
        """End what is on its way into the tree as if it had not begun."""
        if self._applying is not None:
            self._applying.close()
            self._applying = None
        self.store.machine.drop_fold()

    def _given_up(self, error: Exception) -> CorruptionError:
        self.store.distrust_tree()
        return CorruptionError(
            f"the tree could not be written for {APPLY_FAILURES_TO_END * APPLY_RETRY_MS // 1_000} s"
            f" and is rebuilt at the next start: {error}"
        )

    def _take_committed(self) -> list[LogSlice]:
        taken: list[LogSlice] = []
        count = 0
        for slice_ in self._committed:
            if taken and count + len(slice_.payloads) > APPLY_ENTRIES_MAX:
                break
            taken.append(slice_)
            count += len(slice_.payloads)
        del self._committed[: len(taken)]
        taken, rest = cut_batch(taken)
        self._committed[:0] = rest
        return taken

    def _pause_apply(self, delay_ms: int) -> None:
        self._apply_pause_due = True

        def resume() -> None:
            self._apply_pause_due = False
            self.wake()

        if delay_ms:
            self._scheduler.call_later(delay_ms, resume)
        else:
            self._scheduler.call_soon(resume)

    def _applied(self, batch: AppliedBatch) -> None:
        self._apply_failures = 0
        self.applied_entries += batch.last - batch.first + 1
        self.raft.applied(Index(batch.last))
        self._events.on_applied(batch)
        self._confirm_reads()

    def _confirm_reads(self) -> None:
        applied = self.store.machine.applied_index
        confirmed = 0
        while self._reads and self._reads[0][1] <= applied:
            confirmed = max(confirmed, self._reads.popleft()[0])
        if confirmed:
            self._events.on_reads_confirmed(confirmed)

    def _note_leadership(self) -> None:
        now = (self.raft.term, self.raft.leader)
        if now != self._leadership:
            self._leadership = now
            if not self.is_leader:
                self._forget_proposals()
            self._events.on_leadership(*now)

    # --- snapshots ------------------------------------------------------------------------------

    def _filled(self, message: InstallSnapshot) -> InstallSnapshot | None:
        """A snapshot message with its bytes, or None if the file is gone."""
        data = self.store.snapshots.read_chunk(message.meta.checksum, message.offset, message.size)
        if data is None:
            self.raft.snapshot_unavailable(message.to)
            return None
        return replace(message, data=data)

    def _store_chunk(self, ready: Ready) -> None:
        chunk = ready.snapshot_chunk
        assert chunk is not None
        if self._installing or self._install_due is not None:
            return
        try:
            held = self.store.snapshots.receive_chunk(chunk.meta, chunk.offset, chunk.data)
        except StorageError:
            # Unanswered, the leader offers it again after a pause; there may be room then.
            self.raft.chunk_dropped(chunk.meta.checksum)
            return
        self.raft.chunk_stored(chunk.meta.checksum, held)
        if held >= chunk.meta.length:
            self._install_due = chunk.meta
            self._maybe_install()

    def _maybe_install(self) -> None:
        """Install the received snapshot once every earlier Ready is durable. The core takes no
        entries meanwhile; what was committed and not applied is covered by the snapshot."""
        meta = self._install_due
        if meta is None or self._waiting:
            return
        self._install_due = None
        self._installing = True
        self._drop_applying()
        self._committed.clear()

        def done(error: BaseException | None) -> None:
            self._installing = False
            if self.stopped:
                return
            if isinstance(error, CorruptionError | ForeignDataError):
                self.raft.chunk_failed(meta.checksum)
            elif error is not None:
                self.fail(error)
            else:
                self.raft.snapshot_installed(meta)
                self._events.on_installed()
            self.wake()

        self.store.snapshots.install(meta, done)

    def run_when_idle(self, call: Callable[[], None]) -> None:
        """Run ``call`` between applies (it needs the tree's committed state to hold still)."""
        if self._applying is None:
            call()
        else:
            self._scheduler.call_soon(lambda: self.run_when_idle(call))

    def best_successor(self) -> NodeId:
        """The live voter that has most of the log, to hand leadership to; NO_NODE if none."""
        voters = [
            progress
            for progress in self.raft.statistics().progress
            if progress.recently_active and not progress.is_learner
        ]
        return max(voters, key=lambda progress: progress.match).id if voters else NO_NODE
