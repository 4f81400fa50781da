"""What the store decides, seen through a node: callers known by address, quotas that are passed."""

from __future__ import annotations

import pytest

from coord.model import requests as rq
from coord.model.acl import ALL, OPEN, READ, Acl
from coord.model.errors import NoAuthError, QuotaExceededError
from tests.node.single import Peer, Single, create, get, put

INSIDE = (Acl(ALL, "ip", "198.51.100.0/24"),)
OUTSIDE = (Acl(ALL, "ip", "192.0.2.0/24"),)
"""Clients of these tests come from 198.51.100.7."""


@pytest.fixture
def client() -> Peer:
    """A client of a node that is alone in its cluster."""
    return Single().client()


def history(path: str) -> rq.Admin:
    """All that is kept."""
    return rq.Admin(rq.HISTORY, {"path": path})


def test_a_callers_address_opens_nodes_to_it(client: Peer) -> None:
    """For writes, reads and history alike, without a credential."""
    assert client.call(rq.Create("/a", b"1", INSIDE, 0, 0)).code == 0
    assert client.call(put("/a", b"2")).code == 0
    assert client.call(get("/a")).body[0] == b"2"
    assert client.call(rq.GetAcl("/a", 1)).code == 0

    rows, _ = client.call(history("/a")).body
    assert [row["data"] for row in rows] == [b"2", b"1"]


def test_another_address_keeps_them_closed(client: Peer) -> None:
    """Rows of history are judged one by one, the node by its ACL of today."""
    assert client.call(rq.Create("/a", b"1", OUTSIDE, 0, 0)).code == 0
    for request in (put("/a", b"2"), get("/a"), history("/a")):
        assert client.call(request).code == NoAuthError.code

    client.call(create("/b", b"1"))
    client.call(rq.SetAcl("/b", (*OUTSIDE, Acl(ALL & ~READ, "world", "anyone")), -1))
    client.call(rq.SetAcl("/b", OPEN, -1))
    rows, _ = client.call(history("/b")).body
    assert [row["kind"] for row in rows] == ["acl", "created"]


def test_a_quota_that_is_passed_is_told_to_the_client_and_to_the_operator(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The client hears why; the leader's log names the subtree."""
    single = Single()
    client = single.client()
    home = "/zookeeper/quota/a"
    for path, text in (
        ("/a", b""),
        (home, b""),
        (f"{home}/zookeeper_limits", b"count=-1,bytes=-1=;countHardLimit=1"),
        (f"{home}/zookeeper_stats", b"count=0,bytes=0"),
    ):
        assert client.call(create(path, text)).code == 0

    refused = client.call(create("/a/b"))

    assert refused.code == QuotaExceededError.code
    assert "count=2" in refused.body[0]
    assert single.node.quota_warnings.count == 1
    assert [vars(record)["path"] for record in caplog.records if "quota" in record.message] == [
        "/a"
    ]
