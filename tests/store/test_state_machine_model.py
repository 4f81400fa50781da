"""The state machine against the reference model, over both environments.

Rules append entries to a log; ``apply`` cuts it into batches anywhere; in the middle of a batch the
disk fails or the process is killed. Tree, history, sessions and digest are compared after every
batch. In the end the same log is applied again in other batches: every record must be equal.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from coord.model import commands, requests
from coord.model.acl import OPEN
from coord.model.commands import STAMP
from coord.model.errors import StorageError, TransactionError
from coord.raft.types import EntryKind, Incarnation, LogSlice, Member, Membership, NodeId
from coord.store.applied import Applied, AppliedBatch, ApplyLimits
from coord.store.digest import digest_of
from coord.store.kv import Environment
from coord.store.lmdb_kv import open_environment
from coord.store.memory_kv import MemoryEnvironment
from coord.store.reader import TreeReader
from coord.store.state_machine import StateMachine
from coord.store.write_behind import WriteBehind
from tests import strategies
from tests.store.reference_model import ReferenceModel
from tests.store.tree_fixtures import (
    MAP_BYTES,
    Entry,
    FailingEnvironment,
    check_structure,
    contents,
    make_lmdb,
    slices_of,
)

PICKS = st.sampled_from((1, 2, 3, 1, 2, 3, 1, 2, 3, 0))
LAGS = st.sampled_from((0, 0, 0, 1, 2, 9, -3))
SERVERS = {
    "": ("0.0.0.0:5",),
    "server.1=h1:7001:7002:participant;c:1\n": ("c:1",),
    "server.1=h1:7001:7002:participant;c:1\nserver.2=h2:7002:7003:participant;d:2\n": (
        "c:1",
        "d:2",
    ),
}
"""What /zookeeper/config lists, and the client addresses of the members it comes from."""
LIMITS_TEXTS = (
    b"count=1,bytes=1",
    b"count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=-1",
    b"count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=2",
    b"nonsense",
)
STATS_TEXTS = (b"count=0,bytes=0", b"count=0,bytes=0", b"bytes=3=;countHardLimit=7")
LIMITS = ApplyLimits(history_entries=100, results_after_end_ms=500, writes_in_flight=3)


def told(applied: Applied) -> tuple[Any, ...]:
    """An outcome without its words: of an error the code and a transaction's codes alone."""
    body = applied.body
    if applied.code == TransactionError.code:
        body = body[1:]
    elif applied.code:
        body = ()
    return (applied.kind, applied.session, applied.generation, applied.seq, applied.code, body)


class TreeAgainstModel(RuleBasedStateMachine):
    """Over the in-memory environment."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = FailingEnvironment(self.open())
        self.env = WriteBehind(self.engine)
        self.machine = StateMachine(self.env, LIMITS)
        self.reader = TreeReader(self.env)
        self.model = ReferenceModel(
            LIMITS.history_entries, LIMITS.results_after_end_ms, LIMITS.writes_in_flight
        )
        self.log: list[Entry] = []
        self.told: list[tuple[Any, ...]] = []
        self.expected: list[tuple[Any, ...]] = []
        self.changes: list[Any] = []
        self.applied = self.checked = self.compared = 0
        self.now_ms = 0
        self.opened: list[int] = []
        self.open_session(1_000)
        self.open_session(10_000)

    def open(self) -> Environment:
        """An empty environment."""
        return MemoryEnvironment()

    def reopened(self) -> Environment:
        """The environment as it is found after the process was killed."""
        inner = self.engine.inner
        assert isinstance(inner, MemoryEnvironment)
        return MemoryEnvironment.from_image(inner.image())

    # -- appending to the log ---------------------------------------------------------------------

    def append(self, command: bytes) -> None:
        """The leader stamps a command; the model applies it at once."""
        payload = STAMP.pack(1_000_000 + self.now_ms, self.now_ms) + command
        self.log.append((EntryKind.NORMAL, payload))
        self.expected.append(self.model.apply(payload))

    def session(self, pick: int) -> tuple[int, int, int, int]:
        """(id, generation, next seq, acked) of an open session; of an ended one for pick 0."""
        among = sorted(self.model.sessions)[-3:] if pick else []
        session = (among or self.opened)[pick % len(among or self.opened)]
        row = self.model.sessions.get(session) or self.model.ended.get(session)
        if row is None:
            return session, 1, 1, 0
        return session, row.generation, row.last_seq + 1, row.last_seq

    @rule(timeout_ms=st.sampled_from((1_000, 10_000)))
    def open_session(self, timeout_ms: int) -> None:
        """A client connects."""
        self.append(commands.open_session(timeout_ms, b"hash", "10.0.0.1:5", "test"))
        self.opened.append(len(self.log))

    @rule(pick=PICKS, nonce=st.sampled_from((b"1", b"2")), restart=st.booleans())
    def attach(self, pick: int, nonce: bytes, restart: bool) -> None:
        """A client comes back on another node, perhaps twice with the same attempt."""
        session = self.session(pick)[0]
        self.append(commands.attach_session(session, nonce, 2_000, "x:1", restart_seq=restart))

    @rule(
        found=st.lists(
            st.tuples(PICKS, strategies.writes(), strategies.identities(), LAGS),
            min_size=1,
            max_size=12,
        )
    )
    def write(self, found: list[tuple[int, requests.Write, Any, int]]) -> None:
        """Next writes of sessions; the results of the last ``lag`` are not acknowledged yet."""
        for pick, request, who, lag in found:
            session, generation, seq, acked = self.session(pick)
            acked = max(0, acked - lag)
            self.append(commands.encode_write(request, session, generation, seq, acked, who))

    @rule(
        found=st.lists(
            st.tuples(PICKS, strategies.multis(), strategies.identities()),
            min_size=1,
            max_size=4,
        )
    )
    def multi(self, found: list[tuple[int, requests.Multi, Any]]) -> None:
        """Transactions."""
        for pick, drawn, who in found:
            session, generation, seq, acked = self.session(pick)
            request = requests.Multi(tuple(self.made_current(op) for op in drawn.operations))
            self.append(commands.encode_write(request, session, generation, seq, acked, who))

    def made_current(self, operation: Any) -> Any:
        """The operation with CURRENT replaced by what the node has before the transaction."""
        node = self.model.nodes.get(operation.path)
        if isinstance(operation, requests.Guard) and operation.token == strategies.CURRENT:
            return operation._replace(token=0 if node is None else node.mzxid)
        if not isinstance(operation, requests.Compare) or operation.operand != strategies.CURRENT:
            return operation
        values = {} if node is None else {**vars(node), "children": len(node.children)}
        return operation._replace(operand=values.get(operation.field, 0))

    @rule(
        pick=PICKS,
        request=strategies.writes(),
        generation_off=st.sampled_from((0, 0, -1, 1)),
        seq_off=st.integers(-4, 2),
    )
    def misplaced(
        self, pick: int, request: requests.Write, generation_off: int, seq_off: int
    ) -> None:
        """A write of another generation, repeated, or ahead of its predecessor."""
        session, generation, seq, _ = self.session(pick)
        self.append(
            commands.encode_write(
                request, session, generation + generation_off, max(1, seq + seq_off), 0, None
            )
        )

    @rule(pick=PICKS)
    def close(self, pick: int) -> None:
        """A client says goodbye."""
        self.append(commands.close_session(*self.session(pick)))

    @rule(pick=PICKS, off=st.sampled_from((0, 0, -1)))
    def expire(self, pick: int, off: int) -> None:
        """The leader ends a session, perhaps with an old generation."""
        session, generation, _, _ = self.session(pick)
        self.append(commands.expire_session(session, generation + off, {"last_heard_ms": 7}))

    @rule(really=st.sampled_from((False, False, True)))
    def end_all(self, really: bool) -> None:
        """All sessions are ended."""
        if not really:
            return
        self.append(commands._pack((commands.END_ALL_SESSIONS, 0, 0, 0, 0, None)))

    @rule(ms=st.sampled_from((1, 60, 600, 6_000)))
    def time_passes(self, ms: int) -> None:
        """The leader's clock moves on."""
        self.now_ms += ms

    @rule(pick=st.integers(0, 3), stale=st.sampled_from((False, False, True)))
    def reap(self, pick: int, stale: bool) -> None:
        """The leader proposes to reap a node: one that may not be reaped, or as it was earlier."""
        special = sorted(p for p, n in self.model.nodes.items() if n.container or n.ttl_ms)
        path = ([*special, "/a", "/none"] * 2)[pick]
        node = self.model.nodes.get(path)
        mzxid, pzxid = (1, 1) if node is None else (node.mzxid, node.pzxid)
        self.append(commands.reap_node(path, mzxid - stale, pzxid))

    @rule(count=st.sampled_from((1, 10, 63, 300, 1_100)))
    def skip(self, count: int) -> None:
        """Entries that are no commands: brings ends of blocks and folds near."""
        for _ in range(count):
            self.log.append((EntryKind.NOOP, b""))
            self.model.skip()

    @rule(
        pick=PICKS,
        root=st.sampled_from(("/a", "/a/b", "/none")),
        limits=st.sampled_from(LIMITS_TEXTS),
        stats=st.sampled_from(STATS_TEXTS),
    )
    def limit(self, pick: int, root: str, limits: bytes, stats: bytes) -> None:
        """A quota is set or replaced, perhaps with stats of the client's own."""
        home, operations = "/zookeeper/quota", list[requests.Operation]()
        for name in (*root.split("/")[1:], "zookeeper_limits", "zookeeper_stats"):
            path = f"{home}/{name}"
            text = {"zookeeper_limits": limits, "zookeeper_stats": stats}.get(name, b"")
            if path not in self.model.nodes:
                operations.append(requests.Create(path, text, OPEN, 0, 0))
            elif text:
                operations.append(requests.Set(path, text, -1))
            home = home if text else path
        session, generation, seq, acked = self.session(pick)
        request = requests.Multi(tuple(operations))
        self.append(commands.encode_write(request, session, generation, seq, acked, None))

    @rule(pick=PICKS, index=st.integers(0, 9))
    def unlimit(self, pick: int, index: int) -> None:
        """A limits or stats node is deleted."""
        kept = sorted(p for p in self.model.nodes if "/zookeeper_" in p)
        if kept:
            session, generation, seq, acked = self.session(pick)
            request = requests.Delete(kept[index % len(kept)], -1)
            self.append(commands.encode_write(request, session, generation, seq, acked, None))

    @rule(servers=st.sampled_from(tuple(SERVERS)))
    def change_members(self, servers: str) -> None:
        """The membership changes."""
        members = Membership(
            tuple(
                Member(NodeId(n), Incarnation(n), peer=f"h{n}:{7000 + n}", client=client)
                for n, client in enumerate(SERVERS[servers], 1)
            )
        )
        self.log.append((EntryKind.CONFIG, members.encode()))
        self.model.configure(f"{len(self.log):x}", servers)

    # -- applying it ------------------------------------------------------------------------------

    @rule(share=st.floats(0, 1))
    def apply(self, share: float) -> None:
        """Apply some of what has been appended, as one batch."""
        waiting = len(self.log) - self.applied
        count = max(1, round(waiting * share))
        if waiting:
            self.take(self.machine.apply(self.slices(self.applied, self.applied + count)))

    @rule()
    def fold(self) -> None:
        """What has gathered is written."""
        self.machine.fold()

    @rule(left=st.integers(0, 40), killed=st.booleans())
    def fail(self, left: int, killed: bool) -> None:
        """The disk fails at some write of a fold, or the process is killed there or before."""
        before = self.sessions()
        self.engine.left = left
        with suppress(StorageError):
            self.machine.fold()
        assert self.sessions() == before
        self.engine.left = None
        if killed:
            self.reopen()

    def reopen(self) -> None:
        """Load everything from the engine; the log brings what was not folded."""
        before, applied = self.sessions(), self.machine.applied_index
        self.reader.close()
        self.engine = FailingEnvironment(self.reopened())
        self.env = WriteBehind(self.engine)
        self.machine = StateMachine(self.env, LIMITS)
        folded = self.machine.applied_index
        if folded < applied:
            again = self.machine.apply(self.slices(folded, applied))
            said = [told(result) for result in again.results]
            assert not said or self.told[-len(said) :] == said, "results are the log's"
        self.reader = TreeReader(self.env)
        assert self.sessions() == before, "sessions are recovered from rows, journal and log"

    def slices(self, start: int, stop: int) -> list[LogSlice]:
        """Entries start + 1 … stop of the log."""
        return slices_of(start + 1, self.log[start:stop])

    def take(self, batch: AppliedBatch) -> None:
        """Keep what a batch did."""
        assert (batch.first, batch.last) == (self.applied + 1, self.machine.applied_index)
        self.applied = batch.last
        self.told.extend(told(applied) for applied in batch.results)
        self.changes.extend(batch.changes)
        self.reader.refresh()

    def sessions(self) -> list[Any]:
        """Everything the session table says."""
        table = self.machine.sessions
        return [table.get(session) for session in table.ids()]

    # -- comparing --------------------------------------------------------------------------------

    @invariant()
    def outcomes_agree(self) -> None:
        """Results and changes are those of the model, as far as they have been applied."""
        fresh = self.told[self.checked :]
        expected = self.expected[self.checked : len(self.told)]
        assert fresh == [
            (*one[:5], one[5] if not one[4] or one[4] == TransactionError.code else ())
            for one in expected
        ]
        count = len(self.changes)
        assert self.changes[self.compared :] == [
            change for change, _ in self.model.changes[self.compared : count]
        ]
        assert all(change.revision > self.applied for change, _ in self.model.changes[count:])
        self.checked, self.compared = len(self.told), count

    @precondition(lambda self: self.applied == len(self.log))
    @invariant()
    def states_agree(self) -> None:
        """Tree, sessions, history and floor are those of the model; the digest is exact."""
        model, reader = self.model, self.reader
        listed, more = reader.subtree("/")
        assert not more
        assert {path: (data, stat) for path, data, stat in listed} == {
            path: (node.data, node.stat()) for path, node in model.nodes.items()
        }
        for path, node in model.nodes.items():
            found = reader.children(path)
            assert found == (sorted(node.children, key=str.encode), node.stat(), False)
            acl = reader.acl(path)
            assert acl is not None
            assert tuple(map(tuple, acl[0])) == node.acl
        self.compare_sessions()
        waiting = {path for path, _, _ in reader.reapable(self.now_ms, 1_000)}
        assert waiting == model.reapable(self.now_ms)
        assert reader.floor == model.floor
        check_structure(self.engine.inner)
        self.compare_history()
        with self.env.read() as txn:
            found_digest = digest_of(self.env, txn)
        assert found_digest == (self.machine.digest, self.machine.replicated_bytes)

    def compare_sessions(self) -> None:
        """Open and lately ended sessions are those of the model."""
        table, model = self.machine.sessions, self.model
        assert table.ids() == sorted(model.sessions)
        for session, expected in model.sessions.items():
            row = table.get(session)
            assert row is not None
            owned = self.reader.owners(session)
            assert owned == model.owned(session)
            assert (row.generation, row.last_seq, row.acked, row.timeout_ms, row.address) == (
                expected.generation,
                expected.last_seq,
                expected.acked,
                expected.timeout_ms,
                expected.address,
            )
            assert row.ephemerals == len(owned)
            for seq in range(1, expected.last_seq + 1):
                kept, result = table.results_of(session, seq), expected.results.get(seq)
                assert (kept and kept[:2]) == (result and result[:2])
        for session in set(self.opened) - set(model.sessions):
            ended = self.machine.ended_session(session)
            assert (ended is None) == (session not in model.ended)
            if ended is not None:
                kept_row = model.ended[session]
                assert ended["ended_revision"] == kept_row.ended_revision
                assert ended["last_seq"] == kept_row.last_seq
                assert [result[0] for result in ended["results"]] == [
                    result[0] for _, result in sorted(kept_row.results.items())
                ]

    def compare_history(self) -> None:
        """Resumed changes and each path's history are those of the model above the floor."""
        floor = self.reader.floor
        kept = [both for both in self.model.changes if both[0].revision > floor]
        assert list(self.reader.changes_after(floor)) == [change for change, _ in kept]
        by_path = defaultdict(list)
        for change, session in reversed(kept):
            by_path[change.path].append((change.revision, change.stat, change.data, session))
        for path, expected in by_path.items():
            found = self.reader.history(path, limit=1_000)
            assert [(h["revision"], h["stat"], h["data"], h["session"]) for h in found] == expected

    def teardown(self) -> None:
        """Applied in other batches, the log leaves the same records, outcomes and changes."""
        if len(self.log) > self.applied:
            self.take(self.machine.apply(self.slices(self.applied, len(self.log))))
        self.outcomes_agree()
        self.states_agree()
        for size in (1, 7, 1_000_000):
            behind = WriteBehind(MemoryEnvironment())
            machine = StateMachine(behind, LIMITS)
            outcomes: list[Any] = []
            changes: list[Any] = []
            for start in range(0, len(self.log), size):
                batch = machine.apply(self.slices(start, min(start + size, len(self.log))))
                outcomes.extend(told(applied) for applied in batch.results)
                changes.extend(batch.changes)
            assert (outcomes, changes) == (self.told, self.changes)
            assert contents(behind) == contents(self.env)
        self.reader.close()
        self.env.close()


class TreeAgainstModelOnLmdb(TreeAgainstModel):
    """Over LMDB."""

    def open(self) -> Environment:
        """An empty environment."""
        self.directory = Path(tempfile.mkdtemp(prefix="tree-"))
        return make_lmdb(self.directory / "env")

    def reopened(self) -> Environment:
        """The environment as it is found after the process was killed."""
        self.env.close()
        return open_environment(self.directory / "env", sync=False, map_bytes=MAP_BYTES)

    def teardown(self) -> None:
        """Compare once more and remove the directory."""
        super().teardown()
        shutil.rmtree(self.directory)


TestTreeInMemory = pytest.mark.fuzz(TreeAgainstModel.TestCase)
TestTreeInMemory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTreeOnLmdb = pytest.mark.fuzz(TreeAgainstModelOnLmdb.TestCase)
TestTreeOnLmdb.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
