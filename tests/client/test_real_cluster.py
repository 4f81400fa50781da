"""The client and its examples against real processes: what is lost when nodes are killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from coord.model.acl import ALL
from coord_client import (
    Acl,
    CreateMode,
    ForeignPathError,
    Lock,
    ReadLevel,
    connect,
    digest_id,
    errors,
    sync,
)
from tests.integration.processes import Cluster

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.integration
PATIENCE_S = 30.0


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Cluster]:
    """Three running nodes."""
    cluster = Cluster(tmp_path, 3)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


class Program:
    """A copy of an example, and what it has printed."""

    def __init__(self, name: str, *arguments: str) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "client")])
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / name), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.lines: list[str] = []
        self.printed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.printed:
                self.lines.append(line.strip())
                self.printed.notify_all()

    def wait_line(self, start: str) -> str:
        """The first line that starts so."""
        with self.printed:
            assert self.printed.wait_for(
                lambda: any(line.startswith(start) for line in self.lines), PATIENCE_S
            ), f"{start!r} was not printed, but {self.lines}"
            return next(line for line in self.lines if line.startswith(start))

    def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.mark.slow
def test_three_copies_elect_one_leader_that_survives_the_nodes(real: Cluster) -> None:
    """Node kills, the Raft leader's included, lose no leadership; ``kill -9`` of the leading copy
    hands over when its session ends."""
    copies = {name: Program("leader.py", real.hosts, name, "2") for name in ("one", "two", "three")}
    try:
        with sync.connect(real.hosts) as client:
            election = client.election("/examples/leader", "observer")
            first = None
            while first is None:
                first = election.holder()
            leader = first.data.decode()
            copies[leader].wait_line(f"{leader} leads with token {first.token}")
            for number in (1, 2, 3):
                real[number].kill()
                client.sync(timeout_s=PATIENCE_S)
                real.start(number)
                assert election.holder() == first
            assert copies[leader].lines == [f"{leader} leads with token {first.token}"]

            copies.pop(leader).kill()
            second = election.holder()
            while second is None or second == first:
                second = election.holder()
            heir = second.data.decode()
            copies[heir].wait_line(f"{heir} leads with token {second.token}")
            assert second.token > first.token
            others = [copy for name, copy in copies.items() if name != heir]
            assert all(not copy.lines for copy in others)
    finally:
        for copy in copies.values():
            copy.kill()


async def test_identity_survives_the_node(real: Cluster) -> None:
    """A client whose node is killed is itself on the next one: it reads what only it may read."""
    async with connect(real.hosts, auth=[("digest", "alice:secret")]) as client:
        await client.add_auth("digest", "bob:hunter2")
        with pytest.raises(errors.AuthFailedError, match="sasl credential was refused"):
            await client.add_auth("sasl", b"token")
        everything = (Acl(ALL, "digest", digest_id("bob", "hunter2")),)
        await client.create("/private", b"1", acl=everything)
        served_by = (await client.admin.status())["node"]
        real[served_by].kill()
        await client.set("/private", b"2", timeout_s=PATIENCE_S)

        assert (await client.admin.status())["node"] != served_by
        names = [name for scheme, name in await client.who_am_i() if scheme == "digest"]
        assert names == ["alice", "bob"]
    async with connect(real.hosts, auth=[("digest", "alice:secret")]) as other:
        with pytest.raises(errors.NoAuthError):
            await other.get("/private")


def test_locks_of_kazoo_and_ours_refuse_each_other(real: Cluster) -> None:
    """Kazoo's own lock on one path with ours: where it stands we do not, and nobody is misled."""
    theirs = KazooClient(real.hosts)
    theirs.start(timeout=PATIENCE_S)
    try:
        with sync.connect(real.hosts) as client:
            with theirs.Lock("/locks/theirs"):
                for recipe in (
                    client.lock("/locks/theirs"),
                    client.election("/locks/theirs", "me"),
                ):
                    with pytest.raises(ForeignPathError, match="lock or election of kazoo"):
                        recipe.acquire(PATIENCE_S)
            # kazoo takes no notice of ours: docs/recipes.md says so.
            with (
                client.lock("/locks/ours"),
                theirs.Lock("/locks/ours"),
                pytest.raises(ForeignPathError, match="lock or election of kazoo"),
            ):
                client.lock("/locks/ours").acquire_nowait()
            with client.lock("/locks/ours") as hold:
                assert hold.is_held
    finally:
        theirs.stop()
        theirs.close()


async def test_writes_happen_once_through_kills_of_their_node(real: Cluster) -> None:
    """Sequential creates through ``kill -9`` of whichever node serves the client: as many nodes
    as calls, and every returned name exists."""
    async with connect(real.hosts) as client:
        await client.create("/q")
        names: list[str] = []

        async def create(times: int) -> None:
            for _ in range(times):
                created = await client.create(
                    "/q/n-", mode=CreateMode.PERSISTENT_SEQUENTIAL, timeout_s=PATIENCE_S
                )
                names.append(created.path.removeprefix("/q/"))

        for number in (1, 2, 3):
            work = asyncio.gather(*(create(20) for _ in range(8)))
            await asyncio.to_thread(real[number].kill)
            await work
            await asyncio.to_thread(real.start, number)

        assert sorted(names) == await client.children("/q")
        assert len(names) == 480


async def test_watcher_hears_every_write_through_kills(real: Cluster) -> None:
    """A stream through kills of every node in turn: each revision once, in order."""
    async with connect(real.hosts) as writer, connect(real.hosts) as watcher:
        await writer.create("/w")
        stream = watcher.watch("/w", values=True)
        await watcher.sync()
        expected: list[bytes] = []
        for number in (1, 2, 3):
            await asyncio.to_thread(real[number].kill)
            for _ in range(30):
                expected.append(b"%d" % len(expected))
                await writer.set("/w", expected[-1], timeout_s=PATIENCE_S)
            await asyncio.to_thread(real.start, number)
        heard: list[bytes | None] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(heard) < len(expected):
                batch = await anext(stream)
                assert batch.listing is None
                heard += [change.data for change in batch.changes]
        stream.close()

        assert heard == expected


async def test_admin_calls(real: Cluster) -> None:
    """Each answers in the shape that the client gives it."""
    async with connect(real.hosts, client_name="admin test") as client:
        await client.put("/a", b"1")
        await client.put("/a", b"2")
        status = await client.admin.status()
        members = await client.admin.members()
        digest = await client.admin.digest()
        assert status["leader"] in {1, 2, 3}
        assert [member["id"] for member in members.members] == [1, 2, 3]
        assert digest.revision >= 2
        newest, oldest = await client.history("/a")
        assert (newest["data"], oldest["data"]) == (b"2", b"1")
        assert newest["stat"].version == 1
        (older,) = await client.history("/a", before=newest["revision"])
        assert older == oldest
        (session,) = await client.admin.sessions()
        assert (session["session"], session["client"]) == (client.session_id, "admin test")
        assert (await client.why_session(client.session_id))["state"] == "open"
        runs = [run async for run in client.admin.log_tail(1)]
        assert runs[0].first == 1
        assert sum(len(run.payloads) for run in runs) >= newest["revision"]
        revision, size = await client.admin.snapshot(timeout_s=PATIENCE_S)
        assert revision >= newest["revision"]
        assert size > 0
        before, after = await client.admin.change_member("remove", 3, dry_run=True)
        assert (before["may_fail"], after["may_fail"]) == (1, 0)
        target = next(each for each in (1, 2, 3) if each != status["leader"])
        assert await client.admin.transfer(target) == target

    async with connect(real[1].client, session=False) as alone:
        async with asyncio.timeout(PATIENCE_S):  # this node may hear of the end a moment later
            while (await alone.why_session(session["session"]))["state"] != "ended":
                await alone.admin.status()
        assert (await alone.get("/a", level=ReadLevel.STALE)).data == b"2"


async def test_guard_of_a_real_hold(real: Cluster) -> None:
    """A guarded transaction passes while held and is refused after the hand-over."""
    async with connect(real.hosts) as one, connect(real.hosts) as two:
        async with Lock(one, "/x") as hold:
            await one.transaction().add(hold.guard()).create("/allowed").commit()
            old = hold.guard()
        async with Lock(two, "/x") as new:
            assert new.token > hold.token
            outcome = await asyncio.gather(
                one.transaction().add(old).create("/forbidden").commit(), return_exceptions=True
            )

        assert isinstance(outcome[0], Exception)
        assert await one.exists("/forbidden") is None
