"""What each of ZooKeeper's requests decodes to: the table of operations and the rare ones.

``coord.protocol.zookeeper`` decodes the plain forms of get, set, exists and create itself;
everything else, and everything unusual, comes here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from coord.model import requests as rq
from coord.model.errors import (
    AuthFailedError,
    BadArgumentsError,
    CoordError,
    ProtocolError,
    RequestError,
    UnimplementedError,
)
from coord.model.paths import ROOT
from coord.protocol.zookeeper_multi import decode_multi, decode_multi_read
from coord.protocol.zookeeper_operations import (
    CREATE2,
    CREATE_CONTAINER,
    CREATE_TTL,
    GET_CHILDREN,
    SESSION,
    CreateRecord,
    children,
    create_mode,
    delete,
    get,
    read_path,
    require_ttl,
    set_data,
    valid,
)
from coord.protocol.zookeeper_records import Body
from coord.protocol.zookeeper_replies import Shape, token_of

SET_WATCHES_OLD: Final = 101
SASL: Final = 102

_ADD_WATCH_MODES: Final = 2
_WATCHER_KINDS: Final = range(1, 6)

Item = tuple[int, rq.Request | CoordError]
"""(token, request or the error to answer with)."""


# --- writes ---------------------------------------------------------------------------------------


def _create(body: Body) -> rq.Create:
    """Create, create2 and createContainer: the flags decide."""
    record = CreateRecord(body, has_ttl=False)
    mode = create_mode(record.flags)
    if mode.has_ttl:
        require_ttl(mode, record.ttl_ms)
    return record.request(mode)


def _create_ttl(body: Body) -> rq.Create:
    record = CreateRecord(body, has_ttl=True)
    mode = create_mode(record.flags)
    require_ttl(mode, record.ttl_ms)
    return record.request(mode)


def _set_acl(body: Body) -> rq.SetAcl:
    path, acl, version = body.string_or_none(), body.acl(), body.integer()
    return rq.SetAcl(valid(path), acl, version)


# --- reads ----------------------------------------------------------------------------------------


def _exists(body: Body) -> rq.Exists:
    path, watch = read_path(body), body.boolean()
    if "\0" in path:
        raise BadArgumentsError(f"path {path!r} is not valid: it has a NUL")
    return rq.Exists(path, watch, SESSION)


def _get_acl(body: Body) -> rq.GetAcl:
    return rq.GetAcl(read_path(body), SESSION)


def _count_descendants(body: Body) -> rq.CountDescendants:
    return rq.CountDescendants(read_path(body))


def _ephemerals(body: Body) -> rq.Ephemerals:
    prefix = body.string_or_none() or ""
    return rq.Ephemerals("" if prefix.strip() in {"", ROOT} else prefix)


def _sync(body: Body) -> rq.Sync:
    return rq.Sync(body.string())


# --- watches, identity, membership ----------------------------------------------------------------


def _add_watch(body: Body) -> rq.AddWatch:
    path, mode = body.string(), body.integer()
    if not 0 <= mode < _ADD_WATCH_MODES:
        raise ProtocolError(f"there is no watch mode {mode}")
    return rq.AddWatch(path, mode)


def _remove_watches(body: Body) -> rq.RemoveWatches:
    return rq.RemoveWatches(body.string(), _watcher_kind(body))


def _check_watches(body: Body) -> rq.CheckWatches:
    return rq.CheckWatches(body.string(), _watcher_kind(body))


def _watcher_kind(body: Body) -> int:
    kind = body.integer()
    if kind not in _WATCHER_KINDS:
        raise ProtocolError(f"there is no kind of watch {kind}")
    return kind


def _set_watches_old(body: Body) -> rq.SetWatches:
    return rq.SetWatches(body.long(), body.strings(), body.strings(), body.strings(), (), ())


def _set_watches(body: Body) -> rq.SetWatches:
    revision = body.long()
    return rq.SetWatches(revision, *(body.strings() for _ in range(5)))


def _auth(body: Body) -> rq.Auth | rq.HangUp:
    """What cannot be read proves nothing, and the connection is not trusted any further."""
    try:
        body.integer()  # a type that has never meant anything
        scheme, credential = body.string_or_none() or "", body.buffer()
    except ProtocolError as error:
        return rq.HangUp(error)
    if credential is None:
        return rq.HangUp(AuthFailedError("there is no credential"))
    return rq.Auth(scheme, credential)


def _reconfig(body: Body) -> rq.Reconfig:
    joining, leaving, members = (body.string_or_none() or "" for _ in range(3))
    return rq.Reconfig(joining, leaving, members, body.long())


def _refuse_sasl(_body: Body) -> rq.Request:
    raise AuthFailedError("SASL is not offered here; authenticate with scheme digest")


_Decode = Callable[[Body], rq.Request]

OPERATIONS: Final[dict[int, tuple[int, _Decode]]] = {
    rq.CREATE: (token_of(Shape.PATH), _create),
    rq.DELETE: (token_of(Shape.NOTHING), delete),
    rq.EXISTS: (token_of(Shape.STAT), _exists),
    rq.GET: (token_of(Shape.DATA), get),
    rq.SET: (token_of(Shape.STAT), set_data),
    rq.GET_ACL: (token_of(Shape.ACL), _get_acl),
    rq.SET_ACL: (token_of(Shape.STAT), _set_acl),
    GET_CHILDREN: (token_of(Shape.NAMES), children),
    rq.SYNC: (token_of(Shape.PATH), _sync),
    rq.PING: (token_of(Shape.PING), lambda _body: rq.Ping()),
    rq.CHILDREN: (token_of(Shape.NAMES_STAT), children),
    CREATE2: (token_of(Shape.PATH_STAT), _create),
    rq.RECONFIG: (token_of(Shape.DATA), _reconfig),
    rq.CHECK_WATCHES: (token_of(Shape.NOTHING), _check_watches),
    rq.REMOVE_WATCHES: (token_of(Shape.NOTHING), _remove_watches),
    CREATE_CONTAINER: (token_of(Shape.PATH_STAT), _create),
    CREATE_TTL: (token_of(Shape.PATH_STAT), _create_ttl),
    rq.AUTH: (token_of(Shape.AUTH), _auth),
    SET_WATCHES_OLD: (token_of(Shape.NOTHING), _set_watches_old),
    SASL: (token_of(Shape.AUTH), _refuse_sasl),
    rq.EPHEMERALS: (token_of(Shape.NAMES), _ephemerals),
    rq.COUNT_DESCENDANTS: (token_of(Shape.COUNT), _count_descendants),
    rq.SET_WATCHES: (token_of(Shape.NOTHING), _set_watches),
    rq.ADD_WATCH: (token_of(Shape.ZERO), _add_watch),
    rq.WHO_AM_I: (token_of(Shape.IDENTITIES), lambda _body: rq.WhoAmI()),
    rq.CLOSE: (token_of(Shape.NOTHING), lambda _body: rq.Close()),
}
"""By operation: the token without its xid, and what reads the record."""
_ERROR_TOKEN: Final = token_of(Shape.NOTHING)


def decode(xid: int, operation: int, data: bytes, at: int, end: int) -> Item:
    """The request whose record lies in ``data`` from ``at`` to ``end``, or what to answer."""
    body = Body(data, at, end)
    try:
        if operation == rq.MULTI:
            operations, kinds = decode_multi(body)
            return token_of(Shape.MULTI, kinds) | xid, rq.Multi(operations)
        if operation == rq.MULTI_READ:
            reads, kinds = decode_multi_read(body)
            return token_of(Shape.MULTI, kinds) | xid, rq.MultiRead(reads, SESSION)
        entry = OPERATIONS.get(operation)
        if entry is None:
            error = UnimplementedError(f"operation {operation} is not known here")
            return _ERROR_TOKEN | xid, rq.HangUp(error)
        token, read = entry
        return token | xid, read(body)
    except (RequestError, ProtocolError) as error:
        return _ERROR_TOKEN | xid, error
