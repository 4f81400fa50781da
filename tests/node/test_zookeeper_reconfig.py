"""ZooKeeper's reconfig: what it asks for, who may ask, and when it is answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from coord.model import requests as rq
from coord.model.errors import BadArgumentsError, MembershipError
from coord.node.identity import digest_of
from coord.node.reconfig import wanted
from coord.raft.types import Incarnation, Member, MemberRole, NodeId
from tests.node.single import Single
from tests.node.test_replacement import MEMBERS, hello, keeper
from tests.node.zookeeper import Request, ZooPeer, auth, exists, get, put, zoo
from tests.protocol.jute import i64, text

ONE: Final = "server.1=localhost:2281:2282:participant;localhost:2181"


def reconfig(joining: str = "", leaving: str = "", members: str = "", version: int = -1) -> Request:
    """Operation 16."""
    return Request(16, text(joining) + text(leaving) + text(members) + i64(version))


def root(single: Single) -> ZooPeer:
    """The super user."""
    peer = zoo(single)
    peer.ok(auth("digest", b"super:x"))
    return peer


@pytest.fixture
def single() -> Single:
    """A node whose settings allow it."""
    return Single(reconfig=True, super_digest=digest_of("super:x"))


# --- what is asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("joining", "leaving", "members", "found"),
    [
        ("server.4=h:1:2:participant;3", "", "", ([[4, True]], [], True)),
        ("server.4=h:1:2;3", "1", "", ([[4, True]], [1], True)),
        (
            "server.4=h:1:2:observer;h:3,server.5=i:1:2;3",
            "",
            "",
            ([[4, False], [5, True]], [], True),
        ),
        ("", "2, 3", "", ([], [2, 3], True)),
        ("", "", "server.1=h:1:2;3\nserver.2=h:1:2;3", ([[1, True], [2, True]], [], False)),
        ("server.4=[::1]:1:2;[::1]:3", "", "", ([[4, True]], [], True)),
    ],
)
def test_a_request_names_members(
    joining: str, leaving: str, members: str, found: tuple[Any, ...]
) -> None:
    """Those who join and leave, or all of them."""
    arguments = wanted(rq.Reconfig(joining, leaving, members, -1))

    assert (arguments["joining"], arguments["leaving"], arguments["keep"]) == found


@pytest.mark.parametrize(
    ("joining", "leaving", "members"),
    [
        ("", "", ""),
        ("4", "", ""),
        ("server.x=h:1:2;3", "", ""),
        ("server.4=", "", ""),
        ("", "server.4", ""),
        ("", "-1", ""),
        ("", "9" * 30, ""),
        ("server.4=h:1:2;3", "", "server.1=h:1:2;3"),
        ("server.4=" + "h:" * 100_000, "", ""),
    ],
)
def test_what_is_no_reconfiguration_is_refused(joining: str, leaving: str, members: str) -> None:
    """Before anybody is asked, and in no time, however long it is."""
    with pytest.raises(BadArgumentsError):
        wanted(rq.Reconfig(joining, leaving, members, -1))


# --- what it means --------------------------------------------------------------------------------


def test_several_join_and_leave_in_one_change() -> None:
    """Those that are to vote do so when they have caught up."""
    raft, keeping = keeper()
    keeping.introduced(NodeId(4), hello(44))
    keeping.introduced(NodeId(5), hello(55))

    assert keeping.reconfigure({4: True, 5: False}, [3], keep=True) == [1, 2, 4, 5]
    (change,) = raft.proposed
    assert change.members[:2] == MEMBERS[:2]
    assert [(it.id, it.role) for it in change.members[2:]] == [
        (4, MemberRole.JOINING),
        (5, MemberRole.LEARNER),
    ]
    assert keeping.candidates == []


def test_a_member_that_lost_its_disk_is_replaced_after_a_change_of_others() -> None:
    """What it said of itself is remembered until it is a member again."""
    raft, keeping = keeper()
    keeping.introduced(NodeId(3), hello(99))
    keeping.introduced(NodeId(4), hello(44))
    keeping.reconfigure({4: True}, [], keep=True)
    (raft.membership,) = raft.proposed
    keeping.upkeep()

    assert [(it.id, it.incarnation) for it in raft.proposed[1].members[2:]] == [(3, 99), (4, 44)]


def test_who_is_not_named_leaves_if_all_are() -> None:
    """A whole list replaces the members."""
    raft, keeping = keeper()

    assert keeping.reconfigure({1: True, 2: True}, [], keep=False) == [1, 2]
    assert raft.proposed[0].members == MEMBERS[:2]


def test_what_is_so_already_is_not_proposed() -> None:
    """Nor is the leaving of somebody unknown."""
    raft, keeping = keeper()

    assert keeping.reconfigure({1: True}, [9], keep=True) == [1, 2, 3]
    assert raft.proposed == []


def test_a_learner_is_promoted() -> None:
    """Named as a participant."""
    raft, keeping = keeper()
    learner = Member(NodeId(4), Incarnation(14), MemberRole.LEARNER)
    raft.membership = replace(raft.membership, members=(*MEMBERS, learner))
    keeping.reconfigure({4: True}, [], keep=True)

    assert raft.proposed[0].members[-1] == replace(learner, role=MemberRole.JOINING)


@pytest.mark.parametrize(
    ("joining", "leaving", "keep"),
    [({4: True}, [], True), ({}, [1, 2, 3], True), ({1: False}, [], True), ({}, [], False)],
)
def test_what_cannot_be_is_refused(
    joining: dict[int, bool], leaving: list[int], keep: bool
) -> None:
    """An unknown node, nobody left to vote, a voter made an observer."""
    raft, keeping = keeper()
    with pytest.raises(BadArgumentsError):
        keeping.reconfigure(joining, leaving, keep=keep)
    assert raft.proposed == []


# --- who may, and when it is answered -------------------------------------------------------------


def test_it_is_answered_with_the_configuration_in_force(single: Single) -> None:
    """Here the one that was in force before; nothing overtakes the answer."""
    peer = root(single)
    xids = peer.send(reconfig(ONE), exists("/"))
    single.pass_ms(200)

    assert [it.xid for it in peer.replies()[1:]] == xids
    assert [it.err for it in peer.replies()[1:]] == [0, 0]
    reader = peer.replies()[1].reader()
    assert reader.buffer() == peer.ok(get("/zookeeper/config")).reader().buffer()
    reader.stat()
    reader.end()


def test_a_change_is_waited_for(single: Single, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it is not applied here; bounded, and then the outcome is unknown."""
    monkeypatch.setattr(single.node.keeper, "reconfigure", lambda *_args: [1, 2])
    peer = root(single)
    peer.send(reconfig(leaving="3"), exists("/"))
    single.pass_ms(5_000)
    peer.send(Request(11, b"", -2))
    assert len(peer.replies()) == 2, "the credentials' and the ping's"

    single.pass_ms(6_000)
    assert peer.is_closed()


def test_a_change_under_way_is_told(single: Single, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ZooKeeper's error."""

    def busy(*_args: object) -> list[int]:
        raise MembershipError("another change is under way")

    monkeypatch.setattr(single.node.keeper, "reconfigure", busy)

    assert root(single).call(reconfig(leaving="3")).err == -14


@pytest.mark.parametrize(
    ("request_", "err"),
    [
        (reconfig(ONE, version=99), -103),
        (reconfig("server.9=h:1:2;3"), -8),
        (reconfig(leaving="1"), -8),
        (reconfig(), -8),
    ],
)
def test_refusals(single: Single, request_: Request, err: int) -> None:
    """The connection goes on."""
    peer = root(single)

    assert peer.call(request_).err == err
    assert peer.ok(exists("/"))


def test_only_who_may_write_the_configuration_may_change_it(single: Single) -> None:
    """The super user, unless its ACL is opened."""
    peer = zoo(single)

    assert peer.call(reconfig(ONE)).err == -102
    assert peer.call(reconfig("some thing")).err == -8, "what nobody may ask for comes first"
    assert peer.call(reconfig(ONE, version=99)).err == -103
    assert peer.call(put("/zookeeper/config", b"")).err == -102


def test_a_client_that_leaves_is_not_waited_for(
    single: Single, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent to it, nothing is left of it."""
    monkeypatch.setattr(single.node.keeper, "reconfigure", lambda *_args: [1, 2])
    peer = root(single)
    peer.send(reconfig(leaving="3"))
    single.node.gateway.lost(peer.conn)
    single.pass_ms(12_000)

    assert len(peer.replies()) == 1
