"""Nodes, Stats, errors and transactions: the same through each wire."""

from __future__ import annotations

import pytest

from coord.model import requests as rq
from coord.model.acl import ADMIN, ALL, CREATE, READ, Acl
from coord.model.znode import CreateMode
from tests.behaviour.clients import (
    Client,
    LocalClient,
    children,
    create,
    delete,
    exists,
    get,
    multi,
    put,
)
from tests.behaviour.conftest import NewClient
from tests.node.single import Single

SEQUENTIAL = int(CreateMode.PERSISTENT_SEQUENTIAL)
NO_NODE, NO_AUTH, BAD_VERSION, NODE_EXISTS, NOT_EMPTY = -101, -102, -103, -110, -111
BAD_ARGUMENTS, NO_CHILDREN_FOR_EPHEMERALS, INVALID_ACL = -8, -108, -114


# --- nodes and their Stats ------------------------------------------------------------------------


def test_the_life_of_a_node(client: Client) -> None:
    """Created, read, changed, listed, deleted; every Stat says so."""
    made = client.call(create("/a", b"one"))
    path, born = made.body
    assert path == "/a"
    assert born["czxid"] == born["mzxid"] == born["pzxid"] == made.revision
    assert born["ctime"] == born["mtime"] > 0
    assert (born["version"], born["cversion"], born["aversion"]) == (0, 0, 0)
    assert (born["ephemeral_owner"], born["data_length"], born["num_children"]) == (0, 3, 0)

    changed = client.call(put("/a", b"seven!!"))
    (stat,) = changed.body
    same_as_before = {"czxid", "ctime", "cversion", "aversion", "pzxid", "num_children"}
    assert {key: stat[key] for key in same_as_before} == {key: born[key] for key in same_as_before}
    assert stat["mzxid"] == changed.revision > made.revision
    assert (stat["version"], stat["data_length"]) == (1, 7)
    assert client.ok(get("/a")) == (b"seven!!", stat)
    assert client.ok(exists("/a")) == (stat,)

    child = client.call(create("/a/b"))
    names, parent = client.ok(children("/a"))
    assert names == ["b"]
    assert parent["pzxid"] == child.revision
    assert (parent["cversion"], parent["num_children"], parent["version"]) == (1, 1, 1)

    gone = client.call(delete("/a/b", 0))
    (parent,) = client.ok(exists("/a"))
    assert parent["pzxid"] == gone.revision
    assert (parent["cversion"], parent["num_children"]) == (2, 0)
    assert client.ok(delete("/a", 1)) == ()
    assert client.code(exists("/a")) == NO_NODE


@pytest.mark.parametrize("data", [b"", b"\0", bytes(range(256)), b"x" * 1_025, b"y" * 900_000])
def test_data_of_any_kind_and_size(client: Client, data: bytes) -> None:
    """What was written is read, byte for byte."""
    client.ok(create("/a", data))
    assert client.ok(get("/a"))[0] == data
    client.ok(put("/a", b"-"))
    client.ok(put("/a", data))
    assert client.ok(get("/a"))[0] == data


def test_names_of_any_kind(client: Client) -> None:
    """Whatever the rules allow; listed in byte order."""
    names = ["a b", "-", "...", ".x", "é", "日本", "a" * 200]
    client.ok(create("/d"))
    for name in names:
        assert client.ok(create(f"/d/{name}"))[0] == f"/d/{name}"
    assert client.ok(children("/d"))[0] == sorted(names, key=str.encode)


def test_sequential_names(client: Client) -> None:
    """Numbered by the children ever created, whatever their kind and whether they still exist."""
    client.ok(create("/q"))
    assert client.ok(create("/q/n-", mode=SEQUENTIAL))[0] == "/q/n-0000000000"
    client.ok(create("/q/plain"))
    client.ok(delete("/q/plain"))
    assert client.ok(create("/q/m-", mode=SEQUENTIAL))[0] == "/q/m-0000000002"
    assert client.ok(create("/q/", mode=SEQUENTIAL))[0] == "/q/0000000003"
    ids = client.send(*[create("/q/n-", mode=SEQUENTIAL)] * 20)
    numbers = [client.answer(identity).body[0][-10:] for identity in ids]
    assert numbers == [f"{number:010}" for number in range(4, 24)]


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (get("/none"), NO_NODE),
        (exists("/none"), NO_NODE),
        (children("/none"), NO_NODE),
        (rq.GetAcl("/none", 1), NO_NODE),
        (put("/none", b""), NO_NODE),
        (delete("/none"), NO_NODE),
        (delete("/none/x"), NO_NODE),
        (create("/none/x"), NO_NODE),
        (rq.SetAcl("/none", (Acl(ALL, "world", "anyone"),), -1), NO_NODE),
        (create("/a"), NODE_EXISTS),
        (create("/"), NODE_EXISTS),
        (put("/a", b"", 7), BAD_VERSION),
        (delete("/a", 7), BAD_VERSION),
        (delete("/a", 0), NOT_EMPTY),
        (rq.SetAcl("/a", (Acl(ALL, "world", "anyone"),), 7), BAD_VERSION),
        (create("/e/x"), NO_CHILDREN_FOR_EPHEMERALS),
        (create("/e/x", mode=SEQUENTIAL), NO_CHILDREN_FOR_EPHEMERALS),
        (create("/x", acl=()), INVALID_ACL),
        (rq.SetAcl("/a", (), -1), INVALID_ACL),
        (create("relative"), BAD_ARGUMENTS),
        (create("/a/.."), BAD_ARGUMENTS),
        (create("/a/"), BAD_ARGUMENTS),
        (create("/a/\x01"), BAD_ARGUMENTS),
        (create("/x", mode=9), BAD_ARGUMENTS),
        (create("/x", mode=int(CreateMode.PERSISTENT_TTL), ttl_ms=2**40), BAD_ARGUMENTS),
        (put("/a/", b""), BAD_ARGUMENTS),
        (put("a", b""), BAD_ARGUMENTS),
        (delete("a"), BAD_ARGUMENTS),
        (delete("/"), BAD_ARGUMENTS),
        (delete("/zookeeper"), BAD_ARGUMENTS),
        (delete("/zookeeper/config"), BAD_ARGUMENTS),
    ],
)
def test_refusals(client: Client, request_: rq.Request, code: int) -> None:
    """Each with its code, without effect, and the session goes on."""
    client.ok(create("/a"))
    client.ok(create("/a/b"))
    client.ok(create("/e", mode=int(CreateMode.EPHEMERAL)))
    before = client.ok(exists("/a")), client.ok(exists("/e")), client.ok(children("/"))

    assert client.code(request_) == code

    assert (client.ok(exists("/a")), client.ok(exists("/e")), client.ok(children("/"))) == before


# --- transactions ---------------------------------------------------------------------------------


def test_a_transaction_is_one_revision(client: Client) -> None:
    """Later operations see earlier ones; all carry one revision."""
    client.ok(create("/q"))
    client.ok(create("/old"))
    answer = client.call(
        multi(
            create("/t", b"1"),
            put("/t", b"22", 0),
            rq.Check("/t", 1),
            create("/q/n-", mode=SEQUENTIAL),
            create("/q/n-", mode=SEQUENTIAL),
            delete("/old"),
        )
    )

    assert answer.code == 0
    made, changed, checked, first, second, deleted = answer.body
    assert [result[0] for result in answer.body] == [0] * 6
    assert (checked, deleted) == ((0,), (0,))
    assert (made[1], first[1], second[1]) == ("/t", "/q/n-0000000000", "/q/n-0000000001")
    stats = [changed[1], *(client.ok(exists(path))[0] for path in (first[1], second[1]))]
    assert {stat["mzxid"] for stat in stats} == {answer.revision}
    assert (changed[1]["version"], changed[1]["data_length"]) == (1, 2)
    assert client.ok(get("/t")) == (b"22", changed[1])
    assert client.ok(children("/"))[0] == ["q", "t", "zookeeper"]


@pytest.mark.parametrize(
    ("failing", "code"),
    [
        (rq.Check("/a", 3), BAD_VERSION),
        (rq.Check("/none", -1), NO_NODE),
        (create("/a"), NODE_EXISTS),
        (delete("/none"), NO_NODE),
        (put("/a", b"", 9), BAD_VERSION),
        (create("/none/x"), NO_NODE),
    ],
)
def test_a_failed_transaction_has_no_effect(
    client: Client, failing: rq.Operation, code: int
) -> None:
    """What came before is undone; each operation has its code: 0, its own, −2."""
    client.ok(create("/a", b"kept"))
    before = client.ok(get("/a")), client.ok(children("/"))

    answer = client.call(multi(create("/b"), put("/a", b"x"), failing, delete("/a"), create("/c")))

    assert answer.code == code
    assert answer.body == ((0,), (0,), (code,), (-2,), (-2,))
    assert (client.ok(get("/a")), client.ok(children("/"))) == before


def test_an_empty_transaction(client: Client) -> None:
    """Succeeds with nothing to say."""
    assert client.ok(multi()) == ()


# --- order ----------------------------------------------------------------------------------------


def test_a_session_sees_its_own_writes_in_order(client: Client) -> None:
    """Sent in one go: every read sees what was written before it, and nothing behind it."""
    client.ok(create("/a"))
    requests: list[rq.Request] = []
    for number in range(30):
        requests += [put("/a", b"%d" % number), get("/a"), exists("/a")]

    ids = client.send(*requests)

    answers = [client.answer(identity) for identity in ids]
    assert [answer.body[0] for answer in answers[1::3]] == [b"%d" % n for n in range(30)]
    assert [answer.body[0]["version"] for answer in answers[2::3]] == list(range(1, 31))
    assert [message for message in client.received if message in answers] == answers
    revisions = [answer.revision for answer in answers]
    assert revisions == sorted(revisions)


def test_refusals_keep_their_place(client: Client) -> None:
    """Good and bad requests in one go, answered in order; those behind a refusal are served."""
    ids = client.send(
        create("/a"), create("/a"), put("/a", b"1", 5), put("/a", b"2"), get("/none"), get("/a")
    )

    answers = [client.answer(identity) for identity in ids]
    assert [answer.code for answer in answers] == [0, NODE_EXISTS, BAD_VERSION, 0, NO_NODE, 0]
    assert answers[-1].body[0] == b"2"
    assert client.received[-6:] == answers


def test_sync_is_a_barrier(client: Client, new: NewClient) -> None:
    """What another client was acknowledged before is there afterwards."""
    other = new()
    (identity,) = client.send(rq.Sync("/x"))
    other.ok(create("/x", b"1"))
    assert client.answer(identity).code == 0
    assert client.ok(rq.Sync("/x")) == ("/x",)
    assert client.ok(get("/x"))[0] == b"1"


# --- permissions ----------------------------------------------------------------------------------

ALICE = rq.Auth("digest", b"alice:secret")
OWN = (Acl(ALL, "auth", ""),)
LOOK = (*OWN, Acl(READ, "world", "anyone"))


def test_only_those_who_may(client: Client, new: NewClient) -> None:
    """Each operation asks for its permission, of the node or of its parent."""
    owner, stranger = client, new()
    owner.ok(ALICE)
    owner.ok(create("/own", b"x", acl=OWN))
    owner.ok(create("/own/child", acl=OWN))
    owner.ok(create("/look", b"y", acl=LOOK))

    denied: list[rq.Request] = [
        get("/own"), exists("/own"), children("/own"), put("/own", b""), create("/own/n"),
        delete("/own/child"), rq.GetAcl("/own", 1), put("/look", b""), create("/look/n"),
        rq.SetAcl("/look", (Acl(ALL, "world", "anyone"),), -1),
    ]  # fmt: skip
    assert [stranger.code(request) for request in denied] == [NO_AUTH] * len(denied)
    assert stranger.ok(get("/look"))[0] == b"y"
    failed = stranger.call(multi(create("/mine"), rq.Check("/own", -1)))
    assert failed.body == ((0,), (NO_AUTH,))

    stranger.ok(ALICE)
    assert [stranger.code(request) for request in denied] == [0] * len(denied)


def test_acls_are_kept_and_counted(client: Client) -> None:
    """``auth`` stands for what the caller has proven; changes count in aversion alone."""
    client.ok(ALICE)
    _, born = client.ok(create("/a", acl=LOOK))
    acl, stat = client.ok(rq.GetAcl("/a", 1))
    assert stat == born
    (perms, scheme, who), everybody = acl
    assert (perms, scheme) == (ALL, "digest")
    assert who.startswith("alice:")
    assert "secret" not in who
    assert everybody == (READ, "world", "anyone")

    changed = (Acl(ADMIN | READ, "digest", who), Acl(READ | CREATE, "world", "anyone"))
    (stat,) = client.ok(rq.SetAcl("/a", changed, 0))
    assert (stat["aversion"], stat["version"], stat["mzxid"]) == (1, 0, born["mzxid"])
    assert client.ok(rq.GetAcl("/a", 1)) == ([tuple(entry) for entry in changed], stat)
    assert client.code(rq.SetAcl("/a", changed, 0)) == BAD_VERSION
    assert client.code(put("/a", b"")) == NO_AUTH


def test_nobody_has_proven_nothing(client: Client) -> None:
    """``auth`` without an identity is no ACL."""
    assert client.code(create("/a", acl=OWN)) == INVALID_ACL


# --- both wires at once ---------------------------------------------------------------------------


def test_both_wires_show_one_tree(single: Single) -> None:
    """What one writes the other reads: values, Stats, names, ACLs."""
    clients = [LocalClient(single, name) for name in ("native", "zookeeper")]
    for each in clients:
        each.open()
        each.ok(ALICE)
    one, other = clients
    for first, second in ((one, other), (other, one)):
        made = first.ok(create("/a", b"v", acl=OWN))
        first.ok(create("/a/s-", mode=SEQUENTIAL))
        second.ok(create("/a/s-", mode=SEQUENTIAL))
        for request in (get("/a"), children("/a"), rq.GetAcl("/a", 1)):
            assert first.ok(request) == second.ok(request)
        assert first.ok(children("/a"))[0] == ["s-0000000000", "s-0000000001"]
        assert second.ok(get("/a"))[1]["czxid"] == made[1]["czxid"]
        second.ok(multi(delete("/a/s-0000000000"), delete("/a/s-0000000001"), delete("/a")))
