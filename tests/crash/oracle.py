"""What a store must hold after a crash: a model of the log, fed with the marks of the recording.

The model knows nothing of ``RaftLog``: it holds every entry since the first, and where the log
begins. After a crash the log must be as it was after some of its writes: all that were
acknowledged, and none that had not been submitted. The tree must be what the entries make of an
empty one, record by record.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgpack

from coord.raft.types import EntryKind, Index, LogSlice, Membership, Term
from coord.store.kv import Environment
from coord.store.memory_kv import MemoryEnvironment
from coord.store.raft_log import LogWrite, RaftLog
from coord.store.schema import Tables, open_tables
from coord.store.state_machine import StateMachine
from coord.store.write_behind import WriteBehind

Entry = tuple[int, int, bytes]
"""(term, kind, payload)."""
_UNLIMITED: Final = 1 << 62
_FIRST_HISTORY: Final = 1


@dataclass(frozen=True, slots=True)
class LogState:
    """The log after some of its writes."""

    cluster: bytes = b""
    hard_state: tuple[int, int] = (0, 0)
    membership: bytes = Membership().encode()
    marker: tuple[int, int] = (0, 0)
    """Index and term of the entry before the first one."""
    history: tuple[Entry, ...] = ()
    """Every entry from index 1 on, those before the marker too."""

    def after(self, write: dict[str, Any]) -> LogState:
        """The state after one write, as ``pack_write`` and the member's marks describe it."""
        state = self
        if write.get("cluster"):
            state = replace(state, cluster=write["cluster"])
        for first, term, kind, payloads in write.get("runs", ()):
            kept = state.history[: first - 1]
            state = replace(state, history=kept + tuple((term, kind, p) for p in payloads))
        if write.get("hard_state"):
            state = replace(state, hard_state=tuple(write["hard_state"]))
        if write.get("membership") is not None:
            state = replace(state, membership=write["membership"])
        cut = write.get("cut_before")
        if cut is not None and cut - 1 > state.marker[0]:
            state = replace(state, marker=(cut - 1, state.history[cut - 2][0]))
        if write.get("install"):
            state = state._installed(**write["install"])
        return state

    def _installed(
        self, index: int, term: int, membership: bytes, history: list[list[Any]]
    ) -> LogState:
        """A log that holds the snapshot's last entry stays as it is; any other is replaced."""
        if self.marker[0] < index <= len(self.history) and self.history[index - 1][0] == term:
            return self
        entries = tuple((term, kind, payload) for term, kind, payload in history[:index])
        return replace(self, marker=(index, term), membership=membership, history=entries)

    @property
    def print(self) -> bytes:
        """Equal for equal logs, as ``print_of_log`` sees them."""
        return _print(self)


@lru_cache(maxsize=4096)
def _print(state: LogState) -> bytes:
    entries = state.history[state.marker[0] :]
    facts = (state.cluster, state.hard_state, state.membership, state.marker, entries)
    return blake2b(msgpack.packb(facts), digest_size=16).digest()


def print_of_log(log: RaftLog) -> bytes:
    """What a log that was opened holds."""
    hard_state, membership, marker = log.initial_state()
    first, last = log.first_index(), log.last_index()
    entries = []
    if first <= last:
        for run in log.slices(first, last, _UNLIMITED):
            entries += [(run.term, int(run.kind), payload) for payload in run.payloads]
    facts = (
        log.cluster_id or b"",
        (hard_state.term, hard_state.vote),
        membership.encode(),
        (0, 0) if marker is None else (marker.index, marker.term),
        entries,
    )
    return blake2b(msgpack.packb(facts), digest_size=16).digest()


class TreeState(NamedTuple):
    """What a tree holds."""

    applied: int
    digest: int
    contents: bytes
    """A hash of every record."""


@lru_cache(maxsize=64)
def tree_after(cluster: bytes, history: tuple[Entry, ...]) -> TreeState:
    """What the entries make of an empty tree, applied in one go in memory."""
    machine = StateMachine(WriteBehind(env := MemoryEnvironment()))
    if cluster:
        machine.adopt_cluster(cluster, _FIRST_HISTORY)
    if history:
        machine.apply(runs_of(history))
    digest = machine.digest
    return TreeState(machine.applied_index, digest, contents_of(env))


def contents_of(env: Environment) -> bytes:
    """A hash of every record of a tree's environment, in which everything is folded."""
    tables = open_tables(env)
    hashed = blake2b(digest_size=16)
    with env.read() as txn:
        for name, table in zip(Tables._fields, tables, strict=True):
            hashed.update(msgpack.packb((name, list(txn.scan(table, b"")))))
    return hashed.digest()


def runs_of(history: tuple[Entry, ...]) -> list[LogSlice]:
    """Entries from index 1 on as runs."""
    runs: list[LogSlice] = []
    for index, (term, kind, payload) in enumerate(history, 1):
        if runs and (runs[-1].term, runs[-1].kind) == (term, kind):
            runs[-1].payloads.append(payload)
        else:
            runs.append(LogSlice(Index(index), Term(term), EntryKind(kind), [payload]))
    return runs


def pack_write(write: LogWrite) -> dict[str, Any]:
    """A write of the log as a mark can hold it; an installation needs its history added."""
    packed: dict[str, Any] = {
        "runs": [[run.first, run.term, int(run.kind), run.payloads] for run in write.slices]
    }
    if write.hard_state is not None:
        packed["hard_state"] = [write.hard_state.term, write.hard_state.vote]
    if write.membership is not None:
        packed["membership"] = write.membership.encode()
    if write.cut_before is not None:
        packed["cut_before"] = write.cut_before
    return packed


class Promise(NamedTuple):
    """What the node has said so far."""

    durable: int = 0
    """Writes of the log that it reported as durable: these and all before them."""
    submitted: int = 0
    incarnation: int = 0
    """0: none was ever told."""
    boot: str = ""
    """Boot id under which it ran last."""
    snapshot: tuple[int, int] = (0, 0)
    """Index and term of the newest one that it reported as verified."""


@dataclass(slots=True)
class Oracle:
    """What had been promised after each mark of a recording."""

    states: list[LogState] = field(default_factory=lambda: [LogState()])
    """The log after 0, 1, 2… writes."""
    promises: list[Promise] = field(default_factory=lambda: [Promise()])
    """After 0, 1, 2… marks."""

    @classmethod
    def of(cls, marks: list[dict[str, Any]]) -> Oracle:
        """Read the marks of a recording."""
        oracle = cls()
        for mark in marks:
            oracle._add(mark)
        return oracle

    def _add(self, mark: dict[str, Any]) -> None:
        promise = self.promises[-1]
        match mark["what"]:
            case "submitted":
                state = self.states[-1]
                for write in mark["writes"]:
                    state = state.after(write)
                self.states.append(state)
            case "durable":
                promise = promise._replace(durable=promise.durable + 1)
            case "started":
                promise = promise._replace(boot=mark["boot"])
            case "opened":
                promise = promise._replace(incarnation=mark["incarnation"])
            case "snapshot":
                promise = promise._replace(snapshot=(mark["index"], mark["term"]))
            case other:
                raise ValueError(f"unknown mark {other!r}")
        self.promises.append(promise._replace(submitted=len(self.states) - 1))

    def find(self, found: bytes, promise: Promise) -> LogState | None:
        """Which of the states that are allowed now this is."""
        for state in self.states[promise.durable : promise.submitted + 1]:
            if state.print == found:
                return state
        return None
