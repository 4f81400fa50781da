"""Hypothesis strategies for the native wire: well-formed requests and frames of all kinds."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from coord.model import requests as rq
from coord.model.acl import OPEN, Acl
from coord.model.limits import REVISION_MAX, TTL_MS_MAX
from coord.model.znode import CreateMode
from coord.protocol.native_requests import ADMIN_OPERATIONS

INT32_MAX: Final = 2**31 - 1

_names = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Co", "Cs", "Cn")),
    min_size=1,
    max_size=12,
).filter(lambda name: "/" not in name and name not in {".", ".."} and _allowed(name))


def _allowed(name: str) -> bool:
    return not any("\ufff0" <= letter <= "\uffff" for letter in name)


paths = st.lists(_names, max_size=4).map(lambda parts: "/" + "/".join(parts))
data = st.binary(max_size=200)
versions = st.integers(-1, INT32_MAX)
revisions = st.integers(0, REVISION_MAX)
acls = st.one_of(
    st.just(OPEN),
    st.lists(
        st.one_of(
            st.builds(Acl, st.integers(1, 31), st.just("world"), st.just("anyone")),
            st.builds(
                Acl,
                st.integers(1, 31),
                st.sampled_from(["digest", "ip", "auth", "x509"]),
                st.text(st.characters(codec="ascii"), max_size=20),
            ),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
).map(lambda acl: OPEN if acl == OPEN else acl)


@st.composite
def creates(draw: st.DrawFn) -> rq.Create:
    """A Create of any mode; sequential ones may end with a slash."""
    mode = draw(st.sampled_from(CreateMode))
    path = draw(paths)
    if mode.is_sequential and path != "/" and draw(st.booleans()):
        path += "/"
    ttl_ms = draw(st.integers(1, TTL_MS_MAX)) if mode.has_ttl else 0
    return rq.Create(path, draw(data), draw(acls), int(mode), ttl_ms)


compares = st.one_of(
    st.builds(rq.Compare, paths, st.just("exists"), st.sampled_from(["=", "!="]), st.booleans()),
    st.builds(rq.Compare, paths, st.just("value"), st.sampled_from(["=", "!=", "<", ">"]), data),
    st.builds(
        rq.Compare,
        paths,
        st.sampled_from(["version", "mzxid", "czxid", "children"]),
        st.sampled_from(["=", "!=", "<", ">"]),
        st.integers(-(2**63) + 1, 2**63 - 1),
    ),
)
operations = st.one_of(
    creates(),
    st.builds(rq.Delete, paths, versions),
    st.builds(rq.Set, paths, data, versions),
    st.builds(rq.SetAcl, paths, acls, versions),
    st.builds(rq.Check, paths, versions),
    compares,
    st.builds(rq.Guard, paths, st.integers(1, REVISION_MAX)),
)
writes = st.one_of(
    creates(),
    st.builds(rq.Delete, paths, versions),
    st.builds(rq.Set, paths, data, versions),
    st.builds(rq.SetAcl, paths, acls, versions),
    st.lists(operations, max_size=5).map(lambda chosen: rq.Multi(tuple(chosen))),
    st.just(rq.Close()),
)
_levels = st.integers(0, 2)
_client_names = st.text(st.characters(codec="utf-8"), max_size=20)
_connects = st.one_of(
    st.builds(
        rq.Connect, st.just(0), st.just(b""), st.integers(0, INT32_MAX), revisions, _client_names
    ),
    st.builds(
        rq.Connect,
        st.integers(1, REVISION_MAX),
        st.binary(min_size=16, max_size=16),
        st.integers(0, INT32_MAX),
        revisions,
        _client_names,
    ),
)
others = st.one_of(
    st.builds(rq.Get, paths, st.booleans(), _levels),
    st.builds(rq.Exists, paths, st.booleans(), _levels),
    st.builds(
        rq.Children, paths, st.booleans(), _levels, _names, st.integers(0, 10_000), revisions
    ),
    st.builds(rq.GetAcl, paths, _levels),
    st.builds(rq.Sync, paths),
    st.builds(rq.Auth, st.sampled_from(["digest", "ip", "sasl"]), st.binary(max_size=40)),
    st.just(rq.WhoAmI()),
    st.just(rq.Ping()),
    st.builds(
        rq.Watch,
        paths,
        _levels,
        st.booleans(),
        st.none() | st.tuples(st.integers(0, 2**64 - 1), revisions),
    ),
    st.builds(rq.ListWatch, paths, st.booleans(), st.booleans()),
    st.builds(rq.Unwatch, st.integers(1, 2**63 - 1)),
    _connects,
    st.builds(
        rq.Admin,
        st.sampled_from(ADMIN_OPERATIONS),
        st.dictionaries(st.sampled_from(["id", "limit", "before"]), st.integers(0, 9), max_size=2),
    ),
)

json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)
"""Anything msgpack carries."""

_ops = st.sampled_from([
    *range(-12, 16), 100, 107, 200, 201, 202, 203, 204, *range(210, 228), 300, 2**40,
])  # fmt: skip
near_requests = st.builds(
    lambda op, arguments: [op, *arguments], _ops, st.lists(json_like | paths, max_size=7)
)
"""[op, *arguments] with a likely operation and arguments of any kind."""


def fields_of(request: Any) -> tuple[Any, ...]:
    """A request's fields, for messages."""
    return (type(request).__name__, *request)
