"""ZooKeeper's reconfig, off unless the settings allow it: the membership it asks for, and the wait
until that is in force here.

A member is named by its id; its addresses are those it announces itself, whatever the request says.
A node can join once it has introduced itself, as with ``coord member add``.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from coord.model import requests as rq
from coord.model.acl import WRITE, permits
from coord.model.errors import (
    BadArgumentsError,
    BadVersionError,
    ConnectionLostError,
    CoordError,
    NoAuthError,
    ReconfigDisabledError,
)
from coord.model.paths import CONFIG
from coord.node.connection import Phase
from coord.raft.types import Membership

if TYPE_CHECKING:
    from coord.node.connection import Connection
    from coord.node.gateway import Gateway
    from coord.node.node import Node
    from coord.node.ports import Scheduler

ACTION: Final = "reconfigure"
"""Of a MEMBER_CHANGE with joining as [[id, votes]], leaving as [id] and keep, whether members that
are not named stay."""
PARTICIPANT: Final = "participant"
OBSERVER: Final = "observer"
_IN_FORCE_MS_MAX: Final = 10_000
_LOOK_MS: Final = 50
_HOST: Final = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
_SERVER: Final = re.compile(
    rf"server\.(?P<id>[0-9]{{1,9}})={_HOST}:[0-9]{{1,5}}:[0-9]{{1,5}}"
    rf"(:(?P<role>{PARTICIPANT}|{OBSERVER}))?(;({_HOST}:)?[0-9]{{1,5}})?"
)
_VERSION: Final = re.compile(rb"^version=([0-9a-f]+)$", re.MULTILINE)


class Reconfigurer:
    """Serves the requests of one node's connections."""

    KINDS: ClassVar[tuple[type, ...]] = (rq.Reconfig,)

    def __init__(self, node: Node, scheduler: Scheduler, *, is_allowed: bool) -> None:
        self.gateway: Gateway
        self._node = node
        self._scheduler = scheduler
        self._is_allowed = is_allowed

    def serve(self, conn: Connection, xid: int, request: rq.Reconfig) -> None:
        """Answer with the new /zookeeper/config once it is applied here."""
        try:
            arguments = self._checked(conn, request)
        except CoordError as error:
            self.gateway.refuse(conn, xid, error)
            return
        conn.holds += 1
        change = rq.Admin(rq.MEMBER_CHANGE, arguments)
        self._node.admin.ask_leader(conn, change, partial(self._decided, conn, xid))

    def _checked(self, conn: Connection, request: rq.Reconfig) -> dict[str, Any]:
        """What is to be changed. In ZooKeeper's order: the version, what is asked for, who asks."""
        if not self._is_allowed:
            raise ReconfigDisabledError("the settings do not let clients change the members")
        reader = self._node.reader
        acl, data = reader.acl(CONFIG), reader.get(CONFIG)
        assert acl is not None, "reserved nodes exist"
        assert data is not None, "the same"
        found = _VERSION.search(data[0])
        current = int(found[1], 16) if found else 0
        if request.version not in (-1, current):
            raise BadVersionError(f"the configuration has version {current}")
        arguments = wanted(request)
        if not permits(acl[0], WRITE, conn.identities_here):
            raise NoAuthError(f"the ACL of {CONFIG} does not allow this")
        return arguments

    def _decided(self, conn: Connection, xid: int, outcome: list[Any] | CoordError) -> None:
        """The leader has proposed it or refused."""
        if conn.phase is Phase.CLOSED:
            return
        if isinstance(outcome, CoordError):
            self.gateway.refuse(conn, xid, outcome)
            self.gateway.release(conn)
        else:
            ids = frozenset(outcome[0])
            self._await(conn, xid, ids, self._node.clock.monotonic_ms() + _IN_FORCE_MS_MAX)

    def _await(self, conn: Connection, xid: int, ids: frozenset[int], deadline_ms: int) -> None:
        if conn.phase is Phase.CLOSED:
            return
        if self._is_in_force(ids):
            reader = self._node.reader
            body = reader.get(CONFIG)
            assert body is not None, "reserved nodes exist"
            self.gateway.send(conn, conn.codec.reply(xid, reader.revision, body))
        elif self._node.clock.monotonic_ms() >= deadline_ms:
            late = ConnectionLostError("the change is under way and not in force yet")
            self.gateway.refuse(conn, xid, late)
        else:
            again = partial(self._await, conn, xid, ids, deadline_ms)
            self._scheduler.call_later(_LOOK_MS, again)
            return
        self.gateway.release(conn)

    def _is_in_force(self, ids: frozenset[int]) -> bool:
        packed = self._node.store.machine.membership
        applied = Membership.decode(packed) if packed else self._node.raft.membership
        return not applied.is_joint and {int(member.id) for member in applied.members} == ids


def wanted(request: rq.Reconfig) -> dict[str, Any]:
    """Arguments of the MEMBER_CHANGE. Raises BadArgumentsError."""
    if request.members:
        if request.joining or request.leaving:
            raise BadArgumentsError("name all members, or those that join and leave, not both")
        return _arguments(_servers(request.members), [], keep=False)
    leaving = [_id(text) for text in _split(request.leaving)]
    joining = _servers(request.joining)
    if not joining and not leaving:
        raise BadArgumentsError("nobody joins and nobody leaves")
    return _arguments(joining, leaving, keep=True)


def _arguments(joining: list[list[Any]], leaving: list[int], *, keep: bool) -> dict[str, Any]:
    return {"action": ACTION, "joining": joining, "leaving": leaving, "keep": keep}


def _split(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]


def _servers(text: str) -> list[list[Any]]:
    """[[id, whether it votes]] of lines as /zookeeper/config has them."""
    found = []
    for line in _split(text):
        match = _SERVER.fullmatch(line)
        if match is None:
            raise BadArgumentsError(f"{line[:80]!r} is not server.ID=HOST:PORT:PORT[:ROLE];PORT")
        found.append([int(match["id"]), match["role"] != OBSERVER])
    return found


def _id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise BadArgumentsError(f"{text[:80]!r} is not the id of a member")
    return int(text)
