"""The gateway's side: what a batch holds, whose reply may leave, when a node is cut off."""

from __future__ import annotations

from coord.session.expiry import GRACE_MS
from coord.session.heartbeats import RESEND_MS, Batch, HeartbeatBatch


def test_a_batch_dates_each_session() -> None:
    """Each session is named once, with the time since it was heard last."""
    beats = HeartbeatBatch(0)
    beats.heard(1, 10)
    beats.heard(2, 20)
    beats.heard(1, 30)
    assert beats.take(100) == Batch(1, [(1, 70), (2, 80)])
    assert beats.take(200) == Batch(2, [])


def test_older_news_does_not_antedate_a_heartbeat() -> None:
    """Contact reported late and dated earlier leaves a heartbeat's date, on which a hold stands."""
    beats = HeartbeatBatch(0)
    beats.ping(1, "one", 50)
    beats.heard(1, 20)
    assert beats.take(100) == Batch(1, [(1, 50)])


def test_a_reply_waits_for_its_batch() -> None:
    """A heartbeat's reply leaves with the acknowledgement of the batch that held it, once."""
    beats = HeartbeatBatch(0)
    beats.ping(1, "first", 10)
    first = beats.take(100)
    beats.ping(1, "second", 110)
    second = beats.take(200)
    assert beats.acknowledged(second.id) == ["second"]
    assert beats.acknowledged(first.id) == ["first"]
    assert beats.acknowledged(first.id) == []


def test_refused_sessions_get_no_reply() -> None:
    """The heartbeat of a session that the leader is ending is not confirmed."""
    beats = HeartbeatBatch(0)
    beats.ping(1, "one", 10)
    beats.ping(2, "two", 10)
    assert beats.acknowledged(beats.take(50).id, refused=[1]) == ["two"]


def test_an_unanswered_batch_goes_again() -> None:
    """After RESEND_MS its sessions and heartbeats go with the next batch, dated as heard."""
    beats = HeartbeatBatch(0)
    beats.ping(1, "one", 10)
    lost = beats.take(100)
    assert beats.take(100 + RESEND_MS - 1).heard == []
    again = beats.take(100 + RESEND_MS)
    assert again.heard == [(1, 100 + RESEND_MS - 10)]
    assert beats.acknowledged(lost.id) == []
    assert beats.acknowledged(again.id) == ["one"]


def test_merging_keeps_the_newest_contact_and_the_order_of_heartbeats() -> None:
    """A lost batch neither hides later contact nor lets heartbeats overtake each other."""
    beats = HeartbeatBatch(0)
    beats.ping(1, "first", 10)
    beats.take(20)
    beats.ping(1, "second", 30)
    beats.leader_changed()
    batch = beats.take(40)
    assert batch.heard == [(1, 10)]
    assert beats.acknowledged(batch.id) == ["first", "second"]


def test_a_leader_change_takes_all_back() -> None:
    """What an old leader might still acknowledge says nothing any more."""
    beats = HeartbeatBatch(0)
    beats.ping(1, "one", 10)
    old = beats.take(20)
    beats.leader_changed()
    assert beats.acknowledged(old.id) == []
    new = beats.take(40)
    assert new == Batch(old.id + 1, [(1, 30)])
    assert beats.acknowledged(new.id) == ["one"]


def test_forgotten_sessions() -> None:
    """A connection that has gone is neither confirmed nor answered, wherever its heartbeat is."""
    beats = HeartbeatBatch(0)
    beats.ping(1, "sent", 10)
    sent = beats.take(20)
    beats.ping(1, "open", 30)
    beats.heard(2, 30)
    beats.forget(1)
    beats.forget(99)
    assert beats.acknowledged(sent.id) == []
    assert beats.take(40).heard == [(2, 10)]


def test_cut_off_after_half_the_grace() -> None:
    """A node is cut off half the grace after sending the last batch that was acknowledged."""
    beats = HeartbeatBatch(1_000)
    half_ms = GRACE_MS // 2
    assert not beats.is_cut_off(1_000 + half_ms - 1)
    assert beats.is_cut_off(1_000 + half_ms)
    batch = beats.take(1_500)
    beats.acknowledged(batch.id)
    assert not beats.is_cut_off(1_500 + half_ms - 1)
    assert beats.is_cut_off(1_500 + half_ms)


def test_an_old_acknowledgement_does_not_reconnect() -> None:
    """It is the time of sending that counts, so a late answer to an old batch helps little."""
    beats = HeartbeatBatch(0)
    first, second = beats.take(100), beats.take(300)
    beats.acknowledged(second.id)
    beats.acknowledged(first.id)
    assert beats.is_cut_off(300 + GRACE_MS // 2)
