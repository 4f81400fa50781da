"""The reference model's rules for what the service keeps below /zookeeper, and counting by it."""

from __future__ import annotations

import struct
from typing import Final

import pytest

from tests.sim.checkers import counts
from tests.sim.codes import CREATE, DELETE, MULTI, OK, QUOTA_EXCEEDED, SET, TRANSACTION
from tests.sim.handmade import WORLD, Handmade
from tests.sim.history import Counted
from tests.sim.model import Model
from tests.sim.model_reserved import CONFIG, QUOTA, published

STATS: Final = f"{QUOTA}/p/zookeeper_stats"


def _limited(limits: bytes) -> Handmade:
    """/p and /p/a, of three bytes together, under a quota."""
    made = Handmade()
    made.open_session()
    made.create("/p", b"0")
    made.create("/p/a", b"12")
    made.create(f"{QUOTA}/p")
    made.create(f"{QUOTA}/p/zookeeper_limits", limits)
    made.create(STATS, b"count=0,bytes=0")
    return made


def _stats(made: Handmade) -> bytes:
    return made.model.tree.nodes[STATS].data


def test_a_subtree_is_counted_when_its_count_begins_and_from_then_on() -> None:
    """Nodes and bytes; without a version or a revision."""
    made = _limited(b"count=9,bytes=99")
    assert _stats(made) == b"count=2,bytes=3"

    made.create("/p/b", b"345")
    made.set("/p/a", b"")
    made.delete("/p/b")

    assert _stats(made) == b"count=2,bytes=1"
    assert made.model.tree.nodes[STATS].version == 0


@pytest.mark.parametrize(
    ("limits", "writes", "code"),
    [
        (b"count=1,bytes=1", (CREATE, "/p/b", b"1", WORLD, 0, 0), OK),
        (b"countHardLimit=2", (CREATE, "/p/b", b"", WORLD, 0, 0), QUOTA_EXCEEDED),
        (b"countHardLimit=2", (SET, "/p/a", b"12345", -1), OK),
        (b"byteHardLimit=3", (SET, "/p/a", b"123", -1), QUOTA_EXCEEDED),
        (b"byteHardLimit=3", (SET, "/p/a", b"34", -1), OK),
        (b"byteHardLimit=1", (SET, "/p/a", b"1", -1), QUOTA_EXCEEDED),
        (b"byteHardLimit=1", (DELETE, "/p/a", -1), OK),
        (b"byteHardLimit=1", (SET, "/q", b"123", -1), OK),
    ],
)
def test_a_hard_limit_refuses_what_leaves_more(
    limits: bytes, writes: tuple[object, ...], code: int
) -> None:
    """Only of what is limited, and only if the write changes it."""
    made = _limited(limits)
    made.create("/q")
    number, *arguments = writes

    assert made.write("any", int(str(number)), *arguments).code == code


def test_the_innermost_quota_counts() -> None:
    """What is inside of another is not the outer one's."""
    made = _limited(b"countHardLimit=2")
    made.create(f"{QUOTA}/p/a")
    made.create(f"{QUOTA}/p/a/zookeeper_limits", b"countHardLimit=9")

    assert made.create("/p/a/b").code == OK
    assert made.create("/p/c").code == QUOTA_EXCEEDED


def test_a_transaction_that_fails_is_not_counted() -> None:
    """The counts are as they were."""
    made = _limited(b"count=9")
    parts = ((CREATE, "/p/b", b"1", WORLD, 0, 0), (DELETE, "/missing", -1))

    assert made.write("multi", MULTI, parts).code == TRANSACTION
    assert _stats(made) == b"count=2,bytes=3"


def _membership(*members: tuple[int, int, str, str]) -> bytes:
    """As an entry has it: (id, role, peer, client) of each."""
    parts = [struct.pack(">BHH", 1, len(members), 0)]
    for node, role, *addresses in members:
        parts.append(struct.pack(">QQB", node, 7, role))
        parts += [struct.pack(">H", len(text)) + text.encode() for text in (*addresses, "")]
    return b"".join(parts)


def test_a_membership_is_published_by_its_addresses() -> None:
    """Voters and others by ZooKeeper's names; nothing unless all can be dialled."""
    voter, learner = (1, 0, "n1:7000", "n1:1"), (2, 1, "n2:7000", "n2:1")

    assert published(_membership(voter, learner)) == (
        b"server.1=n1:7000:7001:participant;n1:1\nserver.2=n2:7000:7001:observer;n2:1\n"
    )
    assert published(_membership(voter, (2, 0, "n2", ""))) == b""
    assert published(_membership(voter, (2, 0, "n2:7000", "0.0.0.0:1"))) == b""


def test_the_published_membership_changes_when_it_reads_otherwise() -> None:
    """With the revision of the change, as any other change of data; then with none at all."""
    model = Model()
    one = _membership((1, 0, "n1:7000", "n1:1"))

    model.apply(1, 2, one)
    model.apply(2, 2, one)
    assert model.tree.changes == []
    assert model.tree.nodes[CONFIG].data.endswith(b"version=1")
    model.apply(3, 2, _membership((1, 0, "n1", "")))

    node = model.tree.nodes[CONFIG]
    assert (node.data, node.version, node.mzxid) == (b"", 2, 3)


def test_a_wrong_count_is_named() -> None:
    """Of nodes or of ephemerals, at any revision."""
    made = Handmade()
    made.open_session()
    made.create("/a")
    made.create("/b", mode=1)
    made.history.counts = [Counted(1, 3, 6, 1), Counted(2, 2, 5, 0)]
    assert counts.check(made.history) == []

    made.history.counts.append(Counted(3, 3, 6, 0))

    (problem,) = counts.check(made.history)
    assert problem.startswith("counts/nodes: ")
