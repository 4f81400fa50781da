"""kazoo, as it is on PyPI."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from kazoo import exceptions as errors
from kazoo.client import KazooClient
from kazoo.protocol.states import KazooState, KeeperState
from kazoo.security import make_acl, make_digest_acl

from tests.zookeeper_clients.ensembles import (
    SESSION_MS,
    SHORT_SESSION_MS,
    SUPER_PASSWORD,
    digest_id,
)
from tests.zookeeper_clients.lab import PATIENCE_S, Lab, wait_until

pytestmark = pytest.mark.needs("kazoo")

Connect = Callable[..., Any]


@pytest.fixture
def connect(lab: Lab) -> Iterator[Connect]:
    """Opens clients whose root is the test's own directory; closes them with the test."""
    opened: list[Any] = []

    def open_client(hosts: str = lab.hosts, ms: int = SESSION_MS, **options: Any) -> Any:
        client = KazooClient(hosts + lab.root, timeout=ms / 1_000, **options)
        opened.append(client)
        client.start(timeout=PATIENCE_S)
        client.sync("/")  # Reads are local: this one has seen all that others have been told.
        return client

    yield open_client
    for client in opened:
        client.stop()
        client.close()


@pytest.fixture
def zk(connect: Connect) -> Any:
    """One client, directly connected."""
    return connect()


class States:
    """The states that a client tells its listeners, in order."""

    def __init__(self, client: Any) -> None:
        self._seen: queue.Queue[str] = queue.Queue()
        client.add_listener(self._seen.put)

    def wait_for(self, state: str) -> None:
        """Wait until the client has said it since the last call."""
        while self._seen.get(timeout=PATIENCE_S) != state:
            pass


class Events:
    """A watch function that keeps what it is told."""

    def __init__(self) -> None:
        self._told: queue.Queue[Any] = queue.Queue()

    def __call__(self, event: Any) -> None:
        self._told.put(event)

    def next(self) -> tuple[str, str]:
        """Type and path of the next event."""
        event = self._told.get(timeout=PATIENCE_S)
        return event.type, event.path

    @property
    def is_empty(self) -> bool:
        """Whether everything that came was taken."""
        return self._told.empty()


def test_a_node_is_created_read_changed_listed_and_deleted(zk: Any) -> None:
    """CRUD, with the versions of each step and the errors of each wrong step."""
    assert zk.create("/a", b"one") == "/a"
    data, stat = zk.get("/a")
    assert (data, stat.version, stat.dataLength, stat.numChildren) == (b"one", 0, 3, 0)
    assert stat.czxid == stat.mzxid == stat.pzxid
    assert stat.ephemeralOwner == 0
    changed = zk.set("/a", b"three", version=0)
    assert (changed.version, changed.dataLength) == (1, 5)
    assert changed.mzxid > changed.czxid
    assert changed.mtime >= changed.ctime
    zk.create("/a/b")
    zk.create("/a/c")
    assert sorted(zk.get_children("/a")) == ["b", "c"]
    names, stat = zk.get_children("/a", include_data=True)
    assert (sorted(names), stat.numChildren, stat.cversion) == (["b", "c"], 2, 2)
    assert zk.exists("/a").numChildren == 2
    assert zk.exists("/nothing") is None
    assert zk.sync("/a") == "/a"
    with pytest.raises(errors.NodeExistsError):
        zk.create("/a")
    with pytest.raises(errors.NoNodeError):
        zk.create("/nothing/below")
    with pytest.raises(errors.BadVersionError):
        zk.set("/a", b"", version=7)
    with pytest.raises(errors.NotEmptyError):
        zk.delete("/a")
    zk.delete("/a", recursive=True)
    with pytest.raises(errors.NoNodeError):
        zk.get("/a")


def test_data_is_bytes_of_any_kind_and_of_nearly_a_megabyte(zk: Any) -> None:
    """Empty data, every byte value, large data, and a path outside ASCII come back as they were."""
    large = os.urandom(1_000_000)
    for path, data in (("/empty", b""), ("/bytes", bytes(range(256))), ("/grüße-π", large)):
        zk.create(path, data)
        assert zk.get(path)[0] == data


@pytest.mark.parametrize("ephemeral", [False, True])
@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("include_data", [False, True], ids=["create", "create2"])
def test_every_create_mode(zk: Any, ephemeral: bool, sequence: bool, include_data: bool) -> None:
    """All combinations that kazoo knows: names, owners, and what may have children."""
    made = zk.create("/n", b"", None, ephemeral, sequence, include_data=include_data)
    path, stat = made if include_data else (made, zk.exists(made))
    assert path == ("/n0000000000" if sequence else "/n")
    assert stat.ephemeralOwner == (zk.client_id[0] if ephemeral else 0)
    if ephemeral:
        with pytest.raises(errors.NoChildrenForEphemeralsError):
            zk.create(f"{path}/child")
    else:
        assert zk.create(f"{path}/child") == f"{path}/child"
    if sequence:
        assert zk.create("/n", b"", None, ephemeral, sequence) == "/n0000000001"


def test_watches_fire_once(zk: Any, connect: Connect) -> None:
    """A data, an exists and a child watch are each told of one change, then never again."""
    other = connect()
    data, exists, children = Events(), Events(), Events()
    zk.create("/w", b"")
    zk.get("/w", watch=data)
    assert zk.exists("/later", watch=exists) is None
    zk.get_children("/w", watch=children)
    other.set("/w", b"1")
    other.create("/later")
    other.create("/w/child")
    assert data.next() == ("CHANGED", "/w")
    assert exists.next() == ("CREATED", "/later")
    assert children.next() == ("CHILD", "/w")
    other.set("/w", b"2")
    other.set("/later", b"2")
    other.delete("/w/child")
    zk.sync("/w")
    assert zk.get("/w")[0] == b"2"
    assert data.is_empty
    assert exists.is_empty
    assert children.is_empty


def test_a_deletion_is_told_to_every_kind_of_watch(zk: Any) -> None:
    """Data, exists and child watches end with one DELETED each."""
    watches = [Events(), Events(), Events()]
    zk.create("/w", b"")
    zk.get("/w", watch=watches[0])
    zk.exists("/w", watch=watches[1])
    zk.get_children("/w", watch=watches[2])
    zk.delete("/w")
    assert [events.next() for events in watches] == [("DELETED", "/w")] * 3


def test_watching_recipes_see_changes_made_while_disconnected(
    lab: Lab, zk: Any, connect: Connect
) -> None:
    """DataWatch and ChildrenWatch on a connection that is dropped: nothing is missed for good."""
    zk.create("/d", b"before")
    watcher = connect(lab.relayed)
    states = States(watcher)
    data: list[bytes] = []
    children: list[list[str]] = []
    watcher.DataWatch("/d", lambda value, _: data.append(value))
    watcher.ChildrenWatch("/d", children.append)
    wait_until(lambda: data and children)
    lab.cut()
    states.wait_for(KazooState.SUSPENDED)
    zk.set("/d", b"meanwhile")
    zk.create("/d/child")
    lab.mend()
    states.wait_for(KazooState.CONNECTED)
    wait_until(lambda: data[-1] == b"meanwhile" and children[-1] == ["child"], "the changes")
    zk.set("/d", b"after")
    wait_until(lambda: data[-1] == b"after", "a change after that")


def test_a_transaction_takes_effect_as_a_whole(zk: Any) -> None:
    """Creates, set, check and delete in one, each result in its place."""
    zk.create("/t", b"")
    transaction = zk.transaction()
    transaction.create("/t/a", b"1")
    transaction.create("/t/s-", sequence=True)
    transaction.create("/t/e", ephemeral=True)
    transaction.set_data("/t/a", b"2", version=0)
    transaction.check("/t/a", version=1)
    transaction.delete("/t/a")
    results = transaction.commit()
    assert results[:3] == ["/t/a", "/t/s-0000000001", "/t/e"]
    assert (results[3].version, results[4], results[5]) == (1, True, True)
    assert sorted(zk.get_children("/t")) == ["e", "s-0000000001"]


def test_a_transaction_fails_as_a_whole(zk: Any) -> None:
    """One wrong operation: nothing happens, and each operation says what it was."""
    transaction = zk.transaction()
    transaction.create("/a")
    transaction.check("/a", version=9)
    transaction.delete("/nothing")
    kinds = [type(result) for result in transaction.commit()]
    assert kinds == [
        errors.RolledBackError,
        errors.BadVersionError,
        errors.RuntimeInconsistency,
    ]
    assert zk.exists("/a") is None


def test_acls_let_in_who_is_named(lab: Lab, zk: Any, connect: Connect) -> None:
    """Digest identities, before and after they are given; reading and changing an ACL; super."""
    zk.create("/secret", b"x", acl=[make_digest_acl("eve", "pass", all=True)])
    with pytest.raises(errors.NoAuthError):
        zk.get("/secret")
    with pytest.raises(errors.NoAuthError):
        zk.get_acls("/secret")
    zk.add_auth("digest", "eve:pass")
    assert zk.get("/secret")[0] == b"x"
    acls, stat = zk.get_acls("/secret")
    assert [acl.id.id for acl in acls] == [digest_id("eve", "pass")]
    assert stat.aversion == 0
    eve = connect(auth_data=[("digest", "eve:pass")])
    assert eve.get("/secret")[0] == b"x"
    read_only = make_acl("world", "anyone", read=True)
    assert zk.set_acls("/secret", [read_only], version=0).aversion == 1
    anybody = connect()
    assert anybody.get("/secret")[0] == b"x"
    with pytest.raises(errors.NoAuthError):
        anybody.set("/secret", b"y")
    superuser = connect(auth_data=[("digest", f"super:{SUPER_PASSWORD}")])
    with pytest.raises(errors.BadVersionError):
        superuser.set_acls("/secret", [read_only], version=0)
    assert superuser.set("/secret", b"y").version == 1


def test_an_acl_can_name_whoever_creates(connect: Connect) -> None:
    """The scheme ``auth`` stands for the creator's own identities."""
    eve = connect(auth_data=[("digest", "eve:pass")])
    eve.create("/mine", b"", acl=[make_acl("auth", "", all=True)])
    acls, _ = eve.get_acls("/mine")
    assert [(acl.id.scheme, acl.id.id) for acl in acls] == [("digest", digest_id("eve", "pass"))]
    nobody = connect()
    with pytest.raises(errors.InvalidACLError):
        nobody.create("/theirs", b"", acl=[make_acl("auth", "", all=True)])
    with pytest.raises(errors.InvalidACLError):
        nobody.create("/theirs", b"", acl=[make_acl("nonsense", "x", all=True)])


def test_ephemerals_go_with_the_client(zk: Any, connect: Connect) -> None:
    """Closing a client deletes its ephemerals, and whoever watches them is told."""
    gone = Events()
    owner = connect()
    owner.create("/e", b"", ephemeral=True)
    zk.sync("/")
    assert zk.exists("/e", watch=gone)
    owner.stop()
    assert gone.next() == ("DELETED", "/e")
    assert zk.exists("/e") is None


def test_a_session_outlives_the_node_it_was_on(lab: Lab, connect: Connect) -> None:
    """After ``kill -9`` of that node the session, its ephemerals and writes go on elsewhere."""
    client = connect()
    states = States(client)
    client.create("/e", b"", ephemeral=True)
    before = client.client_id
    lab.kill_node_of(os.getpid())
    states.wait_for(KazooState.SUSPENDED)
    states.wait_for(KazooState.CONNECTED)
    assert client.client_id == before
    assert client.exists("/e").ephemeralOwner == before[0]
    assert client.retry(client.create, "/after", b"") == "/after"


def test_a_session_outlives_the_silence_of_its_node(lab: Lab, connect: Connect) -> None:
    """That node hangs: the client notices, and takes its session elsewhere before it expires."""
    client = connect(ms=2 * SHORT_SESSION_MS)
    states = States(client)
    client.create("/e", b"", ephemeral=True)
    before = client.client_id
    lab.freeze_node_of(os.getpid())
    states.wait_for(KazooState.SUSPENDED)
    states.wait_for(KazooState.CONNECTED)
    assert client.client_id == before
    assert client.exists("/e").ephemeralOwner == before[0]


def test_an_expired_session_is_reported_as_lost(lab: Lab, connect: Connect) -> None:
    """Kept away for longer than its timeout, the client is told, and starts a new session."""
    client = connect(lab.relayed, SHORT_SESSION_MS)
    states = States(client)
    client.create("/e", b"", ephemeral=True)
    before = client.client_id
    lab.expire(f"{lab.root}/e")
    states.wait_for(KazooState.LOST)
    states.wait_for(KazooState.CONNECTED)
    assert client.client_id[0] != before[0]
    client.sync("/")
    assert client.exists("/e") is None


@pytest.mark.usefixtures("read_only_mode")
def test_without_a_quorum_a_client_may_read(lab: Lab, connect: Connect) -> None:
    """One that is content with it keeps its session, and writes again when there is a quorum."""
    client = connect(read_only=True)
    wait_until(lambda: client.client_state == KeeperState.CONNECTED)
    client.create("/e", b"x", ephemeral=True)
    before = client.client_id
    lab.kill_majority()
    wait_until(lambda: client.client_state == KeeperState.CONNECTED_RO)
    assert client.get("/e")[0] == b"x"
    with pytest.raises(errors.NotReadOnlyCallError):
        client.create("/no")
    lab.restart()
    wait_until(lambda: client.client_state == KeeperState.CONNECTED)
    assert client.client_id == before
    assert client.retry(client.set, "/e", b"y").version == 1


def close_session(address: str, session: int, password: bytes) -> None:
    """Attach to a session and close it."""
    host, _, port = address.rpartition(":")
    attach = struct.pack(">iqiqi16s?", 0, 0, SESSION_MS, session, 16, password, False)
    close = struct.pack(">ii", 1, -11)
    with socket.create_connection((host, int(port)), PATIENCE_S) as link:
        link.sendall(b"".join(struct.pack(">i", len(frame)) + frame for frame in (attach, close)))
        while link.recv(4_096):
            pass


def test_a_session_closed_from_elsewhere_is_lost(lab: Lab, connect: Connect) -> None:
    """Whoever knows id and password may end a session: its client learns that it has expired."""
    client = connect(lab.relayed)
    client.create("/e", b"", ephemeral=True)
    states = States(client)
    identity = client.client_id
    lab.cut()
    close_session(lab.hosts.split(",")[0], *identity)
    lab.mend()
    states.wait_for(KazooState.LOST)
    states.wait_for(KazooState.CONNECTED)
    client.sync("/")
    assert client.exists("/e") is None


def test_a_wrong_password_does_not_open_a_session(lab: Lab, zk: Any) -> None:
    """A client that offers another's id without its password gets a new session."""
    thief = KazooClient(
        lab.hosts, timeout=SESSION_MS / 1_000, client_id=(zk.client_id[0], b"\1" * 16)
    )
    with contextlib.closing(thief):
        thief.start(timeout=PATIENCE_S)
        assert thief.client_id[0] != zk.client_id[0]
        thief.stop()
    assert zk.exists("/") is not None


RECIPE_THREADS: Final = 4


def test_a_lock_has_one_holder(connect: Connect) -> None:
    """Several clients, one lock: never two inside."""
    inside = 0
    most = 0
    turns: list[int] = []

    def work(number: int) -> None:
        nonlocal inside, most
        client = connect()
        for _ in range(3):
            with client.Lock("/lock", str(number)):
                inside += 1
                most = max(most, inside)
                turns.append(number)
                inside -= 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(RECIPE_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert most == 1
    assert len(turns) == 3 * RECIPE_THREADS


def test_recipes_that_stand_on_sequence_and_versions(zk: Any, connect: Connect) -> None:
    """Election, counter, queue and party of kazoo."""
    elected = threading.Event()
    election = zk.Election("/election", "first")
    runner = threading.Thread(target=election.run, args=(elected.set,))
    runner.start()
    assert elected.wait(PATIENCE_S)
    runner.join(PATIENCE_S)
    counter = zk.Counter("/counter")
    counter += 5
    assert connect().Counter("/counter").value == 5
    tasks = zk.LockingQueue("/queue")
    tasks.put_all([b"1", b"2"])
    assert (tasks.get(PATIENCE_S), tasks.consume()) == (b"1", True)
    party = zk.Party("/party", "alice")
    party.join()
    assert list(connect().Party("/party")) == ["alice"]
    party.leave()
    assert list(connect().Party("/party")) == []
