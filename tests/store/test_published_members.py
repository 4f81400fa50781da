"""What /zookeeper/config says, and when."""

from __future__ import annotations

import pytest

from coord.model import errors, requests
from coord.model.acl import READ_ONLY, SUPER
from coord.model.errors import CorruptionError
from coord.raft.types import EntryKind, Incarnation, Member, MemberRole, Membership, NodeId
from coord.store.memory_kv import MemoryEnvironment
from tests.store.tree_fixtures import Log, contents, log

__all__ = ["log"]

PATH = "/zookeeper/config"


def member(number: int, client: str, role: MemberRole = MemberRole.VOTER, peer: str = "") -> Member:
    """A member whose peer address is 10.0.0.N:7000 unless one is given."""
    peer = peer or f"10.0.0.{number}:7000"
    return Member(NodeId(number), Incarnation(7), role, peer, client)


def configure(log: Log, *members: Member) -> None:
    """A membership is applied."""
    log.apply_all(Membership(members).encode(), kind=EntryKind.CONFIG)


def published(log: Log) -> str:
    """The node's data."""
    found = log.reader.get(PATH)
    assert found is not None
    return found[0].decode()


def test_the_first_membership_is_published(log: Log) -> None:
    """A founded cluster's log begins with its membership; every role has ZooKeeper's name."""
    configure(
        log,
        member(1, "a.example:2181"),
        member(2, "[fd00::2]:2182", MemberRole.LEARNER),
        member(3, "10.0.0.3:2183", MemberRole.JOINING, "[fd00::3]:7003"),
    )

    assert published(log) == (
        "server.1=10.0.0.1:7000:7001:participant;a.example:2181\n"
        "server.2=10.0.0.2:7000:7001:observer;[fd00::2]:2182\n"
        "server.3=[fd00::3]:7003:7004:observer;10.0.0.3:2183\n"
        "version=1"
    )


def test_the_two_ports_of_a_server_differ(log: Log) -> None:
    """The election port, which nothing listens on, stays in range beside the last port there is."""
    configure(log, member(1, "a:1", peer="10.0.0.1:65535"))

    assert published(log).startswith("server.1=10.0.0.1:65535:65534:participant;a:1\n")


def test_a_change_of_members_is_a_change_of_data(log: Log) -> None:
    """Version, mzxid, history and watchers follow; the version is the revision in hexadecimal."""
    configure(log, member(1, "a:1"))
    log.skip_to(29)
    change = log.apply_all(
        Membership((member(1, "a:1"), member(2, "b:2"))).encode(), kind=EntryKind.CONFIG
    ).changes[0]

    assert published(log).endswith("participant;b:2\nversion=1e")
    stat = log.stat(PATH)
    assert (stat.version, stat.mzxid, stat.mtime_ms) == (2, 30, 0)
    assert (change.path, change.revision, change.stat) == (PATH, 30, stat.pack())
    assert [row["revision"] for row in log.reader.history(PATH)] == [30, 1]
    assert list(log.reader.changes_after(29)) == [change]
    log.reopen()
    assert published(log).endswith("1e")


def test_the_same_servers_are_no_change(log: Log) -> None:
    """A joint membership and the one that follows it list the same: watchers hear it once."""
    one, two = member(1, "a:1"), member(2, "b:2")
    log.apply_all(Membership((one, two), (one,)).encode(), kind=EntryKind.CONFIG)
    again = log.apply_all(Membership((one, two)).encode(), kind=EntryKind.CONFIG)

    assert not again.changes
    assert published(log).endswith("version=1")


@pytest.mark.parametrize(
    ("client", "peer"),
    [
        ("", ""),
        ("0.0.0.0:2181", ""),
        ("[::]:2181", ""),
        ("*:2181", ""),
        (":2181", ""),
        ("host", ""),
        ("host:0", ""),
        ("host:65536", ""),
        ("::1:2181", ""),
        ("a:1;b:2", ""),
        ("a:1\n", ""),
        ("a:1", "0.0.0.0:7000"),
    ],
)
def test_nothing_is_published_unless_every_address_can_be_dialled(
    log: Log, client: str, peer: str
) -> None:
    """Curator would replace its servers by what it cannot reach."""
    bad = member(2, client, peer=peer)
    configure(log, member(1, "a:1"), bad)
    assert log.stat(PATH).version == 0

    configure(log, member(1, "a:1"))
    assert published(log)
    configure(log, member(1, "a:1"), bad)
    assert published(log) == ""
    assert log.stat(PATH).version == 2


def test_clients_read_it_and_only_super_writes_it(log: Log) -> None:
    """What somebody wrote there is replaced by the next change of members."""
    configure(log, member(1, "a:1"))
    acl = log.reader.acl(PATH)
    assert acl is not None
    assert acl[0] == READ_ONLY
    assert log.set(PATH, b"mine").code == errors.NoAuthError.code

    assert log.write(requests.Set(PATH, b"mine", -1), who=(SUPER,)).code == 0
    configure(log, member(1, "a:1"))
    assert published(log).endswith("version=4")


def test_batches_do_not_matter() -> None:
    """Between writes of one batch, or each entry in its own."""
    members = [Membership((member(1, "a:1"),)).encode(), Membership((member(1, "b:1"),)).encode()]
    logs = [Log(MemoryEnvironment()), Log(MemoryEnvironment())]
    for made in logs:
        made.now_ms = 5
        made.create("/a")
    logs[0].apply_all(*members, kind=EntryKind.CONFIG)
    for one in members:
        logs[1].apply_all(one, kind=EntryKind.CONFIG)

    assert logs[0].machine.digest == logs[1].machine.digest
    assert contents(logs[0].env) == contents(logs[1].env)


def test_a_membership_that_does_not_decode_is_damage(log: Log) -> None:
    """Never skipped."""
    with pytest.raises(CorruptionError):
        log.apply_all(b"nonsense", kind=EntryKind.CONFIG)
