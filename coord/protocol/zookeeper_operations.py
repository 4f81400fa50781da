"""ZooKeeper's operations that may stand alone or in a multi.

The checks that need no tree are made here, in ZooKeeper's order; those that come after a look into
the tree are left to it.
"""

from __future__ import annotations

from typing import Final

from coord.model import requests as rq
from coord.model.acl import Acl
from coord.model.errors import BadArgumentsError, NoNodeError, ProtocolError
from coord.model.limits import NAME_BYTES_MAX, TTL_MS_MAX
from coord.model.paths import ROOT, check_path, name_of
from coord.model.types import ReadLevel
from coord.model.znode import CreateMode
from coord.protocol.zookeeper_records import Body

GET_CHILDREN: Final = 8
CREATE2: Final = 15
CREATE_CONTAINER: Final = 19
CREATE_TTL: Final = 21
"""Operations that only this wire numbers; the others are in ``coord.model.requests``."""

SESSION: Final = int(ReadLevel.SESSION)
_MODES: Final = tuple(CreateMode)
_SEQUENCE_SUFFIX_BYTES_MAX: Final = 11
"""Ten digits and, after the counter has wrapped, a sign."""
_UNSTORABLE_NAME: Final = "x" * (NAME_BYTES_MAX + 1)
"""The tree refuses a node of this name with −8, after it has looked at the parent."""

# --- paths ----------------------------------------------------------------------------------------


def read_path(body: Body) -> str:
    """The path of a read, valid or not: the tree has no node at an invalid one.

    The empty path is another name of the root, as in ZooKeeper. Raises NoNodeError for a name
    that is longer than any node's, and could not even be looked up.
    """
    return _findable(body.string() or ROOT)


def _findable(path: str) -> str:
    if len(path) * 4 > NAME_BYTES_MAX and len(name_of(path).encode()) > NAME_BYTES_MAX:
        raise NoNodeError(f"node {path} does not exist: no name is that long")
    return path


def valid(path: str | None) -> str:
    """``path`` if the tree can hold it. Raises BadArgumentsError."""
    if path is None:
        raise BadArgumentsError("the path is null")
    check_path(path)
    return path


def _parent(path: str) -> str:
    """What stands before the last slash. Raises BadArgumentsError for a path without one."""
    cut = path.rfind("/")
    if cut < 0 or "\0" in path:
        raise BadArgumentsError(f"path {path!r} is not valid: it has no parent, or has a NUL")
    return _findable(path[:cut])


# --- creating -------------------------------------------------------------------------------------


class CreateRecord:
    """CreateRequest or CreateTTLRequest as it came, not judged yet."""

    __slots__ = ("acl", "data", "flags", "path", "ttl_ms")

    def __init__(self, body: Body, *, has_ttl: bool) -> None:
        self.path: str | None = body.string_or_none()
        self.data: bytes = body.buffer() or b""
        self.acl: tuple[Acl, ...] = body.acl()
        self.flags: int = body.integer()
        self.ttl_ms: int = body.long() if has_ttl else -1

    def request(self, mode: CreateMode) -> rq.Create:
        """The request. What makes the final path invalid must be found after what is wrong with
        the parent, so such a path is passed on as one that the tree refuses at that place."""
        if self.path is None:
            raise ProtocolError("null in place of a path")
        parent = _parent(self.path)
        ttl_ms = self.ttl_ms if mode.has_ttl else 0
        if _is_storable(self.path, mode):
            return rq.Create(self.path, self.data, self.acl, int(mode), ttl_ms)
        return rq.Create(f"{parent}/{_UNSTORABLE_NAME}", b"", self.acl, CreateMode.PERSISTENT, 0)


def _is_storable(path: str, mode: CreateMode) -> bool:
    try:
        check_path(path, sequential=mode.is_sequential)
    except BadArgumentsError:
        return False
    longest = NAME_BYTES_MAX - _SEQUENCE_SUFFIX_BYTES_MAX
    return not mode.is_sequential or len(name_of(path).encode()) <= longest


def create_mode(flags: int) -> CreateMode:
    """The mode of these flags. Raises BadArgumentsError for flags that mean none."""
    if not 0 <= flags < len(_MODES):
        raise BadArgumentsError(f"there is no create mode {flags}")
    return _MODES[flags]


def require_ttl(mode: CreateMode, ttl_ms: int) -> None:
    """Raises BadArgumentsError unless ``ttl_ms`` is a time to live for a mode that has one."""
    if not mode.has_ttl or not 0 < ttl_ms <= TTL_MS_MAX:
        raise BadArgumentsError(f"mode {mode.name} with a time to live of {ttl_ms} ms")


# --- the others -----------------------------------------------------------------------------------


def delete(body: Body) -> rq.Delete:
    """DeleteRequest; a path that is invalid otherwise leads to no node."""
    path, version = body.string(), body.integer()
    _parent(path)
    return rq.Delete(_findable(path), version)


def set_data(body: Body) -> rq.Set:
    """SetDataRequest."""
    path, data, version = body.string_or_none(), body.buffer() or b"", body.integer()
    return rq.Set(valid(path), data, version)


def check(body: Body) -> rq.Check:
    """CheckVersionRequest."""
    path, version = body.string_or_none(), body.integer()
    return rq.Check(valid(path), version)


def get(body: Body) -> rq.Get:
    """GetDataRequest."""
    return rq.Get(read_path(body), body.boolean(), SESSION)


def children(body: Body) -> rq.Children:
    """GetChildrenRequest, of both kinds."""
    return rq.Children(read_path(body), body.boolean(), SESSION, "", 0, 0)
