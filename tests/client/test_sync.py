"""The blocking client: threads, a running loop, fork, interpreter exit."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coord.model.errors import CoordError, MisuseError, NoNodeError, OperationTimeoutError
from coord_client import Client, ConnectionState, CreateMode
from coord_client.sync import SyncClient
from tests.client.fake_server import FakeCluster

ROOT = Path(__file__).parents[2]
SCRIPT_HEAD = """
import os, sys
from coord.model.errors import MisuseError
from coord_client import Client
from coord_client.sync import SyncClient
from tests.client.fake_server import FakeCluster
cluster = FakeCluster()
client = SyncClient(lambda: Client(cluster.connect_string, dial=cluster.dial))
client.start()
"""


def client_of(cluster: FakeCluster) -> SyncClient:
    """A blocking client of the fake service, which lives on the client's own thread."""
    return SyncClient(lambda: Client(cluster.connect_string, dial=cluster.dial))


@pytest.fixture
def client(cluster: FakeCluster) -> Iterator[SyncClient]:
    """A started client."""
    with client_of(cluster) as started:
        yield started


def script(body: str) -> subprocess.CompletedProcess[str]:
    """Run a program of its own."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "client")])
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT_HEAD + body],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_operations(client: SyncClient) -> None:
    """Each operation does what its asynchronous twin does."""
    created = client.create("/a/b", b"1", make_parents=True)
    assert client.set("/a/b", b"2", version=0).version == 1
    assert client.put("/a/c", b"3").version == 0

    assert created.path == "/a/b"
    assert client.get("/a/b").data == b"2"
    assert client.children("/a") == ["b", "c"]
    assert client.exists("/nothing") is None
    assert client.sync() > 0
    acl, _ = client.get_acl("/a")
    assert client.set_acl("/a", acl).aversion == 1
    client.delete("/a", recursive=True)
    with pytest.raises(NoNodeError):
        client.get("/a")
    assert client.state is ConnectionState.CONNECTED
    assert client.hold_remaining_s > 0
    assert client.call(lambda inner: inner.admin.status()) == {"role": "leader"}


def test_transaction(client: SyncClient) -> None:
    """A block commits; results are those of the asynchronous one."""
    with client.transaction() as txn:
        txn.create("/a", b"1").check("/a")
    assert txn.results is not None
    assert client.transaction().set("/a", b"2").commit() == [client.exists("/a")]
    with pytest.raises(MisuseError):
        txn.commit()


def test_watch(client: SyncClient) -> None:
    """Batches come from a blocking iterator, which can be given a time."""
    with client.watch("/", recursive=True) as stream:
        client.create("/a")
        batch = stream.next(timeout_s=10)
        assert batch is not None
        assert batch.changes[0].path == "/a"
        with pytest.raises(OperationTimeoutError):
            stream.next(timeout_s=0)
    assert list(stream) == []
    listing, stream = client.list_and_watch("/a")
    assert [node.path for node in listing.nodes] == ["/a"]
    stream.close()


def test_lock_and_election(client: SyncClient) -> None:
    """A hold has its token and guard; it is over when released."""
    with client.lock("/x", b"me") as hold:
        holder = client.lock("/x").holder()
        assert holder is not None
        assert (holder.data, holder.token) == (b"me", hold.token)
        client.transaction().add(hold.guard()).create("/guarded").commit()
        assert client.lock("/x").acquire_nowait() is None
        assert not hold.wait_lost(timeout_s=0)
    assert not hold.is_held
    leadership = client.election("/e", "me").acquire()
    assert leadership.remaining_s > 0
    leadership.release()


def test_group(client: SyncClient) -> None:
    """A live view follows joins and leaves."""
    group = client.group("/g")
    with group.view() as view:
        with group.join("a", b"1") as member:
            assert dict(view.wait_changed()) == {"a": b"1"}
            member.update(b"2")
            assert dict(view.wait_changed()) == {"a": b"2"}
        assert dict(view.wait_changed()) == {}
        assert dict(view.members) == group.members() == {}


def test_many_threads_share_a_client(client: SyncClient) -> None:
    """Any thread may call; every call gets its own answer."""
    client.create("/q")
    mode = CreateMode.PERSISTENT_SEQUENTIAL
    with ThreadPoolExecutor(16) as pool:
        paths = list(pool.map(lambda _: client.create("/q/n-", mode=mode).path, range(200)))

    assert sorted(paths) == [f"/q/n-{number:010}" for number in range(200)]


def test_works_inside_a_running_loop(client: SyncClient) -> None:
    """Code that happens to run in a loop may block it, but is not refused."""

    async def main() -> bytes:
        client.put("/a", b"x")
        return client.get("/a").data

    assert asyncio.run(main()) == b"x"


def test_state_callbacks_run_and_must_not_block(cluster: FakeCluster) -> None:
    """A callback hears of changes; calling the client from it is refused, not a deadlock."""
    heard = threading.Event()
    errors: list[Exception] = []
    client = client_of(cluster).start()

    def callback(state: ConnectionState) -> None:
        try:
            client.get("/")
        except MisuseError as error:
            errors.append(error)
        if state is ConnectionState.SUSPENDED:
            heard.set()

    stop = client.on_state(callback)
    client.read(lambda _: cluster.cut())
    assert heard.wait(10)
    client.sync()
    stop()
    client.close()

    assert errors


def test_closed_client_is_refused(cluster: FakeCluster) -> None:
    """After close operations raise, and closing again is fine."""
    client = client_of(cluster)
    with pytest.raises(MisuseError, match="with connect"):
        client.get("/")
    with client:
        session = client.session_id
        with pytest.raises(MisuseError, match="has been started"):
            client.start()
    client.close()

    assert not cluster.sessions[session].is_open
    with pytest.raises(MisuseError):
        client.get("/")


def test_close_frees_a_thread_that_waits(cluster: FakeCluster) -> None:
    """Nobody waits for ever on a client that another thread closes."""
    client = client_of(cluster).start()
    hold = client.lock("/x").acquire()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: client.lock("/x").acquire())
        while len(client.children("/x")) < 3:
            pass
        client.close()
        with pytest.raises(CoordError, match="closed"):
            waiting.result(10)
    with pytest.raises(MisuseError, match="closed"):
        hold.release()


def test_failed_start_leaves_no_thread(cluster: FakeCluster) -> None:
    """If no host answers, start raises and the background thread is gone."""
    cluster.down = {"n1", "n2", "n3"}
    before = threading.active_count()
    with pytest.raises(OperationTimeoutError):
        client_of(cluster).start(timeout_s=0.05)

    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_use_after_fork_is_refused() -> None:
    """The child must not touch its parent's session: each call raises; close does nothing."""
    outcome = script(
        """
pid = os.fork()
if pid == 0:
    try:
        client.get("/")
    except MisuseError as error:
        client.close()
        os._exit(42 if "fork" in str(error) else 43)
    os._exit(44)
_, status = os.waitpid(pid, 0)
client.put("/still", b"alive")
print(os.waitstatus_to_exitcode(status), client.get("/still").data)
"""
    )

    assert outcome.stdout.split() == ["42", "b'alive'"], outcome.stderr


def test_interpreter_exit_ends_the_session() -> None:
    """A program that forgets to close still exits at once, and its session has ended; its own exit
    handlers may use the client."""
    outcome = script(
        """
import atexit
session = client.session_id
inner_close = client.close
def told():
    print("in handler", client.get("/").path)
atexit.register(told)
def closed():
    inner_close()
    print("open after close:", cluster.sessions[session].is_open)
client.close = closed
"""
    )

    assert outcome.stdout.splitlines() == ["in handler /", "open after close: False"], (
        outcome.stderr
    )
    assert outcome.returncode == 0
    assert not outcome.stderr
