"""Quotas: what is counted, what is refused, in which order, and that every member agrees."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord.model import commands, requests
from coord.model.acl import OPEN, READ, Acl
from coord.model.errors import (
    BadVersionError,
    CorruptionError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    QuotaExceededError,
    TransactionError,
)
from coord.model.limits import INLINE_DATA_BYTES_MAX
from coord.model.paths import QUOTA
from coord.model.znode import CreateMode
from coord.store.applied import AppliedBatch
from coord.store.digest import digest_of
from coord.store.memory_kv import MemoryEnvironment
from coord.store.znode_record import path_of
from tests.store.tree_fixtures import Log, check_structure, contents, log

__all__ = ["log"]

UNLIMITED = b"count=-1,bytes=-1"


def limit(log: Log, path: str, limits: bytes, stats: bytes = b"count=0,bytes=0") -> None:
    """What zkCli's setquota does."""
    home = QUOTA
    for name in path.split("/")[1:]:
        home += f"/{name}"
        assert log.create(home).code in (0, NodeExistsError.code)
    assert log.create(f"{home}/zookeeper_limits", limits).code == 0
    assert log.create(f"{home}/zookeeper_stats", stats).code == 0


def stats(log: Log, path: str) -> bytes:
    """What the stats node says."""
    found = log.reader.get(f"{QUOTA}{path}/zookeeper_stats")
    assert found is not None
    return found[0]


def stats_path(path: str) -> str:
    """Where the stats node of a subtree is."""
    return f"{QUOTA}{path}/zookeeper_stats"


# --- counting ---


def test_what_is_there_is_counted_when_the_quota_is_set(log: Log) -> None:
    """The root of the subtree counts, its neighbours and their bytes do not."""
    log.create("/a", b"12345")
    log.create("/a/b", b"x" * (INLINE_DATA_BYTES_MAX + 1))
    log.create("/a/b/c", b"1")
    log.create("/ab", b"other")
    limit(log, "/a", UNLIMITED)

    assert stats(log, "/a") == b"count=3,bytes=1031"


def test_what_is_counted_includes_the_batch_itself(log: Log) -> None:
    """Nodes made, changed and deleted by entries before it, in one batch and in one transaction."""
    log.create("/a")
    log.create("/a/old", b"123")
    log.create("/a/gone", b"123")
    writes: list[requests.Operation] = [
        requests.Create("/a/new", b"1", OPEN, 0, 0),
        requests.Create("/a/new/child", b"22", OPEN, 0, 0),
        requests.Set("/a/old", b"12345", -1),
        requests.Delete("/a/gone", -1),
        requests.Create(f"{QUOTA}/a", b"", OPEN, 0, 0),
        requests.Create(f"{QUOTA}/a/zookeeper_limits", UNLIMITED, OPEN, 0, 0),
        requests.Create(stats_path("/a"), b"", OPEN, 0, 0),
    ]
    assert log.multi(*writes).code == 0

    assert stats(log, "/a") == b"count=4,bytes=8"


def test_every_kind_of_write_is_counted(log: Log) -> None:
    """Creates of every kind, sets, deletes, and the ends of sessions and of lives."""
    session = log.open_session()
    log.create("/a")
    limit(log, "/a", UNLIMITED)
    log.create("/a/plain", b"123")
    log.create("/a/s-", b"1", mode=CreateMode.PERSISTENT_SEQUENTIAL)
    log.create("/a/e", b"22", mode=CreateMode.EPHEMERAL, session=session)
    log.create("/a/ttl", b"333", mode=CreateMode.PERSISTENT_TTL, ttl_ms=5)
    assert stats(log, "/a") == b"count=5,bytes=9"

    log.set("/a/plain", b"12345")
    log.set("/a/ttl", b"")
    log.set("/a", b"x" * 2_000)
    assert stats(log, "/a") == b"count=5,bytes=2008"
    log.set("/a", b"")
    log.close(session)
    assert stats(log, "/a") == b"count=4,bytes=6"

    log.now_ms = 1_000
    (path, mzxid, pzxid), *_ = log.reader.reapable(1_000, 9)
    log.apply(commands.reap_node(path, mzxid, pzxid))
    log.delete("/a/plain")
    assert stats(log, "/a") == b"count=2,bytes=1"


def test_counting_leaves_no_trace_on_the_stats_node(log: Log) -> None:
    """Version, revision, history and events are those of clients; the length is true."""
    log.create("/a")
    limit(log, "/a", UNLIMITED)
    path = stats_path("/a")
    before = log.stat(path)
    batch = log.apply_all(log.command(0, requests.Create("/a/b", b"x" * 99_000, OPEN, 0, 0)))

    assert [change.path for change in batch.changes] == ["/a/b"]
    assert stats(log, "/a") == b"count=2,bytes=99000"
    assert log.stat(path) == before._replace(data_length=19)
    assert len(log.reader.history(path)) == 1


def test_the_innermost_quota_counts(log: Log) -> None:
    """As in ZooKeeper, whose tools do not nest them."""
    log.create("/a")
    log.create("/a/b")
    limit(log, "/a", UNLIMITED)
    limit(log, "/a/b", UNLIMITED)
    log.create("/a/b/c")
    log.create("/a/x")

    assert stats(log, "/a") == b"count=3,bytes=0"
    assert stats(log, "/a/b") == b"count=2,bytes=0"


def test_a_quota_that_is_gone_counts_nothing(log: Log) -> None:
    """Without limits the stats stand still; with new ones they go on; new stats count afresh."""
    log.create("/a")
    limit(log, "/a", b"count=1,bytes=-1=;countHardLimit=1")
    log.delete(f"{QUOTA}/a/zookeeper_limits")
    assert log.create("/a/b").code == 0
    assert stats(log, "/a") == b"count=1,bytes=0"

    log.create(f"{QUOTA}/a/zookeeper_limits", UNLIMITED)
    log.create("/a/c")
    assert stats(log, "/a") == b"count=2,bytes=0"
    log.delete(stats_path("/a"))
    assert log.create("/a/d").code == 0
    log.create(stats_path("/a"))
    assert stats(log, "/a") == b"count=4,bytes=0"


def test_the_root_and_the_systems_own_nodes_are_never_limited(log: Log) -> None:
    """A quota on / would stop the cluster from publishing its members."""
    log.create(f"{QUOTA}/zookeeper_limits", b"countHardLimit=0")
    log.create(f"{QUOTA}/zookeeper_stats", b"count=0,bytes=0")
    limit(log, "/zookeeper", b"countHardLimit=0")

    assert log.create("/a").code == 0
    assert log.create("/zookeeper/a").code == 0


# --- limits ---


def test_hard_limits_refuse(log: Log) -> None:
    """Creates by both, sets by the bytes; what is refused counts nothing."""
    log.create("/a")
    limit(log, "/a", b"count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3")
    assert log.create("/a/b", b"12345").code == 0
    refused = log.create("/a/c", b"123456")
    assert refused.code == QuotaExceededError.code
    assert refused.body == ("/a would hold bytes=11, its hard limit is 10",)
    assert log.create("/a/c", b"12345").code == 0
    refused = log.create("/a/d")
    assert refused.body == ("/a would hold count=4, its hard limit is 3",)
    assert log.set("/a/b", b"123456").code == QuotaExceededError.code
    assert log.set("/a/b", b"54321").code == 0
    assert log.set("/a/b", b"1").code == 0

    assert stats(log, "/a") == b"count=3,bytes=6"
    assert log.create("/b", b"x" * 99).code == 0


def test_soft_limits_are_reported_only(log: Log) -> None:
    """One message for each quota and batch; a hard limit takes the place of the soft one."""
    log.create("/a")
    limit(log, "/a", b"count=1,bytes=1=;byteHardLimit=9")

    def create(path: str, data: bytes) -> AppliedBatch:
        return log.apply_all(log.command(0, requests.Create(path, data, OPEN, 0, 0)))

    batch = create("/a/b", b"22")
    assert batch.results[0].code == 0
    assert batch.over_quota == {"/a": "/a would hold count=2, its soft limit is 1"}
    batch = create("/a/c", b"x" * 10)
    assert batch.results[0].code == QuotaExceededError.code
    assert batch.over_quota == {"/a": "/a would hold bytes=12, its hard limit is 9"}
    assert create("/b", b"").over_quota == {}


def test_a_quota_that_is_passed_refuses_until_something_is_deleted(log: Log) -> None:
    """As in ZooKeeper, even a smaller value; the same length changes nothing and passes."""
    log.create("/a")
    log.create("/a/b", b"123456789")
    limit(log, "/a", b"byteHardLimit=3,countHardLimit=1")

    assert log.set("/a/b", b"12345").code == QuotaExceededError.code
    assert log.set("/a/b", b"987654321").code == 0
    assert log.delete("/a/b").code == 0
    assert log.set("/a", b"123").code == 0


@pytest.mark.parametrize(
    ("text", "is_limited"),
    [
        (b"count=1,bytes=-1", False),
        (b"count=-1,bytes=-1=;countHardLimit=1", True),
        (b"countHardLimit=1", True),
        (b"byteHardLimit=5;countHardLimit=1=,count=7", True),
        (b"countHardLimit=9,countHardLimit=1", True),
        (b"countHardLimit=", False),
        (b"countHardLimit=x1", False),
        (b"countHardLimit=1x", False),
        (b"countHardLimit= 1", False),
        (b"countHardLimit=1_0", False),
        (b"countHardLimit=" + b"1" * 5_000, False),
        (b"xcountHardLimit=1", False),
        (b"countHardLimit=-5", False),
        (b"countHardLimit=1" + b" " * INLINE_DATA_BYTES_MAX, False),
        (b"\xff\xfe=;,==", False),
        (b"", False),
    ],
)
def test_anything_may_stand_in_a_limits_node(log: Log, text: bytes, is_limited: bool) -> None:
    """What is no number is no limit."""
    log.create("/a")
    limit(log, "/a", b"")
    log.set(f"{QUOTA}/a/zookeeper_limits", text)

    assert (log.create("/a/b").code == QuotaExceededError.code) is is_limited


@pytest.mark.parametrize(
    "text", [b"", b"nonsense", b"count=,bytes=", b"x" * 5_000, b"count=9" * 500]
)
def test_anything_may_stand_in_a_stats_node(log: Log, text: bytes) -> None:
    """A client may overwrite it: counting goes on from what reads as a number, else from −1."""
    log.create("/a")
    limit(log, "/a", UNLIMITED, stats=text)
    assert stats(log, "/a") == b"count=1,bytes=0"

    log.set(stats_path("/a"), text)
    log.create("/a/b", b"12345")
    assert stats(log, "/a") == b"count=0,bytes=4"
    log.set(stats_path("/a"), b"bytes=7,count=70=;countHardLimit=5")
    log.create("/a/c", b"1")
    assert stats(log, "/a") == b"count=71,bytes=8=;countHardLimit=5"
    check_structure(log.env)


# --- order, transactions, restarts ---------------------------------------------------------------


def _existing(log: Log) -> int:
    return log.create("/a/e").code


def _below_ephemeral(log: Log) -> int:
    return log.create("/a/e/x").code


def _version(log: Log) -> int:
    return log.set("/a", b"12", 99).code


def _permission(log: Log) -> int:
    return log.set("/a/closed", b"12", 99).code


@pytest.mark.parametrize(
    ("attempt", "code"),
    [
        (_existing, NodeExistsError.code),
        (_below_ephemeral, NoChildrenForEphemeralsError.code),
        (_version, QuotaExceededError.code),
        (_permission, NoAuthError.code),
    ],
)
def test_the_order_of_refusals(log: Log, attempt: Callable[[Log], int], code: int) -> None:
    """Create: behind all other refusals; set: behind the ACL, before the version."""
    session = log.open_session()
    log.create("/a")
    log.create("/a/closed", acl=(Acl(READ, "world", "anyone"),))
    log.create("/a/e", mode=CreateMode.EPHEMERAL, session=session)
    assert _version(log) == BadVersionError.code
    limit(log, "/a", b"byteHardLimit=0,countHardLimit=0")

    assert attempt(log) == code


def test_a_transaction_that_fails_leaves_counts_and_limits_as_they_were(log: Log) -> None:
    """Its own writes count for its later operations; a quota it made or removed is forgotten."""
    log.create("/a")
    log.create("/b")
    log.create(f"{QUOTA}/b")
    limit(log, "/a", b"countHardLimit=3")
    failed = log.multi(
        requests.Create("/a/1", b"", OPEN, 0, 0),
        requests.Create("/a/2", b"", OPEN, 0, 0),
        requests.Create("/a/3", b"", OPEN, 0, 0),
    )
    assert (failed.code, failed.body[1]) == (
        TransactionError.code,
        (0, 0, QuotaExceededError.code),
    )
    assert stats(log, "/a") == b"count=1,bytes=0"

    failed = log.multi(
        requests.Delete(f"{QUOTA}/a/zookeeper_limits", -1),
        requests.Create(f"{QUOTA}/b/zookeeper_limits", b"countHardLimit=0", OPEN, 0, 0),
        requests.Create(f"{QUOTA}/b/zookeeper_stats", b"", OPEN, 0, 0),
        requests.Check("/none", -1),
    )
    assert failed.code == TransactionError.code
    assert log.create("/b/x").code == 0
    assert [log.create(f"/a/{n}").code for n in range(3)] == [0, 0, QuotaExceededError.code]


def test_quotas_are_found_again_after_a_restart(log: Log) -> None:
    """From the tree: deep ones too, and only those that have limits."""
    log.create("/a")
    log.create("/a/b")
    limit(log, "/a/b", b"countHardLimit=2")
    limit(log, "/none/there", UNLIMITED)
    log.delete(f"{QUOTA}/none/there/zookeeper_limits")
    log.create("/a/b/c")
    log.reopen()

    assert log.create("/a/b/d").code == QuotaExceededError.code
    assert log.create("/a/d").code == 0
    log.delete("/a/b/c")
    assert stats(log, "/a/b") == b"count=1,bytes=0"


_NAMES = st.sampled_from(("/q", "/q/a", "/q/a/b", "/q/c", "/x"))
_WRITES = st.one_of(
    st.builds(
        requests.Create, _NAMES, st.binary(max_size=9), st.just(OPEN), st.just(0), st.just(0)
    ),
    st.builds(requests.Set, _NAMES, st.binary(max_size=9), st.just(-1)),
    st.builds(requests.Delete, _NAMES, st.just(-1)),
)


@settings(deadline=None)
@given(
    writes=st.lists(st.one_of(_WRITES, st.lists(_WRITES, max_size=4)), max_size=25),
    at=st.integers(0, 25),
    size=st.integers(1, 9),
)
def test_the_stats_are_always_what_is_there(
    writes: list[requests.Write | list[requests.Operation]], at: int, size: int
) -> None:
    """Whenever the quota was set, however batches were cut; other batches leave equal records."""
    env = MemoryEnvironment()
    log = Log(env)
    setup: list[requests.Write] = [
        requests.Create(f"{QUOTA}/q", b"", OPEN, 0, 0),
        requests.Create(f"{QUOTA}/q/zookeeper_limits", b"byteHardLimit=30", OPEN, 0, 0),
        requests.Create(stats_path("/q"), b"", OPEN, 0, 0),
    ]
    planned = [requests.Multi(tuple(one)) if isinstance(one, list) else one for one in writes]
    planned[at:at] = setup
    entries = [log.command(0, one) for one in planned]
    for start in range(0, len(entries), size):
        log.apply_all(*entries[start : start + size])

    found, _ = log.reader.subtree("/q")
    data = sum(len(data) for _, data, _ in found)
    assert stats(log, "/q") == f"count={len(found)},bytes={data}".encode()
    log.machine.fold()
    with env.read() as txn:
        assert digest_of(env, txn) == (log.machine.digest, log.machine.replicated_bytes)
    other = Log(MemoryEnvironment())
    other.apply_all(*entries)
    assert contents(other.env) == contents(env)


@pytest.mark.parametrize("when", ["count", "load"])
def test_damage_is_found_where_nodes_are_counted_and_quotas_looked_for(log: Log, when: str) -> None:
    """Every record that is read is checked first."""
    log.create("/a")
    path = b"/a/b" if when == "count" else b"/quota/a"
    log.create("/a/b")
    log.create(f"{QUOTA}/a")
    log.create(f"{QUOTA}/a/zookeeper_limits", UNLIMITED)
    log.reopen()
    nodes = contents(log.env)["nodes"]
    key, record = next((k, r) for k, r in nodes.items() if path_of(r).encode().endswith(path))
    with log.engine.write() as txn:
        damaged = record[:4] + bytes([record[4] ^ 1]) + record[5:]
        txn.put(key, damaged, db=log.engine.table("nodes"))
        txn.commit()

    def look() -> None:
        log.reopen()
        log.create(stats_path("/a"))

    with pytest.raises(CorruptionError, match=key.hex()):
        look()
