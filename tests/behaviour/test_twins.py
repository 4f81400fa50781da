"""Two nodes that differ in nothing but the wire their clients speak: any sequence of requests gets
the same answers and events, revision for revision, in the same order."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from coord.model import requests as rq
from coord.model.acl import ALL, OPEN, READ, Acl
from coord.model.znode import CreateMode
from tests.behaviour.clients import LocalClient, children, create, delete, exists, get, put, watch
from tests.behaviour.wires import PERSISTENT, RECURSIVE, WIRES, Message
from tests.node.single import Single

CLIENTS = 3
TTL_MS = 3_000
"""Longer than one step lets pass."""
ALICE = rq.Auth("digest", b"alice:secret")


class Step(NamedTuple):
    """One read's worth of requests by one client; ``pass_ms`` afterwards."""

    client: int
    requests: tuple[rq.Request, ...]
    pass_ms: int


_paths = st.sampled_from(["/a", "/b", "/a/x", "/a/y", "/a/x/1", "/b/z"])
_versions = st.sampled_from([-1, -1, -1, 0, 1])
_data = st.sampled_from([b"", b"1", b"\0\xff", b"x" * 1_100])
_acls = st.sampled_from([
    OPEN, OPEN, OPEN, (Acl(ALL, "auth", ""),),
    (Acl(READ, "world", "anyone"), Acl(ALL, "auth", "")),
])  # fmt: skip
"""Well-formed ones: what the native codec refuses by itself leaves no entry in the log."""


@st.composite
def _creates(draw: st.DrawFn, acls: st.SearchStrategy[tuple[Acl, ...]] = _acls) -> rq.Create:
    mode = draw(st.sampled_from([CreateMode.PERSISTENT] * 4 + list(CreateMode)))
    return create(draw(_paths), draw(_data), int(mode), draw(acls), TTL_MS if mode.has_ttl else 0)


_writes = st.one_of(
    _creates(), _creates(), st.builds(put, _paths, _data, _versions),
    st.builds(delete, _paths, _versions),
)  # fmt: skip
_operations = st.one_of(
    _creates(st.just(OPEN)), st.builds(put, _paths, _data, _versions),
    st.builds(delete, _paths, _versions), st.builds(rq.Check, _paths, _versions),
)  # fmt: skip
_reads = st.one_of(
    st.builds(get, _paths, watch=st.booleans()),
    st.builds(exists, _paths, watch=st.booleans()),
    st.builds(children, _paths | st.just("/"), watch=st.booleans()),
    st.builds(rq.GetAcl, _paths, st.just(1)),
)
_others = st.one_of(
    st.builds(rq.SetAcl, _paths, _acls, _versions),
    st.lists(_operations, max_size=4).map(lambda chosen: rq.Multi(tuple(chosen))),
    st.sampled_from([ALICE, ALICE, rq.Sync("/a"), rq.WhoAmI()]),
)
_steps = st.builds(
    Step,
    st.integers(0, CLIENTS - 1),
    st.lists(_writes | _writes | _reads | _others, min_size=1, max_size=5).map(tuple),
    st.sampled_from([0, 0, 0, 0, 0, 2_500]),
)


def _unwatched(request: rq.Request) -> rq.Request:
    if isinstance(request, rq.Get | rq.Exists | rq.Children):
        return request._replace(watch=False)
    return request


def played(wire: str, stream: rq.Watch, steps: list[Step], closing: int) -> list[list[Message]]:
    """All that each client received. The last client has a stream, and no watches besides: where
    they meet, ZooKeeper's clients are told once and native streams each for itself."""
    single = Single()
    clients = [LocalClient(single, wire) for _ in range(CLIENTS)]
    for client in clients:
        client.open(timeout_ms=60_000)
    clients[-1].ok(stream)
    for path in ("/a", "/a/x", "/b"):
        clients[0].ok(create(path))
    for chosen, requests, pass_ms in steps:
        client = clients[chosen]
        sent = map(_unwatched, requests) if client is clients[-1] else requests
        client.answer(client.send(*sent)[-1])
        single.pass_ms(pass_ms)
    clients[closing].call(rq.Close())
    for client in clients:
        if client is not clients[closing]:
            client.ok(rq.Sync("/"))
    return [client.received for client in clients]


@settings(max_examples=100)
@given(
    st.builds(watch, _paths | st.just("/"), st.sampled_from([PERSISTENT, RECURSIVE])),
    st.lists(_steps, max_size=12),
    st.integers(0, CLIENTS - 1),
)
def test_the_wire_makes_no_difference(stream: rq.Watch, steps: list[Step], closing: int) -> None:
    """Answers, errors, Stats, events and their order."""
    native, zookeeper = (played(wire, stream, steps, closing) for wire in sorted(WIRES))
    for one, other in zip(native, zookeeper, strict=True):
        assert one[0].session == other[0].session  # type: ignore[union-attr]  # both opened one
        assert one[1:] == other[1:]
