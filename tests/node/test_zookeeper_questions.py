"""Who a ZooKeeper client is, what that lets it do, and what it asks about itself and the tree."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from typing import Final

import pytest

from coord.node.questions import COUNTED_AT_ONCE
from tests.node.single import Single
from tests.node.zookeeper import (
    EPHEMERAL,
    WHO_AM_I,
    Request,
    ZooPeer,
    auth,
    children,
    count,
    create,
    delete,
    ephemerals,
    exists,
    get,
    get_acl,
    multi,
    multi_read,
    put,
    reconfig,
    set_acl,
    zoo,
)
from tests.protocol.jute import OPEN, Reader

AUTH_XID: Final = -4


@pytest.fixture
def single() -> Single:
    """A fresh node that leads itself."""
    return Single()


def digest(credential: str) -> str:
    """The id that "user:password" proves."""
    user = credential.partition(":")[0]
    hashed = hashlib.sha1(credential.encode(), usedforsecurity=False).digest()
    return f"{user}:{base64.b64encode(hashed).decode()}"


def who(peer: ZooPeer) -> list[tuple[str, str]]:
    """What the node takes the client for."""
    reader = peer.ok(WHO_AM_I).reader()
    return reader.vector(lambda: (reader.text(), reader.text()))


# --- identities -----------------------------------------------------------------------------------


def test_a_client_is_its_address_and_what_it_proves(single: Single) -> None:
    """Proving it again changes nothing; no hash is told."""
    peer = zoo(single, "192.0.2.4:61000")
    assert who(peer) == [("ip", "192.0.2.4")]

    for credential in (b"u:p", b"v:q", b"u:p"):
        reply = peer.ok(auth("digest", credential))
        assert (reply.xid, reply.zxid, reply.body) == (AUTH_XID, 0, b"")
    assert who(peer) == [("ip", "192.0.2.4"), ("digest", "u"), ("digest", "v")]


@pytest.mark.parametrize("scheme", ["world", "x509", "sasl", "", "nonsense"])
def test_a_scheme_that_proves_nothing_ends_the_connection(single: Single, scheme: str) -> None:
    """After its answer, which comes in order."""
    peer = zoo(single)
    peer.send(create("/a"), auth(scheme, b"x"), create("/b"))
    single.run()

    assert [it.err for it in peer.replies()] == [0, -115]
    assert peer.is_closed()
    assert zoo(single).call(exists("/b")).err == -101


def test_credentials_take_effect_in_order(single: Single) -> None:
    """Writes before them were made by somebody else, however fast they follow each other."""
    peer = zoo(single)
    mine = [(31, "digest", digest("u:p"))]
    peer.send(
        create("/a", acl=mine), put("/a", b"1"), auth("digest", b"u:p"), put("/a", b"2"), get("/a")
    )
    single.run()

    assert [it.err for it in peer.replies()] == [0, -102, 0, 0, 0]


def test_many_identities_are_too_many(single: Single) -> None:
    """They travel with every write."""
    peer = zoo(single)
    for number in range(16):
        peer.ok(auth("digest", b"u%d:p" % number))
    assert peer.call(auth("digest", b"u:p")).err == -115


# --- ACLs -----------------------------------------------------------------------------------------


def test_scheme_auth_stands_for_what_was_proven(single: Single) -> None:
    """In create, setACL and multi alike; the address does not count."""
    peer = zoo(single)
    mine = [(31, "auth", "")]
    assert peer.call(create("/a", acl=mine)).err == -114
    peer.ok(auth("digest", b"u:p"))
    peer.ok(create("/a", acl=mine))
    peer.ok(create("/b"))
    peer.ok(set_acl("/b", mine))
    peer.ok(multi(create("/c", acl=mine)))

    for path in ("/a", "/b", "/c"):
        assert peer.ok(get_acl(path)).reader().acl() == [(31, "digest", digest("u:p"))]


@pytest.mark.parametrize(
    "acl",
    [[], [(31, "world", "somebody")], [(31, "ip", "x")], [(31, "none", "")], [(31, "digest", "u")]],
)
def test_an_acl_that_names_nobody_is_refused_in_its_turn(
    single: Single, acl: list[tuple[int, str, str]]
) -> None:
    """Behind what was asked before it."""
    peer = zoo(single)
    peer.ok(create("/x"))
    xids = peer.send(create("/a"), create("/b", acl=acl), set_acl("/x", acl), create("/c"))
    single.run()

    assert [it.xid for it in peer.replies()[1:]] == xids
    assert [it.err for it in peer.replies()[1:]] == [0, -114, -114, 0]
    refused = peer.ok(multi(create("/d"), create("/e", acl=acl)))
    assert peer.call(exists("/d")).err == -101
    assert b"\xff\xff\xff\x8e" in refused.body, "−114 is among the results"


def test_hashes_are_shown_to_administrators_only(single: Single) -> None:
    """Who may read sees whom an ACL names."""
    owner, reader, stranger = zoo(single), zoo(single, "192.0.2.7:1"), zoo(single)
    owner.ok(auth("digest", b"u:p"))
    acl = [(31, "digest", digest("u:p")), (1, "ip", "192.0.2.0/24")]
    owner.ok(create("/a", acl=acl))

    assert owner.ok(get_acl("/a")).reader().acl() == acl
    assert reader.ok(get_acl("/a")).reader().acl() == [(31, "digest", "u:x"), acl[1]]
    assert stranger.call(get_acl("/a")).err == -102


def test_an_address_may_be_let_in(single: Single) -> None:
    """For reads and for writes."""
    owner, inside, outside = zoo(single), zoo(single, "192.0.2.7:1"), zoo(single)
    owner.ok(create("/a", acl=[(3, "ip", "192.0.2.0/24")]))

    assert inside.call(get("/a")).err == inside.call(put("/a", b"")).err == 0
    assert outside.call(get("/a")).err == outside.call(put("/a", b"")).err == -102


def test_the_super_user_may_do_everything() -> None:
    """Whose digest is in the node's settings."""
    single = Single(super_digest=digest("super:secret"))
    owner, root = zoo(single), zoo(single)
    owner.ok(create("/a", acl=[(0, "world", "anyone")]))
    assert root.call(get("/a")).err == -102
    root.ok(auth("digest", b"super:secret"))

    root.ok(put("/a", b"1"))
    assert ("super", "") in who(root)


@pytest.mark.parametrize("ask", [get("/a"), children("/a"), exists("/a"), count("/a")])
def test_reading_needs_the_permission(single: Single, ask: Request) -> None:
    """And nothing is watched by who lacks it."""
    peer = zoo(single)
    peer.ok(create("/a", acl=[(30, "world", "anyone")]))

    assert peer.call(ask).err == -102
    assert peer.call(get("/a", watch=True)).err == -102
    assert single.node.registry.counts() == (0, 0, 0)


# --- questions ------------------------------------------------------------------------------------


def test_several_reads_are_answered_together(single: Single) -> None:
    """One that fails does so alone."""
    peer = zoo(single)
    peer.ok(create("/a", b"1"))
    peer.ok(create("/a/b"))
    reader = peer.ok(multi_read(get("/a"), get("/no"), children("/a"))).reader()

    assert (reader.i32(), reader.flag(), reader.i32()) == (4, False, 0)
    assert (reader.buffer(), reader.stat()["num_children"]) == (b"1", 1)
    assert (reader.i32(), reader.flag(), reader.i32(), reader.i32()) == (-1, False, -101, -101)
    assert (reader.i32(), reader.flag(), reader.i32()) == (8, False, 0)
    assert reader.vector(reader.text) == ["b"]
    assert (reader.i32(), reader.flag(), reader.i32()) == (-1, True, -1)
    reader.end()


def test_the_answers_to_several_reads_are_bounded(single: Single) -> None:
    """By number and by bytes: a small request must not make a huge reply."""
    peer = zoo(single)
    peer.ok(create("/a", bytes(900_000)))

    assert peer.call(multi_read(*[get("/a")] * 4)).err == 0
    assert peer.call(multi_read(*[get("/a")] * 5)).err == -8
    assert peer.call(multi_read(*[get("/")] * 1_001)).err == -8


def test_a_session_finds_its_own_ephemeral_nodes(single: Single) -> None:
    """By prefix, as plain text."""
    peer, other = zoo(single), zoo(single)
    for path in ("/a", "/ab", "/b"):
        peer.ok(create(path, flags=EPHEMERAL))
    other.ok(create("/ac", flags=EPHEMERAL))

    def found(prefix: str) -> list[str]:
        reader = peer.ok(ephemerals(prefix)).reader()
        return reader.vector(reader.text)

    assert found("/") == ["/a", "/ab", "/b"]
    assert found("/a") == ["/a", "/ab"]
    assert found("/zz") == []


def number(body: bytes) -> int:
    """A count as it comes."""
    reader = Reader(body)
    value = reader.i32()
    reader.end()
    return value


def test_descendants_are_counted(single: Single) -> None:
    """Not the node itself; /zookeeper and what it holds are nodes like others."""
    peer = zoo(single)
    before = number(peer.ok(count("/")).body)
    for path in ("/a", "/a/b", "/a/b/c", "/ab"):
        peer.ok(create(path))

    assert number(peer.ok(count("/a")).body) == 2
    assert number(peer.ok(count("/ab")).body) == 0
    assert number(peer.ok(count("/")).body) == before + 4
    assert peer.call(count("/no")).err == -101


def test_a_large_subtree_is_counted_in_turns(single: Single) -> None:
    """Others are served meanwhile, the client's own next requests behind it."""
    peer, other = zoo(single), zoo(single)
    total = 2 * COUNTED_AT_ONCE + 10
    peer.ok(create("/a"))
    for start in range(0, total, 500):
        peer.ok(multi(*(create(f"/a/{n}") for n in range(start, min(start + 500, total)))))
    peer.link.received.clear()

    xids = peer.send(count("/a"), put("/a", b"1"), get("/a"))
    assert not peer.link.received
    while not peer.link.received:
        single.hands.soon.popleft()()
        other.send(exists("/"))
    single.run()

    assert [it.xid for it in peer.replies()] == xids
    assert number(peer.replies()[0].body) == total


def test_who_leaves_during_a_count_is_forgotten(single: Single) -> None:
    """Nothing is sent to it."""
    peer = zoo(single)
    for start in range(0, COUNTED_AT_ONCE + 500, 500):
        peer.ok(multi(*(create(f"/{n}") for n in range(start, start + 500))))
    peer.send(count("/"))
    single.node.gateway.lost(peer.conn)
    before = len(peer.link.received)
    single.run()

    assert len(peer.link.received) == before


def test_members_do_not_change_through_clients(single: Single) -> None:
    """Unless the settings allow it."""
    peer = zoo(single)
    assert not dataclasses.asdict(single.node.settings)["reconfig"]
    assert peer.call(reconfig("server.9=h:1:2;3")).err == -123
    assert peer.ok(exists("/"))


def test_open_acls_need_no_identity(single: Single) -> None:
    """The one everybody uses."""
    peer = zoo(single)
    peer.ok(create("/a", acl=OPEN))
    peer.ok(delete("/a"))
