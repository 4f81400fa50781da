"""Members that take snapshots, cut their logs and install what others have sent."""

from __future__ import annotations

from coord.model.errors import CorruptionError
from coord.raft.types import EntryKind
from coord.store.raft_log import LogWrite
from coord.store.verify_snapshot import verify_in_child
from tests.crash.member import MEMBERS, Recorded, Source
from tests.crash.registry import founded, workload


@workload
def snapshots(member: Recorded) -> None:
    """Taken, checked, kept; the third one ends the first."""
    founded(member)
    for _ in range(5):
        member.do(*member.sets(30, 300))
        member.take()


@workload
def snapshots_checked_by_a_child(member: Recorded) -> None:
    """As the product does it: the check runs in a process of its own."""
    member.check_snapshot = verify_in_child
    founded(member)
    for _ in range(2):
        member.do(*member.sets(30, 300))
        member.take()
        member.cut()


@workload
def log_cuts(member: Recorded) -> None:
    """After each snapshot the log is cut behind the older of two."""
    founded(member)
    for _ in range(8):
        for _ in range(5):
            member.do(*member.sets(8))
        member.take()
        member.cut()


@workload
def long_cut(member: Recorded) -> None:
    """So much is cut at once that it is deleted in several transactions, with writes between."""
    founded(member)
    for _ in range(700):
        member.append(*member.sets(1, 20))
    member.apply()
    member.take()
    member.do(*member.sets(20))
    member.take()
    member.commit(LogWrite(cut_before=member.store.cut_limit()))
    for _ in range(8):
        member.append(*member.sets(1))
    member.apply()


@workload
def truncation_after_a_cut(member: Recorded) -> None:
    """What lies behind a snapshot gives way; what it covers does not."""
    founded(member)
    for term in range(2, 8):
        member.do(*member.sets(25))
        member.take()
        member.cut()
        kept = member.last
        member.append(*member.sets(6))
        member.vote(term)
        member.commit(LogWrite([member.run(member.sets(2), kept + 1)]))
        member.apply()


@workload
def snapshot_while_writing(member: Recorded) -> None:
    """A snapshot is copied on its own thread while the log goes on."""
    founded(member)
    for _ in range(4):
        member.do(*member.sets(40, 500))
        taken: list[object] = []
        assert member.store.snapshots.take(taken.append)
        for _ in range(10):
            member.append(*member.sets(1))
        member.settle()
        assert not isinstance(taken[0], BaseException), taken
        member.apply()
        member.cut()


@workload
def install_on_an_empty_log(member: Recorded) -> None:
    """A node that has just joined receives a snapshot, then entries."""
    source = Source(member.root.parent / "source", 60)
    member.join()
    member.receive(source.meta, source.data)
    assert member.install(source.meta, source.history) is None
    member.do(*member.sets(5))
    member.take()


@workload
def install_over_another_history(member: Recorded) -> None:
    """The log disagrees with the snapshot and is discarded; writing and cutting go on."""
    source = Source(member.root.parent / "source", 80, term=2)
    founded(member)
    member.append(*member.sets(20))
    member.vote(2)
    member.receive(source.meta, source.data)
    assert member.install(source.meta, source.history) is None
    for _ in range(3):
        member.do(*member.sets(20))
        member.take()
        member.cut()


@workload
def install_under_a_tail(member: Recorded) -> None:
    """The log holds the snapshot's last entry: what follows it stays."""
    source = Source(member.root.parent / "source", 40)
    member.join()
    entries = source.history
    config, rest = entries[0], entries[1:]
    membership = LogWrite([member.run([config[2]], 1, EntryKind.CONFIG)], membership=MEMBERS)
    member.commit(membership, LogWrite([member.run([e[2] for e in rest], 2)]))
    member.append(*member.sets(6))
    member.apply(10)
    member.receive(source.meta, source.data)
    assert member.install(source.meta, source.history) is None
    member.apply()
    member.do(*member.sets(3))


@workload
def interrupted_transfer(member: Recorded) -> None:
    """The node is killed while a snapshot arrives, and the transfer goes on where it stopped."""
    source = Source(member.root.parent / "source", 120, term=3)
    founded(member)
    member.vote(3)
    half = len(source.data) // 2
    member.receive(source.meta, source.data[:half])
    member.stop(clean=False)
    member.open()
    member.receive(source.meta, source.data)
    assert member.install(source.meta, source.history) is None
    member.stop(clean=True)
    member.open()
    member.do(*member.sets(2))


@workload
def refused_installation(member: Recorded) -> None:
    """A snapshot arrives damaged: nothing changes, and the good one follows."""
    source = Source(member.root.parent / "source", 50, term=2)
    founded(member)
    member.vote(2)
    middle = len(source.data) // 2
    damaged = bytearray(source.data)
    damaged[middle] ^= 1
    member.receive(source.meta, bytes(damaged))
    assert isinstance(member.install(source.meta, source.history), CorruptionError)
    member.do(*member.sets(3))
    member.receive(source.meta, source.data)
    assert member.install(source.meta, source.history) is None
