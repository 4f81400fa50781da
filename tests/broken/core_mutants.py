"""Bugs of consensus as the full stack meets them: lines of the Raft core that also have mutants in
``raft_mutants``, the driver that persists and sends, and the log on its key-value environment.
"""

from __future__ import annotations

from typing import Final

from tests.broken import raft_mutants
from tests.broken.mutant import Edit, Mutant, of_core, one

DRILLS: Final = frozenset({"acknowledged-before-durable", "read-without-confirmation"})
FOCUSES: Final = {
    "conflict-stays-on-disk": "divergence",
    "delayed-append-truncates": "noise",
    "all-votes-count": "joint-elections",
    "learner-campaigns": "learners",
    "wiped-disk-votes": "members",
    "two-changes-at-once": "changes",
    "change-before-first-commit": "young-leaders",
    "old-majority-not-asked": "joint-elections",
    "voters-replaced-at-once": "members",
    "configuration-not-persisted": "restarts",
    "truncated-configuration-stays": "changes-in-vain",
    "removed-leader-stays": "leaders-demoted",
    "old-configuration-stays": "changed-meanwhile",
    "snapshot-races-with-append": "divergence-snapshots",
    "append-during-install": "divergence-snapshots",
    "snapshot-keeps-conflict": "stranded",
    "second-snapshot-during-install": "late-snapshots",
    "heartbeat-commits-blindly": "divergence",
    "vote-cleared-within-term": "terms",
    "stale-votes-count": "slow-votes",
    "predecessor-term-unchecked": "third-leaders",
    "commit-of-unverified-tail": "probes",
    "no-check-quorum": "partitions",
    "no-pre-vote": "terms",
    "no-stickiness": "deaf-followers",
    "old-confirmation-accepted": "late-confirmations",
    "overtaken-write-counts": "stalled-divergence",
    "vote-for-shorter-log": "lagging-candidates",
    "stuck-leader-stays": "stuck",
    "transfer-never-ends": "elections",
    "leader-trusts-itself-after-stall": "pauses",
}
"""What is rare in any run, and the runs in which it is not."""

_CORE: Final = tuple(
    of_core(mutant, FOCUSES.get(mutant.name, ""), drill=mutant.name in DRILLS)
    for mutant in raft_mutants.MUTANTS
)

_DRIVER = "coord.node.driver"
_LOG = "coord.store.raft_log"
_IN_ANY_ORDER: Final = Edit(
    "coord.store.state_machine",
    'assert piece.first == run.index + 1, "entries',
    'assert piece.first >= 1, "entries',
)
"""Without the assertion that would end the process before anybody could notice."""

CORE: Final = (
    one(
        "vote-cleared-by-pre-vote",
        (3,),
        "a pre-vote changes nothing that the voter remembers",
        "coord.raft.election",
        "        raft.failover_ticks += GRANT_PATIENCE_TICKS\n",
        "        raft.failover_ticks += GRANT_PATIENCE_TICKS\n"
        "    if granted:\n        raft.vote = NO_NODE\n",
        "terms",
    ),
    one(
        "pre-votes-count",
        (4,),
        "the answers to a pre-vote are no votes",
        "coord.raft.election",
        "    raft.become_candidate()\n",
        "    known = raft.votes\n    raft.become_candidate()\n    raft.votes = known\n",
        "terms",
    ),
    one(
        "leaving-leader-rolls-back-too-far",
        (10,),
        "whoever leaves office keeps what is committed",
        "coord.raft.election",
        "    raft.become_follower(term, NO_NODE)\n\n\ndef _best_successor",
        "    raft.become_follower(term, NO_NODE)\n    raft.truncate(raft.log.commit)\n"
        "\n\ndef _best_successor",
        "partitions",
    ),
    Mutant(
        "old-snapshot-installed",
        (14,),
        "a snapshot that is behind the log is not installed",
        (
            Edit(
                "coord.raft.snapshots",
                "    elif not _is_superfluous(raft, meta):\n",
                "    elif meta:\n",
            ),
            Edit(
                "coord.raft.snapshots",
                "if chunk is None or _is_superfluous(raft, chunk.meta):",
                "if chunk is None:",
            ),
        ),
        "late-snapshots",
    ),
    Mutant(
        "installed-twice",
        (18,),
        "one installation at a time, though the last piece may come twice",
        (
            Edit(
                "coord.raft.snapshots",
                "    meta = message.meta\n    if raft.installing is not None:",
                "    meta = message.meta\n    if False:",
            ),
            Edit(
                _DRIVER,
                "        if self._installing or self._install_due is not None:\n"
                "            return\n        try:",
                "        try:",
            ),
        ),
        "late-snapshots",
    ),
)

DRIVER: Final = (
    one(
        "sent-before-sync",
        (11, 12),
        "what must wait for the disk waits for it",
        _DRIVER,
        "turn = _Turn(ready.seq, ready.messages_after)",
        "self._queue(ready.messages_after)\n        turn = _Turn(ready.seq, [])",
        drill=True,
    ),
    one(
        "failed-sync-ignored",
        (38,),
        "after a failed sync nothing is acknowledged",
        _DRIVER,
        "            if error is not None:\n                # EIO",
        "            if error is None and self.stopped:\n                # EIO",
        "disks",
    ),
    one(
        "read-before-applied",
        (23,),
        "a linearizable read waits until its index is applied here",
        _DRIVER,
        "while self._reads and self._reads[0][1] <= applied:",
        "while self._reads:",
    ),
    Mutant(
        "failed-apply-skipped",
        (35,),
        "a batch whose transaction failed is applied again, whole",
        (
            Edit(
                _DRIVER,
                "            self._committed[:0] = self._current\n",
                "            self.raft.applied(self._current[-1].last)\n",
            ),
            _IN_ANY_ORDER,
        ),
        "failing-trees",
    ),
    Mutant(
        "committed-kept-across-install",
        (14,),
        "what a snapshot covers is not applied after it",
        (Edit(_DRIVER, "        self._committed.clear()\n", ""), _IN_ANY_ORDER),
        "late-trees",
    ),
)

LOG: Final = (
    one(
        "hard-state-not-on-disk",
        (2,),
        "term and vote are in the same transaction as what depends on them",
        _LOG,
        "                if write.hard_state is not None:\n                    self._store(",
        "                if write.hard_state is not None and view.last < 0:\n"
        "                    self._store(",
    ),
    one(
        "membership-not-on-disk",
        (31,),
        "the newest appended configuration is durable with its entry",
        _LOG,
        "                if write.membership is not None:\n                    self._store(",
        "                if write.membership is not None and view.last < 0:\n"
        "                    self._store(",
        "restarts",
    ),
    one(
        "truncated-tail-on-disk",
        (7, 13),
        "truncation removes the whole tail from the disk",
        _LOG,
        "for key in list(txn.scan_keys(self._log, key_of(index))):",
        "for key in list(txn.scan_keys(self._log, key_of(index)))[:1]:",
        "cut-back",
    ),
    one(
        "straddling-run-removed",
        (7,),
        "truncation in the middle of a run keeps the run's beginning",
        _LOG,
        "if run.last >= index:",
        "if run.last > index:",
        "cut-within-a-run",
    ),
    one(
        "install-keeps-conflict",
        (15,),
        "a log that disagrees with the installed snapshot is discarded",
        _LOG,
        "if view.term(meta.index) == meta.term:",
        "if meta.index <= view.last:",
        "stranded",
    ),
    one(
        "install-keeps-old-log",
        (15,),
        "a log that does not hold the snapshot's last entry is discarded",
        _LOG,
        "if view.term(meta.index) == meta.term:",
        "if view.last >= view.first:",
        "late-snapshots",
    ),
    one(
        "full-for-ever",
        (39,),
        "a disk that was full takes writes again once there is room",
        "coord.store.space",
        '        else:\n            self.reason = ""',
        '        else:\n            self.reason += ""',
        "full",
    ),
)

MUTANTS: Final[tuple[Mutant, ...]] = (*_CORE, *CORE, *DRIVER, *LOG)
