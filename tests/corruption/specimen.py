"""A sound data directory, what it holds, and older versions of its files.

It is built once, by a store that has founded a cluster, grown in rounds, taken snapshots and cut
its log, then copied for each trial. A copied tree is another file (``coord.store.trust``), so each
copy is adopted: its trust record names the file that lies there now.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from coord.model import commands
from coord.model.acl import OPEN
from coord.model.paths import ROOT
from coord.model.requests import Create, Set
from coord.raft.types import EntryKind, HardState, Index, LogSlice, NodeId, SnapshotMeta, Term
from coord.store.directory_home import SNAPSHOTS, DirectoryTrees
from coord.store.lmdb_kv import DATA_FILE, open_environment
from coord.store.log_records import Trust
from coord.store.member_store import LOG, MemberStore, open_member_store
from coord.store.memory_kv import MemoryEnvironment
from coord.store.raft_log import LogWrite, RaftLog
from coord.store.reader import TreeReader
from coord.store.state_machine import StateMachine
from coord.store.verify_snapshot import verify
from coord.store.write_behind import WriteBehind
from tests.store.log_fixtures import MEMBERS
from tests.store.store_fixtures import CLUSTER, OPTIONS, Loop, StepWriter, catch_up

BOOT: Final = "the boot of all trials"
NODES: Final = 150
ROUNDS: Final = 6
ENTRIES_PER_ROUND: Final = 90
LAST: Final = 1 + ROUNDS * ENTRIES_PER_ROUND
MORE: Final = 40
"""Entries that a trial writes after the damage."""
_SNAPSHOT_AFTER: Final = (2, 4)
_RUN: Final = 7


def _path(index: int) -> str:
    """The node that entry ``index`` writes."""
    return f"/node-{(index - 2) % NODES}"


def _payload(index: int) -> bytes:
    """The command of entry ``index``: nodes are created, then set; some data lies apart."""
    number = index - 2
    path = _path(index)
    data = b"%d " % number * (300 if number % 11 == 0 else 1 + number % 9)
    request = Create(path, data, OPEN, 0, 0) if number < NODES else Set(path, data, -1)
    stamp = commands.STAMP.pack(1_000 + number, 1_000 + number)
    return stamp + commands.encode_write(request, 0, 0, 0, 0, None)


def _term_of(index: int) -> Term:
    """A term per round, as if every round had another leader."""
    return Term(1 + max(0, index - 2) // ENTRIES_PER_ROUND)


def runs(first: int, last: int) -> Iterator[LogSlice]:
    """The entries as they are proposed: a few at a time, never across a term."""
    at = first
    while at <= last:
        end = min(last, at + _RUN - 1)
        while _term_of(end) != _term_of(at):
            end -= 1
        payloads = [_payload(index) for index in range(at, end + 1)]
        yield LogSlice(Index(at), _term_of(at), EntryKind.NORMAL, payloads)
        at = end + 1


def append(store: MemberStore, last: int) -> None:
    """Make the log reach ``last``, durably, with the vote that comes with each term."""
    for run in runs(store.log.last_index() + 1, last):
        state = HardState(run.term, NodeId(1))
        changed = state != store.log.initial_state()[0]
        store.log.write([LogWrite([run], state if changed else None)])


class WrongAnswerError(Exception):
    """The store said something that is not so."""


class AstrayError(Exception):
    """The store did not find something, or found what was once so."""


Content = dict[str, tuple[bytes, bytes]]
"""What a reader is told: path to (data, packed Stat)."""


def read_content(reader: TreeReader) -> Content:
    """Every node that listings and lookups both know. Raises CorruptionError."""
    listed = reader.subtree("/")[0]
    found: Content = {}
    for path, data, stat in listed:
        if path in found:
            raise WrongAnswerError(f"{path} is listed twice")
        found[path] = data, stat
    return {path: node for path in found if (node := _looked_up(reader, path, found[path]))}


def _looked_up(
    reader: TreeReader, path: str, listed: tuple[bytes, bytes]
) -> tuple[bytes, bytes] | None:
    node = reader.get(path)
    if node not in (None, listed):
        raise WrongAnswerError(f"{path} is not as it is listed")
    return node


@cache
def truth_at(index: int) -> tuple[int, Content]:
    """Digest and content of a tree that has applied everything up to ``index``, in memory."""
    machine, reader = _founded()
    machine.apply(list(runs(2, index)))
    reader.refresh()
    return machine.digest, read_content(reader)


@cache
def past_of(index: int) -> dict[str, set[tuple[bytes, bytes]]]:
    """(data, packed Stat) that each node has had up to ``index``."""
    machine, reader = _founded()
    past: dict[str, set[tuple[bytes, bytes]]] = {}
    for run in runs(2, index):
        for at, payload in enumerate(run.payloads):
            entry = Index(run.first + at)
            machine.apply([LogSlice(entry, run.term, run.kind, [payload])])
            reader.refresh()
            for path in (ROOT, _path(entry)):
                node = reader.get(path)
                assert node is not None, "no entry deletes"
                past.setdefault(path, set()).add(node)
    return past


def _founded() -> tuple[StateMachine, TreeReader]:
    env = WriteBehind(MemoryEnvironment())
    machine = StateMachine(env)
    machine.adopt_cluster(CLUSTER, 1)
    machine.apply([LogSlice(Index(1), Term(1), EntryKind.CONFIG, [MEMBERS.encode()])])
    return machine, TreeReader(env)


def open_specimen(directory: Path) -> tuple[MemberStore, Loop]:
    """Open a directory as a node does; long work runs when its loop is turned."""
    loop = Loop()
    store = open_member_store(
        directory,
        OPTIONS,
        free_bytes=lambda: 1 << 40,
        boot_id=BOOT,
        check_snapshot=lambda path: verify(path).close(),
    )
    store.attach(loop.post, StepWriter(store.log, loop))
    return store, loop


def turn(store: MemberStore, loop: Loop) -> None:
    """Run the worker's job and everything posted."""
    while store.wait_worker(60) and loop.calls:
        loop.calls.popleft()()


@dataclass(slots=True)
class Specimen:
    """``older``: the bytes that a file (by its path below the directory) had before."""

    directory: Path
    older: dict[str, list[bytes]] = field(default_factory=dict)

    def files(self) -> list[str]:
        """What may be damaged."""
        return [*self.older, *(f"{SNAPSHOTS}/{p.name}" for p in self._snapshots())]

    def _snapshots(self) -> list[Path]:
        return sorted((self.directory / SNAPSHOTS).glob("*.snapshot"))

    def copy(self, place: Path) -> None:
        """A sound directory of its own at ``place``."""
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.directory, place)
        env = open_environment(place / LOG, sync=True, map_bytes=OPTIONS.map_bytes)
        log = RaftLog(env)
        generation = log.trust.generation
        found = DirectoryTrees(place, OPTIONS.map_bytes).identity(generation)
        assert found is not None
        log.write_trust(Trust(False, BOOT, found.device, found.inode, generation))
        env.close()


def make_specimen(directory: Path) -> Specimen:
    """Live a member's life in ``directory``."""
    specimen = Specimen(directory)
    store, loop = open_specimen(directory)
    store.bootstrap(CLUSTER, MEMBERS)
    for number in range(1, ROUNDS + 1):
        append(store, 1 + number * ENTRIES_PER_ROUND)
        catch_up(store)
        if number in _SNAPSHOT_AFTER:
            _take_snapshot(store, loop)
            store.log.write([LogWrite(cut_before=store.cut_limit())])
        store.machine.fold()
        for name in (f"{LOG}/{DATA_FILE}", f"tree-{store.log.trust.generation}/{DATA_FILE}"):
            specimen.older.setdefault(name, []).append((directory / name).read_bytes())
    store.close(clean=False)
    return specimen


def _take_snapshot(store: MemberStore, loop: Loop) -> None:
    taken: list[SnapshotMeta | BaseException] = []
    assert store.snapshots.take(taken.append)
    turn(store, loop)
    assert isinstance(taken[0], SnapshotMeta), taken
