"""The service's requests as records of ZooKeeper's wire, by ZooKeeper's own description of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from coord.model import requests as rq
from coord.model.znode import CreateMode
from tests.protocol import jute
from tests.protocol.jute import buffer, flag, i32, i64, text


def _create(request: rq.Create) -> tuple[int, bytes]:
    operation = 21 if request.ttl_ms else 19 if request.mode == CreateMode.CONTAINER else 15
    assert isinstance(request.acl, tuple)
    return operation, jute.create_record(
        request.path, request.data, request.mode, request.acl, request.ttl_ms or None
    )


_READ_KINDS: Final = {rq.Get: 4, rq.Children: 8}
_ENCODED: Final[dict[type, Callable[[Any], tuple[int, bytes]]]] = {
    rq.Create: _create,
    rq.Delete: lambda r: (2, text(r.path) + i32(r.version)),
    rq.Set: lambda r: (5, text(r.path) + buffer(r.data) + i32(r.version)),
    rq.SetAcl: lambda r: (7, text(r.path) + jute.acl(r.acl) + i32(r.version)),
    rq.Check: lambda r: (13, text(r.path) + i32(r.version)),
    rq.Multi: lambda r: (14, jute.multi_record(*map(encoded, r.operations))),
    rq.Get: lambda r: (4, text(r.path) + flag(r.watch)),
    rq.Exists: lambda r: (3, text(r.path) + flag(r.watch)),
    rq.Children: lambda r: (12, text(r.path) + flag(r.watch)),
    rq.GetAcl: lambda r: (6, text(r.path)),
    rq.MultiRead: lambda r: (
        22,
        jute.multi_record(*((_READ_KINDS[type(read)], encoded(read)[1]) for read in r.reads)),
    ),
    rq.AddWatch: lambda r: (106, text(r.path) + i32(r.mode)),
    rq.RemoveWatches: lambda r: (18, text(r.path) + i32(r.kind)),
    rq.CheckWatches: lambda r: (17, text(r.path) + i32(r.kind)),
    rq.SetWatches: lambda r: (105, i64(r.revision) + b"".join(map(jute.texts, r[1:]))),
    rq.Auth: lambda r: (100, i32(0) + text(r.scheme) + buffer(r.credential)),
    rq.Reconfig: lambda r: (16, b"".join(map(text, r[:3])) + i64(r.version)),
    rq.Ephemerals: lambda r: (103, text(r.prefix)),
    rq.CountDescendants: lambda r: (104, text(r.path)),
    rq.Sync: lambda r: (9, text(r.path)),
    rq.Ping: lambda _: (11, b""),
    rq.Close: lambda _: (-11, b""),
    rq.WhoAmI: lambda _: (107, b""),
}


def encoded(request: Any) -> tuple[int, bytes]:
    """(operation, record) of a request."""
    return _ENCODED[type(request)](request)
