"""Sessions: opened, attached again, closed, expired, and what they leave. The same on each wire."""

from __future__ import annotations

import pytest

from coord.model import requests as rq
from coord.model.acl import Acl
from coord.model.znode import CreateMode
from tests.behaviour.clients import Client, LocalClient, children, create, exists, get, put
from tests.behaviour.conftest import NewClient
from tests.node.single import Single

EPHEMERAL = int(CreateMode.EPHEMERAL)
EPHEMERAL_SEQUENTIAL = int(CreateMode.EPHEMERAL_SEQUENTIAL)
NO_NODE = -101
TIMEOUT_MS = 4_000
GRACE_MS = 3_000
"""Longer than the leader waits after a deadline."""


@pytest.fixture
def owner(connect: NewClient) -> Client:
    """A client with two ephemeral nodes."""
    client = connect()
    client.open(timeout_ms=TIMEOUT_MS)
    client.ok(create("/e", b"1", EPHEMERAL))
    client.ok(create("/s-", mode=EPHEMERAL_SEQUENTIAL))
    return client


@pytest.fixture
def watcher(single: Single, wire: str) -> Client:
    """Somebody who looks on, and whose session outlives what the tests let pass."""
    client = LocalClient(single, wire)
    client.open(timeout_ms=60_000)
    return client


def opened(client: Client) -> tuple[int, bytes]:
    """(session, secret) that the client was given."""
    assert client.opened is not None
    return client.opened.session, client.opened.secret


# --- opening --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "given"), [(5_000, 5_000), (1, 1_000), (10**9, 60_000)])
def test_opened(connect: NewClient, asked: int, given: int) -> None:
    """With an id, a secret of its own, and a timeout within the cluster's bounds."""
    first, second = connect().open(timeout_ms=asked), connect().open(timeout_ms=asked)
    assert first.timeout_ms == given
    assert 0 < first.session < second.session
    assert len(first.secret) == len(second.secret) == 16
    assert first.secret != second.secret


def test_ephemerals_name_their_owner(owner: Client, watcher: Client) -> None:
    """And nobody else's nodes name anybody."""
    session, _ = opened(owner)
    assert watcher.ok(exists("/e"))[0]["ephemeral_owner"] == session
    assert watcher.ok(exists("/s-0000000001"))[0]["ephemeral_owner"] == session
    for mode, ttl_ms in ((CreateMode.CONTAINER, 0), (CreateMode.PERSISTENT_TTL, 9)):
        _, stat = owner.ok(create(f"/m{int(mode)}", mode=int(mode), ttl_ms=ttl_ms))
        assert stat["ephemeral_owner"] == 0


# --- ends -----------------------------------------------------------------------------------------


def test_closing_deletes_ephemerals(owner: Client, watcher: Client) -> None:
    """All of them at the revision of the close; others keep theirs."""
    watcher.ok(create("/mine", mode=EPHEMERAL))
    closed = owner.call(rq.Close())
    assert (closed.code, closed.body) == (0, ())
    owner.wait_closed()
    assert owner.received[-1] == closed
    assert [watcher.code(exists(path)) for path in ("/e", "/s-0000000001")] == [NO_NODE] * 2
    names, root = watcher.ok(children("/"))
    assert names == ["mine", "zookeeper"]
    assert root["pzxid"] == closed.revision


def test_silence_ends_a_session(single: Single, owner: Client, watcher: Client) -> None:
    """Not before its timeout, soon after it; with one event for each watched node."""
    watcher.ok(exists("/e", watch=True))
    owner.drop()
    single.pass_ms(TIMEOUT_MS - 1_000)
    assert watcher.events() == []
    single.pass_ms(1_000 + GRACE_MS)
    assert watcher.events() == [(2, "/e")]
    assert watcher.ok(children("/"))[0] == ["zookeeper"]


def test_an_ended_session_is_gone(
    single: Single, owner: Client, watcher: Client, connect: NewClient
) -> None:
    """Its client is told so, whether it expired or was closed."""
    closing = connect()
    closing.open()
    closing.ok(rq.Close())
    owner.drop()
    single.pass_ms(TIMEOUT_MS + GRACE_MS)
    watcher.ok(rq.Sync("/"))
    for session, secret in (opened(owner), opened(closing)):
        assert connect().open(session, secret).session == 0
    assert connect().open().session > 0


def test_pings_keep_a_session(single: Single, owner: Client, watcher: Client) -> None:
    """As long as they come; they are answered."""
    for _ in range(6):
        single.pass_ms(TIMEOUT_MS // 2)
        (identity,) = owner.send(rq.Ping())
        single.pass_ms(500)
        assert owner.answer(identity).code == 0
    assert watcher.code(exists("/e")) == 0


def test_requests_keep_a_session_too(single: Single, owner: Client, watcher: Client) -> None:
    """Reads as well as writes."""
    for number in range(6):
        single.pass_ms(TIMEOUT_MS // 2)
        owner.ok(put("/e", b"x") if number % 2 else get("/e"))
    assert watcher.code(exists("/e")) == 0


def test_an_expired_client_is_hung_up_on(single: Single, owner: Client, watcher: Client) -> None:
    """Its connection says nothing for too long, though it is there."""
    single.pass_ms(TIMEOUT_MS + GRACE_MS)
    watcher.ok(rq.Sync("/"))
    owner.wait_closed()


# --- attached again -------------------------------------------------------------------------------


def test_attached_again(single: Single, owner: Client, watcher: Client, connect: NewClient) -> None:
    """On another connection, with its nodes; the timeout is agreed anew and counts from now."""
    session, secret = opened(owner)
    owner.drop()
    single.pass_ms(TIMEOUT_MS - 1_000)
    again = connect()
    reopened = again.open(session, secret, 10_000)
    assert (reopened.session, reopened.timeout_ms) == (session, 10_000)
    single.pass_ms(5_000)
    assert watcher.code(exists("/e")) == 0
    assert again.ok(put("/e", b"2"))[0]["version"] == 1
    again.ok(create("/e2", mode=EPHEMERAL))
    assert watcher.ok(exists("/e2"))[0]["ephemeral_owner"] == session
    again.ok(rq.Close())
    assert watcher.ok(children("/"))[0] == ["zookeeper"]


def test_the_wrong_secret(owner: Client, watcher: Client, connect: NewClient) -> None:
    """Nobody else gets in, and the owner notices nothing."""
    session, secret = opened(owner)
    wrong = bytes([secret[0] ^ 1]) + secret[1:]
    assert connect().open(session, wrong).session == 0
    assert owner.ok(get("/e"))[0] == b"1"
    assert watcher.code(exists("/e")) == 0


def test_a_session_moves(owner: Client, connect: NewClient) -> None:
    """The newest connection has it; the older one is hung up on."""
    session, secret = opened(owner)
    again = connect()
    assert again.open(session, secret).session == session
    owner.wait_closed()
    assert again.ok(put("/e", b"2"))[0]["version"] == 1


def test_what_was_proven_goes_with_the_connection(owner: Client, connect: NewClient) -> None:
    """Credentials are given again on each."""
    owner.ok(rq.Auth("digest", b"alice:secret"))
    owner.ok(create("/own", acl=(Acl(31, "auth", ""),)))
    session, secret = opened(owner)
    owner.drop()
    again = connect()
    again.open(session, secret)
    assert again.code(get("/own")) == -102
    again.ok(rq.Auth("digest", b"alice:secret"))
    assert again.code(get("/own")) == 0


# --- nodes that go by themselves ------------------------------------------------------------------


def test_containers_go_when_they_are_empty(single: Single, watcher: Client) -> None:
    """After their last child, not before their first."""
    watcher.ok(create("/c", mode=int(CreateMode.CONTAINER)))
    single.pass_ms(5_000)
    assert watcher.code(exists("/c", watch=True)) == 0
    watcher.ok(create("/c/child"))
    single.pass_ms(5_000)
    assert watcher.code(exists("/c")) == 0
    watcher.ok(rq.Delete("/c/child", -1))
    single.pass_ms(5_000)
    assert watcher.events() == [(2, "/c")]
    assert watcher.code(exists("/c")) == NO_NODE


@pytest.mark.parametrize("mode", [CreateMode.PERSISTENT_TTL, CreateMode.PERSISTENT_SEQUENTIAL_TTL])
def test_a_time_to_live(single: Single, watcher: Client, mode: CreateMode) -> None:
    """From the last change of the data on, and while there are no children."""
    path, _ = watcher.ok(create("/t", mode=int(mode), ttl_ms=3_000))
    single.pass_ms(2_000)
    watcher.ok(put(path, b"1"))
    single.pass_ms(2_000)
    watcher.ok(create(f"{path}/child"))
    single.pass_ms(6_000)
    assert watcher.code(exists(path, watch=True)) == 0
    watcher.ok(rq.Delete(f"{path}/child", -1))
    single.pass_ms(3_000)
    assert watcher.events() == [(2, path)]
    assert watcher.code(exists(path)) == NO_NODE
