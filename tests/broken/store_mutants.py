"""Bugs of the replicated state: what an entry does, what a restart and a snapshot bring back."""

from __future__ import annotations

from typing import Final

from tests.broken.mutant import Edit, Mutant, one

_WRITES = "coord.store.writes"
_RUN = "coord.store.run"
_TREE = "coord.store.tree"
_MULTI = "coord.store.multi"
_ENDS = "coord.store.session_commands"
_MACHINE = "coord.store.state_machine"
_BEHIND = "coord.store.write_behind"

EXACTLY_ONCE: Final = (
    one(
        "retry-applied-twice",
        (49,),
        "a write that comes again has no second effect",
        _WRITES,
        "seq != last + 1 or",
        "seq > last + 1 or",
        drill=True,
    ),
    Mutant(
        "gap-accepted",
        (49,),
        "a session's writes are applied in the order of their numbers",
        (
            Edit(_WRITES, "seq != last + 1 or", "seq <= last or"),
            Edit(_WRITES, "(*results, result)", "(*results, *[result] * (seq - last))"),
        ),
        "gaps",
    ),
    one(
        "result-of-neighbour",
        (49,),
        "a repeated write answers its own first result",
        "coord.store.sessions",
        "return self.results[seq - self.acked - 1]",
        "return self.results[min(seq - self.acked, len(self.results) - 1)]",
    ),
    one(
        "old-generation-writes",
        (47, 49),
        "a write of a connection that lost the session is refused",
        _WRITES,
        "if fields[2] != current or",
        "if",
        "moved",
    ),
    one(
        "result-lost-at-restart",
        (20, 34, 49),
        "a restart recovers numbers and results of the writes since the last fold",
        _MACHINE,
        "first = block_key(block_of(last_fold(self.applied_index) + 1))",
        "first = block_key(block_of(self.applied_index + 1) + 1)",
    ),
)

TREES: Final = (
    one(
        "old-token-accepted",
        (52,),
        "a guarded write follows no grant but its own",
        "coord.store.conditions",
        "    if node.mzxid != token:",
        "    if node.mzxid < token:",
        "contended",
        drill=True,
    ),
    one(
        "version-not-compared",
        (0,),
        "a versioned set succeeds on that version only",
        _TREE,
        "        if version not in (-1, current):",
        "        if version > current:",
        drill=True,
    ),
    one(
        "suffix-from-child-count",
        (0,),
        "a sequential name is never given again",
        _TREE,
        "sequence_suffix(children_created(cversion, children))",
        "sequence_suffix(children)",
        drill=True,
    ),
    one(
        "deleted-child-uncounted",
        (0,),
        "a deletion changes its parent's counters",
        _TREE,
        "wrap32(cversion + 1), aversion, owner, length, children - 1, self.index",
        "cversion, aversion, owner, length, children - 1, self.index",
    ),
    one(
        "failed-transaction-stays",
        (0,),
        "a transaction that fails leaves nothing behind",
        _MULTI,
        "    roll_back(undo)\n",
        "",
        drill=True,
    ),
    one(
        "apply-sees-batches",
        (36,),
        "what an entry does depends on the log alone",
        _WRITES,
        "run.wall_ms = run.tree.wall_ms = wall_ms",
        "run.wall_ms = run.tree.wall_ms = wall_ms + run.batch.first % 2",
    ),
    one(
        "acl-not-asked",
        (43,),
        "a node's ACL decides who may write it",
        _TREE,
        "        if not permits(acl_of(record), wanted, who):",
        "        if not acl_of(record):",
    ),
)

SESSIONS: Final = (
    Mutant(
        "ephemeral-outlives-session",
        (46,),
        "a session's ephemerals end with it, in the same entry",
        (
            Edit(_ENDS, "    owned.sort()\n", "    owned = sorted(owned)[:-1]\n"),
            Edit(
                _TREE,
                "        self._count(session, -1)\n",
                "        if self.sessions.get(session) is not None:\n"
                "            self._count(session, -1)\n",
            ),
        ),
        "sessions",
        drill=True,
    ),
    one(
        "old-expiry-counts",
        (44,),
        "the end of a session that was attached since is void",
        _ENDS,
        "    if row.generation != generation:\n",
        "    if row.generation < generation:\n",
        "returns",
    ),
    one(
        "attach-keeps-generation",
        (47,),
        "every attach begins a new generation",
        _ENDS,
        "generation=row.generation + 1,",
        "generation=row.generation,",
    ),
    one(
        "close-forgets-result",
        (46, 49),
        "the results of an ended session are kept for a while",
        _ENDS,
        '            "results": row.results,',
        '            "results": row.results[::-1],',
        "fates",
    ),
)

RECOVERY: Final = (
    one(
        "applied-ahead-of-tree",
        (34,),
        "the applied index is in the same transaction as what was applied",
        _MACHINE,
        "        txn.put(STATE, state.encode(), db=meta)",
        "        txn.put(STATE, state._replace(applied=state.applied + 1).encode(), db=meta)",
    ),
    one(
        "applied-behind-tree",
        (34, 41),
        "the applied index is in the same transaction as what was applied",
        _MACHINE,
        "        txn.put(STATE, state.encode(), db=meta)",
        "        txn.put(STATE, state._replace(applied=state.applied - 1).encode(), db=meta)",
    ),
    one(
        "deleted-record-returns",
        (41, 42),
        "what was deleted in memory is deleted in the file",
        _BEHIND,
        "            if record is None:\n                delete(key, db=base)\n        if record",
        "        if record",
    ),
    one(
        "stale-record-remembered",
        (19, 35),
        "what is remembered of the file is what the file holds",
        _BEHIND,
        '                self.clean_bytes -= len(clean.pop(key, b""))\n',
        "",
    ),
    one(
        "untrusted-tree-opened",
        (12, 34),
        "a tree that was not synced before the power went is not opened",
        "coord.store.trust",
        "    if trust.boot_id != boot_id:",
        "    if not trust.boot_id:",
    ),
    Mutant(
        "reads-from-old-tree",
        (19,),
        "after an installation nothing is read from the tree it replaced",
        (
            Edit(
                "coord.node.node",
                "        self.reader.close()\n        self.reader = TreeReader(self.store.tree)",
                "        self.reader = self.reads.reader",
            ),
            Edit("coord.store.snapshot_store", "        old.close()\n", "        del old\n"),
        ),
        "installs",
    ),
    one(
        "arrived-snapshot-counts",
        (14, 18),
        "a snapshot that arrived and was not installed is nobody's",
        "coord.store.snapshot_store",
        "tuple(meta for meta in self._shelf.kept() if meta.index <= applied)",
        "tuple(meta for meta in self._shelf.kept() if meta.index <= applied or True)",
        "unfinished-installs",
    ),
    Mutant(
        "cut-behind-newest-snapshot",
        (16, 42),
        "the log is cut behind what is applied and covered only",
        (
            Edit(
                "coord.store.snapshot_store",
                "kept[:KEPT][-1].index + 1,",
                "self._log.last_index() + 1,",
            ),
            Edit(
                "coord.store.raft_log",
                '        assert index <= self._snapshot.index, "the snapshot',
                '        assert index >= 0, "the snapshot',
            ),
        ),
    ),
)

MUTANTS: Final[tuple[Mutant, ...]] = (*EXACTLY_ONCE, *TREES, *SESSIONS, *RECOVERY)
