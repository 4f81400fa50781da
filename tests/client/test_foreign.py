"""Recipes of ours beside those of other libraries on one path: refused, never both granted."""

from __future__ import annotations

import asyncio

import pytest

from coord.model.errors import BadArgumentsError, MisuseError
from coord.model.recipes import kind_of
from coord_client import ForeignPathError, Group, LeaderElection, Lock
from tests.client.fake_server import FakeCluster
from tests.client.helpers import client_of, settle
from tests.client.virtual import in_virtual_time

HEX = "0123456789abcdef" * 2
UUID = "01234567-89ab-cdef-0123-456789abcdef"
KAZOO = f"{HEX}__lock__0000000000"
FOREIGN = {
    KAZOO: "kazoo",
    f"{HEX}__rlock__0000000012": "kazoo",
    f"_c_{UUID}-lock-0000000003": "Curator",
    f"_c_{HEX}-lock-0000000003": "Curator",
    f"_c_{UUID}-latch-0000000003": "Curator",
    "latch-0000000003": "Curator",
    f"_c_{UUID}-__WRIT__0000000003": "Curator",
    f"_c_{UUID}-anything": "Curator",
    "n_0000000001": "not ours",
    "leases": "not ours",
    "c-": "not ours",
}


@pytest.mark.parametrize(("name", "whose"), FOREIGN.items())
def test_contender_of_another_library_is_refused(name: str, whose: str) -> None:
    """Lock and election name the node found and whose it is, and leave no contender behind."""

    @in_virtual_time
    async def story() -> None:
        cluster = FakeCluster()
        async with client_of(cluster) as client:
            await client.create(f"/x/{name}", make_parents=True)
            for recipe in (Lock(client, "/x"), LeaderElection(client, "/x", "me")):
                for attempt in (recipe.acquire, recipe.acquire_nowait):
                    with pytest.raises(ForeignPathError, match=whose) as refusal:
                        await attempt()
                    assert name in str(refusal.value)
            assert await client.children("/x") == [name]

    story()


@in_virtual_time
async def test_other_data_is_refused(cluster: FakeCluster) -> None:
    """A node that somebody keeps data in does not become a lock."""
    async with client_of(cluster) as client:
        await client.create("/x", b"precious")
        with pytest.raises(MisuseError, match="precious"):
            await Lock(client, "/x").acquire()
        assert (await client.get("/x")).data == b"precious"


@in_virtual_time
async def test_latecomer_is_seen_by_the_next_contender(cluster: FakeCluster) -> None:
    """A path that is ours already: a foreign node that appears stops whoever asks next, and the
    refused contender leaves the line."""
    async with client_of(cluster) as one, client_of(cluster) as two, Lock(one, "/x"):
        line = await one.children("/x")
        await two.create(f"/x/{KAZOO}")
        with pytest.raises(ForeignPathError, match="kazoo"):
            await Lock(two, "/x").acquire()
        await settle()
        assert await one.children("/x") == [KAZOO, *line]


@in_virtual_time
async def test_waiting_contender_is_stopped(cluster: FakeCluster) -> None:
    """It stood in line before the foreign node came: when its turn comes it is not granted."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        hold = await Lock(one, "/x").acquire()
        waiting = asyncio.ensure_future(Lock(two, "/x").acquire())
        await settle()
        await one.create(f"/x/{KAZOO}")
        await hold.release()
        with pytest.raises(ForeignPathError, match="kazoo"):
            await waiting
        await settle()
        assert await one.children("/x") == [KAZOO]


@in_virtual_time
async def test_grant_beside_a_foreign_node_is_given_back(cluster: FakeCluster) -> None:
    """One that appears between the last listing and the grant is seen after it; the holder record
    goes again."""
    async with client_of(cluster) as client:
        await client.create(f"/y/{KAZOO}", make_parents=True)

        def meddle() -> None:
            cluster.tree.nodes["/x/" + KAZOO] = cluster.tree.nodes["/y/" + KAZOO]
            cluster.tree.nodes["/x"].children.add(KAZOO)

        cluster.before_multi = meddle
        with pytest.raises(ForeignPathError, match="kazoo"):
            await Lock(client, "/x").acquire()
        await settle()
        assert await client.children("/x") == [KAZOO]


@in_virtual_time
async def test_followers_of_an_election_are_told(cluster: FakeCluster) -> None:
    """leaders() does not show a leader where others elect one too."""
    async with client_of(cluster) as client, LeaderElection(client, "/x", "me"):
        await client.create(f"/x/{KAZOO}")
        with pytest.raises(ForeignPathError):
            await anext(LeaderElection(client, "/x", "me").leaders())


@in_virtual_time
async def test_group_refuses_contenders(cluster: FakeCluster) -> None:
    """Nodes of another recipe are no members: joining, listing and viewing say so."""
    async with client_of(cluster) as client:
        group = Group(client, "/g")
        async with await group.join("one"), group.view() as view:
            await client.create(f"/g/{KAZOO}")
            with pytest.raises(ForeignPathError, match="kazoo"):
                await view.wait_changed()
            with pytest.raises(ForeignPathError):
                _ = view.members
            for refused in (group.join("two"), group.members(), group.view().__aenter__()):
                with pytest.raises(ForeignPathError):
                    await refused
            await client.delete(f"/g/{KAZOO}")
            await client.sync()
            assert list(view.members) == ["one"]


@in_virtual_time
async def test_member_is_not_named_like_a_contender(cluster: FakeCluster) -> None:
    """A name that another library gives its nodes would be taken for its own."""
    async with client_of(cluster) as client:
        with pytest.raises(BadArgumentsError, match="Curator"):
            await Group(client, "/g").join("latch-0000000001")


def test_our_own_names_are_nobody_elses() -> None:
    """Contenders and records of ours, also after the counter has wrapped, and names of people."""
    for name in ("c-0000000007", "c--000000001", "holder", "web-1", "node-0000000001"):
        assert kind_of(name) is None
