"""An independent model of the service: replays the committed log and says what must be answered.

It imports nothing of the product. Its rules come from the documents: what an entry holds, when a
write of a session takes effect (here), ZooKeeper's node rules (``model_tree``). It is small and
plain on purpose: dicts, no caching, no batching.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack

from tests.sim.codes import (
    ATTACH_SESSION,
    CLOSE_SESSION,
    CREATE,
    DELETE,
    END_ALL_SESSIONS,
    EXPIRE_SESSION,
    MARK,
    MEMBERSHIP_ENTRY,
    MULTI,
    NORMAL_ENTRY,
    OK,
    OPEN_SESSION,
    RAISE_FEATURE_LEVEL,
    REAP_NODE,
    RESULT_UNKNOWN,
    SEQUENCE_GAP,
    SESSION_EXPIRED,
    SESSION_MOVED,
    SET,
    SET_ACL,
)
from tests.sim.model_tree import Tree

_STAMP: Final = struct.Struct(">QQ")


@dataclass(slots=True)
class ModelSession:
    """One open session. Invariant: results are kept for seqs in (acked, last]."""

    generation: int
    timeout_ms: int
    nonce: bytes = b""
    epoch: int = 0
    last_seq: int = 0
    acked: int = 0
    results: dict[int, tuple[int, int, tuple[Any, ...]]] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """What one entry does. ``executed``: its effect (or refusal) is this session's for ``seq``;
    false for repeats, gaps and entries of dead generations, which change nothing."""

    index: int
    kind: int
    session: int
    seq: int
    code: int
    body: tuple[Any, ...]
    executed: bool
    arguments: tuple[Any, ...] = ()
    epoch: int = 0
    """How often the session's numbers had begun anew: only a gateway that numbers for its client
    does that."""


class Model:
    """State after the entries applied so far."""

    def __init__(self) -> None:
        self.index = 0
        self.tree = Tree()
        self.sessions: dict[int, ModelSession] = {}
        self.ended: dict[int, int] = {}
        """Session → index of the entry that ended it."""

    # --- the log --------------------------------------------------------------------------------

    def apply(self, index: int, entry_kind: int, payload: bytes) -> Answer | None:
        """Apply one entry, in order. None for entries that are no command."""
        assert index == self.index + 1, f"entry {index} after {self.index}"
        self.index = index
        self.tree.begin(index)
        if entry_kind == MEMBERSHIP_ENTRY:
            self.tree.publish(payload)
        if entry_kind != NORMAL_ENTRY:
            return None
        wall_ms, _ = _STAMP.unpack_from(payload)
        fields = msgpack.unpackb(payload[_STAMP.size :], use_list=False)
        kind, session, generation, seq, acked, who, *arguments = fields
        self.tree.stamp(wall_ms, tuple((scheme, name) for scheme, name in who or ()))
        if kind in (CREATE, DELETE, SET, SET_ACL, MULTI, CLOSE_SESSION):
            return self._sequenced(kind, session, generation, seq, acked, tuple(arguments))
        return self._service_entry(kind, session, generation, tuple(arguments))

    def _sequenced(
        self, kind: int, session: int, generation: int, seq: int, acked: int, args: tuple[Any, ...]
    ) -> Answer:
        def answer(code: int, body: tuple[Any, ...] = (), *, executed: bool = False) -> Answer:
            epoch = 0 if row is None else row.epoch
            return Answer(self.index, kind, session, seq, code, body, executed, args, epoch)

        row = self.sessions.get(session)
        if row is None:
            return answer(SESSION_EXPIRED)
        if generation != row.generation:
            return answer(SESSION_MOVED)
        if seq <= row.last_seq:
            kept = row.results.get(seq)
            return answer(RESULT_UNKNOWN) if kept is None else answer(kept[1], kept[2])
        if seq > row.last_seq + 1:
            return answer(SEQUENCE_GAP)
        row.last_seq = seq
        row.acked = max(row.acked, acked)
        for old in [s for s in row.results if s <= row.acked]:
            del row.results[old]
        if kind == CLOSE_SESSION:
            self._end_session(session)
            return answer(OK, executed=True)
        code, body = self.tree.attempt(kind, session, args)
        row.results[seq] = (self.index, code, body)
        return answer(code, body, executed=True)

    def _service_entry(
        self, kind: int, session: int, generation: int, args: tuple[Any, ...]
    ) -> Answer:
        code, executed = OK, True
        if kind == OPEN_SESSION:
            session = self.index
            self.sessions[session] = ModelSession(generation=1, timeout_ms=args[0])
            self.tree.open_session(session)
        elif kind == ATTACH_SESSION:
            code = self._attach(session, args)
        elif kind == EXPIRE_SESSION:
            row = self.sessions.get(session)
            executed = row is not None and row.generation == generation
            if executed:
                self._end_session(session)
        elif kind == REAP_NODE:
            executed = self.tree.reap(*args)
        elif kind == END_ALL_SESSIONS:
            for open_session in list(self.sessions):
                self._end_session(open_session)
        else:
            assert kind in (RAISE_FEATURE_LEVEL, MARK), f"unknown entry kind {kind}"
        return Answer(self.index, kind, session, 0, code, (), executed, args)

    # --- sessions -------------------------------------------------------------------------------

    def _attach(self, session: int, args: tuple[Any, ...]) -> int:
        nonce, timeout_ms, _address, restart_seq = args
        row = self.sessions.get(session)
        if row is None:
            return SESSION_EXPIRED
        if nonce != row.nonce:
            row.nonce = nonce
            row.generation += 1
            row.timeout_ms = timeout_ms
            if restart_seq:
                row.epoch += 1
                row.last_seq = row.acked = 0
                row.results.clear()
        return OK

    def _end_session(self, session: int) -> None:
        del self.sessions[session]
        self.tree.end_session(session)
        self.ended[session] = self.index
