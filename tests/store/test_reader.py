"""Reads of the committed tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coord.model.acl import READ_ONLY
from coord.model.errors import CorruptionError
from coord.model.znode import CreateMode, Stat
from coord.raft.types import EntryKind, Incarnation, Member, Membership, NodeId
from coord.store.kv import Environment
from coord.store.reader import TreeReader
from coord.store.schema import PathKeys, open_tables
from tests.store.tree_fixtures import Log, make_lmdb, make_memory


@pytest.fixture(params=[make_lmdb, make_memory], ids=["lmdb", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    """A log over an empty environment of each kind."""
    env: Environment = request.param(tmp_path / "tree")
    made = Log(env)
    yield made
    made.reader.close()
    env.close()


def names(log: Log, path: str, after: str = "", limit: int = 0) -> tuple[list[str], bool]:
    """A listing without its Stat."""
    found = log.reader.children(path, after, limit)
    assert found is not None
    return found[0], found[2]


def test_a_missing_node_is_none(log: Log) -> None:
    """Every kind of read says so in the same way."""
    reader = log.reader
    assert reader.get("/a") is None
    assert reader.stat("/a") is None
    assert reader.acl("/a") is None
    assert reader.children("/a") is None
    assert reader.subtree("/a") == ([], False)


def test_data_stat_and_acl(log: Log) -> None:
    """What was written is read, at the revision of the last batch."""
    (_, stat) = log.create("/a", b"data", acl=READ_ONLY).body
    assert log.reader.revision == 1
    assert log.reader.get("/a") == (b"data", stat)
    assert log.reader.is_restricted
    assert log.reader.stat("/a") == stat
    assert log.reader.acl("/a") == (READ_ONLY, stat)
    assert log.reader.get("/") == (b"", log.stat("/").pack())
    assert not log.reader.is_restricted


def test_children_are_sorted_and_paged(log: Log) -> None:
    """By the bytes of their names; a page says whether there are more."""
    for name in ("b", "a", "é", "a-", "z"):
        log.create(f"/{name}")
        log.create(f"/{name}/below")
    assert names(log, "/") == (["a", "a-", "b", "z", "zookeeper", "é"], False)
    assert names(log, "/", limit=2) == (["a", "a-"], True)
    assert names(log, "/", "a-", 2) == (["b", "z"], True)
    assert names(log, "/", "z", 2) == (["zookeeper", "é"], False)
    assert names(log, "/", "aa", 1) == (["b"], True)
    assert names(log, "/a") == (["below"], False)
    assert names(log, "/a/below") == ([], False)


def test_a_listing_does_not_mix_parents(log: Log) -> None:
    """Names that are prefixes of each other, and the same name at several depths."""
    for path in ("/a", "/a/a", "/a/a/a", "/aa", "/aa/a"):
        log.create(path)
    assert names(log, "/a") == (["a"], False)
    assert names(log, "/a/a") == (["a"], False)
    assert names(log, "/aa") == (["a"], False)
    assert names(log, "/") == (["a", "aa", "zookeeper"], False)


def test_a_subtree_is_listed_depth_first_and_can_be_resumed_anywhere(log: Log) -> None:
    """Parents before children, by name; behind any path comes what is listed behind it."""
    paths = ["/t", "/t/a", "/t/a/x", "/t/a/y", "/t/a-", "/t/b", "/t/b/z"]
    for path in paths:
        log.create(path, path.encode())
    entries, more = log.reader.subtree("/t")
    assert ([path for path, _, _ in entries], more) == (paths, False)
    assert all(data == path.encode() for path, data, _ in entries)
    assert all(stat == log.stat(path).pack() for path, _, stat in entries)
    for position, path in enumerate(paths):
        page, more = log.reader.subtree("/t", path, 2)
        assert [one for one, _, _ in page] == paths[position + 1 : position + 3]
        assert more == (position + 3 < len(paths))
    assert [one for one, _, _ in log.reader.subtree("/t", "/t/a/xx")[0]] == paths[3:]
    assert log.reader.subtree("/", "/t/b")[0][0][0] == "/t/b/z"
    assert len(log.reader.subtree("/")[0]) == len(paths) + 4


@pytest.mark.parametrize("list_all", [TreeReader.children, TreeReader.subtree])
def test_a_listing_with_too_few_names_is_damage(
    log: Log, list_all: Callable[[TreeReader, str], object]
) -> None:
    """A page that is not found takes its nodes along, and no checksum is wrong."""
    for path in ("/a", "/a/b", "/a/c"):
        log.create(path)
    engine = log.env.folded()
    with engine.write() as txn:
        assert txn.delete(PathKeys().key(b"/a/b"), db=open_tables(engine).nodes)
        txn.commit()
    pinned = TreeReader(engine)
    with pytest.raises(CorruptionError, match="/a has 2 children, and 1 are there"):
        list_all(pinned, "/a")
    pinned.close()


def test_a_pinned_reader_stays_where_it_is_until_refreshed(log: Log) -> None:
    """Neither a committed batch nor one in the making is seen before."""
    log.create("/a", b"1")
    other = log.reader.pin()
    log.set("/a", b"2")
    first = other.get("/a")
    assert first is not None
    assert (first[0], other.revision) == (b"1", 1)
    log.machine.fold()
    other.refresh()
    second = other.get("/a")
    assert second is not None
    assert (second[0], other.revision) == (b"2", 2)
    other.close()


def test_a_pinned_reader_pages_over_one_revision(log: Log) -> None:
    """Pages of a listing show the tree of the first page."""
    for name in "abc":
        log.create(f"/{name}")
    pinned = log.reader.pin()
    log.delete("/b")
    log.create("/bb")
    found = pinned.children("/", "a", 2)
    assert found is not None
    assert (found[0], pinned.revision) == (["b", "c"], 3)
    pinned.close()
    assert names(log, "/", "a", 2) == (["bb", "c"], True)


def test_revision_counts_entries_that_are_no_commands(log: Log) -> None:
    """The applied index is the revision, whatever the entries were."""
    log.skip_to(10)
    assert (log.reader.revision, log.machine.applied_index) == (10, 10)


def test_owners_are_those_of_the_session(log: Log) -> None:
    """Ephemerals of one session, sorted by path."""
    first, second = log.open_session(), log.open_session()
    for session, path in ((first, "/b"), (second, "/c"), (first, "/a")):
        log.create(path, mode=CreateMode.EPHEMERAL, session=session)
    assert log.reader.owners(first) == ["/a", "/b"]
    assert log.reader.owners(second) == ["/c"]
    assert log.reader.owners(99) == []


def test_membership_and_cluster_are_kept(log: Log) -> None:
    """CONFIG entries hold the packed membership; the cluster's identity is set once."""
    first = Membership((Member(NodeId(1), Incarnation(5)),)).encode()
    second = Membership((Member(NodeId(2), Incarnation(6)),)).encode()
    log.machine.adopt_cluster(b"cluster", 7)
    log.apply_all(first, second, kind=EntryKind.CONFIG)
    log.reopen()
    assert log.machine.membership == second
    assert (log.machine.cluster_id, log.machine.history_id) == (b"cluster", 7)


def test_stat_is_the_wire_form(log: Log) -> None:
    """68 bytes, big-endian, in ZooKeeper's order."""
    log.create("/a", b"xy")
    raw = log.reader.stat("/a")
    assert raw is not None
    assert len(raw) == 68
    assert raw[:8] == (1).to_bytes(8, "big")
    assert Stat.unpack(raw).data_length == 2
