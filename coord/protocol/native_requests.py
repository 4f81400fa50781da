"""Arguments of the native protocol → validated requests: one decoder per operation number.

Everything is checked here, once: types, ranges, paths, sizes. What leaves this module is
well-formed, so that neither the gateway nor apply checks again. A decoder takes the frame's
arguments (a list that msgpack made) and returns a request, or raises a RequestError that becomes
the reply; any other exception out of here is a defect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from coord.model import requests
from coord.model.acl import ALL, OPEN, Acl
from coord.model.errors import (
    BadArgumentsError,
    InvalidAclError,
    TooLargeError,
    UnimplementedError,
)
from coord.model.limits import (
    ACL_ENTRIES_MAX,
    DATA_BYTES_MAX,
    NAME_BYTES_MAX,
    PAGE_CHILDREN_MAX,
    REVISION_MAX,
    SECRET_BYTES,
    TTL_MS_MAX,
    TXN_BYTES_MAX,
    TXN_OPERATIONS_MAX,
)
from coord.model.paths import check_path, name_of
from coord.model.types import ReadLevel
from coord.model.znode import CreateMode

XID_MAX: Final = 2**63 - 1
SEQ_MAX: Final = 2**63 - 1
INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1
ANY_VERSION: Final = -1
CLIENT_NAME_BYTES_MAX: Final = 256
SCHEME_BYTES_MAX: Final = 64
CREDENTIAL_BYTES_MAX: Final = 4_096
ACL_ID_BYTES_MAX: Final = 1_024
SCHEMES: Final = frozenset({"world", "auth", "digest", "ip", "x509"})
"""``auth`` stands for whatever the connection has proven; the gateway expands it."""
SEQUENCE_SUFFIX_BYTES_MAX: Final = 11
"""Ten digits and, after the counter has wrapped, a sign."""
WATCH_MODES: Final = 3
ADMIN_ARGUMENTS_MAX: Final = 16

Arguments = list[Any]
_MODE_MAX: Final = int(max(CreateMode))
_SEQUENTIAL: Final = frozenset(int(mode) for mode in CreateMode if mode.is_sequential)
_WITH_TTL: Final = frozenset(int(mode) for mode in CreateMode if mode.has_ttl)
assert set(CreateMode) == set(range(_MODE_MAX + 1))
_OPEN_ON_WIRE: Final = [[ALL, "world", "anyone"]]
LEVEL_MAX: Final = int(max(ReadLevel))
_FIELD_OPERANDS: Final[dict[str, type]] = {
    "exists": bool,
    "value": bytes,
    "version": int,
    "mzxid": int,
    "czxid": int,
    "children": int,
}
_RELATIONS: Final = frozenset({"=", "!=", "<", ">"})


def _fill(arguments: Arguments, names: tuple[str, ...], *defaults: Any) -> Arguments:
    """``arguments`` with trailing ones that were left out replaced by their defaults."""
    missing = len(names) - len(arguments)
    if missing == 0:
        return arguments
    if missing < 0:
        raise BadArgumentsError(f"{len(arguments)} arguments where {len(names)} are known")
    if missing > len(defaults):
        raise BadArgumentsError(f"argument {names[len(arguments)]!r} is missing")
    return [*arguments, *defaults[len(defaults) - missing :]]


def _int(value: Any, name: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise BadArgumentsError(f"{name} must be an integer from {low} to {high}")
    return value


def _bool(value: Any, name: str) -> bool:
    if type(value) is not bool:
        raise BadArgumentsError(f"{name} must be true or false")
    return value


def _text(value: Any, name: str, bytes_max: int) -> str:
    # A character takes at most four bytes, so most texts need not be encoded to be measured.
    if type(value) is not str:
        raise BadArgumentsError(f"{name} must be a string")
    if len(value) * 4 > bytes_max and len(value.encode()) > bytes_max:
        raise BadArgumentsError(f"{name} is longer than {bytes_max} bytes")
    return value


def _path(value: Any) -> str:
    if type(value) is not str:
        raise BadArgumentsError("path must be a string")
    check_path(value)
    return value


def _data(value: Any) -> bytes:
    if type(value) is not bytes:
        raise BadArgumentsError("data must be binary")
    if len(value) > DATA_BYTES_MAX:
        raise TooLargeError(f"data of {len(value)} bytes is above the {DATA_BYTES_MAX} allowed")
    return value


def _version(value: Any) -> int:
    return _int(value, "version", ANY_VERSION, INT32_MAX)


def _level(value: Any) -> int:
    return _int(value, "level", 0, LEVEL_MAX)


def _acl(value: Any) -> tuple[Acl, ...]:
    if value is None or value == _OPEN_ON_WIRE:
        return OPEN
    if type(value) is not list or not value:
        raise InvalidAclError("an ACL is a non-empty list of [perms, scheme, id]")
    if len(value) > ACL_ENTRIES_MAX:
        raise InvalidAclError(f"an ACL has at most {ACL_ENTRIES_MAX} entries")
    return tuple(_acl_entry(entry) for entry in value)


def _acl_entry(entry: Any) -> Acl:
    if type(entry) is not list or len(entry) != 3:
        raise InvalidAclError("an ACL entry is [perms, scheme, id]")
    perms, scheme, who = entry
    if type(perms) is not int or not 0 < perms <= ALL:
        raise InvalidAclError(f"ACL permissions are a bit set from 1 to {ALL}")
    if type(scheme) is not str or scheme not in SCHEMES:
        raise InvalidAclError(f"the ACL scheme is one of {', '.join(sorted(SCHEMES))}")
    if type(who) is not str or len(who.encode()) > ACL_ID_BYTES_MAX:
        raise InvalidAclError(f"an ACL id is a string of at most {ACL_ID_BYTES_MAX} bytes")
    if scheme == "world" and who != "anyone":
        raise InvalidAclError("the only id of scheme world is anyone")
    return Acl(perms, scheme, who)


# --- operations that may stand inside a transaction ---------------------------------------------


def _create(arguments: Arguments) -> requests.Create:
    path, data, acl, mode, ttl_ms = _fill(
        arguments, ("path", "data", "acl", "mode", "ttl_ms"), b"", None, 0, 0
    )
    _int(mode, "mode", 0, _MODE_MAX)
    if type(path) is not str:
        raise BadArgumentsError("path must be a string")
    is_sequential = mode in _SEQUENTIAL
    check_path(path, sequential=is_sequential)
    if is_sequential:
        longest = NAME_BYTES_MAX - SEQUENCE_SUFFIX_BYTES_MAX
        if len(name_of(path).encode()) > longest:
            raise BadArgumentsError(f"a sequential node's name has at most {longest} bytes")
    _int(ttl_ms, "ttl_ms", 0, TTL_MS_MAX)
    if (ttl_ms > 0) is not (mode in _WITH_TTL):
        raise BadArgumentsError("ttl_ms is above 0 for modes with a time to live, and only there")
    return requests.Create(path, _data(data), _acl(acl), mode, ttl_ms)


def _delete(arguments: Arguments) -> requests.Delete:
    path, version = _fill(arguments, ("path", "version"), ANY_VERSION)
    return requests.Delete(_path(path), _version(version))


def _set(arguments: Arguments) -> requests.Set:
    path, data, version = _fill(arguments, ("path", "data", "version"), ANY_VERSION)
    return requests.Set(_path(path), _data(data), _version(version))


def _set_acl(arguments: Arguments) -> requests.SetAcl:
    path, acl, version = _fill(arguments, ("path", "acl", "version"), ANY_VERSION)
    return requests.SetAcl(_path(path), _acl(acl), _version(version))


def _check(arguments: Arguments) -> requests.Check:
    path, version = _fill(arguments, ("path", "version"), ANY_VERSION)
    return requests.Check(_path(path), _version(version))


def _compare(arguments: Arguments) -> requests.Compare:
    path, field, relation, operand = _fill(arguments, ("path", "field", "relation", "operand"))
    if type(field) is not str or field not in _FIELD_OPERANDS:
        raise BadArgumentsError(f"a compare's field is one of {', '.join(_FIELD_OPERANDS)}")
    if type(relation) is not str or relation not in _RELATIONS:
        raise BadArgumentsError("a compare's relation is one of =, !=, <, >")
    if type(operand) is not _FIELD_OPERANDS[field]:
        wanted = _FIELD_OPERANDS[field].__name__
        raise BadArgumentsError(f"{field} is compared with a value of type {wanted}")
    if field == "exists" and relation not in {"=", "!="}:
        raise BadArgumentsError("exists is compared with = or !=")
    if type(operand) is int:
        _int(operand, "operand", -INT64_MAX, INT64_MAX)
    if type(operand) is bytes:
        _data(operand)
    return requests.Compare(_path(path), field, relation, operand)


def _guard(arguments: Arguments) -> requests.Guard:
    path, token = _fill(arguments, ("path", "token"))
    return requests.Guard(_path(path), _int(token, "token", 1, REVISION_MAX))


_OPERATIONS: Final[dict[int, Callable[[Arguments], requests.Operation]]] = {
    requests.CREATE: _create,
    requests.DELETE: _delete,
    requests.SET: _set,
    requests.SET_ACL: _set_acl,
    requests.CHECK: _check,
    requests.COMPARE: _compare,
    requests.GUARD: _guard,
}


def _multi(arguments: Arguments) -> requests.Multi:
    (operations,) = _fill(arguments, ("operations",))
    if type(operations) is not list:
        raise BadArgumentsError("operations must be a list")
    if len(operations) > TXN_OPERATIONS_MAX:
        raise TooLargeError(f"a transaction has at most {TXN_OPERATIONS_MAX} operations")
    decoded = tuple(_operation(operation) for operation in operations)
    size = sum(operation_bytes(operation) for operation in decoded)
    if size > TXN_BYTES_MAX:
        raise TooLargeError(f"a transaction of {size} bytes is above the {TXN_BYTES_MAX} allowed")
    return requests.Multi(decoded)


def _operation(operation: Any) -> requests.Operation:
    if type(operation) is not list or not operation:
        raise BadArgumentsError("an operation is [op, *arguments]")
    decode = _OPERATIONS.get(operation[0]) if type(operation[0]) is int else None
    if decode is None:
        raise BadArgumentsError(f"operation {operation[0]!r:.40} cannot stand in a transaction")
    return decode(operation[1:])


_WITH_DATA: Final = (requests.Set, requests.Create)


def operation_bytes(operation: requests.Operation) -> int:
    """What an operation counts towards TXN_BYTES_MAX: its path and its value."""
    size = len(operation.path.encode())
    if isinstance(operation, _WITH_DATA):
        return size + len(operation.data)
    if isinstance(operation, requests.Compare) and isinstance(operation.operand, bytes):
        return size + len(operation.operand)
    return size


# --- everything else ----------------------------------------------------------------------------


def _get(arguments: Arguments) -> requests.Get:
    path, watch, level = _fill(arguments, ("path", "watch", "level"), False, 0)
    return requests.Get(_path(path), _bool(watch, "watch"), _level(level))


def _exists(arguments: Arguments) -> requests.Exists:
    path, watch, level = _fill(arguments, ("path", "watch", "level"), False, 0)
    return requests.Exists(_path(path), _bool(watch, "watch"), _level(level))


def _children(arguments: Arguments) -> requests.Children:
    path, watch, level, after, limit, revision = _fill(
        arguments,
        ("path", "watch", "level", "after", "limit", "revision"),
        *(False, 0, "", 0, 0),
    )
    return requests.Children(
        _path(path),
        _bool(watch, "watch"),
        _level(level),
        _text(after, "after", NAME_BYTES_MAX),
        _int(limit, "limit", 0, PAGE_CHILDREN_MAX),
        _int(revision, "revision", 0, REVISION_MAX),
    )


def _get_acl(arguments: Arguments) -> requests.GetAcl:
    path, level = _fill(arguments, ("path", "level"), 0)
    return requests.GetAcl(_path(path), _level(level))


def _auth(arguments: Arguments) -> requests.Auth:
    scheme, credential = _fill(arguments, ("scheme", "credential"))
    _text(scheme, "scheme", SCHEME_BYTES_MAX)
    # What is wrong with a credential must not be told with the credential in it.
    if type(credential) is not bytes or len(credential) > CREDENTIAL_BYTES_MAX:
        raise BadArgumentsError(f"credential must be binary, {CREDENTIAL_BYTES_MAX} bytes at most")
    return requests.Auth(scheme, credential)


def _who_am_i(arguments: Arguments) -> requests.WhoAmI:
    _fill(arguments, ())
    return requests.WhoAmI()


def _sync(arguments: Arguments) -> requests.Sync:
    (path,) = _fill(arguments, ("path",), "/")
    return requests.Sync(_path(path))


def _ping(arguments: Arguments) -> requests.Ping:
    _fill(arguments, ())
    return requests.Ping()


def _close(arguments: Arguments) -> requests.Close:
    _fill(arguments, ())
    return requests.Close()


def _watch(arguments: Arguments) -> requests.Watch:
    path, mode, with_values, resume = _fill(
        arguments, ("path", "mode", "with_values", "resume"), 1, False, None
    )
    if resume is not None:
        if type(resume) is not list or len(resume) != 2:
            raise BadArgumentsError("resume is nil or [history id, revision]")
        resume = (
            _int(resume[0], "history id", 0, 2**64 - 1),
            _int(resume[1], "revision", 0, REVISION_MAX),
        )
    return requests.Watch(
        _path(path),
        _int(mode, "mode", 0, WATCH_MODES - 1),
        _bool(with_values, "with_values"),
        resume,
    )


def _list_watch(arguments: Arguments) -> requests.ListWatch:
    path, recursive, with_values = _fill(
        arguments, ("path", "recursive", "with_values"), True, False
    )
    return requests.ListWatch(
        _path(path), _bool(recursive, "recursive"), _bool(with_values, "with_values")
    )


def _unwatch(arguments: Arguments) -> requests.Unwatch:
    (watch_id,) = _fill(arguments, ("watch_id",))
    return requests.Unwatch(_int(watch_id, "watch_id", 1, XID_MAX))


def _connect(arguments: Arguments) -> requests.Connect:
    session_id, secret, timeout_ms, last_revision, client = _fill(
        arguments, ("session_id", "secret", "timeout_ms", "last_revision", "client"), 0, ""
    )
    _int(session_id, "session_id", 0, REVISION_MAX)
    if type(secret) is not bytes or len(secret) != (SECRET_BYTES if session_id else 0):
        raise BadArgumentsError(
            f"secret is empty for a new session, else the {SECRET_BYTES} bytes it was given"
        )
    return requests.Connect(
        session_id,
        secret,
        _int(timeout_ms, "timeout_ms", 0, INT32_MAX),
        _int(last_revision, "last_revision", 0, REVISION_MAX),
        _text(client, "client", CLIENT_NAME_BYTES_MAX),
    )


def _admin(op: int) -> Callable[[Arguments], requests.Admin]:
    def decode(arguments: Arguments) -> requests.Admin:
        (named,) = _fill(arguments, ("arguments",), {})
        if type(named) is not dict or len(named) > ADMIN_ARGUMENTS_MAX:
            raise BadArgumentsError(f"arguments is a map of at most {ADMIN_ARGUMENTS_MAX} names")
        if not all(type(name) is str for name in named):
            raise BadArgumentsError("names of arguments are strings")
        if "path" in named:
            _path(named["path"])
        return requests.Admin(op, named)

    return decode


ADMIN_OPERATIONS: Final = (
    requests.HISTORY, requests.WHY_SESSION, requests.RESULT_OF, requests.STATUS, requests.DIGEST,
    requests.MEMBERS, requests.MEMBER_CHANGE, requests.TRANSFER, requests.SNAPSHOT,
    requests.LOG_TAIL, requests.SESSIONS,
)  # fmt: skip

WRITES: Final[dict[int, Callable[[Arguments], requests.Write | requests.Close]]] = {
    requests.CREATE: _create,
    requests.DELETE: _delete,
    requests.SET: _set,
    requests.SET_ACL: _set_acl,
    requests.MULTI: _multi,
    requests.CLOSE: _close,
}
"""Operations that carry seq and acked before their arguments."""

OTHERS: Final[dict[int, Callable[[Arguments], requests.Request]]] = {
    requests.EXISTS: _exists,
    requests.GET: _get,
    requests.GET_ACL: _get_acl,
    requests.AUTH: _auth,
    requests.WHO_AM_I: _who_am_i,
    requests.SYNC: _sync,
    requests.PING: _ping,
    requests.CHILDREN: _children,
    requests.WATCH: _watch,
    requests.UNWATCH: _unwatch,
    requests.LIST_WATCH: _list_watch,
    requests.CONNECT: _connect,
    **{op: _admin(op) for op in ADMIN_OPERATIONS},
}


def decode_request(fields: Arguments) -> tuple[requests.Request, int, int]:
    """(request, seq, acked) of a frame [xid, op, …] whose xid and op are integers.

    Raises a RequestError: the answer to give.
    """
    op = fields[1]
    decode_write = WRITES.get(op)
    if decode_write is None:
        decode = OTHERS.get(op)
        if decode is None:
            raise UnimplementedError(f"operation {op} is not known here")
        return decode(fields[2:]), 0, 0
    if len(fields) < 4:
        raise BadArgumentsError("a write carries seq and acked")
    seq = _int(fields[2], "seq", 1, SEQ_MAX)
    acked = _int(fields[3], "acked", 0, seq - 1)
    return decode_write(fields[4:]), seq, acked
