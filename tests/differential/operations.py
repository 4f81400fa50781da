"""Every request of ZooKeeper's wire by name: its opcode, how it is written, how its reply is read.

Arguments and results are plain values that JSON can hold, data apart, which is text in arguments
(Latin-1) and bytes in results. The arguments of an operation are a dict.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.differential import jute
from tests.differential.jute import Reader

Args = dict[str, Any]
"""The arguments of one operation, by name."""


class Spec(NamedTuple):
    """One kind of request."""

    opcode: int
    encode: Callable[[Args], bytes]
    decode: Callable[[Reader], Any]


def _data(text: str | None) -> bytes:
    return jute.buffer(None if text is None else text.encode("latin-1"))


def _path(args: Args) -> bytes:
    return jute.string(args["path"])


def _watched(args: Args) -> bytes:
    return _path(args) + jute.boolean(args.get("watch"))


def _create(args: Args) -> bytes:
    return _path(args) + _data(args["data"]) + jute.acl(args["acl"]) + jute.integer(args["flags"])


def _create_ttl(args: Args) -> bytes:
    return _create(args) + jute.long(args["ttl"])


def _versioned(args: Args) -> bytes:
    return _path(args) + jute.integer(args["version"])


def _set_data(args: Args) -> bytes:
    return _path(args) + _data(args["data"]) + jute.integer(args["version"])


def _set_acl(args: Args) -> bytes:
    return _path(args) + jute.acl(args["acl"]) + jute.integer(args["version"])


def _kind(args: Args) -> bytes:
    return _path(args) + jute.integer(args["kind"])


def _set_watches(args: Args) -> bytes:
    lists = [args.get(kind, []) for kind in ("data", "exist", "child")]
    return jute.long(args["zxid"]) + b"".join(jute.vector(map(jute.string, it)) for it in lists)


def _set_watches2(args: Args) -> bytes:
    lists = [args.get(kind, []) for kind in ("persistent", "recursive")]
    return _set_watches(args) + b"".join(jute.vector(map(jute.string, it)) for it in lists)


def _auth(args: Args) -> bytes:
    return jute.integer(0) + jute.string(args["scheme"]) + _data(args["credential"])


def _reconfig(args: Args) -> bytes:
    names = ("joining", "leaving", "members")
    return b"".join(jute.string(args[name]) for name in names) + jute.long(args["version"])


def _nothing(_: object) -> None:
    return None


def _path_and_stat(reader: Reader) -> Any:
    return [reader.string(), reader.stat()]


def _data_and_stat(reader: Reader) -> Any:
    return [reader.buffer(), reader.stat()]


def _names(reader: Reader) -> Any:
    return reader.vector(reader.string)


def _names_and_stat(reader: Reader) -> Any:
    return [_names(reader), reader.stat()]


def _acl_and_stat(reader: Reader) -> Any:
    return [reader.acl(), reader.stat()]


def _who(reader: Reader) -> Any:
    return reader.vector(lambda: [reader.string(), reader.string()])


def _multi(args: Args) -> bytes:
    parts = [
        multi_header(SPECS[name].opcode, done=False, err=-1) + SPECS[name].encode(inner)
        for name, inner in args["operations"]
    ]
    return b"".join(parts) + multi_header(-1, done=True, err=-1)


def multi_header(kind: int, *, done: bool, err: int) -> bytes:
    """What stands before each part of a multi, and at its end."""
    return jute.integer(kind) + jute.boolean(done) + jute.integer(err)


def _multi_results(reader: Reader) -> Any:
    """[opcode, error in the part's header, result] for each part."""
    results: list[Any] = []
    while True:
        kind, done, err = reader.integer(), reader.boolean(), reader.integer()
        if done:
            return results
        decode = _PARTS[kind]
        results.append([kind, err, decode(reader)])


def _stat(reader: Reader) -> Any:
    return reader.stat()


_PARTS: Final[dict[int, Callable[[Reader], Any]]] = {
    -1: lambda reader: reader.integer(),
    1: lambda reader: reader.string(),
    2: _nothing,
    4: _data_and_stat,
    5: _stat,
    8: _names,
    13: _nothing,
    15: _path_and_stat,
}

SPECS: Final = {
    "create": Spec(1, _create, lambda reader: reader.string()),
    "delete": Spec(2, _versioned, _nothing),
    "exists": Spec(3, _watched, _stat),
    "getData": Spec(4, _watched, _data_and_stat),
    "setData": Spec(5, _set_data, _stat),
    "getACL": Spec(6, _path, _acl_and_stat),
    "setACL": Spec(7, _set_acl, _stat),
    "getChildren": Spec(8, _watched, _names),
    "sync": Spec(9, _path, lambda reader: reader.string()),
    "ping": Spec(11, lambda _: b"", _nothing),
    "getChildren2": Spec(12, _watched, _names_and_stat),
    "check": Spec(13, _versioned, _nothing),
    "multi": Spec(14, _multi, _multi_results),
    "create2": Spec(15, _create, _path_and_stat),
    "reconfig": Spec(16, _reconfig, _data_and_stat),
    "checkWatches": Spec(17, _kind, _nothing),
    "removeWatches": Spec(18, _kind, _nothing),
    "createContainer": Spec(19, _create, _path_and_stat),
    "createTTL": Spec(21, _create_ttl, _path_and_stat),
    "multiRead": Spec(22, _multi, _multi_results),
    "auth": Spec(100, _auth, _nothing),
    "setWatches": Spec(101, _set_watches, _nothing),
    "sasl": Spec(102, lambda args: _data(args["token"]), lambda reader: reader.buffer()),
    "getEphemerals": Spec(103, lambda args: jute.string(args["prefix"]), _names),
    "getAllChildrenNumber": Spec(104, _path, lambda reader: reader.integer()),
    "setWatches2": Spec(105, _set_watches2, _nothing),
    "addWatch": Spec(106, lambda a: _path(a) + jute.integer(a["mode"]), lambda r: r.integer()),
    "whoAmI": Spec(107, lambda _: b"", _who),
    "close": Spec(-11, lambda _: b"", _nothing),
    "unknown": Spec(99, lambda _: b"", _nothing),
}
"""Operation → how it travels. "unknown" is an opcode that nobody has."""

XIDS: Final = {"ping": -2, "auth": -4, "setWatches": -8, "setWatches2": -8}
"""The operations whose replies are recognised by a fixed xid."""
