"""Requests about the node or the cluster itself. They need no session; what only the leader can
do is passed on to it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from coord.model import requests as rq
from coord.model.acl import READ, Acl, Identity, permits
from coord.model.errors import (
    OK,
    AuthFailedError,
    BadArgumentsError,
    CompactedError,
    ConnectionLostError,
    CoordError,
    LimitError,
    MembershipError,
    NoAuthError,
    NoNodeError,
    NotLeaderError,
    SessionExpiredError,
    from_code,
)
from coord.model.limits import FRAME_BYTES_MAX, REVISION_MAX
from coord.model.paths import check_path
from coord.node.peer_messages import AdminAnswer, AdminCall
from coord.node.reconfig import ACTION as RECONFIGURE
from coord.node.replacement import tolerance
from coord.raft import RaftRefusal
from coord.raft.types import NO_NODE, Index, NodeId

if TYPE_CHECKING:
    from coord.node.connection import Connection
    from coord.node.driver import Driver
    from coord.node.gateway import Gateway
    from coord.node.housekeeping import Housekeeping
    from coord.node.replacement import MembershipKeeper
    from coord.store.member_store import Store
    from coord.store.reader import TreeReader

LOG_TAIL_BYTES_MAX: Final = FRAME_BYTES_MAX // 2
CALLS_MAX: Final = 1_000
CALL_MS_MAX: Final = 5_000
SESSIONS_LISTED_MAX: Final = 1_000
HISTORY_LISTED_MAX: Final = 1_000
LEADER_ONLY: Final = frozenset({rq.MEMBER_CHANGE, rq.TRANSFER})


Done = Callable[[list[Any] | CoordError], None]
"""Takes the answer to a call."""


class Admin:
    """Answers admin requests of one node."""

    def __init__(
        self,
        driver: Driver,
        store: Store,
        reader: TreeReader,
        keeper: MembershipKeeper,
        housekeeping: Housekeeping,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self.gateway: Gateway
        self._driver = driver
        self._store = store
        self.reader = reader
        self._keeper = keeper
        self._housekeeping = housekeeping
        self._status = status
        self._calls: dict[int, tuple[Connection, Done]] = {}
        """Passed to the leader, by number, oldest first."""
        self._stale_call = 1
        """Calls below this number have waited since before the last ``expire``."""
        self._next_call = 1
        self._table: dict[int, Callable[[Connection | None, dict[str, Any]], list[Any]]] = {
            rq.STATUS: self._do_status,
            rq.DIGEST: self._do_digest,
            rq.MEMBERS: self._do_members,
            rq.MEMBER_CHANGE: self._do_member_change,
            rq.TRANSFER: self._do_transfer,
            rq.LOG_TAIL: self._do_log_tail,
            rq.HISTORY: self._do_history,
            rq.WHY_SESSION: self._do_why_session,
            rq.RESULT_OF: self._do_result_of,
            rq.SESSIONS: self._do_sessions,
        }

    # --- from a client --------------------------------------------------------------------------

    def call(self, conn: Connection, xid: int, request: rq.Admin) -> None:
        """Answer now, or once the leader or the snapshot has."""
        try:
            if request.op == rq.SNAPSHOT:
                self._snapshot(conn, xid)
            elif request.op in LEADER_ONLY:
                self.ask_leader(conn, request, partial(self._finish, conn, xid))
            else:
                self._reply(conn, xid, self._run(conn, request.op, request.arguments))
        except CoordError as error:
            self._fail(conn, xid, error)

    def ask_leader(self, conn: Connection, request: rq.Admin, done: Done) -> None:
        """Have it done here or by whoever leads; nobody is told once the client has gone."""
        try:
            if self._driver.is_leader:
                outcome: list[Any] | CoordError = self._run(conn, request.op, request.arguments)
            else:
                self._pass_on(conn, request, done)
                return
        except CoordError as error:
            outcome = error
        done(outcome)

    def _finish(self, conn: Connection, xid: int, outcome: list[Any] | CoordError) -> None:
        if isinstance(outcome, CoordError):
            self._fail(conn, xid, outcome)
        else:
            self._reply(conn, xid, outcome)

    def _run(self, conn: Connection | None, op: int, arguments: dict[str, Any]) -> list[Any]:
        handler = self._table.get(op)
        if handler is None:
            raise BadArgumentsError(f"unknown admin operation {op}")
        try:
            return handler(conn, arguments)
        except KeyError as error:
            raise BadArgumentsError(f"admin operation {op}: argument {error} is missing") from error

    def _pass_on(self, conn: Connection, request: rq.Admin, done: Done) -> None:
        leader = self._driver.raft.leader
        if leader == NO_NODE:
            raise NotLeaderError("this operation needs the leader and none is known here")
        self.ask_member(conn, leader, request, done)

    def ask_member(self, conn: Connection, member: NodeId, request: rq.Admin, done: Done) -> None:
        """Have another node answer, within CALL_MS_MAX or twice that. Raises LimitError."""
        if len(self._calls) >= CALLS_MAX:
            raise LimitError(f"{CALLS_MAX} admin calls are under way on this node")
        call, self._next_call = self._next_call, self._next_call + 1
        self._calls[call] = (conn, done)
        self._driver.post(member, AdminCall(call, request.op, request.arguments))

    def lost(self, conn: Connection) -> None:
        """The client has gone; its answers go nowhere."""
        for call in [call for call, (asker, _) in self._calls.items() if asker is conn]:
            del self._calls[call]

    def expire(self) -> None:
        """Called every CALL_MS_MAX: give up on calls that have waited that long."""
        for call in [call for call in self._calls if call < self._stale_call]:
            _, done = self._calls.pop(call)
            done(ConnectionLostError("the leader did not answer; it may have acted"))
        self._stale_call = self._next_call

    # --- between nodes --------------------------------------------------------------------------

    def on_call(self, peer: NodeId, message: AdminCall) -> None:
        """A request that another node passed on."""
        try:
            if message.op in LEADER_ONLY and not self._driver.is_leader:
                raise NotLeaderError("leadership has moved meanwhile; try again")
            body = self._run(None, message.op, message.arguments)
            answer = AdminAnswer(message.call, OK, "", body)
        except CoordError as error:
            answer = AdminAnswer(message.call, error.code, str(error), [])
        self._driver.post(peer, answer)

    def on_answer(self, message: AdminAnswer) -> None:
        """The leader's answer."""
        waiting = self._calls.pop(message.call, None)
        if waiting is None:
            return
        _, done = waiting
        done(message.body if message.code == OK else from_code(message.code, message.message))

    def on_leadership(self) -> None:
        """Calls passed to the old leader may have had effect; say that the answer is lost."""
        calls, self._calls = self._calls, {}
        for _, done in calls.values():
            done(ConnectionLostError("the leader changed before it answered; it may have acted"))

    def _reply(self, conn: Connection, xid: int, body: list[Any]) -> None:
        self.gateway.send(conn, conn.codec.reply(xid, self.reader.revision, tuple(body)))
        self.gateway.flush()

    def _fail(self, conn: Connection, xid: int, error: CoordError) -> None:
        self.gateway.send(conn, conn.codec.error(xid, self.reader.revision, error))
        self.gateway.flush()

    # --- operations -----------------------------------------------------------------------------

    def _do_status(self, conn: Connection | None, arguments: dict[str, Any]) -> list[Any]:
        del conn, arguments
        return [self._status()]

    def _do_digest(self, conn: Connection | None, arguments: dict[str, Any]) -> list[Any]:
        del conn, arguments
        machine = self._store.machine
        samples = [list(sample) for sample in machine.digests]
        return [machine.applied_index, f"{machine.digest:016x}", samples]

    def _do_members(self, conn: Connection | None, arguments: dict[str, Any]) -> list[Any]:
        del conn, arguments
        raft = self._driver.raft
        members = [
            {
                "id": member.id,
                "incarnation": f"{member.incarnation:016x}",
                "role": member.role.name.lower(),
                "peer": member.peer,
                "client": member.client,
                "http": member.http,
                "leader": member.id == raft.leader,
            }
            for member in raft.membership.members
        ]
        waiting = [
            {"id": member.id, "incarnation": f"{member.incarnation:016x}", "peer": member.peer}
            for member in self._keeper.candidates
        ]
        return [members, raft.membership.is_joint, waiting]

    def _do_member_change(self, conn: Connection | None, arguments: dict[str, Any]) -> list[Any]:
        del conn
        if arguments["action"] == RECONFIGURE:
            return [self._keeper.reconfigure(*_reconfiguration(arguments))]
        action, node = str(arguments["action"]), _integer(arguments, "id")
        before = tolerance(self._driver.raft.membership)
        after = tolerance(self._keeper.change(action, node))
        if not arguments.get("dry_run"):
            self._keeper.apply_change(action, node)
        names = ("voters", "majority", "may_fail")
        return [dict(zip(names, before, strict=True)), dict(zip(names, after, strict=True))]

    def _do_transfer(self, conn: Connection | None, arguments: dict[str, Any]) -> list[Any]:
        del conn
        target = NodeId(_integer(arguments, "to", 0))
        if target == NO_NODE:
            target = self._driver.best_successor()
        try:
            self._driver.transfer(target)
        except RaftRefusal as refusal:
            raise MembershipError(
                f"leadership cannot move to node {target}: {refusal}"
            ) from refusal
        return [int(target)]

    def _snapshot(self, conn: Connection, xid: int) -> None:
        def done(outcome: Any) -> None:
            if isinstance(outcome, CoordError):
                self._fail(conn, xid, outcome)
            elif isinstance(outcome, BaseException):
                self._fail(conn, xid, CoordError(f"the snapshot failed: {outcome}"))
            else:
                self._reply(conn, xid, [outcome.index, outcome.length])

        if not self._housekeeping.take_snapshot(done):
            raise LimitError("a snapshot is being taken already")

    def _do_log_tail(self, conn: Connection | None, arguments: dict[str, Any]) -> list[Any]:
        """Applied entries from an index on, a page at a time, for checkers and mirrors."""
        del conn
        log, applied = self._store.log, self._store.machine.applied_index
        first = Index(_integer(arguments, "from"))
        if first < log.first_index():
            raise CompactedError(f"the log starts at {log.first_index()}")
        if first > applied:
            return [int(log.first_index()), [], applied]
        found = log.slices(first, Index(min(applied, log.last_index())), LOG_TAIL_BYTES_MAX)
        runs = [[run.first, run.term, int(run.kind), run.payloads] for run in found]
        return [int(log.first_index()), runs, applied]

    def _do_history(self, conn: Connection | None, arguments: dict[str, Any]) -> list[Any]:
        path = _path(arguments)
        before = _integer(arguments, "before", 0) or None
        limit = min(_integer(arguments, "limit", 0) or 100, HISTORY_LISTED_MAX)
        who = conn.identities_here if conn is not None else ()
        return [self.history(path, before, limit, who)[0], self.reader.floor]

    def history(
        self, path: str, before: int | None, limit: int, who: tuple[Identity, ...]
    ) -> tuple[list[dict[str, Any]], int]:
        """(the rows that ``who`` may see of the newest ``limit`` before a revision, the oldest
        revision looked at; 0: there are no more). Raises NoNodeError, NoAuthError."""
        today = self.reader.acl(path)
        if today is not None and not permits(today[0], READ, who):
            raise NoAuthError(f"the ACL of {path} does not allow reading its history")
        found = self.reader.history(path, before, limit)
        if not found and today is None:
            raise NoNodeError(f"{path} does not exist and nothing of it is retained")
        allowed = [row for row in found if permits(_acl_of(row), READ, who)]
        return allowed, found[-1]["revision"] if len(found) == limit else 0

    def _do_why_session(self, conn: Connection | None, arguments: dict[str, Any]) -> list[Any]:
        del conn
        session = _integer(arguments, "session")
        row = self._store.machine.sessions.get(session)
        if row is not None:
            return [{"state": "open", **self._open_session(session)}]
        ended = self._store.machine.ended_session(session)
        if ended is None:
            raise NoNodeError(
                f"session {session:#x} is not known (post-mortems are kept 10 minutes)"
            )
        public = {key: value for key, value in ended.items() if key not in _PRIVATE}
        return [{"state": "ended", **public}]

    def _open_session(self, session: int) -> dict[str, Any]:
        row = self._store.machine.sessions.get(session)
        assert row is not None
        here = self.gateway.attached.get(session)
        return {
            "session": session,
            "generation": row.generation,
            "timeout_ms": row.timeout_ms,
            "address": row.address,
            "client": row.client,
            "last_seq": row.last_seq,
            "here": here is not None,
            "ephemerals": self.reader.owners(session),
        }

    def _do_result_of(self, conn: Connection | None, arguments: dict[str, Any]) -> list[Any]:
        """What became of a write, also after its session's end: [outcome, code, revision, body],
        outcome "applied", "not applied" or "unknown"."""
        del conn
        session, seq = _integer(arguments, "session"), _integer(arguments, "seq")
        machine = self._store.machine
        row = machine.sessions.get(session)
        if row is not None:
            _check_secret(row.secret_hash, arguments["secret"])
            if seq > row.last_seq:
                return ["not yet", 0, 0, []]
            return _outcome(machine.sessions.results_of(session, seq))
        ended = machine.ended_session(session)
        if ended is None:
            raise SessionExpiredError(f"session {session:#x} is no longer known")
        _check_secret(ended["secret_hash"], arguments["secret"])
        if seq > ended["last_seq"]:
            return ["not applied", 0, 0, []]
        return _outcome(machine.result_of(session, seq))

    def _do_sessions(self, conn: Connection | None, arguments: dict[str, Any]) -> list[Any]:
        del conn
        after = _integer(arguments, "after", 0)
        ids = [session for session in sorted(self._store.machine.sessions.ids()) if session > after]
        page = ids[:SESSIONS_LISTED_MAX]
        return [[self._open_session(session) for session in page], len(ids) > len(page)]


def _acl_of(row: dict[str, Any]) -> tuple[Acl, ...]:
    """The ACL that a node had at a revision of its history."""
    return tuple(Acl(*entry) for entry in row["acl"])


_PRIVATE: Final = frozenset({"secret_hash", "results"})


def _integer(arguments: dict[str, Any], name: str, default: int | None = None) -> int:
    """A number as ids and revisions are. Raises BadArgumentsError, KeyError if it is missing."""
    value = arguments[name] if default is None else arguments.get(name) or default
    if type(value) is not int or not 0 <= value <= REVISION_MAX:
        raise BadArgumentsError(f"{name} must be an integer from 0 to {REVISION_MAX}")
    return value


def _reconfiguration(arguments: dict[str, Any]) -> tuple[dict[int, bool], list[int], bool]:
    """(who joins and whether it votes, who leaves, whether the others stay)."""
    try:
        joining = {int(node): bool(votes) for node, votes in arguments["joining"]}
        leaving = [int(node) for node in arguments["leaving"]]
    except (TypeError, ValueError) as error:
        raise BadArgumentsError("joining is [[id, votes], …] and leaving [id, …]") from error
    return joining, leaving, bool(arguments["keep"])


def _path(arguments: dict[str, Any]) -> str:
    path = arguments["path"]
    if not isinstance(path, str):
        raise BadArgumentsError("path must be text")
    check_path(path)
    return path


def _check_secret(expected: bytes, secret: object) -> None:
    if not isinstance(secret, bytes):
        raise BadArgumentsError("secret must be bytes")
    if not hmac.compare_digest(sha256(secret).digest(), expected):
        raise AuthFailedError("the session's secret does not match")


def _outcome(stored: Any) -> list[Any]:
    if stored is None:
        return ["unknown", 0, 0, []]
    code, revision, body = stored
    return ["applied", code, revision, list(body)]
