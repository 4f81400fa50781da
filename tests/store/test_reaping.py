"""TTL and container nodes: when they may be reaped, and the check when the delete is applied."""

from __future__ import annotations

from coord.model import commands
from coord.model.errors import BadVersionError, NoNodeError
from coord.model.znode import CreateMode
from tests.store.tree_fixtures import Log, check_structure, log

__all__ = ["log"]


def ttl(log: Log, path: str, ttl_ms: int) -> None:
    """Create a node with a time to live."""
    assert log.create(path, mode=CreateMode.PERSISTENT_TTL, ttl_ms=ttl_ms).code == 0


def due(log: Log, log_ms: int, limit: int = 100) -> list[str]:
    """Paths of the candidates."""
    return [path for path, _, _ in log.reader.reapable(log_ms, limit)]


def reap(log: Log, path: str) -> int:
    """Apply a reap of the node as it is now."""
    stat = log.stat(path)
    return log.apply(commands.reap_node(path, stat.mzxid, stat.pzxid)).code


def test_a_ttl_node_is_due_after_its_last_write(log: Log) -> None:
    """A write starts the time again; the oldest deadline comes first."""
    ttl(log, "/a", 100)
    ttl(log, "/b", 50)
    assert due(log, 49) == []
    assert due(log, 50) == ["/b"]
    assert due(log, 100) == ["/b", "/a"]
    assert due(log, 100, limit=1) == ["/b"]
    log.now_ms = 30
    log.set("/b", b"")
    assert due(log, 79) == []
    assert due(log, 80) == ["/b"]


def test_a_ttl_node_with_children_is_never_due(log: Log) -> None:
    """Its time runs on meanwhile: without the last child it may be due at once."""
    ttl(log, "/a", 10)
    log.create("/a/b")
    log.now_ms = 50
    log.set("/a", b"")
    assert due(log, 1_000) == []
    log.delete("/a/b")
    assert due(log, 59) == []
    assert due(log, 60) == ["/a"]


def test_a_container_is_due_once_it_has_lost_its_last_child(log: Log) -> None:
    """Not before it ever had one, not while it has any."""
    log.create("/c", mode=CreateMode.CONTAINER)
    assert due(log, 10**6) == []
    log.create("/c/1")
    log.create("/c/2")
    log.delete("/c/1")
    assert due(log, 10**6) == []
    log.delete("/c/2")
    assert due(log, 0) == ["/c"]
    log.create("/c/3")
    assert due(log, 10**6) == []


def test_reaping_deletes_the_node(log: Log) -> None:
    """As any delete: a change, history, the parent's counts."""
    ttl(log, "/a", 10)
    stat = log.stat("/a")
    log.now_ms = 10
    batch = log.apply_all(commands.reap_node("/a", stat.mzxid, stat.pzxid))
    assert [(applied.code, applied.body) for applied in batch.results] == [(0, ())]
    assert [change.path for change in batch.changes] == ["/a"]
    assert log.reader.get("/a") is None
    assert due(log, 10**6) == []
    assert log.stat("/").num_children == 1
    check_structure(log.env)


def test_reaping_is_void_if_the_node_has_changed(log: Log) -> None:
    """Written, given a child, not due any more, gone, or no such kind of node."""
    ttl(log, "/a", 10)
    stale = log.stat("/a")
    log.now_ms = 9
    log.set("/a", b"")
    assert reap(log, "/a") == BadVersionError.code, "its time is not over"
    log.now_ms = 19
    command = commands.reap_node("/a", stale.mzxid, stale.pzxid)
    assert log.apply(command).code == BadVersionError.code, "it was written"
    log.create("/a/b")
    assert reap(log, "/a") == BadVersionError.code, "it has a child"
    log.delete("/a/b")
    pzxid = stale.pzxid
    command = commands.reap_node("/a", log.stat("/a").mzxid, pzxid)
    assert log.apply(command).code == BadVersionError.code, "it had a child"
    assert reap(log, "/a") == 0
    assert log.apply(command).code == NoNodeError.code
    log.create("/plain")
    assert reap(log, "/plain") == BadVersionError.code


def test_large_data_keeps_the_time_to_live(log: Log) -> None:
    """Data moves apart and back; the deadline follows the writes."""
    ttl(log, "/a", 10)
    for now_ms, size in ((5, 5_000), (6, 3), (7, 2_000)):
        log.now_ms = now_ms
        log.set("/a", b"x" * size)
        found = log.reader.get("/a")
        assert found is not None
        assert found[0] == b"x" * size
        assert due(log, now_ms + 9) == []
        assert due(log, now_ms + 10) == ["/a"]
    check_structure(log.env)


def test_a_deleted_node_is_no_candidate(log: Log) -> None:
    """Deleting leaves no entry behind, with or without large data."""
    ttl(log, "/a", 10)
    log.set("/a", b"x" * 2_000)
    log.delete("/a")
    assert due(log, 10**6) == []
    check_structure(log.env)
