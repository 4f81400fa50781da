"""The properties that make Raft correct, each under a name, checked while things happen.

``require`` is used by the core itself, in production too. ``check_node`` looks at one node.
``ClusterChecker`` watches a whole cluster: whoever runs several nodes in one process (the
simulators, the tests) tells it what happens, and it raises InvariantViolation at the first event
after which a property no longer holds. ``docs/raft.md`` lists the names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.raft import messages as m
from coord.raft.quorum import majority
from coord.raft.types import NO_NODE, EntryKind, Incarnation, Index, LogSlice, Member, NodeId, Term

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord.raft.node import RaftNode
    from coord.raft.ready import Ready
    from coord.raft.state import Raft
    from coord.raft.storage import MemoryStorage
    from coord.raft.types import Membership

Key = tuple[NodeId, Incarnation]
"""Node id and incarnation: one data directory."""


class InvariantViolation(AssertionError):  # noqa: N818 (names the finding, not the error)
    """A property of the protocol does not hold. ``name`` is stable."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name


def require(condition: bool, name: str, detail: str) -> None:
    """Raise InvariantViolation unless ``condition`` holds."""
    if not condition:
        raise InvariantViolation(name, detail)


# One node -----------------------------------------------------------------------------------


def check_node(raft: Raft) -> None:
    """What must hold on a node between any two calls, whatever the others do."""
    log = raft.log
    first, commit, last = log.first, log.commit, log.last
    if not first - 1 <= log.applied <= log.cursor <= commit <= last:
        marks = f"first {first}, applied {log.applied}, cursor {log.cursor}"
        raise InvariantViolation("applied-within-commit", f"{marks}, commit {commit}, last {last}")
    if log.cursor > log.stable:
        raise InvariantViolation(
            "applied-within-durable", f"handed to apply {log.cursor}, durable {log.stable}"
        )
    if not log.stable <= log.handed <= last:
        raise InvariantViolation(
            "durable-within-log", f"durable {log.stable}, handed {log.handed}, last {last}"
        )
    # During an installation the storage already holds another log than the one being replaced.
    known = log.last_term if raft.installing else log.term(last)
    if log.last_term > raft.term or known != log.last_term:
        raise InvariantViolation(
            "log-terms", f"last entry of term {log.last_term} in term {raft.term}"
        )
    if raft.is_leader:
        _check_leader(raft, last)
    else:
        require(not raft.must_replicate, "only-leaders-replicate", f"{raft.role}")


def _check_leader(raft: Raft, last: Index) -> None:
    require(raft.leader == raft.id, "leader-knows-itself", "follows somebody")
    require(raft.installing is None, "leader-installs-nothing", "the log stands still")
    members = set(raft.electorate.members)
    members.discard(raft.id)
    if members != set(raft.progress):
        raise InvariantViolation(
            "progress-covers-members", f"members {members}, progress {set(raft.progress)}"
        )
    for node, progress in raft.progress.items():
        if not (progress.match < progress.next and progress.match <= last):
            raise InvariantViolation(
                "progress-ordered",
                f"{node}: match {progress.match}, next {progress.next}, last {last}",
            )


# A cluster ----------------------------------------------------------------------------------


def _picture(raft: Raft) -> list[object]:
    """Everything that the checks after a call look at: as long as it is equal, so is what they
    say. Most calls are ticks and heartbeats, which change nothing of it."""
    log = raft.log
    picture: list[object] = [
        raft.term,
        raft.vote,
        raft.role,
        raft.leader,
        raft.electorate,
        raft.installing,
        len(raft.outstanding),
        log.first,
        log.commit,
        log.stable,
        log.handed,
        log.last,
        log.last_term,
        log.cursor,
        log.applied,
    ]
    for node, progress in raft.progress.items():
        picture += (node, progress.incarnation, progress.match, progress.next)
    return picture


class _View:
    """What was last seen of a running node, to notice anything that went backwards."""

    def __init__(self, node: RaftNode) -> None:
        self.picture: list[object] = []
        self.term = node.term
        self.commit = node.commit
        self.leads = Term(0)
        """Term it leads, 0 if it does not."""
        self.last = node.last_index
        self.last_term = Term(0)
        self.handed = node.last_index
        self.stable = Index(0)
        self.applied = node.applied_index
        self.electorate_index = Index(0)
        self.membership: Membership | None = None
        self.matches: dict[Key, Index] = {}
        self.ticks = 0
        self.moved = 0
        """Tick at which a leader's commit and disk last moved, or it had no work."""
        self.mark = Index(0)
        self.handover = 0
        """Ticks for which a leader has refused proposals."""
        self.heard: dict[NodeId, int] = {}
        """Leader: tick at which each member was last heard from."""


class ClusterChecker:
    """Watches every node of a cluster through its whole life, restarts included."""

    def __init__(self, durable: Callable[[Key], MemoryStorage | None]) -> None:
        self._durable = durable
        """What a data directory holds durably right now; None if it was wiped."""
        self._nodes: dict[Key, RaftNode] = {}
        self._views: dict[Key, _View] = {}
        self._leaders: dict[Term, Key] = {}
        self._votes: dict[tuple[Key, Term], NodeId] = {}
        self._entries: dict[tuple[Index, Term], tuple[EntryKind, bytes, Term | None]] = {}
        self.committed: dict[Index, Term] = {}
        self.committed_to = Index(0)
        """Highest index any node has known to be committed."""
        self._committed_in: dict[Term, Index] = {}
        self._reads: dict[int, Index] = {}

    # Life cycle ----------------------------------------------------------------------------

    def started(self, key: Key, node: RaftNode) -> None:
        """A node starts, or restarts on what its directory holds."""
        storage = self._durable(key)
        assert storage is not None
        state = storage.hard_state
        require(
            node.term == state.term and node._raft.vote == state.vote,
            "vote-survives-restart",
            f"{key} starts in term {node.term} with {state} on disk",
        )
        require(
            node.membership == storage.membership,
            "configuration-survives-restart",
            f"{key} starts with {node.membership}, {storage.membership} is on disk",
        )
        self._nodes[key] = node
        self._views[key] = _View(node)
        self.after(key)

    def stopped(self, key: Key) -> None:
        """A node crashed."""
        del self._nodes[key]

    # Events --------------------------------------------------------------------------------

    def ticked(self, key: Key) -> None:
        """A tick has been handed in and ``after`` called."""
        view, raft = self._views[key], self._nodes[key]._raft
        view.ticks += 1
        if not raft.is_leader:
            view.moved, view.handover, view.heard = view.ticks, 0, {}
            return
        self._check_stuck(key, view, raft)
        settled = raft.electorate.index <= raft.log.commit
        if settled and not raft.is_voter and not raft.electorate.membership.is_joint:
            raise InvariantViolation(
                "removed-leader-leaves", f"{key} leads {raft.electorate.membership}"
            )
        self._check_isolated(key, view, raft)
        view.handover = view.handover + 1 if raft.transferee != NO_NODE else 0
        if view.handover > raft.config.election_ticks_min:
            detail = f"{key} has refused proposals for {view.handover} ticks"
            raise InvariantViolation("transfer-is-bounded", detail)

    def _check_stuck(self, key: Key, view: _View, raft: Raft) -> None:
        mark = min(raft.log.commit, raft.log.stable)
        if mark > view.mark or mark >= raft.log.last:
            view.moved = view.ticks
        view.mark = mark
        waited = view.ticks - view.moved
        if waited > raft.config.stuck_commit_ticks + 2:
            detail = f"{key} has led without progress for {waited} ticks"
            raise InvariantViolation("sick-leader-leaves", detail)

    def _check_isolated(self, key: Key, view: _View, raft: Raft) -> None:
        if not raft.config.check_quorum:
            return
        limit = 2 * raft.config.election_ticks_min + 1
        for group in (raft.electorate.incoming, raft.electorate.outgoing):
            heard = [
                node == raft.id or view.ticks - view.heard.setdefault(node, view.ticks) <= limit
                for node in group
            ]
            if group and sum(heard) < majority(len(group)):
                detail = f"{key} leads and has not heard a majority for {limit} ticks"
                raise InvariantViolation("isolated-leader-leaves", detail)

    def delivered(self, key: Key, message: m.Message) -> None:
        """A message is about to be handed in."""
        view = self._views[key]
        if message.term == self._nodes[key].term:
            view.heard[message.frm] = view.ticks

    def after(self, key: Key) -> None:
        """Any call into a node has returned."""
        raft, view = self._nodes[key]._raft, self._views[key]
        picture = _picture(raft)
        if picture == view.picture:
            return
        view.picture = picture
        check_node(raft)
        if raft.term < view.term:
            raise InvariantViolation("term-monotonic", f"{key}: {view.term} → {raft.term}")
        if raft.log.commit < view.commit:
            detail = f"{key}: {view.commit} → {raft.log.commit}"
            raise InvariantViolation("commit-monotonic", detail)
        if raft.is_leader:
            if view.leads != raft.term:
                self._check_election(key, raft)
                view.matches = {}
                view.heard = {}
                view.handed = raft.log.handed
            else:
                self._check_append_only(key, view, raft)
                self._check_change(key, view, raft)
            self._check_matches(key, view, raft)
        if raft.log.commit > view.commit:
            self._check_commit(key, view, raft)
        self._check_disk(key, view, raft)
        view.term = raft.term
        view.commit = raft.log.commit
        view.leads = raft.term if raft.is_leader else Term(0)
        view.last, view.last_term = raft.log.last, raft.log.last_term
        view.electorate_index = raft.electorate.index
        view.membership = raft.electorate.membership

    def _check_disk(self, key: Key, view: _View, raft: Raft) -> None:
        storage = self._durable(key)
        assert storage is not None
        state = storage.hard_state
        if state.vote != NO_NODE:
            self._record_vote(key, state.term, state.vote)
        stable = raft.log.stable
        if stable == view.stable or raft.installing is not None:
            return
        view.stable = stable
        there = storage.term(stable) if stable <= storage.last_index() else None
        if stable >= storage.first_index() and there != raft.log.term(stable):
            raise InvariantViolation(
                "durable-is-on-disk",
                f"{key} takes {stable}@{raft.log.term(stable)} for durable, on disk is {there}",
            )

    def _record_vote(self, key: Key, term: Term, candidate: NodeId) -> None:
        known = self._votes.setdefault((key, term), candidate)
        if known != candidate:
            raise InvariantViolation(
                "one-vote-per-term", f"{key} voted for {known} and {candidate} in term {term}"
            )

    def _check_election(self, key: Key, raft: Raft) -> None:
        other = self._leaders.setdefault(raft.term, key)
        require(other == key, "election-safety", f"{other} and {key} lead term {raft.term}")
        require(
            any(_votes_in(key, known.membership) for known in raft.configurations),
            "only-voters-lead",
            f"{key} leads {raft.electorate.membership}",
        )
        for group in self._groups(raft.electorate.membership):
            votes = sum(self._voted(member, raft.term, raft.id) for member in group)
            require(
                votes >= majority(len(group)),
                "elected-by-majority",
                f"{key} leads term {raft.term} with {votes} durable votes of {len(group)}",
            )
        known = [index for term, index in self._committed_in.items() if term < raft.term]
        index = max(known, default=Index(0))
        if index >= raft.log.first:
            require(
                raft.log.term(index) == self.committed[index],
                "leader-completeness",
                f"{key} leads term {raft.term} without {index}@{self.committed[index]}",
            )

    @staticmethod
    def _groups(membership: Membership) -> list[tuple[Member, ...]]:
        return [membership.voters, *([membership.outgoing] if membership.outgoing else [])]

    def _voted(self, member: Member, term: Term, candidate: NodeId) -> bool:
        key = (member.id, member.incarnation)
        storage = self._durable(key)
        if storage is None or storage.hard_state.term < term:
            return False
        if storage.hard_state.term == term and storage.hard_state.vote == candidate:
            return True
        return self._votes.get((key, term)) == candidate

    def _check_append_only(self, key: Key, view: _View, raft: Raft) -> None:
        if raft.log.last < view.last or raft.log.term(view.last) != view.last_term:
            raise InvariantViolation(
                "leader-append-only",
                f"{key} had {view.last}@{view.last_term}, now ends at {raft.log.last}",
            )

    def _check_change(self, key: Key, view: _View, raft: Raft) -> None:
        if raft.electorate.index == view.electorate_index or view.membership is None:
            return
        view.heard = {}  # others decide now
        commit = raft.log.commit
        require(
            view.electorate_index <= commit,
            "one-change-at-a-time",
            f"{key} replaced configuration {view.electorate_index} with commit at {commit}",
        )
        require(
            commit >= raft.term_start,
            "change-after-term-commit",
            f"{key} changed the configuration before committing in term {raft.term}",
        )
        before, now = view.membership, raft.electorate.membership
        if before.is_joint:
            allowed = not now.is_joint and now.members == before.members
        elif now.is_joint:
            allowed = now.outgoing == before.voters
        else:
            allowed = _identities(before.voters) == _identities(now.voters)
        require(allowed, "configurations-overlap", f"{key}: {before} → {now}")

    def _check_matches(self, key: Key, view: _View, raft: Raft) -> None:
        known = view.matches
        for node, progress in raft.progress.items():
            follower = (node, progress.incarnation)
            before = known.get(follower, 0)
            if progress.match < before:
                detail = f"{key}: match of {follower} {before} → {progress.match}"
                raise InvariantViolation("match-monotonic", detail)
            known[follower] = progress.match
        if len(known) > len(raft.progress):
            members = {(node, p.incarnation) for node, p in raft.progress.items()}
            view.matches = {follower: known[follower] for follower in members}

    def _check_commit(self, key: Key, view: _View, raft: Raft) -> None:
        log, commit = raft.log, raft.log.commit
        if raft.is_leader:
            require(
                log.term(commit) == raft.term,
                "commit-of-own-term",
                f"{key} in term {raft.term} committed {commit}@{log.term(commit)} by counting",
            )
            self._check_replicated(key, raft)
        for number in range(view.commit + 1, commit + 1):
            index = Index(number)
            term = log.term(index)
            if term is None:
                continue  # below an installed snapshot
            known = self.committed.setdefault(index, term)
            require(
                known == term,
                "committed-for-ever",
                f"{key} committed {index}@{term}, but {index}@{known} was committed",
            )
        self.committed_to = max(self.committed_to, commit)
        self._committed_in[raft.term] = max(self._committed_in.get(raft.term, commit), commit)

    def _check_replicated(self, key: Key, raft: Raft) -> None:
        index, term = raft.log.commit, raft.term
        for group in self._groups(raft.electorate.membership):
            holders = 0
            for member in group:
                storage = self._durable((member.id, member.incarnation))
                holders += storage is not None and _holds(storage, index, term)
            require(
                holders >= majority(len(group)),
                "committed-on-durable-majority",
                f"{key} committed {index}@{term}, durable on {holders} of {len(group)} voters",
            )

    # Output --------------------------------------------------------------------------------

    def handed(self, key: Key, ready: Ready) -> None:
        """A Ready was taken."""
        raft, view = self._nodes[key]._raft, self._views[key]
        if ready.entries:
            first = ready.entries[0].first
            require(
                first > view.handed or not raft.is_leader or view.leads != raft.term,
                "leader-append-only",
                f"{key} rewrites its log from {first}, it had {view.handed}",
            )
            previous = raft.log.term(Index(first - 1))
            for run in ready.entries:
                self._check_matching(key, run, previous)
                previous = run.term
            view.handed = ready.entries[-1].last
        for run in ready.committed:
            self._check_applied(key, view, run)

    def _check_matching(self, key: Key, run: LogSlice, previous: Term | None) -> None:
        for offset, payload in enumerate(run.payloads):
            index = Index(run.first + offset)
            known = self._entries.setdefault((index, run.term), (run.kind, payload, previous))
            require(
                known[:2] == (run.kind, payload)
                and (previous is None or known[2] is None or known[2] == previous),
                "log-matching",
                f"{key} has another {index}@{run.term}, or something else before it",
            )
            previous = run.term

    def _check_applied(self, key: Key, view: _View, run: LogSlice) -> None:
        require(
            run.first == view.applied + 1,
            "applied-in-order",
            f"{key} applies {run.first} after {view.applied}",
        )
        for offset, payload in enumerate(run.payloads):
            index = Index(run.first + offset)
            known = self._entries.get((index, run.term))
            require(
                self.committed.get(index) == run.term and (known is None or known[1] == payload),
                "state-machine-safety",
                f"{key} applies {index}@{run.term}, committed is {self.committed.get(index)}",
            )
        view.applied = run.last

    def installed(self, key: Key, index: Index) -> None:
        """A snapshot replaced the state machine; call before ``after``."""
        view = self._views[key]
        require(
            index > view.applied,
            "snapshot-moves-forward",
            f"{key} installed {index} over {view.applied}",
        )
        view.applied = view.handed = index

    def sent(self, key: Key, message: m.Message) -> None:
        """A message leaves the node: what it says must be durable there."""
        storage = self._durable(key)
        assert storage is not None
        state = storage.hard_state
        if isinstance(message, m.PreVoteRequest | m.PreVoteResponse):
            return
        if message.term > state.term:
            raise InvariantViolation(
                "term-durable", f"{key} says term {message.term}, durable is {state.term}"
            )
        candidate = message.frm if isinstance(message, m.VoteRequest) else message.to
        if isinstance(message, m.VoteRequest) or (
            isinstance(message, m.VoteResponse) and message.granted
        ):
            self._record_vote(key, message.term, candidate)
            require(
                state.term > message.term or state.vote == candidate,
                "vote-durable",
                f"{key} votes for {candidate} in term {message.term}, durable is {state}",
            )
        elif isinstance(message, m.AppendAccepted):
            self._check_acknowledged(key, storage, message)

    def _check_acknowledged(
        self, key: Key, storage: MemoryStorage, message: m.AppendAccepted
    ) -> None:
        if storage.hard_state.term > message.term:
            return  # entries of an older term may be gone again, its leader is deposed
        match = message.match
        require(
            storage.last_index() >= match,
            "acknowledged-is-durable",
            f"{key} acknowledges {match}, durable up to {storage.last_index()}",
        )
        elected = self._leaders.get(message.term)
        leader = self._nodes.get(elected) if elected else None
        if leader is None or not leader._raft.is_leader or leader.term != message.term:
            return
        if match >= leader._raft.log.first:
            require(
                storage.term(match) in (None, leader._raft.log.term(match)),
                "acknowledged-is-equal",
                f"{key} acknowledges {match}@{storage.term(match)}, "
                f"the leader has {leader._raft.log.term(match)}",
            )

    # Reads ---------------------------------------------------------------------------------

    def read_started(self, read_id: int) -> None:
        """A client asks now: it must see everything committed until now."""
        self._reads[read_id] = self.committed_to

    def read_served(self, key: Key, read_id: int, index: Index) -> None:
        """The core allows the read at ``index``."""
        floor = self._reads.pop(read_id, None)
        require(floor is not None, "read-answered-once", f"{key}: read {read_id}")
        require(
            floor is not None and index >= floor,
            "read-is-fresh",
            f"{key} serves read {read_id} at {index}, {floor} was committed before it",
        )

    def read_dropped(self, key: Key, read_id: int) -> None:
        """The core gives the read up."""
        known = self._reads.pop(read_id, None)
        require(known is not None, "read-answered-once", f"{key}: read {read_id}")


def _votes_in(key: Key, membership: Membership) -> bool:
    return key in _identities((*membership.voters, *membership.outgoing))


def _identities(members: tuple[Member, ...]) -> set[tuple[NodeId, Incarnation]]:
    return {(member.id, member.incarnation) for member in members}


def _holds(storage: MemoryStorage, index: Index, term: Term) -> bool:
    return index < storage.first_index() or storage.term(index) == term
