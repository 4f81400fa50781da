"""Lock, election and group against the fake service, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from coord.model.errors import (
    GuardError,
    MisuseError,
    NodeExistsError,
    NoSpaceError,
    OperationTimeoutError,
    TransactionError,
)
from coord_client import Client, Group, Hold, LeaderElection, Lock
from coord_client.recipes import Membership
from tests.client.fake_server import FakeCluster
from tests.client.helpers import client_of, settle, until
from tests.client.virtual import in_virtual_time, now_ms

HOSTS = {"n1", "n2", "n3"}


def held(hold: Hold) -> bool:
    """Whether it is held at this moment (a call, so that type checkers expect it to change)."""
    return hold.is_held


def line_of(cluster: FakeCluster, path: str) -> list[str]:
    """What is below a recipe's node."""
    return sorted(cluster.tree.nodes[path].children)


@in_virtual_time
async def test_lock_excludes_and_passes_on(cluster: FakeCluster) -> None:
    """The second holder is granted the lock when the first releases it, with a greater token."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        async with Lock(one, "/locks/x") as first:
            second = asyncio.ensure_future(Lock(two, "/locks/x").acquire())
            await settle()
            assert held(first)
            assert not second.done()
        hold = await second

        assert held(hold)
        assert hold.token > first.token
        assert not held(first)
        await hold.release()
    assert line_of(cluster, "/locks/x") == []


@in_virtual_time
async def test_token_is_the_revision_of_the_grant(cluster: FakeCluster) -> None:
    """It is the holder record's mzxid, not the contender's czxid, and the holder is visible."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        async with Lock(one, "/x", b"one"):
            waiting = asyncio.ensure_future(Lock(two, "/x", b"two").acquire())
            await settle()
            await two.put("/other", b"")
        hold = await waiting
        holder = await Lock(one, "/x").holder()

        assert holder is not None
        assert (holder.data, holder.token, holder.session_id) == (
            b"two",
            hold.token,
            two.session_id,
        )
        assert hold.token == cluster.tree.nodes["/x/holder"].mzxid
        assert hold.token > cluster.tree.nodes["/other"].mzxid


@in_virtual_time
async def test_contenders_are_served_in_order(cluster: FakeCluster) -> None:
    """Ten waiting clients get the lock in the order they asked, one at a time."""
    order: list[int] = []
    inside = 0

    async def work(client: Client, number: int) -> None:
        nonlocal inside
        async with Lock(client, "/x"):
            inside += 1
            assert inside == 1
            order.append(number)
            await asyncio.sleep(0.1)
            inside -= 1

    async with client_of(cluster) as client, asyncio.TaskGroup() as tasks:
        for number in range(10):
            tasks.create_task(work(client, number))
            await settle()

    assert order == list(range(10))


@in_virtual_time
async def test_guard_stops_a_deposed_holder(cluster: FakeCluster) -> None:
    """A transaction with the guard of a hold that was handed over changes nothing."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        old = await Lock(one, "/x").acquire()
        guarded = one.transaction().add(old.guard()).create("/allowed")
        await guarded.commit()
        await old.release()
        async with Lock(two, "/x"):
            with pytest.raises(TransactionError) as refusal:
                await one.transaction().add(old.guard()).create("/forbidden").commit()

    assert refusal.value.results[0] == GuardError.code
    assert "/forbidden" not in cluster.tree.nodes


@in_virtual_time
async def test_a_session_that_has_ended_is_no_obstacle(cluster: FakeCluster) -> None:
    """Who comes back to a recipe before it has heard of the end of its session stands in line with
    the next one; it is not its caller's affair."""
    async with client_of(cluster) as client:
        cluster.expire_silently(client.session_id)
        async with Lock(client, "/lock") as hold:
            assert hold.is_held
        cluster.expire_silently(client.session_id)
        member = await Group(client, "/group").join("one")
        await member.leave()


@in_virtual_time
async def test_expired_holder_learns_and_another_is_granted(cluster: FakeCluster) -> None:
    """When the session ends the hold is lost and the next in line is granted it."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        old = await Lock(one, "/x").acquire()
        waiting = asyncio.ensure_future(Lock(two, "/x").acquire())
        await settle()
        cluster.expire(one.session_id)
        await old.wait_lost()
        new = await waiting

        assert not old.is_held
        assert new.token > old.token
        assert new.is_held


@in_virtual_time
async def test_isolated_holder_knows_by_its_own_clock(cluster: FakeCluster) -> None:
    """Cut off, the holder gives up before the service's timeout can have run out."""
    async with client_of(cluster, timeout_ms=6_000) as client:
        hold = await Lock(client, "/x").acquire()
        confirmed_until_ms = client.hold_until_ms
        for host in HOSTS:
            cluster.kill(host)
        await hold.wait_lost(margin_s=1.0)
        assert now_ms() == pytest.approx(confirmed_until_ms - 1_000, abs=2)
        assert held(hold)
        await hold.wait_lost()
        assert now_ms() <= confirmed_until_ms + 1
        assert not held(hold)

        cluster.down.clear()
        await client.wait_connected()
        assert not held(hold), "lost is for good, though the session lives"
        await until(lambda: line_of(cluster, "/x") == [])


@in_virtual_time
async def test_node_failures_lose_no_hold(cluster: FakeCluster) -> None:
    """The session moves from node to node; the hold stays, with its token."""
    async with client_of(cluster) as client:
        hold = await Lock(client, "/x").acquire()
        for _ in range(5):
            host = cluster.host_of(client.session_id)
            cluster.kill(host)
            await client.sync()
            cluster.down.clear()

        assert held(hold)
        await client.transaction().add(hold.guard()).create("/still-mine").commit()


@in_virtual_time
async def test_record_deleted_by_force_ends_the_hold(cluster: FakeCluster) -> None:
    """An operator who deletes the holder record ends the hold; the holder hears of it."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        hold = await Lock(one, "/x").acquire()
        await two.delete("/x/holder")
        await hold.wait_lost()

        assert not held(hold)
        await until(lambda: line_of(cluster, "/x") == [])


@in_virtual_time
async def test_contender_deleted_by_force_does_not_break_exclusion(cluster: FakeCluster) -> None:
    """If the holder's contender is deleted, the next in line still waits for the record to go."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        hold = await Lock(one, "/x").acquire()
        waiting = asyncio.ensure_future(Lock(two, "/x").acquire())
        await settle()
        await two.delete("/x/c-0000000000")
        await settle()
        assert held(hold)
        assert not waiting.done()

        await hold.release()
        await (await waiting).release()


@in_virtual_time
async def test_contender_deleted_right_before_the_grant_is_not_granted(
    cluster: FakeCluster,
) -> None:
    """The grant checks the contender in the same transaction; the program stands in line again."""
    async with client_of(cluster) as client:
        cluster.before_multi = lambda: cluster.remove("/x/c-0000000000")
        hold = await Lock(client, "/x").acquire()

        assert line_of(cluster, "/x") == ["c-0000000001", "holder"]
        await hold.release()
        assert line_of(cluster, "/x") == []


@in_virtual_time
async def test_each_contender_watches_only_the_one_before_it(cluster: FakeCluster) -> None:
    """A release wakes one waiting program, not all of them."""
    async with client_of(cluster) as client:
        hold = await Lock(client, "/x").acquire()
        waiting = []
        for _ in range(4):
            waiting.append(asyncio.ensure_future(Lock(client, "/x").acquire()))
            await settle()
        (connection,) = cluster.connections
        watched = sorted(stream.path for stream in connection.streams.values())
        line = line_of(cluster, "/x")

        assert watched == ["/x/" + name for name in (*line[:4], "holder")]
        for each in waiting:
            each.cancel()
        await hold.release()
        await asyncio.gather(*waiting, return_exceptions=True)


@in_virtual_time
async def test_overwritten_record_ends_the_hold(cluster: FakeCluster) -> None:
    """A record that somebody has written to is another grant: guards fail, so the hold is over."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        hold = await Lock(one, "/x").acquire()
        await two.set("/x/holder", b"mine now")
        await hold.wait_lost()

        assert not held(hold)


@in_virtual_time
async def test_clearing_away_a_lost_hold_spares_its_successor(cluster: FakeCluster) -> None:
    """A holder that returns after its record and place were removed by hand deletes nothing."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        hold = await Lock(one, "/x").acquire()
        waiting = asyncio.ensure_future(Lock(two, "/x").acquire())
        await settle()
        cluster.down = set(HOSTS)
        next(c for c in cluster.connections if c.session_id == one.session_id).reset()
        cluster.remove("/x/holder")
        cluster.remove("/x/c-0000000000")
        successor = await waiting
        cluster.down.clear()
        await hold.wait_lost()
        await one.sync()
        await settle()

        assert held(successor)
        assert cluster.tree.nodes["/x/holder"].mzxid == successor.token


@in_virtual_time
async def test_waiting_survives_compaction(cluster: FakeCluster) -> None:
    """A waiting contender whose watch was compacted learns from the listing that it is its turn."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        hold = await Lock(one, "/x").acquire()
        waiting = asyncio.ensure_future(Lock(two, "/x").acquire())
        await settle()
        cluster.down = set(HOSTS)
        next(c for c in cluster.connections if c.session_id == two.session_id).reset()
        await hold.release()
        cluster.compact()
        cluster.down.clear()

        assert held(await waiting)


@in_virtual_time
async def test_release_during_an_outage_goes_on_in_the_background(cluster: FakeCluster) -> None:
    """The caller hears that it is not done yet; it is done once the service is back."""
    async with client_of(cluster) as client:
        hold = await Lock(client, "/x").acquire()
        cluster.down = set(HOSTS)
        cluster.cut()
        await settle()
        with pytest.raises(OperationTimeoutError, match="background"):
            await hold.release(timeout_s=1)
        assert not held(hold)
        await hold.release()
        cluster.down.clear()
        await until(lambda: line_of(cluster, "/x") == [])


@in_virtual_time
async def test_releasing_what_is_lost_does_not_wait(cluster: FakeCluster) -> None:
    """A program that was cut off can campaign again at once; what is left is cleared away later."""
    async with client_of(cluster) as client:
        async with Lock(client, "/x") as hold:
            cluster.down = set(HOSTS)
            cluster.cut()
            await hold.wait_lost()
            before_ms = now_ms()
        assert now_ms() == before_ms
        cluster.down.clear()
        async with Lock(client, "/x") as again:
            assert again.token > hold.token


@in_virtual_time
async def test_a_grant_that_is_refused_leaves_nobody_in_line(cluster: FakeCluster) -> None:
    """Where space is short, say: those behind would wait for the end of the session."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        held_by_two = await Lock(two, "/x").acquire()
        waiting = asyncio.ensure_future(Lock(one, "/x").acquire())
        await until(lambda: len(line_of(cluster, "/x")) == 3)
        # The release is applied; what comes next is the grant.
        cluster.before_multi = lambda: cluster.refusals.append(NoSpaceError("the disk is full"))
        await held_by_two.release()
        with pytest.raises(NoSpaceError):
            await waiting
        await until(lambda: line_of(cluster, "/x") == [])


@in_virtual_time
async def test_session_that_ends_during_the_grant_means_a_new_place(cluster: FakeCluster) -> None:
    """The grant is lost with its session; the program stands in line again and is granted."""
    async with client_of(cluster) as client:
        first = client.session_id
        cluster.before_multi = lambda: cluster.expire_silently(first)
        hold = await Lock(client, "/x").acquire()

        assert held(hold)
        assert client.session_id != first


@in_virtual_time
async def test_waiting_contender_whose_session_ends_stands_in_line_again(
    cluster: FakeCluster,
) -> None:
    """The old contender is never taken for a new one: a new session gets a new place."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        hold = await Lock(one, "/x").acquire()
        waiting = asyncio.ensure_future(Lock(two, "/x").acquire())
        await settle()
        cluster.expire(two.session_id)
        await until(lambda: line_of(cluster, "/x") == ["c-0000000000", "c-0000000003", "holder"])
        await hold.release()
        granted = await waiting

        assert cluster.tree.nodes["/x/holder"].owner == two.session_id
        assert granted.is_held


def _at_once(cluster: FakeCluster) -> None:
    del cluster


def _during_an_outage(cluster: FakeCluster) -> None:
    cluster.down = set(HOSTS)
    cluster.cut()


def _reply_lost(cluster: FakeCluster) -> None:
    cluster.replies_to_lose = 1


def _request_lost(cluster: FakeCluster) -> None:
    cluster.requests_to_lose = 1


async def _cancel_after(turns: int, fault: Callable[[FakeCluster], None]) -> None:
    """Begin to acquire, meet a fault half-way, cancel after so many turns of the loop."""
    cluster = FakeCluster()
    async with client_of(cluster) as client:
        acquiring = asyncio.ensure_future(Lock(client, "/x").acquire())
        for turn in range(turns):
            await asyncio.sleep(0)
            if turn == turns // 2:
                fault(cluster)
        acquiring.cancel()
        outcome = (await asyncio.gather(acquiring, return_exceptions=True))[0]
        cluster.down = set()
        await client.sync()
        if isinstance(outcome, Hold):
            await outcome.release()
        await settle()
        await until(lambda: "/x" not in cluster.tree.nodes or line_of(cluster, "/x") == [])
        async with Lock(client, "/x") as hold:
            assert held(hold)


@in_virtual_time
@pytest.mark.parametrize("fault", [_at_once, _during_an_outage, _reply_lost, _request_lost])
async def test_cancelled_acquire_leaves_nothing_behind(
    fault: Callable[[FakeCluster], None],
) -> None:
    """Whenever it is cancelled, whatever the network does, the line is empty in the end."""
    for turns in range(60):
        await _cancel_after(turns, fault)


@in_virtual_time
async def test_acquire_in_time_or_not_at_all(cluster: FakeCluster) -> None:
    """A timeout gives the place up; acquire_nowait does not wait at all."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        async with Lock(one, "/x"):
            with pytest.raises(OperationTimeoutError) as error:
                await Lock(two, "/x").acquire(timeout_s=1)
            assert error.value.definite
            assert await Lock(two, "/x").acquire_nowait() is None
            await until(lambda: line_of(cluster, "/x") == ["c-0000000000", "holder"])
        hold = await Lock(two, "/x").acquire_nowait()

        assert hold is not None


@in_virtual_time
async def test_lock_object_is_not_reentrant(cluster: FakeCluster) -> None:
    """Entering twice through one object is refused rather than a deadlock."""
    async with client_of(cluster) as client:
        lock = Lock(client, "/x")
        async with lock:
            with pytest.raises(MisuseError, match="through this object"):
                await lock.__aenter__()


@in_virtual_time
async def test_recipes_refuse_each_others_paths(cluster: FakeCluster) -> None:
    """A path that holds a lock, or anything else, cannot become an election or a group."""
    async with client_of(cluster) as client:
        async with Lock(client, "/x"):
            pass
        await client.create("/data", b"mine")
        with pytest.raises(MisuseError, match="not a election"):
            await LeaderElection(client, "/x", "me").campaign()
        with pytest.raises(MisuseError, match="not a group"):
            await Group(client, "/x").join("me")
        with pytest.raises(MisuseError, match="mine"):
            await Lock(client, "/data").acquire()


@in_virtual_time
async def test_leader_is_visible_and_changes_are_told(cluster: FakeCluster) -> None:
    """Observers hear of each leader, and of the time between leaders."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        heard: list[str | None] = []

        async def observe() -> None:
            async for holder in LeaderElection(two, "/e", "observer").leaders():
                name = None if holder is None else holder.data.decode()
                heard.append(name)  # read while the loop goes on

        observing = asyncio.ensure_future(observe())
        await settle()
        async with LeaderElection(one, "/e", "one"):
            await settle()
            assert await LeaderElection(two, "/e", "").leader() == "one"
        await settle()
        async with LeaderElection(two, "/e", "two"):
            await settle()
        observing.cancel()

    assert heard == [None, "one", None, "two"]


@in_virtual_time
async def test_run_works_while_leading_and_campaigns_again(cluster: FakeCluster) -> None:
    """The work is cancelled when leadership is lost and begins anew with the next one."""
    tokens: list[int] = []
    async with client_of(cluster) as client:

        async def work(leadership: Hold) -> None:
            tokens.append(leadership.token)
            if len(tokens) == 1:
                cluster.expire(client.session_id)
                await asyncio.Event().wait()

        await LeaderElection(client, "/e", "me").run(work)

    assert len(tokens) == 2
    assert tokens[1] > tokens[0]


@in_virtual_time
async def test_group_members_come_and_go(cluster: FakeCluster) -> None:
    """A live view follows joins, updates, leaves and expiries."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        group = Group(one, "/g")
        async with group.view() as view:
            assert dict(view.members) == {}
            first = await group.join("a", b"1")
            second = await Group(two, "/g").join("b", b"2")
            await settle()
            assert dict(view.members) == {"a": b"1", "b": b"2"}
            await first.update(b"11")
            assert dict(await view.wait_changed()) == {"a": b"11", "b": b"2"}
            await first.leave()
            assert dict(await view.wait_changed()) == {"b": b"2"}
            assert await group.members() == {"b": b"2"}
            assert second.is_member


@in_virtual_time
async def test_membership_is_renewed_after_an_expiry(cluster: FakeCluster) -> None:
    """A member whose session ended joins again with the next session."""
    async with client_of(cluster) as client:
        async with await Group(client, "/g").join("a", b"1") as member:
            first = client.session_id
            cluster.expire(first)
            await until(lambda: client.session_id != first and member.is_member)

            assert cluster.tree.nodes["/g/a"].owner == client.session_id
        assert line_of(cluster, "/g") == []


@in_virtual_time
async def test_taken_name_is_refused_or_waited_for(cluster: FakeCluster) -> None:
    """A restarted process can wait for its predecessor's session to end."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        await Group(one, "/g").join("a", b"old")
        with pytest.raises(NodeExistsError):
            await Group(two, "/g").join("a", b"new")
        joining = asyncio.ensure_future(Group(two, "/g").join("a", b"new", wait=True))
        await settle()
        assert not joining.done()
        one_session = one.session_id
        await one.close()
        await joining

        assert not cluster.sessions[one_session].is_open
        assert cluster.tree.nodes["/g/a"].data == b"new"


@in_virtual_time
async def test_cancelled_join_leaves_nothing_behind() -> None:
    """Whenever joining is cancelled, the group is empty in the end."""
    for turns in range(30):
        cluster = FakeCluster()
        async with client_of(cluster) as client:
            joining = asyncio.ensure_future(Group(client, "/g").join("a"))
            for turn in range(turns):
                await asyncio.sleep(0)
                if turn == turns // 2:
                    cluster.replies_to_lose = 1
            joining.cancel()
            (outcome,) = await asyncio.gather(joining, return_exceptions=True)
            if isinstance(outcome, Membership):
                await outcome.leave()
            await client.sync()
            await settle()
            await until(lambda: "/g/a" not in cluster.tree.nodes)  # noqa: B023  # awaited here


@in_virtual_time
async def test_leaving_spares_a_namesake(cluster: FakeCluster) -> None:
    """A member whose node another has replaced does not delete the other's node."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        member = await Group(one, "/g").join("a")
        await two.delete("/g/a")
        await Group(two, "/g").join("a", b"two")
        await member.leave()

        assert cluster.tree.nodes["/g/a"].data == b"two"
