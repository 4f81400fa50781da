"""Log compaction and InstallSnapshot: the claims of Raft §7, one test each."""

from __future__ import annotations

from typing import Any

import pytest

from coord.raft import Index, Membership, SnapshotMeta, Term
from coord.raft import messages as m
from tests.raft.lab import Lab, Peer, log_of, run, say, voters

DATA = b"0123456789"


def behind(**config: Any) -> tuple[Lab, SnapshotMeta]:
    """Node 1 leads and has compacted what node 3 lacks; nothing is under way."""
    lab = Lab(3, **config)
    lab.elect(1)
    for payload in (b"a", b"b", b"c"):
        lab.propose(1, payload)
        lab.settle(3)
    meta = lab.compact(1, 4)
    lab.tick(1, count=5)
    lab.settle(3)
    return lab, meta


def offer(lab: Lab) -> m.InstallSnapshot:
    """Let node 3 answer again, up to the first InstallSnapshot."""
    for _ in range(20):
        found = lab.sent(m.InstallSnapshot)
        if found:
            return found[0]
        if not lab.deliver():
            lab.tick(1, count=5)
    raise AssertionError("no snapshot is sent")


def fill(message: m.InstallSnapshot) -> m.InstallSnapshot:
    """The driver's part: the bytes of the file."""
    message.data = DATA[message.offset : message.offset + message.size]
    return message


def transfer(lab: Lab, have: bytes = b"") -> list[tuple[int, int]]:
    """Run a transfer to node 3, which holds ``have``; the (offset, size) of each message."""
    held, seen = have, []
    for _ in range(30):
        for message in lab.sent(m.InstallSnapshot):
            fill(message)
            seen.append((message.offset, message.size))
        lab.deliver()
        peer = lab.peers[3]
        for chunk in peer.chunks:
            held += chunk.data if chunk.offset == len(held) else b""
            peer.node.chunk_stored(chunk.meta.checksum, len(held))
            if chunk.done and held == DATA:
                peer.storage.install(chunk.meta)
                peer.node.snapshot_installed(chunk.meta)
        peer.chunks.clear()
        lab.collect(3)
        if lab[3].applied_index == lab[1].commit:
            return seen
        if not lab.network:
            lab.tick(1, count=5)
    raise AssertionError("the transfer never ends")


def test_7_a_follower_far_behind_gets_a_snapshot() -> None:
    """§7: when the next entries were discarded, the leader sends its snapshot, then the rest."""
    lab, meta = behind()

    offer(lab)
    transfer(lab)
    lab.propose(1, b"d")
    lab.settle()

    assert lab[3].statistics().first == meta.index + 1
    assert lab.peers[3].applied == [b"c", b"d"]
    assert lab[1].statistics().progress[1].state == "replicate"


def test_7_a_snapshot_travels_in_chunks() -> None:
    """§7: chunks in order of offset, the last one marked as done."""
    lab, _ = behind(snapshot_chunk_bytes=4)

    offer(lab)

    assert transfer(lab) == [(0, 0), (0, 4), (4, 4), (8, 2)]


def test_a_transfer_resumes_where_it_stopped() -> None:
    """A follower that holds part of the same file gets only the rest."""
    lab, _ = behind(snapshot_chunk_bytes=4)

    offer(lab)

    assert transfer(lab, have=DATA[:6]) == [(0, 0), (6, 4)]


def test_a_lost_chunk_is_asked_for_again() -> None:
    """Without an answer the leader asks how far the follower is."""
    lab, _ = behind(snapshot_retry_ticks=25)
    offer(lab)
    lab.drop()

    for _ in range(5):
        lab.tick(1, count=5)
        lab.deliver(lambda message: not isinstance(message, m.InstallSnapshot))

    assert [(s.offset, s.size) for s in lab.sent(m.InstallSnapshot)] == [(0, 0)]


def refuse(lab: Lab, meta: SnapshotMeta) -> None:
    """Node 3 gets the file and cannot use it; the leader hears of that."""
    offer(lab)
    lab.deliver()
    lab[3].chunk_failed(meta.checksum)
    lab.collect(3)
    lab.deliver()


def test_a_failed_file_is_sent_from_the_start_after_a_pause() -> None:
    """A follower whose copy does not verify gets it anew, but not at once and for ever."""
    lab, meta = behind(snapshot_pause_ticks=60)
    refuse(lab, meta)

    for _ in range(59):
        lab.tick(1)
        lab.deliver(lambda message: not isinstance(message, m.InstallSnapshot))
    assert lab.sent(m.InstallSnapshot) == []

    lab.tick(1)
    assert [(s.offset, s.size) for s in lab.sent(m.InstallSnapshot)] == [(0, 0)]


def test_a_refused_file_is_reported_once() -> None:
    """The driver sees to it that a damaged file is not sent again."""
    lab, meta = behind()
    refuse(lab, meta)
    lab.settle()

    assert lab.peers[1].refused == [meta]


def test_after_a_refusal_the_newest_snapshot_is_sent() -> None:
    """The refused one was dropped meanwhile, and another taken."""
    lab, meta = behind(snapshot_pause_ticks=5)
    refuse(lab, meta)
    newer = lab.compact(1, 5)

    lab.tick(1, count=5)

    assert {message.meta for message in lab.sent(m.InstallSnapshot)} == {newer}


def test_a_snapshot_that_cannot_be_read_is_not_insisted_on() -> None:
    """If the file is gone the leader starts over with the newest one there is."""
    lab, _ = behind()
    offer(lab)
    lab.drop()
    newer = lab.compact(1, 5)

    lab[1].snapshot_unavailable(lab.peers[3].config.id)
    lab.tick(1, count=5)
    lab.settle(2)

    assert {chunk.meta for chunk in lab.peers[3].chunks} == {newer}


def test_without_a_snapshot_the_leader_waits_for_one() -> None:
    """Entries may be cut by an older snapshot's leave while none can be sent yet."""
    lab, meta = behind()
    lab.peers[1].storage.available = None
    lab.tick(1, count=5)
    lab.settle()
    assert lab.peers[3].chunks == []

    lab.peers[1].storage.available = meta
    lab[1].snapshot_available()
    lab.collect(1)

    assert [s.meta for s in lab.sent(m.InstallSnapshot)] == [meta]


def test_a_snapshot_cut_again_meanwhile_is_followed_by_a_newer_one() -> None:
    """A follower that installed a snapshot the log no longer continues gets the next one."""
    lab, _ = behind()
    offer(lab)
    lab.propose(1, b"d")
    lab.settle(3)
    newer = lab.compact(1, 6)
    lab[1].step(say(m.AppendAccepted, 3, 1, lab[1].term, 4))
    lab.collect(1)

    assert lab.sent(m.InstallSnapshot)[-1].meta == newer


def follower() -> tuple[Lab, Peer]:
    """Node 2 with entries 2..4 of term 2, committed up to 3."""
    lab = Lab(3)
    lab.start(2, term=2, log=log_of(2, 2, 2))
    lab.feed(say(m.AppendEntries, 1, 2, 2, 3, 2, 3, None))
    lab.network.clear()
    return lab, lab.peers[2]


def snapshot(index: int, term: int, length: int = 0) -> SnapshotMeta:
    """A snapshot of the lab's cluster."""
    return SnapshotMeta(Index(index), Term(term), voters(1, 2, 3), b"sum %d" % index, length)


def install(lab: Lab, meta: SnapshotMeta, term: int = 2) -> None:
    """The leader's message with all of the snapshot."""
    lab.feed(say(m.InstallSnapshot, 1, 2, term, meta, 0, meta.length, bytes(meta.length)))


def test_7_a_snapshot_behind_the_commit_index_is_ignored() -> None:
    """A delayed snapshot never takes a follower back."""
    lab, peer = follower()

    install(lab, snapshot(2, 2))

    assert peer.chunks == []
    assert [a.match for a in lab.sent(m.AppendAccepted)] == [3]


def test_7_a_snapshot_of_a_prefix_keeps_the_entries_after_it() -> None:
    """§7: if the log already holds the snapshot's last entry, what follows is retained."""
    lab, peer = follower()

    install(lab, snapshot(4, 2))

    assert peer.chunks == []
    assert (peer.node.commit, peer.node.last_index) == (4, 4)
    assert [a.match for a in lab.sent(m.AppendAccepted)] == [4]


def test_7_a_conflicting_log_is_replaced() -> None:
    """§7: if the log does not hold the snapshot's last entry, all of it is discarded."""
    lab, peer = follower()
    meta = snapshot(4, 3)

    install(lab, meta, 3)
    peer.storage.install(meta)
    peer.node.snapshot_installed(meta)
    lab.collect(2)

    assert (peer.node.last_index, peer.node.commit, peer.node.durable_index) == (4, 4, 4)
    assert [a.match for a in lab.sent(m.AppendAccepted)] == [4]


def test_7_entries_after_an_installed_snapshot_are_accepted() -> None:
    """§7: the snapshot's last entry is the predecessor of what follows."""
    lab, peer = follower()
    meta = snapshot(9, 3)
    install(lab, meta, 3)
    peer.storage.install(meta)
    peer.node.snapshot_installed(meta)

    lab.feed(say(m.AppendEntries, 1, 2, 3, 9, 3, 10, run(10, 3, b"x")))

    assert peer.applied[-1:] == [b"x"]


def test_7_the_snapshot_brings_its_configuration() -> None:
    """§7: the snapshot includes the configuration as of its last entry."""
    lab, peer = follower()
    meta = SnapshotMeta(Index(9), Term(3), voters(1, 2), b"sum")

    install(lab, meta, 3)
    peer.storage.install(meta)
    peer.node.snapshot_installed(meta)

    assert peer.node.membership == voters(1, 2)
    lab.restart(2)
    assert lab[2].membership == voters(1, 2)


def test_the_log_stands_still_during_an_installation() -> None:
    """Between the last chunk and the end of the installation no entry is taken and no election
    started: what is appended would be lost with the old log."""
    lab, peer = follower()
    meta = snapshot(9, 3)
    install(lab, meta, 3)

    lab.feed(say(m.AppendEntries, 1, 2, 3, 4, 2, 5, run(5, 3, b"x")))
    lab.feed(say(m.Heartbeat, 1, 2, 3, 4, 2, 1))
    lab.tick(2, count=100)

    assert (peer.node.last_index, peer.node.commit) == (4, 3)
    assert lab.sent(m.AppendAccepted) == []
    assert lab.sent(m.PreVoteRequest) == []
    peer.node.chunk_failed(meta.checksum)
    lab.feed(say(m.AppendEntries, 1, 2, 3, 4, 2, 5, run(5, 3, b"x")))
    assert peer.node.last_index == 5


def test_a_last_chunk_that_was_not_taken_leaves_the_log_as_it_was() -> None:
    """The disk had no room for it: entries are taken meanwhile, nothing is said of it, and a newer
    snapshot is installed when there is room."""
    lab, peer = follower()
    meta = snapshot(9, 3)
    install(lab, meta, 3)

    peer.node.chunk_dropped(meta.checksum)

    lab.feed(say(m.AppendEntries, 1, 2, 3, 4, 2, 5, run(5, 3, b"x")))
    assert peer.node.last_index == 5
    assert lab.sent(m.SnapshotProgress) == []
    install(lab, snapshot(12, 3), 3)
    assert [chunk.meta.index for chunk in peer.chunks] == [9, 12]


def test_entries_that_arrive_before_the_last_chunk_is_taken_make_it_superfluous() -> None:
    """A snapshot that a racing append has overtaken is dropped, not installed."""
    lab, peer = follower()
    meta = snapshot(5, 2)
    peer.node.step(say(m.InstallSnapshot, 1, 2, 2, meta, 0, 0, b""))

    peer.node.step(say(m.AppendEntries, 1, 2, 2, 4, 2, 4, run(5, 2, b"x")))
    lab.collect(2)

    assert peer.chunks == []
    assert peer.node.commit == 5


@pytest.mark.parametrize("first", [2, 4, 5])
def test_7_the_term_before_the_first_entry_survives_compaction(first: int) -> None:
    """§7: index and term of the last compacted entry stay for the consistency check."""
    lab = Lab(3)
    lab.elect(1)
    for payload in (b"a", b"b", b"c"):
        lab.propose(1, payload)
    lab.settle()

    lab.compact(1, first - 1)
    lab.restart(1)

    assert lab[1].statistics().first == first
    assert lab.peers[1].storage.term(Index(first - 1)) == (1 if first == 2 else 2)
    assert lab[1].membership == Membership(voters(1, 2, 3).members)
