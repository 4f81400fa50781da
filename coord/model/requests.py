"""What a client can ask for: one value per request, the same whichever protocol carried it.

NamedTuples, because a node makes 100,000 of them a second. Codecs validate; what is built here
is well-formed (paths checked, sizes within ``limits``).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from coord.model.acl import Acl
from coord.model.errors import CoordError

# Operation numbers: ZooKeeper's where it has one, 200 and above are native only.
CREATE: Final = 1
DELETE: Final = 2
EXISTS: Final = 3
GET: Final = 4
SET: Final = 5
GET_ACL: Final = 6
SET_ACL: Final = 7
SYNC: Final = 9
PING: Final = 11
CHILDREN: Final = 12
CHECK: Final = 13
MULTI: Final = 14
RECONFIG: Final = 16
CHECK_WATCHES: Final = 17
REMOVE_WATCHES: Final = 18
MULTI_READ: Final = 22
AUTH: Final = 100
EPHEMERALS: Final = 103
COUNT_DESCENDANTS: Final = 104
SET_WATCHES: Final = 105
ADD_WATCH: Final = 106
WHO_AM_I: Final = 107
CLOSE: Final = -11

COMPARE: Final = 200
GUARD: Final = 201
WATCH: Final = 202
UNWATCH: Final = 203
LIST_WATCH: Final = 204
REFUSE: Final = 205
HISTORY: Final = 210
WHY_SESSION: Final = 211
RESULT_OF: Final = 212
STATUS: Final = 220
DIGEST: Final = 221
MEMBERS: Final = 222
MEMBER_CHANGE: Final = 223
TRANSFER: Final = 224
SNAPSHOT: Final = 225
LOG_TAIL: Final = 226
SESSIONS: Final = 227
CONNECT: Final = 300


class Create(NamedTuple):
    """Create a node. Replies (path, stat).

    ``acl``: in a command it may be a text, the reason why what the client sent is no ACL: the
    refusal has its place behind other errors.
    """

    path: str
    data: bytes
    acl: tuple[Acl, ...] | str
    mode: int
    ttl_ms: int


class Delete(NamedTuple):
    """Delete a childless node; ``version`` −1 matches any. Replies ()."""

    path: str
    version: int


class Set(NamedTuple):
    """Replace a node's data; ``version`` −1 matches any. Replies (stat,)."""

    path: str
    data: bytes
    version: int


class SetAcl(NamedTuple):
    """Replace a node's ACL; ``version`` is compared with aversion. Replies (stat,).

    ``acl``: see Create.
    """

    path: str
    acl: tuple[Acl, ...] | str
    version: int


class Check(NamedTuple):
    """Inside Multi: the node exists with this version (−1: any)."""

    path: str
    version: int


class Compare(NamedTuple):
    """Inside Multi: ``field`` of the node stands in relation ``relation`` to ``operand``.

    field: "exists" (operand bool), "value" (bytes), "version", "mzxid", "czxid", "children".
    relation: "=", "!=", "<", ">". A missing node satisfies only exists = false.
    """

    path: str
    field: str
    relation: str
    operand: int | bool | bytes


class Guard(NamedTuple):
    """Inside Multi: ``path`` exists, its mzxid is ``token`` and its owner's session is open."""

    path: str
    token: int


class Refuse(NamedTuple):
    """Inside Multi: an operation that its front door found malformed; it fails with ``code``.

    It takes part in the order of the others: what fails before it wins.
    """

    code: int
    reason: str


Operation = Create | Delete | Set | SetAcl | Check | Compare | Guard


class Multi(NamedTuple):
    """All of ``operations`` or none. Replies one (code, *body) for each."""

    operations: tuple[Operation | Refuse, ...]


Write = Create | Delete | Set | SetAcl | Multi


class Get(NamedTuple):
    """Read a node's data. Replies (data, stat). ``watch``: arm a one-shot watch."""

    path: str
    watch: bool
    level: int


class Exists(NamedTuple):
    """Read a node's stat. Replies (stat,) or NoNode."""

    path: str
    watch: bool
    level: int


class Children(NamedTuple):
    """List a node's children by name after ``after``, ``limit`` at most (0: all).

    Replies (names, stat, more). ``revision`` names the first page's revision for the next pages.
    """

    path: str
    watch: bool
    level: int
    after: str
    limit: int
    revision: int


class GetAcl(NamedTuple):
    """Read a node's ACL. Replies (acl, stat)."""

    path: str
    level: int


class MultiRead(NamedTuple):
    """Several reads at one revision. Replies one (code, *body) for each; one may fail alone."""

    reads: tuple[Get | Children, ...]
    level: int


class Ephemerals(NamedTuple):
    """Paths of the caller's own ephemeral nodes that start with ``prefix``. Replies (paths,)."""

    prefix: str


class CountDescendants(NamedTuple):
    """How many nodes lie below ``path``. Replies (count,) or NoNode."""

    path: str


class WhoAmI(NamedTuple):
    """Replies ([(scheme, user name)],) of what this connection has proven, its address included."""


class Auth(NamedTuple):
    """Prove an identity for this connection. Replies () or AuthFailed.

    ``scheme`` "digest": ``credential`` is b"user:password".
    """

    scheme: str
    credential: bytes

    def __repr__(self) -> str:
        """Without the credential: requests are printed in logs and errors."""
        return f"Auth(scheme={self.scheme!r})"


class Sync(NamedTuple):
    """Barrier: everything acknowledged before this was sent is applied here afterwards."""

    path: str


class Ping(NamedTuple):
    """Heartbeat of a session; answered once the leader has acknowledged it."""


class Close(NamedTuple):
    """End the session: one entry deletes all its ephemerals."""


class Watch(NamedTuple):
    """Open a watch stream.

    mode: 0 one-shot, 1 persistent (the node and its list of children), 2 recursive.
    resume: (history id, revision) of the last complete revision seen, or None for "from now".
    """

    path: str
    mode: int
    with_values: bool
    resume: tuple[int, int] | None


class ListWatch(NamedTuple):
    """List a subtree and watch it from that revision on, atomically.

    Replies (entries as [path, data, stat], history id, more); events follow as for Watch.
    """

    path: str
    recursive: bool
    with_values: bool


class Unwatch(NamedTuple):
    """Close the watch stream with this id."""

    watch_id: int


class AddWatch(NamedTuple):
    """ZooKeeper's addWatch. ``mode``: 0 persistent, 1 persistent and recursive. Replies ()."""

    path: str
    mode: int


class RemoveWatches(NamedTuple):
    """ZooKeeper's removeWatches. ``kind``: 1 child, 2 data, 3 any, 4 persistent, 5 recursive.

    Replies () or NoWatcher.
    """

    path: str
    kind: int


class CheckWatches(NamedTuple):
    """Whether RemoveWatches would find one. Replies () or NoWatcher."""

    path: str
    kind: int


class SetWatches(NamedTuple):
    """ZooKeeper's re-arming after a reconnect: what changed after ``revision`` fires at once.

    Replies ().
    """

    revision: int
    data: tuple[str, ...]
    exist: tuple[str, ...]
    child: tuple[str, ...]
    persistent: tuple[str, ...]
    recursive: tuple[str, ...]


class Reconfig(NamedTuple):
    """ZooKeeper's reconfig. ``version`` −1: any. Replies (data, stat) of /zookeeper/config."""

    joining: str
    leaving: str
    members: str
    version: int


class HangUp(NamedTuple):
    """What a front door could not take: answered with ``error`` in its place, then closed."""

    error: CoordError


class Connect(NamedTuple):
    """Open (session_id 0) or re-attach a session."""

    session_id: int
    secret: bytes
    timeout_ms: int
    last_revision: int
    client: str


class Admin(NamedTuple):
    """A request about the node or cluster itself; ``op`` is STATUS … SESSIONS, HISTORY, …"""

    op: int
    arguments: dict[str, object]


Read = Get | Exists | Children | GetAcl
Question = MultiRead | Ephemerals | CountDescendants | WhoAmI | Auth
WatchRequest = AddWatch | RemoveWatches | CheckWatches | SetWatches
Stream = Watch | ListWatch | Unwatch
Request = (
    Write
    | Read
    | Question
    | Sync
    | Ping
    | Close
    | Stream
    | WatchRequest
    | Reconfig
    | HangUp
    | Connect
    | Admin
)
