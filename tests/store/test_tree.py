"""Single operations on the tree: the Stat's rules, the order of errors, kinds of node, limits."""

from __future__ import annotations

import pytest

from coord.model import commands, errors, requests
from coord.model.acl import ADMIN, ALL, CREATE, DELETE, OPEN, READ, READ_ONLY, WRITE, Acl
from coord.model.events import ChangeKind
from coord.model.limits import DATA_BYTES_MAX, INLINE_DATA_BYTES_MAX, NAME_BYTES_MAX, TTL_MS_MAX
from coord.model.znode import CreateMode, Stat
from coord.store import schema
from coord.store.applied import ApplyLimits
from coord.store.memory_kv import MemoryEnvironment
from coord.store.znode_record import INT32_MAX, children_created, wrap32
from tests.store.tree_fixtures import Log, contents, log

__all__ = ["log"]

ALICE = ("digest", "alice:x")
BOB = ("digest", "bob:y")


def test_an_empty_tree_has_the_root_and_the_reserved_nodes(log: Log) -> None:
    """Root and /zookeeper exist from the start with zxid 0 and time 0, as in ZooKeeper."""
    listed, _ = log.reader.subtree("/")
    assert [path for path, _, _ in listed] == [
        "/",
        "/zookeeper",
        "/zookeeper/config",
        "/zookeeper/quota",
    ]
    assert log.stat("/") == Stat(0, 0, 0, 0, 0, -1, 0, 0, 0, 1, 0)
    assert log.stat("/zookeeper") == Stat(0, 0, 0, 0, 0, -2, 0, 0, 0, 2, 0)
    acl = log.reader.acl("/zookeeper/config")
    assert acl is not None
    assert acl[0] == READ_ONLY


def test_two_empty_trees_are_equal() -> None:
    """The first initialisation depends on nothing."""
    first, second = MemoryEnvironment(), MemoryEnvironment()
    assert Log(first).machine.digest == Log(second).machine.digest
    assert contents(first) == contents(second)


def test_create_stamps_the_node_and_counts_in_the_parent(log: Log) -> None:
    """Czxid = mzxid = pzxid = the revision; the parent's cversion, count and pzxid move."""
    log.now_ms = 7
    created = log.create("/a", b"hello")
    path, stat = created.body
    assert (created.code, path) == (0, "/a")
    now = 1_000_007
    assert Stat.unpack(stat) == Stat(1, 1, now, now, 0, 0, 0, 0, 5, 0, 1)
    assert log.stat("/") == Stat(0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1)


def test_set_moves_mzxid_mtime_and_version_only(log: Log) -> None:
    """czxid, ctime, cversion, pzxid and the parent stay."""
    log.create("/a", b"1")
    log.create("/a/b")
    before, parent = log.stat("/a"), log.stat("/")
    log.now_ms = 9
    (stat,) = log.set("/a", b"three").body
    assert Stat.unpack(stat) == before._replace(
        mzxid=3, mtime_ms=1_000_009, version=1, data_length=5
    )
    assert log.stat("/") == parent
    assert log.reader.get("/a") == (b"three", stat)


def test_delete_counts_in_cversion_and_moves_pzxid(log: Log) -> None:
    """The client's cversion is 2 × creations − children, so that a delete adds one too."""
    log.create("/a")
    log.create("/a/b")
    log.create("/a/c")
    assert log.delete("/a/b").body == ()
    stat = log.stat("/a")
    assert (stat.cversion, stat.num_children, stat.pzxid) == (3, 1, 4)
    assert (stat.mzxid, stat.version, stat.children_created) == (1, 0, 2)
    assert log.reader.get("/a/b") is None


def test_set_acl_moves_aversion_only(log: Log) -> None:
    """Neither mzxid nor version nor mtime changes with the ACL."""
    log.create("/a", b"1")
    before = log.stat("/a")
    log.now_ms = 50
    applied = log.write(requests.SetAcl("/a", READ_ONLY, 0))
    assert Stat.unpack(applied.body[0]) == before._replace(aversion=1)
    assert log.write(requests.SetAcl("/a", OPEN, 0), who=(ALICE,)).code == errors.NoAuthError.code
    found = log.reader.acl("/a")
    assert found is not None
    assert found[0] == READ_ONLY


def test_a_grandchild_does_not_move_pzxid(log: Log) -> None:
    """Pzxid moves when a child comes or goes, not for anything below it."""
    log.create("/a")
    log.create("/a/b")
    log.create("/a/b/c")
    log.set("/a/b", b"x")
    assert log.stat("/a").pzxid == 2


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (requests.Create("/a", b"", OPEN, 99, 0), errors.BadArgumentsError),
        (requests.Create("/a", b"", OPEN, 1, 0), errors.BadArgumentsError),
        (requests.Create("/none/a", b"", OPEN, 5, 0), errors.BadArgumentsError),
        (requests.Create("/none/a", b"", OPEN, 5, TTL_MS_MAX + 1), errors.BadArgumentsError),
        (requests.Create("/none/a", b"x" * (DATA_BYTES_MAX + 1), OPEN, 0, 0), errors.TooLargeError),
        (requests.Create("/none/a", b"", (), 0, 0), errors.InvalidAclError),
        (requests.Create("/none/a", b"", (Acl(32, "world", "x"),), 0, 0), errors.InvalidAclError),
        (requests.Create("/none/a", b"", (Acl(1, "", "x"),), 0, 0), errors.InvalidAclError),
        (requests.Create("/none/a", b"", READ_ONLY * 257, 0, 0), errors.InvalidAclError),
        (requests.Create("/none/a", b"", OPEN, 0, 0), errors.NoNodeError),
        (requests.Create("/locked/taken", b"", OPEN, 0, 0), errors.NoAuthError),
        (requests.Create("/taken", b"", OPEN, 0, 0), errors.NodeExistsError),
        (requests.Create("/", b"", OPEN, 0, 0), errors.NodeExistsError),
        (
            requests.Create("/" + "n" * (NAME_BYTES_MAX - 9), b"", OPEN, 2, 0),
            errors.BadArgumentsError,
        ),
        (requests.Delete("/", -1), errors.BadArgumentsError),
        (requests.Delete("/zookeeper", 5), errors.BadArgumentsError),
        (requests.Delete("/zookeeper/quota", -1), errors.BadArgumentsError),
        (requests.Delete("/none/a", -1), errors.NoNodeError),
        (requests.Delete("/locked/none", -1), errors.NoAuthError),
        (requests.Delete("/none", 5), errors.NoNodeError),
        (requests.Delete("/parent", 5), errors.BadVersionError),
        (requests.Delete("/parent", 0), errors.NotEmptyError),
        (requests.Set("/none", b"", 5), errors.NoNodeError),
        (requests.Set("/locked", b"", 5), errors.NoAuthError),
        (requests.Set("/taken", b"", 5), errors.BadVersionError),
        (requests.Set("/taken", b"x" * (DATA_BYTES_MAX + 1), 0), errors.TooLargeError),
        (requests.SetAcl("/none", (), 5), errors.InvalidAclError),
        (requests.SetAcl("/none", OPEN, 5), errors.NoNodeError),
        (requests.SetAcl("/locked", OPEN, 5), errors.NoAuthError),
        (requests.SetAcl("/taken", OPEN, 5), errors.BadVersionError),
    ],
)
def test_the_first_error_in_zookeepers_order_wins(
    log: Log, request_: requests.Write, error: type[errors.RequestError]
) -> None:
    """Each request breaks the rule named and often later ones too; nothing is changed."""
    log.create("/taken")
    log.create("/parent")
    log.create("/parent/child")
    log.create("/locked", acl=(Acl(ALL, *ALICE), Acl(READ, "world", "anyone")))
    before, index = contents(log.env)["nodes"], log.machine.applied_index
    applied = log.write(request_, who=(BOB,))
    assert (applied.code, applied.index) == (error.code, index + 1)
    assert contents(log.env)["nodes"] == before


@pytest.mark.parametrize(
    ("permission", "request_"),
    [
        (CREATE, requests.Create("/a/new", b"", OPEN, 0, 0)),
        (DELETE, requests.Delete("/a/b", -1)),
        (WRITE, requests.Set("/a", b"2", -1)),
        (ADMIN, requests.SetAcl("/a", OPEN, -1)),
    ],
)
def test_each_operation_needs_its_permission(
    log: Log, permission: int, request_: requests.Write
) -> None:
    """The one permission suffices, the four others do not; delete asks the parent."""
    for held, expected in ((permission, 0), (ALL & ~permission, errors.NoAuthError.code)):
        log.create("/a", acl=(Acl(held, *ALICE), Acl(CREATE | DELETE, *BOB)))
        log.create("/a/b", acl=READ_ONLY, who=(BOB,))
        assert log.write(request_, who=(ALICE,)).code == expected
        for path in ("/a/new", "/a/b"):
            log.write(requests.Delete(path, -1), who=(BOB,))
        assert log.delete("/a").code == 0


def test_super_may_do_everything(log: Log) -> None:
    """An identity of scheme super passes every ACL."""
    log.create("/a", acl=(Acl(READ, *ALICE),))
    assert log.write(requests.Set("/a", b"2", -1), who=(BOB,)).code == errors.NoAuthError.code
    assert log.write(requests.Set("/a", b"2", -1), who=(("super", ""),)).code == 0


def test_doubled_acl_entries_are_kept_once(log: Log) -> None:
    """Duplicates are removed; an ACL that is open after that is stored as the open one."""
    log.create("/a", acl=(*READ_ONLY, *READ_ONLY, Acl(ALL, *ALICE)))
    log.create("/b", acl=OPEN * 2)
    found, opened = log.reader.acl("/a"), log.reader.acl("/b")
    assert found is not None
    assert opened is not None
    assert found[0] == (*READ_ONLY, Acl(ALL, *ALICE))
    assert opened[0] is OPEN


def test_sequential_names_follow_the_creation_counter(log: Log) -> None:
    """Ten digits of the number of children ever created; deletes and others count as they do."""
    log.create("/q")
    assert log.create("/q/n-", mode=CreateMode.PERSISTENT_SEQUENTIAL).body[0] == "/q/n-0000000000"
    log.create("/q/other")
    log.delete("/q/other")
    assert log.create("/q/", mode=CreateMode.PERSISTENT_SEQUENTIAL).body[0] == "/q/0000000002"
    assert log.create("/", mode=CreateMode.PERSISTENT_SEQUENTIAL).body[0] == "/0000000001"


def test_counters_wrap_like_32_bit_integers() -> None:
    """A counter past 2³¹ − 1 becomes negative; the numbers of children stay in range."""
    assert wrap32(INT32_MAX) == INT32_MAX
    assert wrap32(INT32_MAX + 1) == -INT32_MAX - 1
    assert children_created(wrap32(INT32_MAX + 1), 0) == 2**30
    assert children_created(-1, 1) == 0
    assert children_created(-2, 2) == 0


def test_ephemerals_belong_to_their_session_and_have_no_children(log: Log) -> None:
    """The owner is in the Stat and in the session's list; a child is refused."""
    session = log.open_session()
    log.create("/e", mode=CreateMode.EPHEMERAL, session=session)
    assert log.stat("/e").ephemeral_owner == session
    assert log.reader.owners(session) == ["/e"]
    refused = log.create("/e/child")
    assert refused.code == errors.NoChildrenForEphemeralsError.code


def test_a_session_has_a_most_of_ephemerals() -> None:
    """One more than the limit is refused; after a delete there is room again."""
    log = Log(MemoryEnvironment(), ApplyLimits(ephemerals_per_session=2))
    session = log.open_session()

    def one_more() -> int:
        return log.create("/e", mode=CreateMode.EPHEMERAL_SEQUENTIAL, session=session).code

    assert [one_more() for _ in range(3)] == [0, 0, errors.LimitError.code]
    log.delete("/e0000000000")
    assert one_more() == 0


def test_container_and_ttl_nodes_show_no_owner(log: Log) -> None:
    """The Stat of special nodes says 0, as ZooKeeper's clients have always seen."""
    log.create("/c", mode=CreateMode.CONTAINER)
    log.create("/t", mode=CreateMode.PERSISTENT_TTL, ttl_ms=5)
    assert log.stat("/c").ephemeral_owner == log.stat("/t").ephemeral_owner == 0


@pytest.mark.parametrize("size", [INLINE_DATA_BYTES_MAX, INLINE_DATA_BYTES_MAX + 1, DATA_BYTES_MAX])
def test_large_data_is_read_back_and_reported(log: Log, size: int) -> None:
    """Data above 1 KiB lies apart; replies, changes and history do not show it."""
    old, new = b"o" * size, b"n" * size
    log.create("/a", old)
    batch = log.apply_all(log.command(0, requests.Set("/a", new, -1)))
    (change,) = batch.changes
    assert (change.data, change.prev_data) == (new, old)
    found = log.reader.get("/a")
    assert found is not None
    assert found[0] == new
    assert [entry["data"] for entry in log.reader.history("/a")] == [new, old]
    apart = len(contents(log.env)["blobs"])
    assert apart == (0 if size <= INLINE_DATA_BYTES_MAX else 2)


def test_a_child_does_not_rewrite_its_parents_large_data(log: Log) -> None:
    """The parent's record stays small whatever its data."""
    log.create("/a", b"x" * 100_000)
    log.create("/a/b")
    assert max(len(record) for record in contents(log.env)["nodes"].values()) < 200
    found = log.reader.get("/a")
    assert found is not None
    assert found[0] == b"x" * 100_000


def test_changes_say_what_happened(log: Log) -> None:
    """One change per node and entry, with the node before and after."""
    batch = log.apply_all(
        *(
            log.command(0, request)
            for request in (
                requests.Create("/a", b"1", OPEN, 0, 0),
                requests.Set("/a", b"2", -1),
                requests.SetAcl("/a", READ_ONLY, -1),
                requests.Delete("/a", -1),
            )
        )
    )
    created, written, restricted, deleted = batch.changes
    assert [change.kind for change in batch.changes] == [
        ChangeKind.CREATED,
        ChangeKind.DATA,
        ChangeKind.ACL,
        ChangeKind.DELETED,
    ]
    assert (created.prev_stat, created.prev_data, created.data) == (None, None, b"1")
    assert (written.prev_stat, written.prev_data) == (created.stat, b"1")
    assert (restricted.prev_stat, restricted.data, restricted.prev_data) == (
        written.stat,
        b"2",
        b"2",
    )
    assert (deleted.stat, deleted.data) == (None, None)
    assert (deleted.prev_stat, deleted.prev_data) == (restricted.stat, b"2")
    assert [change.revision for change in batch.changes] == [1, 2, 3, 4]


def test_a_path_whose_hash_collides_is_another_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Keys hold a hash of the parent; the whole path in the record tells nodes apart."""
    monkeypatch.setattr(schema, "parent_hash", lambda _: b"h" * schema.HASH_BYTES)
    log = Log(MemoryEnvironment())
    log.create("/a")
    log.create("/b")
    log.create("/a/x", b"1")
    assert log.create("/b/x").code == errors.BadArgumentsError.code
    assert log.set("/b/x", b"2").code == errors.NoNodeError.code
    assert log.delete("/b/x").code == errors.NoNodeError.code
    assert log.reader.get("/b/x") is None
    assert log.reader.stat("/b/x") is None
    listing = log.reader.children("/b")
    assert listing is not None
    assert listing[0] == []
    listing = log.reader.children("/a")
    assert listing is not None
    assert listing[0] == ["x"]


def test_the_address_of_the_session_counts_against_acls(log: Log) -> None:
    """Scheme ip: every member knows the address from the session; it moves with an attach."""
    inside = log.open_session("10.1.2.3:5")
    outside = log.open_session("11.1.2.3:5")
    acl = (Acl(ALL, "ip", "10.0.0.0/8"),)
    log.create("/a", acl=acl)

    assert log.set("/a", b"x", session=outside).code == errors.NoAuthError.code
    assert log.set("/a", b"x").code == errors.NoAuthError.code
    assert log.set("/a", b"x", session=inside).code == 0
    multi = requests.Check("/a", -1), requests.Set("/a", b"y", -1)
    assert log.multi(*multi, session=inside).code == 0
    assert log.create("/a/b", session=outside).code == errors.NoAuthError.code

    log.apply(commands.attach_session(inside, b"n", 5_000, "12.0.0.1:5", restart_seq=False))
    assert log.set("/a", b"x", session=inside).code == errors.NoAuthError.code


def test_super_passes_every_acl(log: Log) -> None:
    """As in ZooKeeper: nothing is closed to it."""
    log.create("/a", acl=(Acl(READ, "digest", "x:y"),))

    assert log.write(requests.Set("/a", b"x", -1), who=(("super", ""),)).code == 0
    assert log.write(requests.SetAcl("/a", OPEN, -1), who=(("super", ""),)).code == 0


def test_an_acl_that_the_gateway_found_invalid_is_refused_in_its_place(log: Log) -> None:
    """A text stands for "invalid, because": before the parent is looked for, after the mode."""
    log.create("/a")
    why: str = "auth stands for nobody"

    refused = log.write(requests.Create("/none/x", b"", why, 0, 0))
    assert (refused.code, refused.body) == (errors.InvalidAclError.code, (why,))
    refused = log.write(requests.Create("/x", b"", why, 99, 0))
    assert refused.code == errors.BadArgumentsError.code
    refused = log.write(requests.SetAcl("/none", why, -1))
    assert (refused.code, refused.body) == (errors.InvalidAclError.code, (why,))
    assert log.multi(requests.SetAcl("/a", why, -1)).body[1] == (errors.InvalidAclError.code,)
