"""One-line bugs of the Raft core, each of a class that other systems have shipped.

``bug`` is the number of the class in the list of known consensus bugs (``docs/raft.md`` repeats it
beside each name). ``found_by`` is a run that shows it: a seed of ``tests/raft/chaos.py`` with its
cluster size and whether the membership changes, or a scenario of ``tests/raft/scenarios.py``.
``caught_by`` are the invariants that may be the first to notice.

``python -m tests.broken.raft_mutants [NAME…]`` looks for the cheapest seed of each.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass

from coord.raft.invariants import InvariantViolation
from tests.broken.planting import planted
from tests.raft import scenarios
from tests.raft.chaos import Chaos
from tests.raft.harness import SECOND


@dataclass(frozen=True, slots=True)
class Run:
    """A chaos run."""

    seed: int
    size: int = 3
    membership: bool = False

    def __call__(self) -> None:
        """Run it. Raises InvariantViolation if something is wrong."""
        Chaos(self.seed, self.size, membership=self.membership).run(4 * SECOND)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario by name."""

    name: str
    seed: int = 1

    def __call__(self) -> None:
        """Run it. Raises InvariantViolation if something is wrong."""
        getattr(scenarios, self.name)(self.seed)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: in ``module``, ``old`` becomes ``new``."""

    name: str
    bug: int
    module: str
    old: str
    new: str
    rule: str
    """The rule it breaks."""
    caught_by: tuple[str, ...]
    found_by: Run | Scenario

    def plant(self) -> AbstractContextManager[None]:
        """Let the core have this bug while the context lasts."""
        return planted(f"coord.raft.{self.module}", self.old, self.new)


ELECTIONS = (
    Mutant(
        "vote-before-durable",
        2,
        "election",
        "    raft.messages_after.append(\n        VoteResponse(",
        "    raft.messages.append(\n        VoteResponse(",
        "a vote leaves only once it is durable",
        ("vote-durable", "term-durable"),
        Run(0),
    ),
    Mutant(
        "vote-not-written",
        2,
        "node",
        "ready.hard_state = raft.handed_state = HardState(raft.term, raft.vote)",
        "raft.handed_state = HardState(raft.term, raft.vote)\n"
        "            ready.hard_state = HardState(raft.term)",
        "the vote is part of the durable state",
        ("vote-durable",),
        Run(0),
    ),
    Mutant(
        "vote-forgotten-at-restart",
        2,
        "state",
        "self.vote: NodeId = hard_state.vote",
        "self.vote: NodeId = NO_NODE",
        "a restart keeps the vote",
        ("vote-survives-restart",),
        Run(3),
    ),
    Mutant(
        "vote-cleared-within-term",
        3,
        "state",
        "        if term > self.term:\n            self.term = term",
        "        if term >= self.term:\n            self.term = term",
        "only a higher term clears the vote",
        ("one-vote-per-term", "vote-durable", "election-safety"),
        Run(9),
    ),
    Mutant(
        "all-votes-count",
        4,
        "quorum",
        "granted = sum(1 for voter in voters if votes.get(voter) is True)",
        "granted = sum(votes.values())",
        "a vote counts in the configuration its voter belongs to",
        ("elected-by-majority", "election-safety"),
        Run(11, 3, membership=True),
    ),
    Mutant(
        "stale-votes-count",
        4,
        "step",
        "elif message.term < raft.term and not isinstance(message, PreVoteRequest):",
        "elif isinstance(message, _FROM_LEADER) and message.term < raft.term:",
        "an answer from an older term is ignored",
        ("elected-by-majority", "election-safety", "committed-on-durable-majority"),
        Run(9),
    ),
    Mutant(
        "second-vote-in-a-term",
        5,
        "election",
        "free = raft.vote == message.frm or (raft.vote == NO_NODE and raft.leader == NO_NODE)",
        "free = raft.leader == NO_NODE",
        "one vote per term",
        ("one-vote-per-term", "election-safety"),
        Run(8),
    ),
    Mutant(
        "vote-for-shorter-log",
        10,
        "log",
        "return (term, index) >= (self.last_term, self.last)",
        "return term >= self.last_term",
        "only an up-to-date log gets the vote",
        ("leader-completeness", "committed-for-ever", "acknowledged-was-sent"),
        Run(1),
    ),
    Mutant(
        "message-before-term-is-durable",
        12,
        "state",
        "queue = self.messages if message.term <= self.durable_term else self.messages_after",
        "queue = self.messages if message.term <= self.term else self.messages_after",
        "nothing of a term leaves before the term is durable",
        ("term-durable", "vote-durable"),
        Run(0),
    ),
    Mutant(
        "learner-campaigns",
        30,
        "election",
        "return raft.is_electable and raft.installing is None and not raft.disk_is_stuck",
        "return raft.installing is None and not raft.disk_is_stuck",
        "only voters campaign",
        ("only-voters-campaign", "only-voters-lead"),
        Run(1, 3, membership=True),
    ),
    Mutant(
        "wiped-disk-votes",
        40,
        "electorate",
        "return node in self.voters and self.lists(node, incarnation)",
        "return node in self.voters",
        "only the listed incarnation of a voter votes and campaigns",
        ("elected-by-majority", "leader-completeness", "committed-for-ever"),
        Scenario("forgetful_majority"),
    ),
)

LOGS = (
    Mutant(
        "older-term-committed-by-counting",
        1,
        "replication",
        "if index < raft.term_start or not log.commit_to(index):",
        "if not log.commit_to(index):",
        "only entries of the own term are committed by counting (fig. 8)",
        ("commit-of-own-term",),
        Run(6),
    ),
    Mutant(
        "delayed-append-truncates",
        6,
        "follower",
        "conflict = log.first_conflict(run)",
        "conflict = run.first",
        "entries that agree are not removed",
        (
            "committed-for-ever",
            "acknowledged-is-durable",
            "leader-completeness",
            "committed-on-durable-majority",
            "match-monotonic",
        ),
        Run(1),
    ),
    Mutant(
        "conflict-stays-on-disk",
        7,
        "log",
        "        self.handed = min(self.handed, before)\n",
        "",
        "a conflict replaces the whole tail, on disk as well",
        ("durable-within-log", "acknowledged-is-equal"),
        Run(1),
    ),
    Mutant(
        "predecessor-term-unchecked",
        7,
        "follower",
        "if not log.matches(previous, message.prev_term):",
        "if previous > log.last:",
        "the entry before must match in term",
        ("log-matching", "committed-for-ever", "acknowledged-is-equal"),
        Run(7),
    ),
    Mutant(
        "commit-of-unverified-tail",
        8,
        "follower",
        "if log.commit_to(min(message.commit, verified)):",
        "if log.commit_to(min(message.commit, log.last)):",
        "a follower commits only what the message verified",
        ("committed-for-ever", "state-machine-safety"),
        Scenario("short_append"),
    ),
    Mutant(
        "heartbeat-commits-blindly",
        8,
        "follower",
        "        and log.matches(message.commit, message.commit_term)\n",
        "",
        "a heartbeat commits only what the follower holds",
        ("commit-within-log", "committed-for-ever", "state-machine-safety"),
        Scenario("wiped_follower"),
    ),
    Mutant(
        "commit-moves-back",
        9,
        "log",
        "if index <= self.commit:\n            return False",
        "if index == self.commit:\n            return False",
        "the commit index never decreases",
        ("commit-monotonic", "applied-within-commit"),
        Run(1),
    ),
    Mutant(
        "match-moves-back",
        9,
        "progress",
        "if match <= self.match:",
        "if match == self.match:",
        "the match index never decreases",
        ("match-monotonic",),
        Run(0),
    ),
    Mutant(
        "acknowledged-before-durable",
        11,
        "node",
        "raft.messages_after.append(raft.pending_ack)",
        "raft.messages.append(raft.pending_ack)",
        "an acknowledgement leaves only once its entries are durable",
        ("acknowledged-is-durable",),
        Run(0),
    ),
    Mutant(
        "leader-counts-itself-early",
        11,
        "replication",
        "return raft.log.stable if node == raft.id else raft.progress[node].match",
        "return raft.log.last if node == raft.id else raft.progress[node].match",
        "the leader counts itself once its own disk has the entry",
        ("committed-on-durable-majority",),
        Run(0),
    ),
    Mutant(
        "overtaken-write-counts",
        13,
        "state",
        "record.last = min(record.last, Index(index - 1))",
        "record.last = max(record.last, Index(index - 1))",
        "a write that a later one undoes does not count",
        ("durable-within-log", "acknowledged-is-durable"),
        Scenario("racing_writes"),
    ),
    Mutant(
        "applied-before-durable",
        13,
        "log",
        "return min(self.commit, self.stable)",
        "return self.commit",
        "applied ≤ durable",
        ("applied-within-durable",),
        Run(0),
    ),
)

SNAPSHOTS = (
    Mutant(
        "snapshot-races-with-append",
        14,
        "snapshots",
        "if chunk is None or _is_superfluous(raft, chunk.meta):",
        "if chunk is None:",
        "a snapshot overtaken by entries is not installed",
        ("snapshot-moves-forward", "applied-in-order"),
        Scenario("overtaken_snapshot"),
    ),
    Mutant(
        "append-during-install",
        14,
        "follower",
        "    if raft.installing is not None:\n        return  # the log",
        "    if False:\n        return  # the log",
        "no entry is taken while a snapshot replaces the log",
        ("snapshot-moves-forward", "acknowledged-is-durable", "durable-within-log"),
        Scenario("append_while_installing"),
    ),
    Mutant(
        "snapshot-keeps-conflict",
        15,
        "snapshots",
        "if not log.matches(meta.index, meta.term):",
        "if meta.index > log.last:",
        "a log that differs at the snapshot's last entry is replaced",
        ("committed-for-ever", "acknowledged-is-equal", "state-machine-safety"),
        Scenario("conflicting_snapshot"),
    ),
    Mutant(
        "gap-after-snapshot",
        17,
        "log",
        "        self.first = Index(index + 1)\n        self.marker_term = self.last_term = term",
        "        self.first = Index(index + 2)\n        self.marker_term = self.last_term = term",
        "the log continues right after the snapshot",
        ("applied-within-commit", "recovers-after-healing"),
        Scenario("lagging_follower"),
    ),
    Mutant(
        "old-configuration-stays",
        19,
        "electorate",
        "raft.configurations = [Electorate(membership, index)]",
        "raft.configurations.insert(0, Electorate(membership, index))",
        "a snapshot replaces the configuration too",
        ("configuration-of-snapshot", "configuration-survives-restart"),
        Scenario("change_by_snapshot"),
    ),
    Mutant(
        "second-snapshot-during-install",
        18,
        "snapshots",
        "    meta = message.meta\n    if raft.installing is not None:",
        "    meta = message.meta\n    if False:",
        "one installation at a time",
        ("snapshot-moves-forward",),
        Scenario("two_snapshots"),
    ),
)

READS = (
    Mutant(
        "read-before-first-commit",
        21,
        "state",
        "return self.is_leader and self.log.commit >= self.term_start",
        "return self.is_leader",
        "no read before an entry of the term is committed",
        ("read-is-fresh", "change-after-term-commit"),
        Run(22),
    ),
    Mutant(
        "old-confirmation-accepted",
        22,
        "read_index",
        "progress.read_round = message.read_round",
        "progress.read_round = raft.reads.round",
        "an answer vouches for its own round, not for later ones",
        ("read-is-fresh",),
        Scenario("late_confirmation"),
    ),
    Mutant(
        "read-without-confirmation",
        23,
        "read_index",
        "confirmed = raft.electorate.agreed(lambda node: _answered(raft, node))",
        "confirmed = reads.round",
        "leadership is confirmed after the read arrived",
        ("read-is-fresh",),
        Run(9),
    ),
    Mutant(
        "leader-trusts-itself-after-stall",
        24,
        "node",
        "        raft = self._raft\n        raft.become_follower(raft.term, NO_NODE)",
        "        raft = self._raft\n        raft.reset_timer()",
        "after a stall a leader is none",
        ("stalled-leader-leaves",),
        Run(1),
    ),
)

MEMBERSHIPS = (
    Mutant(
        "change-before-first-commit",
        26,
        "membership",
        "if not raft.has_committed_in_term:",
        "if raft.log.commit < 0:",
        "no change before an entry of the term is committed",
        ("change-after-term-commit", "one-change-at-a-time"),
        Run(27, 3, membership=True),
    ),
    Mutant(
        "two-changes-at-once",
        26,
        "membership",
        "if current.index > raft.log.commit or current.membership.is_joint:",
        "if current.membership.is_joint:",
        "one change at a time",
        ("one-change-at-a-time",),
        Run(0, 3, membership=True),
    ),
    Mutant(
        "old-majority-not-asked",
        27,
        "electorate",
        "        if not self.outgoing:\n            return first\n",
        "        if self.incoming:\n            return first\n",
        "while joint both majorities decide",
        ("committed-on-durable-majority", "leader-completeness"),
        Run(33, 3, membership=True),
    ),
    Mutant(
        "voters-replaced-at-once",
        27,
        "membership",
        "joint = Membership(_sorted(membership.members), current.membership.voters)",
        "joint = Membership(_sorted(membership.members))",
        "voters change through a joint configuration",
        ("configurations-overlap",),
        Run(0, 3, membership=True),
    ),
    Mutant(
        "configuration-not-persisted",
        31,
        "node",
        "ready.appended_membership = raft.electorate.membership",
        "ready.appended_membership = None",
        "the newest appended configuration is durable with its entry",
        ("configuration-survives-restart",),
        Run(8, 3, membership=True),
    ),
    Mutant(
        "truncated-configuration-stays",
        31,
        "electorate",
        "    while len(raft.configurations) > 1 and raft.configurations[-1].index >= index:",
        "    while len(raft.configurations) > 1 and raft.configurations[-1].index > index:",
        "a truncated configuration is taken back",
        ("configuration-to-fall-back-to",),
        Scenario("change_in_vain"),
    ),
)

LEAVING = (
    Mutant(
        "no-check-quorum",
        27,
        "state",
        "return self.now - self.progress[node].last_heard <= self.config.election_ticks_min",
        "return self.progress[node].last_heard >= 0",
        "a leader that hears no majority leaves",
        ("isolated-leader-leaves",),
        Run(2),
    ),
    Mutant(
        "no-pre-vote",
        28,
        "election",
        "elif raft.config.pre_vote:",
        "elif raft.now < 0:",
        "a node cut off raises no terms",
        ("healthy-leader-stays",),
        Scenario("returning_node"),
    ),
    Mutant(
        "no-stickiness",
        28,
        "state",
        "return self.election_elapsed < self.config.election_ticks_min",
        "return self.election_elapsed < 0",
        "a node that hears its leader helps nobody else",
        ("healthy-leader-stays",),
        Scenario("returning_node"),
    ),
    Mutant(
        "removed-leader-stays",
        29,
        "membership",
        "elif not raft.is_voter:",
        "elif raft.term < 0:",
        "a leader outside the configuration leaves once it is committed",
        ("removed-leader-leaves",),
        Scenario("removed_leader"),
    ),
    Mutant(
        "stuck-leader-stays",
        32,
        "step",
        "return raft.stuck_elapsed >= raft.config.stuck_commit_ticks",
        "return raft.stuck_elapsed < 0",
        "a leader whose disk hangs leaves",
        ("sick-leader-leaves",),
        Scenario("stuck_disk"),
    ),
    Mutant(
        "transfer-never-ends",
        33,
        "transfer",
        "if raft.transfer_elapsed >= raft.config.election_ticks_min:",
        "if raft.transfer_elapsed < 0:",
        "a transfer blocks proposals for a bounded time",
        ("transfer-is-bounded",),
        Scenario("lost_transfer"),
    ),
)

MUTANTS = (*ELECTIONS, *LOGS, *SNAPSHOTS, *READS, *MEMBERSHIPS, *LEAVING)
"""All of them."""


def catches(mutant: Mutant, run: Run | Scenario) -> str | None:
    """The invariant by which a run notices the mutant, or its crash; None if it passes."""
    with mutant.plant():
        try:
            run()
        except InvariantViolation as violation:
            return violation.name
        except AssertionError as crash:
            return f"crash: {crash}"
    return None


def _search(mutant: Mutant, seeds: int) -> list[tuple[str, int | str]]:
    """Every way in which a range of seeds notices the mutant."""
    if isinstance(mutant.found_by, Scenario):
        return [(catches(mutant, mutant.found_by) or "missed", mutant.found_by.name)]
    found: list[tuple[str, int | str]] = []
    for seed in range(seeds):
        run = Run(seed, mutant.found_by.size, mutant.found_by.membership)
        name = catches(mutant, run)
        if name is not None:
            found.append((name, seed))
            if len(found) >= 3:
                break
    return found


def main() -> None:
    """Print how each mutant, or each one named, is noticed."""
    wanted = set(sys.argv[1:])
    for mutant in MUTANTS:
        if not wanted or mutant.name in wanted:
            found = ", ".join(f"{seed}: {name}" for name, seed in _search(mutant, 25))
            sys.stdout.write(f"{mutant.name}: {found or 'MISSED'}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
