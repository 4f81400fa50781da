"""Credentials: proven before the session is attached, again on every connection, told apart."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coord.model import requests as rq
from coord.model.errors import (
    AuthFailedError,
    BadArgumentsError,
    ConnectionLostError,
    LimitError,
    MisuseError,
    NotReadyError,
    OperationTimeoutError,
)
from coord_client import Client, ConnectionState, digest_id, errors
from coord_client.credentials import CREDENTIALS_MAX
from coord_client.session import SessionSettings
from coord_client.sync import SyncClient
from tests.client.fake_server import FakeCluster
from tests.client.helpers import client_of, settle, until
from tests.client.virtual import in_virtual_time, now_ms

ALICE = ("digest", "alice:secret")
BOB = ("digest", "bob:secret")


def with_auth(cluster: FakeCluster, *auth: tuple[str, str | bytes]) -> Client:
    """A client of the fake that has credentials from the start."""
    return Client(
        cluster.connect_string,
        dial=cluster.dial,
        clock_ms=now_ms,
        spread=lambda: 0.0,
        auth=auth,
    )


def asked(cluster: FakeCluster) -> list[type]:
    """Kinds of the requests received, in order."""
    return [type(request) for _, request, _, _ in cluster.received]


@in_virtual_time
async def test_credentials_of_connect_come_first(cluster: FakeCluster) -> None:
    """They are proven before the session is attached, and the node knows them."""
    async with with_auth(cluster, ALICE, ("digest", b"bob:secret")) as client:
        assert asked(cluster) == [rq.Auth, rq.Auth, rq.Connect]
        assert await client.who_am_i() == [
            ("ip", "10.0.0.1"),
            ("digest", "alice"),
            ("digest", "bob"),
        ]


@in_virtual_time
async def test_credentials_are_sent_again_on_every_connection(cluster: FakeCluster) -> None:
    """After a reconnect, all of them come before anything else of the session."""
    async with with_auth(cluster, ALICE) as client:
        await client.add_auth(*BOB)
        for _ in range(3):
            cluster.received.clear()
            cluster.cut()
            await client.create("/a")
            assert asked(cluster) == [rq.Auth, rq.Auth, rq.Connect, rq.Create]
            assert len(await client.who_am_i()) == 3
            await client.delete("/a")


@in_virtual_time
async def test_credentials_outlive_the_session(cluster: FakeCluster) -> None:
    """They belong to the client: the session that follows an expired one has them too."""
    async with with_auth(cluster, ALICE) as client:
        first = client.session_id
        cluster.expire(first)
        await until(lambda: client.session_id not in {0, first})

        assert ("digest", "alice") in await client.who_am_i()


@in_virtual_time
async def test_refused_credential_fails_the_start(cluster: FakeCluster) -> None:
    """start() raises AuthFailedError, which names the user and never the password."""
    client = with_auth(cluster, ALICE, ("digest", "mallory:hunter2"))
    with pytest.raises(AuthFailedError) as refusal:
        await client.start()

    assert "digest credential of user 'mallory'" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
    assert client.state is ConnectionState.CLOSED
    assert cluster.connections == []


@in_virtual_time
async def test_refused_credential_is_forgotten(cluster: FakeCluster) -> None:
    """add_auth raises; connection and session go on, and it is not sent again."""
    async with client_of(cluster) as client:
        with pytest.raises(AuthFailedError):
            await client.add_auth("sasl", b"anything")
        cluster.received.clear()
        cluster.cut()
        await client.create("/a")

        assert asked(cluster) == [rq.Connect, rq.Create]


@in_virtual_time
async def test_node_that_refuses_what_another_accepted_is_left(cluster: FakeCluster) -> None:
    """Without its identities a client may be refused anything: it goes to another node."""
    async with with_auth(cluster, ALICE) as client:
        session = client.session_id
        cluster.users.clear()
        cluster.cut()
        creating = asyncio.ensure_future(client.create("/a"))
        await until(lambda: asked(cluster).count(rq.Auth) > 3)
        assert not creating.done()
        cluster.users.add(b"alice:secret")
        await creating

        assert client.session_id == session


@in_virtual_time
async def test_node_that_is_not_ready_is_left(cluster: FakeCluster) -> None:
    """A refusal that passes by itself says nothing about the credential: it is kept."""
    async with client_of(cluster) as client:
        cluster.auth_refusals.append(NotReadyError("no leader"))
        await client.add_auth(*ALICE)

        assert ("digest", "alice") in await client.who_am_i()


@in_virtual_time
async def test_lost_answer_is_asked_for_again(cluster: FakeCluster) -> None:
    """A connection that breaks before the verdict: the next one gives it."""
    async with client_of(cluster) as client:
        cluster.requests_to_lose = 1
        await client.add_auth(*ALICE)

        assert ("digest", "alice") in await client.who_am_i()


@in_virtual_time
async def test_credential_nobody_waits_for_is_dropped(cluster: FakeCluster) -> None:
    """add_auth that ran out of time is not tried on later connections."""
    async with client_of(cluster) as client:
        for host in ("n1", "n2", "n3"):
            cluster.kill(host)
        with pytest.raises(OperationTimeoutError, match="no verdict on a credential"):
            await client.add_auth(*ALICE, timeout_s=0.5)
        cluster.received.clear()
        cluster.down.clear()
        await client.wait_connected()

        assert asked(cluster) == [rq.Connect]


@in_virtual_time
async def test_start_does_not_wait_for_ever(cluster: FakeCluster) -> None:
    """A node that attaches the session and says nothing about the credential: time runs out."""
    cluster.withhold_auth = True
    client = with_auth(cluster, ALICE)
    with pytest.raises(OperationTimeoutError, match="no verdict on a credential"):
        await client.start(timeout_s=2.0)
    assert client.state is ConnectionState.CLOSED


@in_virtual_time
async def test_same_credential_twice_is_kept_once(cluster: FakeCluster) -> None:
    """Repeating a credential does not make reconnects longer; both callers hear."""
    async with with_auth(cluster, ALICE) as client:
        await asyncio.gather(client.add_auth(*ALICE), client.add_auth(*ALICE))
        await client.add_auth(*ALICE)
        cluster.received.clear()
        cluster.cut()
        await client.sync()

        assert asked(cluster).count(rq.Auth) == 1


@in_virtual_time
async def test_number_of_credentials_is_bounded(cluster: FakeCluster) -> None:
    """One more than the bound is refused before it is sent."""
    names = [f"user{number}:x" for number in range(CREDENTIALS_MAX)]
    cluster.users |= {name.encode() for name in names}
    async with with_auth(cluster, *(("digest", name) for name in names)) as client:
        with pytest.raises(LimitError):
            await client.add_auth(*ALICE)
        assert len(await client.who_am_i()) == 1 + CREDENTIALS_MAX


@pytest.mark.parametrize(
    ("scheme", "credential"),
    [("digest", "secret-without-user"), ("", "a:b"), ("x" * 65, "a:b"), ("ip", "p" * 4_097)],
)
def test_impossible_credential_is_refused_at_once(scheme: str, credential: str) -> None:
    """What no service could take is a BadArgumentsError that does not quote it."""
    with pytest.raises(BadArgumentsError) as refusal:
        with_auth(FakeCluster(), (scheme, credential))
    assert credential not in str(refusal.value)


@pytest.mark.parametrize("auth", [("digest", "a:secret"), "digest:a:secret", [("digest",)]])
def test_auth_of_another_shape_is_refused(auth: Any) -> None:
    """The likely slip of giving one credential where a list of them is wanted is named."""
    with pytest.raises(BadArgumentsError, match=r"list of \(scheme, credential\)"):
        Client("h:1", auth=auth)


@in_virtual_time
async def test_works_without_a_session(cluster: FakeCluster) -> None:
    """A client without a session proves itself too: stale reads are checked like others."""
    client = Client(
        cluster.connect_string,
        SessionSettings(timeout_ms=0),
        dial=cluster.dial,
        clock_ms=now_ms,
        spread=lambda: 0.0,
        auth=[ALICE],
    )
    async with client:
        assert asked(cluster) == [rq.Auth]
        assert ("digest", "alice") in await client.who_am_i()


@in_virtual_time
async def test_closing_tells_who_waits(cluster: FakeCluster) -> None:
    """A caller of add_auth does not hang when the client is closed."""
    async with client_of(cluster) as client:
        for host in ("n1", "n2", "n3"):
            cluster.freeze(host)
        waiting = asyncio.ensure_future(client.add_auth(*ALICE))
        await settle()
    with pytest.raises(ConnectionLostError):
        await waiting
    with pytest.raises(MisuseError):
        await client.add_auth(*ALICE)


def test_blocking_client(cluster: FakeCluster) -> None:
    """The blocking client has the same."""
    make = SyncClient(lambda: Client(cluster.connect_string, dial=cluster.dial, auth=[ALICE]))
    with make as client:
        client.add_auth(*BOB)
        assert client.who_am_i()[1:] == [("digest", "alice"), ("digest", "bob")]
        with pytest.raises(errors.AuthFailedError):
            client.add_auth("digest", "mallory:hunter2")


def test_digest_ids_are_zookeepers() -> None:
    """The id that ZooKeeper documents for super:test, and its rule for names."""
    assert digest_id("super", "test") == "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
    with pytest.raises(BadArgumentsError):
        digest_id("a:b", "c")
