"""What must hold after every event, whatever goes wrong.

Raft's properties are checked by ``coord.raft.invariants``; this module tells it what happens, by
standing between each driver and its RaftNode, and adds what spans core and store: applied never
beyond durable or committed, one committed log for all, equal digests at equal indexes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from coord.raft import Role
from coord.raft.invariants import ClusterChecker, Key, require
from coord.raft.types import EntryKind, Index, Membership, Term
from tests.sim import upgrade
from tests.sim.core_rules import CoreRules
from tests.sim.history import Committed, History

if TYPE_CHECKING:
    from coord.raft import LogSlice, RaftNode, Ready
    from tests.sim.member import Member

INPUTS: Final = (
    "propose",
    "propose_membership",
    "transfer",
    "link_lost",
    "unreachable",
    "woke_after_stall",
    "persisted",
    "applied",
    "chunk_stored",
    "chunk_failed",
    "chunk_dropped",
    "snapshot_available",
    "snapshot_unavailable",
    "compacted",
)
NODES_MAX: Final = 64


class DurableView:
    """A node's log as the Raft checker wants to see it."""

    def __init__(self, log: Any) -> None:
        self._log = log

    @property
    def hard_state(self) -> Any:
        """Durable term and vote."""
        return self._log.initial_state()[0]

    @property
    def membership(self) -> Any:
        """Newest durable configuration."""
        return self._log.initial_state()[1]

    @property
    def marker(self) -> Any:
        """What the log starts after."""
        return self._log.initial_state()[2]

    def first_index(self) -> Index:
        """See coord.raft.storage."""
        return Index(self._log.first_index())

    def last_index(self) -> Index:
        """See coord.raft.storage."""
        return Index(self._log.last_index())

    def term(self, index: Index) -> Term | None:
        """See coord.raft.storage."""
        term: Term | None = self._log.term(index)
        return term


class Invariants:
    """Watches all members. Every method raises InvariantViolation by name."""

    def __init__(self, history: History, members: dict[int, Member]) -> None:
        self._history = history
        self._members = members
        # It asks for a MemoryStorage and uses what a DurableView has.
        self._checker = ClusterChecker(self._durable)  # type: ignore[arg-type]
        self._rules = CoreRules()
        self.reached: Counter[str] = Counter()
        """What nodes went through (see ``run.SITUATIONS``)."""
        self._terms: set[int] = set()
        self._configured: set[int] = set()
        """Node ids in the newest configuration applied anywhere."""
        self._handed: dict[Key, int] = {}
        self._digests: dict[int, int] = {}
        self._applied: dict[int, int] = {}

    def _durable(self, key: Key) -> DurableView | None:
        return self._members[key[0]].durable(key)

    # --- life -----------------------------------------------------------------------------------

    def started(self, member: Member, raft: RaftNode) -> None:
        """A node has been built on what its disk holds; nothing has been called yet."""
        key = member.key
        self._checker.started(key, raft)
        self._rules.started(key, raft)
        self._applied.pop(member.id, None)
        member.checked_index = -1
        if member.lives > 1 and member.store is not None:
            self.reached["tree rebuilt"] += bool(member.store.rebuilt_because)
        self._stand_between(key, raft)
        self._watch_waking(key, raft)

    def stopped(self, member: Member) -> None:
        """It died."""
        self._checker.stopped(member.key)

    def _stand_between(self, key: Key, raft: Any) -> None:
        """Replace the methods of this one RaftNode by ones that report."""
        checker, rules = self._checker, self._rules

        def after() -> None:
            rules.after(key, raft)
            # While a snapshot is being installed the durable log is already the new one, and
            # the core, which takes no entries then, still has the old one's extent.
            if raft._raft.installing is None:
                checker.after(key)

        def reporting(call: Callable[..., Any]) -> Callable[..., Any]:
            def act(*args: Any) -> Any:
                answer = call(*args)
                after()
                return answer

            return act

        for name in INPUTS:
            setattr(raft, name, reporting(getattr(raft, name)))
        tick, step, ready, read_index = raft.tick, raft.step, raft.ready, raft.read_index
        installed = raft.snapshot_installed

        def ticked() -> None:
            tick()
            after()
            checker.ticked(key)

        def stepped(message: Any) -> None:
            checker.delivered(key, message)
            rules.delivered(key, raft, message)
            step(message)
            after()

        def taken() -> Ready:
            batch: Ready = ready()
            if batch.entries and batch.entries[0].first <= self._handed.get(key, 0):
                self.reached["log cut off"] += 1
            if batch.entries:
                self._handed[key] = batch.entries[-1].last
            checker.handed(key, batch)
            after()
            self._note_reads(key, batch)
            return batch

        def asked(read_id: int) -> bool:
            started: bool = read_index(read_id)
            if started:
                checker.read_started(read_id * NODES_MAX + key[0])
            after()
            return started

        def put_in(meta: Any) -> None:
            self.reached["snapshot installed"] += 1
            checker.installed(key, meta.index)
            installed(meta)
            after()

        raft.tick, raft.step, raft.ready, raft.read_index = ticked, stepped, taken, asked
        raft.snapshot_installed = put_in

    def _watch_waking(self, key: Key, raft: Any) -> None:
        woke = raft.woke_after_stall

        def woken() -> None:
            woke()
            require(
                raft.role is not Role.LEADER,
                "stalled-leaders-leave",
                f"node {key[0]} slept for longer than an election and leads on",
            )

        raft.woke_after_stall = woken

    def _note_reads(self, key: Key, batch: Ready) -> None:
        for state in batch.read_states:
            self._checker.read_served(key, state.read_id * NODES_MAX + key[0], state.index)
        for read_id in batch.reads_dropped:
            self._checker.read_dropped(key, read_id * NODES_MAX + key[0])

    def sent(self, member: Member, message: Any) -> None:
        """A Raft message leaves a node."""
        self._checker.sent(member.key, message)

    # --- apply ----------------------------------------------------------------------------------

    def applying(self, member: Member, slices: list[LogSlice], now_us: int) -> None:
        """Entries go into a state machine: they must be the committed log's next ones."""
        log = self._history.log
        for run in slices:
            for at, payload in enumerate(run.payloads, run.first):
                if at <= len(log):
                    known = log[at - 1]
                    require(
                        (known.term, known.kind, known.payload) == (run.term, run.kind, payload),
                        "state-machine-safety",
                        f"node {member.id} applies another entry {at}@{run.term}",
                    )
                    continue
                require(at == len(log) + 1, "applied-in-order", f"{at} after {len(log)}")
                if run.term not in self._terms:
                    self._terms.add(run.term)
                    self.reached["leader change"] += 1
                if run.kind is EntryKind.CONFIG and at > 1:
                    self._note_configuration(Membership.decode(payload))
                log.append(Committed(at, run.term, int(run.kind), payload))
                self._history.applied_us[at] = now_us

    def _note_configuration(self, membership: Membership) -> None:
        self.reached["configuration changed"] += 1
        self.reached["joint configuration"] += membership.is_joint
        known = {int(member.id) for member in membership.members}
        self.reached["node added"] += bool(known - self._configured)
        leaders = {member.id for member in self._members.values() if member.leads}
        self.reached["leader removed"] += bool(leaders & (self._configured - known))
        self._configured = known

    def ended(self) -> None:
        """The run is over: what nodes count themselves."""
        for member in self._members.values():
            if member.node is not None and member.store is not None:
                level = member.store.machine.feature_level
                self.reached["feature level raised"] += level >= upgrade.NEXT_LEVEL
                self.reached["digests compared"] += bool(member.store.machine.digests)

    def check(self, member: Member) -> None:
        """After an event of one node."""
        node = member.node
        if node is None or member.store is None:
            return
        member.watch_machine()
        machine = member.store.machine
        applied = member.checked_index = machine.applied_index
        before = self._applied.get(member.id)
        if applied == before:
            return
        require(
            before is None or applied > before,
            "applied-monotonic",
            f"node {member.id}: {before} → {applied}",
        )
        self._applied[member.id] = applied
        durable = member.store.log.last_index()
        require(applied <= durable, "applied-within-durable", f"{applied} > {durable}")
        commit = node.raft.commit
        require(applied <= commit, "applied-within-commit", f"{applied} > {commit}")
        digest = member.digest.value
        known = self._digests.setdefault(applied, digest)
        require(
            known == digest,
            "equal-digests",
            f"node {member.id} at {applied}: {digest:x}, another has {known:x}",
        )
        member.digest.check()
