"""What the client does when connections, nodes and sessions go, in virtual time."""

from __future__ import annotations

import asyncio
import math

import pytest

from coord.model import requests as rq
from coord.model.errors import (
    ConnectionLostError,
    MisuseError,
    NoSpaceError,
    NotReadyError,
    OperationTimeoutError,
    OverloadedError,
    SessionExpiredError,
)
from coord_client import ConnectionState, CreateMode
from tests.client.fake_server import FakeCluster
from tests.client.helpers import client_of, settle, until
from tests.client.virtual import in_virtual_time, now_ms


@in_virtual_time
async def test_write_whose_reply_was_lost_is_applied_once(cluster: FakeCluster) -> None:
    """The client asks again under the same number and gets the first result."""
    async with client_of(cluster) as client:
        await client.create("/q")
        cluster.replies_to_lose = 1
        created = await client.create("/q/n-", mode=CreateMode.PERSISTENT_SEQUENTIAL)

        assert created.path == "/q/n-0000000000"
        assert await client.children("/q") == ["n-0000000000"]


@in_virtual_time
async def test_write_that_never_arrived_is_sent_again(cluster: FakeCluster) -> None:
    """A request lost on the way is sent on the next connection."""
    async with client_of(cluster) as client:
        cluster.requests_to_lose = 1
        await client.create("/a")

        assert "/a" in cluster.tree.nodes


@in_virtual_time
async def test_counter_is_exact_through_many_cuts(cluster: FakeCluster) -> None:
    """A hundred concurrent writes with a broken connection every third: each applied once."""
    async with client_of(cluster) as client:
        await client.create("/q")
        for _ in range(20):
            cluster.replies_to_lose, cluster.requests_to_lose = 1, 1
            mode = CreateMode.PERSISTENT_SEQUENTIAL
            await asyncio.gather(*(client.create("/q/n-", mode=mode) for _ in range(5)))

        assert len(await client.children("/q")) == 100


@in_virtual_time
async def test_killed_node_is_left_at_once(cluster: FakeCluster) -> None:
    """No pause before another host is dialled: no time passes until writes go on."""
    async with client_of(cluster) as client:
        session = client.session_id
        await client.create("/a")
        before_ms = now_ms()
        cluster.kill(cluster.host_of(session))
        await client.set("/a", b"x")

        assert now_ms() == before_ms
        assert client.session_id == session


@in_virtual_time
async def test_back_off_comes_after_a_whole_round(cluster: FakeCluster) -> None:
    """Three hosts down: three dials at once, then pauses that grow."""
    async with client_of(cluster) as client:
        cluster.dials.clear()
        for host in ("n1", "n2", "n3"):
            cluster.kill(host)
        await settle()
        assert len(cluster.dials) == 3
        await asyncio.sleep(1.0)
        assert 6 < len(cluster.dials) < 25

        cluster.down.clear()
        await client.wait_connected()


@in_virtual_time
async def test_frozen_node_is_left_in_a_moment(cluster: FakeCluster) -> None:
    """A node that accepts bytes and says nothing is replaced; the session moves."""
    async with client_of(cluster) as client:
        session = client.session_id
        frozen = cluster.host_of(session)
        cluster.freeze(frozen)
        before_ms = now_ms()
        await client.create("/a")

        assert cluster.host_of(session) != frozen
        assert now_ms() - before_ms == pytest.approx(600, abs=5)
        assert client.session_id == session


@in_virtual_time
async def test_node_without_a_leader_is_left_while_the_session_lives(
    cluster: FakeCluster,
) -> None:
    """A node that answers but confirms no heartbeat is left after two thirds of the timeout."""
    async with client_of(cluster, timeout_ms=3_000) as client:
        await client.create("/a")
        host = cluster.host_of(client.session_id)
        cluster.withhold_pings = True
        before_ms = now_ms()
        await until(lambda: len(cluster.dials) > 1)
        assert now_ms() - before_ms == pytest.approx(2_000, abs=5)

        await client.sync()
        assert cluster.host_of(client.session_id) != host
        assert client.hold_remaining_s > 0


@in_virtual_time
async def test_node_that_does_not_answer_the_attach_is_skipped(cluster: FakeCluster) -> None:
    """A frozen host costs the attach limit, not the session."""
    cluster.frozen = {"n1", "n2"}
    async with client_of(cluster) as client:
        assert cluster.host_of(client.session_id) == "n3"


@in_virtual_time
async def test_states_are_told_in_order(cluster: FakeCluster) -> None:
    """Callbacks hear suspended, connected, expired, connected."""
    async with client_of(cluster) as client:
        heard: list[ConnectionState] = []
        stop = client.on_state(heard.append)
        cluster.cut()
        await until(lambda: len(heard) == 2)
        cluster.expire(client.session_id)
        await until(lambda: len(heard) == 4)
        stop()

    assert heard == [
        ConnectionState.SUSPENDED,
        ConnectionState.CONNECTED,
        ConnectionState.EXPIRED,
        ConnectionState.CONNECTED,
    ]


@in_virtual_time
async def test_expired_session_is_replaced(cluster: FakeCluster) -> None:
    """After an expiry the client has another session and goes on."""
    async with client_of(cluster) as client:
        first = client.session_id
        await client.create("/e", mode=CreateMode.EPHEMERAL)
        cluster.expire(first)
        await until(lambda: client.session_id not in {0, first})

        assert await client.exists("/e") is None


@in_virtual_time
async def test_write_applied_before_the_expiry_returns_its_result(cluster: FakeCluster) -> None:
    """RESULT_OF the ended session resolves a write in doubt as applied."""
    async with client_of(cluster) as client:
        session = client.session_id
        cluster.down = {"n1", "n2", "n3"}  # nowhere to come back to yet
        cluster.replies_to_lose = 1
        write = asyncio.ensure_future(client.create("/a", b"x"))
        await until(lambda: cluster.applied)
        cluster.expire_silently(session)
        cluster.down = set()
        created = await write

        assert (created.path, created.stat.data_length) == ("/a", 1)
        assert client.session_id != session


@in_virtual_time
async def test_write_not_applied_before_the_expiry_says_so(cluster: FakeCluster) -> None:
    """RESULT_OF the ended session resolves a write in doubt as certainly not happened."""
    async with client_of(cluster) as client:
        session = client.session_id
        cluster.down = {"n1", "n2", "n3"}  # nowhere to come back to yet
        cluster.requests_to_lose = 1
        write = asyncio.ensure_future(client.create("/a"))
        await until(lambda: not cluster.requests_to_lose)
        cluster.expire_silently(session)
        cluster.down = set()
        with pytest.raises(SessionExpiredError, match="not applied") as error:
            await write

        assert error.value.definite
        assert "/a" not in cluster.tree.nodes


@in_virtual_time
async def test_write_whose_fate_is_not_kept_is_in_doubt(cluster: FakeCluster) -> None:
    """If the service no longer knows, the error is not definite."""
    async with client_of(cluster) as client:
        session = client.session_id
        cluster.down = {"n1", "n2", "n3"}  # nowhere to come back to yet
        cluster.replies_to_lose = 1
        write = asyncio.ensure_future(client.create("/a"))
        await until(lambda: cluster.applied)
        cluster.expire_silently(session)
        cluster.down = set()
        cluster.sessions[session].results.clear()
        with pytest.raises(SessionExpiredError, match="may have been applied") as error:
            await write

        assert not error.value.definite


@in_virtual_time
async def test_reads_survive_an_expiry(cluster: FakeCluster) -> None:
    """A read in flight when the session ends is answered by the next one."""
    async with client_of(cluster) as client:
        await client.create("/a", b"x")
        cluster.requests_to_lose = 1
        read = asyncio.ensure_future(client.get("/a"))
        await until(lambda: not cluster.requests_to_lose)
        cluster.expire_silently(client.session_id)

        assert (await read).data == b"x"


@in_virtual_time
@pytest.mark.parametrize("refusal", [OverloadedError, NotReadyError])
async def test_transient_refusals_are_retried_in_order(
    cluster: FakeCluster, refusal: type[OverloadedError | NotReadyError]
) -> None:
    """A refused write takes the later ones back with it; all are applied, in order, once."""
    async with client_of(cluster) as client:
        cluster.refusals.extend([refusal("not now"), refusal("still not")])
        await asyncio.gather(*(client.create(f"/{number}") for number in range(6)))

        assert [request.path for _, _, request in cluster.applied] == [f"/{n}" for n in range(6)]


@in_virtual_time
async def test_lasting_refusal_is_told_and_later_writes_go_on(cluster: FakeCluster) -> None:
    """No space is the caller's to know; the writes behind it are numbered afresh."""
    async with client_of(cluster) as client:
        cluster.refusals.append(NoSpaceError("full"))
        calls = [client.create(f"/{number}") for number in range(4)]
        results = await asyncio.gather(*calls, return_exceptions=True)

        assert isinstance(results[0], NoSpaceError)
        assert sorted(cluster.tree.nodes) == ["/", "/1", "/2", "/3"]
        await client.create("/0")


@in_virtual_time
async def test_unanswered_write_times_out_in_doubt(cluster: FakeCluster) -> None:
    """A write that was sent may still happen; a write that was not certainly did not."""
    async with client_of(cluster) as client:
        for host in ("n1", "n2", "n3"):
            cluster.freeze(host)
        sent = asyncio.ensure_future(client.create("/a", timeout_s=1))
        await settle()
        cluster.cut()
        await settle()
        unsent = asyncio.ensure_future(client.create("/b", timeout_s=1))
        outcomes = await asyncio.gather(sent, unsent, return_exceptions=True)
        cluster.frozen.clear()

    errors = [outcome for outcome in outcomes if isinstance(outcome, OperationTimeoutError)]
    assert [error.definite for error in errors] == [False, True]


@in_virtual_time
async def test_cancelled_write_that_was_not_sent_never_is(cluster: FakeCluster) -> None:
    """Cancelling withdraws what still waits for a connection."""
    async with client_of(cluster) as client:
        cluster.down = {"n1", "n2", "n3"}
        cluster.cut()
        await settle()
        write = asyncio.ensure_future(client.create("/a"))
        await settle()
        write.cancel()
        cluster.down.clear()
        await client.create("/b")

        assert [request.path for _, _, request in cluster.applied] == ["/b"]


@in_virtual_time
async def test_operator_commands_are_not_repeated(cluster: FakeCluster) -> None:
    """What is neither a read nor sequenced fails with its connection, in doubt."""
    async with client_of(cluster) as client:
        cluster.requests_to_lose = 1
        with pytest.raises(ConnectionLostError) as error:
            await client.admin.transfer()

        assert not error.value.definite


@in_virtual_time
async def test_no_more_than_256_writes_are_in_flight(cluster: FakeCluster) -> None:
    """Further writes wait for room; every one is applied."""
    async with client_of(cluster) as client:
        await asyncio.gather(*(client.create(f"/{number}") for number in range(1_000)))

        writes = [item for item in cluster.received if isinstance(item[1], rq.Create)]
        assert max(seq - acked for _, _, seq, acked in writes) == 256
        assert len(cluster.applied) == 1_000


@in_virtual_time
async def test_too_many_waiting_operations_are_refused(cluster: FakeCluster) -> None:
    """The queue of the client is bounded; past it the caller hears so at once."""
    async with client_of(cluster, waiting_max=10) as client:
        cluster.down = {"n1", "n2", "n3"}
        cluster.cut()
        await settle()
        waiting = [asyncio.ensure_future(client.get("/")) for _ in range(10)]
        await settle()
        with pytest.raises(OverloadedError):
            await client.get("/")
        cluster.down.clear()
        await asyncio.gather(*waiting)


@in_virtual_time
async def test_hold_ends_a_timeout_after_the_last_confirmed_heartbeat(
    cluster: FakeCluster,
) -> None:
    """Only answered heartbeats move the end of the hold, by their send time, less the drift."""
    async with client_of(cluster, timeout_ms=9_000, drift_ppm=10_000) as client:
        cluster.withhold_pings = True
        start_ms = now_ms()
        await asyncio.sleep(5)
        assert client.hold_until_ms == start_ms + 9_000 - 91

        cluster.withhold_pings = False
        await asyncio.sleep(3)
        assert client.hold_until_ms == start_ms + 6_000 + 9_000 - 91
        assert client.hold_remaining_s == pytest.approx(6.909, abs=0.002)


@in_virtual_time
async def test_client_without_session_reads_and_asks(cluster: FakeCluster) -> None:
    """session=False needs no attach: admin calls work, writes are refused."""
    async with client_of(cluster, timeout_ms=0) as client:
        assert await client.admin.status() == {"role": "leader"}
        with pytest.raises(MisuseError, match="no session"):
            await client.create("/a")

    assert not cluster.sessions


@in_virtual_time
async def test_infinite_timeout_outlasts_an_outage(cluster: FakeCluster) -> None:
    """With math.inf an operation waits for the service to come back."""
    async with client_of(cluster) as client:
        cluster.down = {"n1", "n2", "n3"}
        cluster.cut()
        await settle()
        write = asyncio.ensure_future(client.create("/a", timeout_s=math.inf))
        await asyncio.sleep(120)
        assert not write.done()
        cluster.down.clear()

        assert (await write).path == "/a"


@in_virtual_time
async def test_close_during_an_outage_does_not_hang(cluster: FakeCluster) -> None:
    """Close gives the service two seconds, then leaves the session to its timeout."""
    client = client_of(cluster)
    async with client:
        cluster.down = {"n1", "n2", "n3"}
        cluster.cut()
        await settle()
        before_ms = now_ms()

    assert now_ms() - before_ms <= 2_001
