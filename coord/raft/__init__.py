"""The consensus core: Raft without I/O, clock, randomness or logging.

Ticks, messages, proposals and reads go in; ``Ready`` batches come out. Same input, same output.

The driver's contract
---------------------
1.  Make one ``RaftNode`` per data directory, with the index up to which the state machine is
    already applied (never beyond the durable log). A new cluster's directories first hold what
    ``bootstrap_entries`` gives; a joining node's hold nothing.
2.  Call ``tick`` every 20 ms, ``step`` for each arriving message, and the other inputs as things
    happen. After a gap longer than the election timeout call ``woke_after_stall`` first, before
    any input that queued up meanwhile.
3.  After each batch of input, while ``has_ready()``: take ``ready()``. The more input per Ready,
    the cheaper: one log write, one message per peer, one apply per batch.
4.  Send ``messages`` at once. A leader's entries thus travel while its own disk writes them.
5.  Write ``entries`` (cutting the log from ``entries[0].first`` on), ``hard_state`` and
    ``appended_membership`` in one durable transaction, Ready after Ready, in order. Several may be
    under way or be written as one group. Then call ``persisted(seq)`` with the highest durable one.
    A Ready whose ``must_wait`` is false needs neither write nor ``persisted``.
6.  Send ``messages_after`` once that Ready and all before it are durable, never earlier.
7.  Apply ``committed`` in order, then call ``applied(index)``. What is handed out is already
    durable here (applied ≤ durable), and is never handed out twice or taken back.
    Without that report no more than a few thousand entries are handed out.
8.  Serve the reads of a ``ReadState`` from a state applied to at least its index; fail those in
    ``reads_dropped``: no answer will come.
9.  An ``InstallSnapshot`` to send has no data: read ``size`` bytes at ``offset`` of the file
    ``meta.checksum`` names, or call ``snapshot_unavailable(to)`` and do not send it.
10. A ``snapshot_chunk`` that arrived: append its data if the file named by ``meta.checksum`` is
    exactly ``offset`` long, then call ``chunk_stored(checksum, length of the file)`` in any case
    (no data: the leader asks how much is there). Keep the partial file for as long as it may be
    useful. If the file cannot be used: drop it and ``chunk_failed``. If there is no room just now:
    ``chunk_dropped``, and the leader offers it again.
11. When the file is complete (``done``, and its length is ``meta.length``): ``chunk_stored`` as
    usual, wait until every earlier Ready is durable and applied or discarded, verify, install
    durably, then ``snapshot_installed(meta)``; if it does not verify, ``chunk_failed``. From the
    Ready with the last chunk until that report the core takes no entries and does not campaign.
12. After taking a snapshot: ``snapshot_available``. Before cutting the log: ``compacted(first)``,
    after which the core reads nothing below ``first``. Never cut beyond what is applied, nor
    beyond the snapshot that ``storage.snapshot()`` names; the marker before the first entry keeps
    the term and the configuration in force there.
13. ``link_lost(peer)`` when its connection ends, ``unreachable(peer)`` when messages to it were
    dropped. Losing, repeating, delaying and reordering messages is otherwise harmless.
14. Entries, payload lists and messages are shared, not copied: never change one.
15. An AssertionError, or anything else out of the core, means that an invariant is broken or that
    storage lies: stop the process.
"""

from __future__ import annotations

from coord.raft.config import RaftConfig
from coord.raft.membership import RaftRefusal
from coord.raft.messages import MESSAGE_TYPES, Message
from coord.raft.node import ProgressStatistics, RaftNode, RaftStatistics, bootstrap_entries
from coord.raft.ready import Ready, SnapshotChunk
from coord.raft.state import Role
from coord.raft.storage import MemoryStorage, Storage
from coord.raft.types import (
    NO_NODE,
    EntryKind,
    HardState,
    Incarnation,
    Index,
    LogSlice,
    Member,
    MemberRole,
    Membership,
    NodeId,
    ReadState,
    SnapshotMeta,
    Term,
)
from coord.raft.wire import from_wire, to_wire

__all__ = [
    "MESSAGE_TYPES",
    "NO_NODE",
    "EntryKind",
    "HardState",
    "Incarnation",
    "Index",
    "LogSlice",
    "Member",
    "MemberRole",
    "Membership",
    "MemoryStorage",
    "Message",
    "NodeId",
    "ProgressStatistics",
    "RaftConfig",
    "RaftNode",
    "RaftRefusal",
    "RaftStatistics",
    "ReadState",
    "Ready",
    "Role",
    "SnapshotChunk",
    "SnapshotMeta",
    "Storage",
    "Term",
    "bootstrap_entries",
    "from_wire",
    "to_wire",
]
