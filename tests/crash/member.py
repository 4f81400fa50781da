"""A member's store that is being recorded: each thing it does, and what it says about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from coord.model import commands
from coord.model.acl import OPEN
from coord.model.commands import STAMP
from coord.model.requests import Create, Delete, Set, Write
from coord.model.znode import CreateMode
from coord.raft.types import (
    EntryKind,
    HardState,
    Incarnation,
    Index,
    LogSlice,
    Member,
    Membership,
    NodeId,
    SnapshotMeta,
    Term,
)
from coord.store.log_writer import LogWriter, OnDone
from coord.store.member_store import MemberStore, StoreOptions, open_member_store
from coord.store.raft_log import LogWrite
from coord.store.snapshot_store import SnapshotPolicy
from coord.store.trust import read_boot_id
from coord.store.verify_snapshot import verify
from tests.crash.oracle import Entry, pack_write
from tests.crash.recorder import Marks
from tests.store.store_fixtures import CLUSTER, Loop

DATA: Final = "data"
OPTIONS: Final = StoreOptions(
    NodeId(1),
    bytes,
    snapshots=SnapshotPolicy(log_bytes_min=20_000, log_entries_kept=10),
    map_bytes=256 << 20,
    reserve_bytes=1 << 20,
)
INCARNATION: Final = Incarnation(1)
"""What ``random_bytes=bytes`` gives a new directory."""
MEMBERS: Final = Membership((Member(NodeId(1), INCARNATION, peer="a:1"),))
_TICK_MS: Final = 10
_UNLIMITED: Final = 1 << 62


def check_here(path: Path) -> None:
    """Check a snapshot in this process: a child per snapshot would take most of the time."""
    verify(path).close()


class Recorded:
    """A member with one founder: itself. What it writes is applied when the workload says so."""

    def __init__(self, root: Path, marks: Marks | None) -> None:
        self.root = root
        self.marks = marks
        self.loop = Loop()
        self.store: MemberStore
        self.term = Term(1)
        self.history: list[Entry] = []
        """Every entry since the first; what the model of the log starts from."""
        self.installing: dict[str, Any] = {}
        self._now_ms = 0
        self._seqs: dict[int, int] = {}
        self.check_snapshot: Callable[[Path], None] = check_here

    def mark(self, what: str, **facts: Any) -> None:
        """Tell the judge."""
        if self.marks is not None:
            self.marks.add({"what": what, **facts})

    # --- life -----------------------------------------------------------------------------------

    def open(self, boot_id: str | None = None) -> None:
        """Start the process; under the machine's real boot unless told."""
        self.loop = Loop()
        self.mark("started", boot=read_boot_id() if boot_id is None else boot_id)
        self.store = open_member_store(
            self.root / DATA,
            OPTIONS,
            free_bytes=lambda: 1 << 40,
            boot_id=boot_id,
            check_snapshot=self.check_snapshot,
        )
        self.store.attach(self.loop.post, self.writer())
        self.mark("opened", incarnation=self.store.incarnation)

    def writer(self) -> LogWriter:
        """What snapshots being installed write the log through."""
        return MarkingWriter(self)

    def found(self, cluster: bytes = CLUSTER) -> None:
        """Start for the first time and found the cluster."""
        self.open()
        first = [1, 1, int(EntryKind.CONFIG), [MEMBERS.encode()]]
        facts = {"cluster": cluster, "hard_state": [1, 0], "membership": MEMBERS.encode()}
        self.mark("submitted", writes=[{**facts, "runs": [first]}])
        self.store.bootstrap(cluster, MEMBERS)
        self.mark("durable")
        self.history = [(1, int(EntryKind.CONFIG), MEMBERS.encode())]
        self.apply()

    def join(self) -> None:
        """Start for the first time and belong to a cluster that others founded."""
        self.open()
        self.mark("submitted", writes=[{"cluster": CLUSTER}])
        self.store.join(CLUSTER)
        self.mark("durable")
        self.vote(1, 0)

    def stop(self, *, clean: bool) -> None:
        """End the process."""
        self.store.close(clean=clean)

    def settle(self) -> None:
        """Run everything that was posted."""
        while True:
            assert self.store.wait_worker(20)
            if not self.loop.calls:
                return
            self.loop.calls.popleft()()

    # --- the log --------------------------------------------------------------------------------

    @property
    def last(self) -> int:
        """Index of the last entry."""
        return self.store.log.last_index()

    def commit(self, *writes: LogWrite) -> None:
        """Write one transaction of the log."""
        self.announce(*writes)
        self.store.log.write(list(writes))
        self.mark("durable")
        self.store.log.make_room()

    def announce(self, *writes: LogWrite) -> None:
        """Tell the judge what one transaction is about to hold."""
        packed = [pack_write(write) | self._installation(write) for write in writes]
        self.mark("submitted", writes=packed)
        for write in writes:
            self._note(write)

    def _installation(self, write: LogWrite) -> dict[str, Any]:
        return {"install": self.installing} if write.install is not None else {}

    def _note(self, write: LogWrite) -> None:
        for run in write.slices:
            entries = [(int(run.term), int(run.kind), payload) for payload in run.payloads]
            self.history[run.first - 1 :] = entries

    def run(
        self, payloads: list[bytes], first: int = 0, kind: EntryKind = EntryKind.NORMAL
    ) -> LogSlice:
        """Entries from ``first`` on (unless told: behind the last one) in the present term."""
        return LogSlice(Index(first or self.last + 1), self.term, kind, payloads)

    def append(self, *payloads: bytes) -> None:
        """One transaction with one run of entries."""
        self.commit(LogWrite([self.run(list(payloads))]))

    def vote(self, term: int, vote: int = 1) -> None:
        """Make a new term and vote durable."""
        self.term = Term(term)
        self.commit(LogWrite(hard_state=HardState(self.term, NodeId(vote))))

    def apply(self, until: int = 0) -> None:
        """Apply what the log holds (up to an index)."""
        machine, log = self.store.machine, self.store.log
        stop = Index(until or log.last_index())
        if machine.applied_index < stop:
            machine.apply(log.slices(Index(machine.applied_index + 1), stop, _UNLIMITED))

    def do(self, *payloads: bytes) -> None:
        """Append and apply."""
        self.append(*payloads)
        self.apply()

    def cut(self) -> None:
        """Cut the log as far as snapshots allow, and delete all that lies below."""
        self.commit(LogWrite(cut_before=self.store.cut_limit()))
        while self.store.log.has_backlog:
            self.store.log.write([])

    # --- snapshots ------------------------------------------------------------------------------

    def take(self) -> SnapshotMeta:
        """Take a snapshot of what was applied."""
        taken: list[SnapshotMeta | BaseException] = []
        assert self.store.snapshots.take(taken.append)
        self.settle()
        (meta,) = taken
        assert isinstance(meta, SnapshotMeta), meta
        self.mark("snapshot", index=meta.index, term=meta.term)
        return meta

    def receive(self, meta: SnapshotMeta, data: bytes, chunk: int = 16_384) -> None:
        """A snapshot arrives in pieces, from where the last transfer stopped."""
        offset = self.store.snapshots.receive_chunk(meta, 0, b"")
        while offset < len(data):
            piece = data[offset : offset + chunk]
            offset = self.store.snapshots.receive_chunk(meta, offset, piece)

    def install(self, meta: SnapshotMeta, history: list[Entry]) -> BaseException | None:
        """Install what has arrived; ``history`` is what it stands for. Returns what is reported."""
        self.installing = {
            "index": meta.index,
            "term": meta.term,
            "membership": meta.membership.encode(),
            "history": [list(entry) for entry in history],
        }
        reported: list[BaseException | None] = []
        self.store.snapshots.install(meta, reported.append)
        self.settle()
        (outcome,) = reported
        if outcome is None and self.store.log.first_index() == meta.index + 1:
            self.history = list(history[: meta.index])
        return outcome

    # --- entries --------------------------------------------------------------------------------

    def entry(self, command: bytes, ms: int = _TICK_MS) -> bytes:
        """A command with its stamps, so many milliseconds after the last one."""
        self._now_ms += ms
        return STAMP.pack(1_000_000 + self._now_ms, self._now_ms) + command

    def write(self, request: Write, session: int = 0) -> bytes:
        """A client's write; with a session its next one, everything before acknowledged."""
        if not session:
            return self.entry(commands.encode_write(request, 0, 0, 0, 0, None))
        self._seqs[session] = seq = self._seqs.get(session, 0) + 1
        return self.entry(commands.encode_write(request, session, 1, seq, seq - 1, None))

    def create(
        self,
        path: str,
        data: bytes = b"",
        mode: CreateMode = CreateMode.PERSISTENT,
        session: int = 0,
        ttl_ms: int = 0,
    ) -> bytes:
        """A create."""
        return self.write(creation(path, data, mode, ttl_ms), session)

    def set(self, path: str, data: bytes, session: int = 0) -> bytes:
        """A set."""
        return self.write(Set(path, data, -1), session)

    def delete(self, path: str) -> bytes:
        """A delete."""
        return self.write(Delete(path, -1))

    def open_session(self, timeout_ms: int = 1_000) -> int:
        """Open one: append, apply; its id."""
        command = commands.open_session(timeout_ms, b"hash", "10.0.0.1:5", "crash test")
        self.do(self.entry(command))
        return self.last

    def expiry(self, session: int) -> bytes:
        """The end of a session that went silent."""
        reason = {"kind": "expired", "last_heard_ms": 1_000, "leader": 1}
        return self.entry(commands.expire_session(session, 1, reason))

    def sets(self, count: int, size: int = 100) -> list[bytes]:
        """So many sets of the nodes that ``plant`` made."""
        at = len(self.history)
        return [
            self.set(f"/n{(at + i) % 16}", b"%d " % (at + i) * (size // 4)) for i in range(count)
        ]

    def plant(self) -> None:
        """Make the sixteen nodes that ``sets`` change."""
        self.do(*[self.create(f"/n{number}") for number in range(16)])


def creation(
    path: str, data: bytes = b"", mode: CreateMode = CreateMode.PERSISTENT, ttl_ms: int = 0
) -> Create:
    """A create that everybody may touch."""
    return Create(path, data, OPEN, int(mode), ttl_ms)


class MarkingWriter:
    """The writer of an installation: writes at once, reports when the loop runs."""

    def __init__(self, member: Recorded) -> None:
        self._member = member

    def submit(self, write: LogWrite, on_done: OnDone) -> None:
        """Durable at the next step, reported at the one after."""
        loop = self._member.loop

        def commit() -> None:
            self._member.commit(write)
            loop.post(lambda: on_done(None))

        loop.post(commit)

    def close(self) -> None:
        """Nothing runs by itself."""


class Source:
    """Another member of the cluster, not recorded: it has a snapshot and sends it."""

    def __init__(self, directory: Path, entries: int, term: int = 1) -> None:
        member = Recorded(directory, None)
        member.found()
        member.plant()
        if term > 1:
            member.vote(term)
        member.do(*member.sets(entries, 300))
        self.meta = member.take()
        self.history = list(member.history)
        data = member.store.snapshots.read_chunk(self.meta.checksum, 0, self.meta.length)
        assert data is not None
        self.data = data
        member.stop(clean=True)


def judged_options() -> StoreOptions:
    """Those of the recording, but a directory made anew has another incarnation."""
    return replace(OPTIONS, random_bytes=lambda count: b"\xff" * count)
