"""The gateway: a session's order, exactly-once, moves, refusals, events before replies."""

from __future__ import annotations

import pytest

from coord.model import requests as rq
from coord.model.acl import Acl
from coord.model.errors import (
    BadVersionError,
    CompactedError,
    LimitError,
    NoAuthError,
    NoNodeError,
    NotReadyError,
    OverloadedError,
    SequenceGapError,
    SessionExpiredError,
)
from coord.model.limits import CONNECTION_REQUESTS_MAX, WRITES_IN_FLIGHT_MAX
from coord.protocol.native_client import NoticePush, OneShotPush, StreamPush
from tests.node.single import Peer, Single, create, get, put


@pytest.fixture
def single() -> Single:
    """A fresh node that leads itself."""
    return Single()


def test_a_read_between_writes_sees_exactly_the_writes_before_it(single: Single) -> None:
    """Of [write 1, read, write 2, read] sent at once, the first read shows write 1."""
    client = single.client()
    client.call(create("/a"))

    xids = client.send(put("/a", b"1"), get("/a"), put("/a", b"2"), get("/a", level=0))
    single.run()

    assert client.reply(xids[1]).body[0] == b"1"
    assert client.reply(xids[3]).body[0] == b"2"


def test_replies_leave_in_the_order_of_the_requests(single: Single) -> None:
    """Whatever mix of writes, reads and errors was sent."""
    client = single.client()
    client.call(create("/a"))

    xids = client.send(
        put("/a", b"1"),
        get("/missing"),
        get("/a", level=0),
        rq.Delete("/a", 77),
        rq.Sync("/"),
        put("/a", b"2"),
        get("/a"),
    )
    single.run()

    answered = [message.xid for message in client.link.received if hasattr(message, "xid")]
    assert answered[-len(xids) :] == xids


def test_a_write_is_not_answered_before_it_is_durable(single: Single) -> None:
    """With the disk standing still nothing is acknowledged, and everything is afterwards."""
    client = single.client()
    single.hands.disk_works = False
    (xid,) = client.send(create("/a"))
    single.run()
    assert client.reply(xid) is None

    single.hands.disk_works = True
    single.run()

    assert client.reply(xid).code == 0


def test_a_pipeline_of_writes_is_one_socket_write(single: Single) -> None:
    """Replies of one batch leave together."""
    client = single.client()
    client.call(create("/a"))
    before = client.link.writes

    client.send(*(put("/a", bytes([n])) for n in range(50)))
    single.run()

    assert client.link.writes == before + 1


def test_a_resent_write_after_reattach_answers_its_first_result(single: Single) -> None:
    """The same seq on a new connection applies nothing and repeats the reply."""
    first = single.client()
    opened = first.link.received[0]
    first.call(create("/a"))
    first.send(put("/a", b"1"))
    single.node.gateway.lost(first.conn)
    single.run()

    second = Peer(single)
    attached = second.connect(opened.body[0], opened.body[1])
    assert attached.body[4] == 2, "last_seq tells that both writes were applied"
    second.send_raw(50, put("/a", b"1"), 2)
    again = second.reply(50)
    second.seq = 2

    assert again.code == 0
    assert second.call(get("/a")).body[1] == again.body[0], "one version, not two"


def test_the_resent_failure_is_the_first_failure(single: Single) -> None:
    """A refused write keeps its refusal, though it would succeed now."""
    first = single.client()
    opened = first.link.received[0]
    assert first.call(put("/later", b"")).code == NoNodeError.code
    single.node.gateway.lost(first.conn)

    second = Peer(single)
    second.connect(opened.body[0], opened.body[1])
    second.seq = 1
    second.call(create("/later"))
    second.send_raw(60, put("/later", b""), 1)

    assert second.reply(60).code == NoNodeError.code


def test_a_gap_is_refused_and_consumes_nothing(single: Single) -> None:
    """Seq 3 after 1 is refused; 2 is then taken."""
    client = single.client()
    client.call(create("/a"))
    client.send_raw(20, put("/a", b"x"), 3)
    single.run()
    assert client.reply(20).code == SequenceGapError.code

    client.send_raw(21, put("/a", b"y"), 2)
    single.run()

    assert client.reply(21).code == 0


def test_too_many_writes_in_flight_are_refused_until_sent_again(single: Single) -> None:
    """The 257th is Overloaded, what follows it is out of sequence, and both can come again."""
    client = single.client()
    client.call(create("/a"))
    single.hands.disk_works = False
    many = [put("/a", b"x")] * (WRITES_IN_FLIGHT_MAX + 2)
    xids = client.send(*many, acked=1)
    single.hands.disk_works = True
    single.run()

    codes = [client.reply(xid).code for xid in xids]
    assert codes[:WRITES_IN_FLIGHT_MAX] == [0] * WRITES_IN_FLIGHT_MAX
    assert codes[WRITES_IN_FLIGHT_MAX:] == [OverloadedError.code, SequenceGapError.code]
    client.seq = WRITES_IN_FLIGHT_MAX + 1
    (again,) = client.send(put("/a", b"again"), acked=client.seq)
    single.run()
    assert client.reply(again).code == 0


def test_a_session_attached_again_ends_its_old_connection(single: Single) -> None:
    """The old connection hears *moved* and is closed; its writes have no effect any more."""
    old = single.client()
    opened = old.link.received[0]

    new = Peer(single)
    attached = new.connect(opened.body[0], opened.body[1])

    assert attached.code == 0
    assert attached.body[2] == opened.body[2] + 1, "generation"
    assert old.link.is_closed
    assert isinstance(old.link.received[-1], NoticePush)


def test_a_wrong_secret_attaches_nothing(single: Single) -> None:
    """And leaves the session where it is."""
    old = single.client()
    opened = old.link.received[0]

    thief = Peer(single)
    refused = thief.connect(opened.body[0], b"0" * 16)

    assert refused.code != 0
    assert not old.link.is_closed


def test_closing_deletes_the_ephemerals_and_then_the_connection(single: Single) -> None:
    """One entry; the reply comes before the end of the stream."""
    owner, other = single.client(), single.client()
    owner.call(rq.Create("/e", b"", create("/e").acl, 1, 0))
    assert other.call(get("/e")).code == 0

    closed = owner.call(rq.Close())

    assert closed.code == 0
    assert owner.link.is_closed
    assert other.call(get("/e")).code == NoNodeError.code


def test_a_silent_session_expires_and_a_heartbeat_prevents_it(single: Single) -> None:
    """Timeout and grace after the last contact, not earlier; its client hears why."""
    quiet, alive = Peer(single), Peer(single)
    quiet.connect(timeout_ms=2_000)
    alive.connect(timeout_ms=2_000)
    for _ in range(8):
        alive.send(rq.Ping())
        single.pass_ms(450)
        if single.hands.now_ms < 2_000:
            assert not quiet.link.is_closed
    single.pass_ms(1_000)

    assert quiet.link.is_closed
    assert not alive.link.is_closed
    pings = [message for message in alive.link.received if getattr(message, "body", 1) == ()]
    assert len(pings) == 8, "every heartbeat was confirmed"


def test_an_expired_session_cannot_be_attached(single: Single) -> None:
    """It has ended for good."""
    client = Peer(single)
    opened = client.connect(timeout_ms=1_000)
    single.node.gateway.lost(client.conn)
    single.pass_ms(5_000)

    again = Peer(single).connect(opened.body[0], opened.body[1])

    assert again.code == SessionExpiredError.code


def test_an_event_leaves_before_the_reply_that_shows_the_change(single: Single) -> None:
    """Also before the reply of the writer's own write."""
    client = single.client()
    client.call(create("/a"))
    client.call(get("/a", watch=True))

    (xid,) = client.send(put("/a", b"1"))
    single.run()

    tail = client.link.received[-2:]
    assert isinstance(tail[0], OneShotPush)
    assert tail[1].xid == xid


def test_events_and_replies_of_one_batch_are_merged_by_revision(single: Single) -> None:
    """Reply 1, event 2, reply 2 when only the second write is watched."""
    client = single.client()
    client.call(create("/a"))
    client.call(create("/b"))
    client.call(rq.Watch("/b", 1, True, None))

    client.send(put("/a", b"1"), put("/b", b"2"))
    single.run()

    first, event, second = client.link.received[-3:]
    assert isinstance(event, StreamPush)
    assert first.revision < event.revision == second.revision


def test_a_stream_resumes_after_the_last_revision_it_saw(single: Single) -> None:
    """What happened meanwhile is replayed, once, in order."""
    writer, reader = single.client(), single.client()
    writer.call(create("/a"))
    opened = reader.call(rq.Watch("/", 2, True, None))
    seen = opened.revision
    single.node.gateway.lost(reader.conn)
    for value in (b"1", b"2", b"3"):
        writer.call(put("/a", value))

    again = single.client()
    again.call(rq.Watch("/", 2, True, (opened.body[0], seen)))

    pushes = [message for message in again.link.received if isinstance(message, StreamPush)]
    assert [change.data for push in pushes for change in push.changes] == [b"1", b"2", b"3"]
    assert all(push.revision > seen for push in pushes)


def test_a_resume_token_of_another_history_is_compacted(single: Single) -> None:
    """After a restore nothing can be resumed; the client lists afresh."""
    client = single.client()

    refused = client.call(rq.Watch("/", 2, True, (12345, 1)))

    assert refused.code == CompactedError.code


def test_list_and_watch_misses_nothing_and_repeats_nothing(single: Single) -> None:
    """The listing is the tree at its revision; every later change is an event."""
    writer, watcher = single.client(), single.client()
    writer.call(create("/d"))
    writer.call(create("/d/1"))
    listed = watcher.call(rq.ListWatch("/d", True, True))
    writer.call(create("/d/2"))

    assert [entry[0] for entry in listed.body[2]] == ["/d", "/d/1"]
    pushes = [message for message in watcher.link.received if isinstance(message, StreamPush)]
    assert [change.path for push in pushes for change in push.changes] == ["/d/2"]
    assert pushes[0].revision > listed.revision


def test_before_a_session_only_stale_reads_and_admin_are_served(single: Single) -> None:
    """And the refusal says what to do."""
    stranger = Peer(single)

    assert stranger.call(get("/", level=2)).code == 0
    assert stranger.call(rq.Admin(rq.STATUS, {})).code == 0
    refused = stranger.call(get("/", level=0))
    assert refused.code == NotReadyError.code
    assert "connect" in refused.body[0]


def test_pages_come_from_the_tree_of_the_first_page(single: Single) -> None:
    """Children created or deleted between two pages change nothing."""
    client = single.client()
    client.call(create("/d"))
    for name in "abcdef":
        client.call(create(f"/d/{name}"))
    first = client.call(rq.Children("/d", False, 1, "", 3, 0))
    client.call(rq.Delete("/d/e", -1))
    client.call(create("/d/dd"))

    second = client.call(rq.Children("/d", False, 1, first.body[0][-1], 3, first.body[3]))

    assert first.body[0] + second.body[0] == list("abcdef")
    assert second.body[2] is False


def test_a_client_that_asks_too_much_at_once_is_not_read(single: Single) -> None:
    """Reading stops above the bound and goes on when the backlog has halved."""
    client = single.client()
    client.call(create("/a"))
    single.hands.disk_works = False
    client.send(put("/a", b""), *([get("/a")] * (CONNECTION_REQUESTS_MAX + 1)))
    assert client.link.is_paused

    single.hands.disk_works = True
    single.run()

    assert not client.link.is_paused


def test_a_transaction_answers_each_operation(single: Single) -> None:
    """All or nothing: a failed check leaves nothing behind, and tells which one failed."""
    client = single.client()
    client.call(create("/a"))

    failed = client.call(rq.Multi((create("/b"), rq.Check("/a", 9))))
    done = client.call(rq.Multi((create("/b"), rq.Check("/a", 0))))

    assert failed.code != 0
    assert failed.body[1][1] == BadVersionError.code
    assert done.code == 0
    assert len(done.body) == 2


def test_draining_tells_every_client_to_go_elsewhere(single: Single) -> None:
    """A notice, then the end of the stream; the sessions stay open."""
    client = single.client()
    session = client.conn.session

    single.node.drain()

    assert client.link.is_closed
    assert client.link.received[-1].reason == "draining"
    assert single.store.machine.sessions.get(session) is not None


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (rq.WHY_SESSION, {"session": -1}),
        (rq.WHY_SESSION, {}),
        (rq.WHY_SESSION, {"session": 2**63}),
        (rq.RESULT_OF, {"session": "-7", "secret": b"", "seq": 1}),
        (rq.HISTORY, {"path": "/a", "before": -1}),
        (rq.HISTORY, {"path": "relative"}),
        (rq.LOG_TAIL, {"from": float("inf")}),
        (rq.LOG_TAIL, {"from": True}),
        (rq.SESSIONS, {"after": -3}),
        (rq.MEMBER_CHANGE, {"action": "dance", "id": 1}),
        (rq.TRANSFER, {"to": 77}),
        (999, {}),
    ],
)
def test_bad_admin_arguments_are_refused_and_harm_nobody(
    single: Single, op: int, arguments: dict[str, object]
) -> None:
    """Without a session, with any value: an error reply, and the node goes on."""
    stranger = Peer(single)

    single.node.admin.call(stranger.conn, 5, rq.Admin(op, arguments))

    assert stranger.reply(5).code < 0
    assert single.fatal is None


def test_the_second_page_of_a_listing_outlives_its_node(single: Single) -> None:
    """Deleting the node between two pages, next to a node with an ACL, ends nothing."""
    client = single.client()
    secret = rq.Create("/secret", b"", (Acl(31, "digest", "x:y"),), 0, 0)
    for request in (create("/d"), create("/d/a"), create("/d/b"), secret):
        client.call(request)
    first = client.call(rq.Children("/d", False, 1, "", 1, 0))
    for path in ("/d/a", "/d/b", "/d"):
        client.call(rq.Delete(path, -1))
    client.call(get("/secret"))

    second = client.call(rq.Children("/d", False, 1, "a", 1, first.body[3]))

    assert second.body[0] == ["b"]


def test_the_watch_limit_is_an_error_reply(single: Single, monkeypatch: pytest.MonkeyPatch) -> None:
    """One watch too many refuses the request and leaves the node alone."""
    monkeypatch.setattr(single.node.registry, "_watches_max", 1)
    client = single.client()
    client.call(create("/a"))
    client.call(create("/b"))

    assert client.call(get("/a", watch=True)).code == 0
    assert client.call(get("/b", watch=True)).code == LimitError.code


def test_a_node_without_read_permission_tells_nobody_its_stat(single: Single) -> None:
    """Exists checks READ like get."""
    client = single.client()
    client.call(rq.Create("/secret", b"", (Acl(31, "digest", "x:y"),), 0, 0))

    assert client.call(rq.Exists("/secret", False, 1)).code == NoAuthError.code


def test_a_heartbeat_without_a_session_is_refused(single: Single) -> None:
    """It would otherwise wait for an acknowledgement that never comes."""
    assert Peer(single).call(rq.Ping()).code == NotReadyError.code


def test_a_stream_far_behind_catches_up_in_slices_before_anything_newer(single: Single) -> None:
    """A read sent behind the watch is answered when the stream has told all that it shows."""
    writer = single.client()
    writer.call(create("/a"))
    opened = writer.call(rq.Watch("/zzz", 1, False, None))
    for number in range(700):
        writer.send(put("/a", b"%d" % number), acked=writer.seq)
        if number % 50 == 49:
            single.run()
    single.run()

    late = single.client()
    _, read = late.send(rq.Watch("/", 2, True, (opened.body[0], opened.revision)), get("/a"))
    assert late.reply(read) is None
    single.pass_ms(100)

    pushes = [message for message in late.link.received if isinstance(message, StreamPush)]
    values = [change.data for push in pushes for change in push.changes]
    assert values == [b"%d" % number for number in range(700)]
    order = [getattr(message, "xid", "push") for message in late.link.received]
    assert order.index(read) > max(at for at, what in enumerate(order) if what == "push") - 1
    writer.call(put("/a", b"live"))
    assert late.link.received[-1].changes[0].data == b"live"


def test_a_congested_socket_is_served_when_it_has_drained(single: Single) -> None:
    """Neither reads nor writes are lost, and their order stays."""
    client = single.client()
    client.call(create("/a"))
    single.node.gateway.congested(client.conn)
    xids = client.send(put("/a", b"1"), get("/a"), put("/a", b"2"))
    single.run()
    assert [client.reply(xid) for xid in xids] == [None, None, None]

    single.node.gateway.drained(client.conn)
    single.run()

    assert [client.reply(xid).code for xid in xids] == [0, 0, 0]
    assert client.reply(xids[1]).body[0] == b"1"


def test_what_may_not_be_read_is_neither_listed_nor_told(single: Single) -> None:
    """READ is asked of each node, in a listing and at the delivery of each event."""
    client, watcher = single.client(), single.client()
    hidden = (Acl(31, "digest", "x:y"),)
    client.call(create("/d"))
    client.call(create("/d/open", b"seen"))
    client.call(rq.Create("/d/hidden", b"secret", hidden, 0, 0))

    listed = watcher.call(rq.ListWatch("/d", True, True))
    client.call(rq.Create("/d/hidden2", b"secret", hidden, 0, 0))
    client.call(create("/d/open2", b"seen"))

    assert [entry[0] for entry in listed.body[2]] == ["/d", "/d/open"]
    pushes = [message for message in watcher.link.received if isinstance(message, StreamPush)]
    assert [change.path for push in pushes for change in push.changes] == ["/d/open2"]


def test_bytes_in_flight_are_bounded(single: Single, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound writes are refused, and taken again once the others are applied."""
    monkeypatch.setattr("coord.node.admission.NODE_BYTES_IN_FLIGHT_MAX", 1_000)
    client = single.client()
    client.call(create("/a"))
    single.hands.disk_works = False
    first, second = client.send(put("/a", bytes(2_000)), put("/a", b"small"))
    single.hands.disk_works = True
    single.run()

    assert client.reply(first).code == 0
    assert client.reply(second).code == OverloadedError.code
    client.seq -= 1
    assert client.call(put("/a", b"small")).code == 0
    assert single.node.gateway.admission.bytes_in_flight == 0


def test_a_thousand_resumed_streams_at_once(single: Single) -> None:
    """One that has caught up lets the next be served, without any depth of calls."""
    client = single.client()
    revision = client.call(create("/a")).revision
    history_id = single.store.machine.history_id
    watch = rq.Watch("/a", 1, with_values=False, resume=(history_id, revision))
    single.hands.disk_works = False
    xids = client.send(put("/a", b""), *[watch] * 1_000)
    single.hands.disk_works = True
    single.run()

    assert all(client.reply(xid).code == 0 for xid in xids)


def test_nothing_that_shows_the_tree_overtakes_a_stream_that_catches_up(
    single: Single, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node's history is told behind what the stream has to tell of it."""
    monkeypatch.setattr("coord.node.streams.REPLAY_CHANGES", 2)
    client, watcher = single.client(), single.client()
    seen = newest = client.call(create("/a")).revision
    for _ in range(5):
        newest = client.call(put("/a", b"")).revision
    watch = rq.Watch("/a", 1, False, (single.store.machine.history_id, seen))
    _, asked = watcher.send(watch, rq.Admin(rq.HISTORY, {"path": "/a"}))
    single.pass_ms(100)

    told = watcher.link.received
    at = next(at for at, message in enumerate(told) if getattr(message, "xid", None) == asked)
    pushed = [message.revision for message in told[:at] if isinstance(message, StreamPush)]
    assert watcher.reply(asked).code == 0
    assert newest in pushed
    assert watcher.call(rq.Admin(rq.HISTORY, {"path": "/a"})).code == 0
