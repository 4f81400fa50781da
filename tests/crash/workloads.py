"""What members do while they are recorded. Each function is a life, from an empty directory on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from coord.model import commands
from coord.model.errors import CorruptionError
from coord.model.requests import Delete, Multi, Set
from coord.model.znode import CreateMode
from coord.raft.types import EntryKind, HardState, Incarnation, Member, Membership, NodeId, Term
from coord.store.log_writer import ThreadLogWriter
from coord.store.raft_log import LogWrite
from coord.store.verify_snapshot import verify_in_child
from tests.crash.controls import CONTROLS
from tests.crash.member import MEMBERS, Recorded, Source, creation
from tests.crash.recorder import Marks, Recording

Workload = Callable[[Recorded], None]
WORKLOADS: Final[dict[str, Workload]] = {}


def workload(function: Workload) -> Workload:
    """Register it under its name."""
    WORKLOADS[function.__name__] = function
    return function


def founded(member: Recorded) -> None:
    """A cluster with sixteen nodes."""
    member.found()
    member.plant()


# --- the log ------------------------------------------------------------------------------------


@workload
def founding(member: Recorded) -> None:
    """From no directory at all to the first entries."""
    founded(member)
    member.append(*member.sets(3))


@workload
def single_entries(member: Recorded) -> None:
    """One entry a transaction, and not one of them folded into the tree."""
    founded(member)
    for _ in range(60):
        member.do(*member.sets(1))


@workload
def runs(member: Recorded) -> None:
    """Runs of all lengths; one is so long that it is split."""
    founded(member)
    for count in (1, 200, 3, 40, 7):
        member.do(*member.sets(count))
    member.do(*member.sets(6, 400_000))
    member.do(*member.sets(5))


@workload
def grouped_writes(member: Recorded) -> None:
    """Several writes in one transaction, votes among them."""
    founded(member)
    for term in range(2, 22):
        first, second = member.run(member.sets(3)), member.sets(2)
        state = LogWrite(hard_state=HardState(first.term, NodeId(term % 3)))
        rest = member.run(second, first.last + 1)
        member.commit(LogWrite([first]), state, LogWrite([rest]))
        member.apply()


@workload
def votes(member: Recorded) -> None:
    """Terms and votes, with few entries between them."""
    founded(member)
    for term in range(2, 40):
        member.vote(term, term % 5)
        if term % 4 == 0:
            member.append(*member.sets(1))


@workload
def file_growth(member: Recorded) -> None:
    """Past the zeros that were written ahead, twice."""
    founded(member)
    for _ in range(12):
        member.do(*member.sets(2, 400_000))


@workload
def truncation(member: Recorded) -> None:
    """Whole runs of an old term give way to those of a new one."""
    founded(member)
    for term in range(2, 20):
        kept = member.last
        member.append(*member.sets(4))
        member.append(*member.sets(3))
        member.vote(term)
        member.commit(LogWrite([member.run(member.sets(2), kept + 1)]))
        member.apply()


@workload
def truncation_inside_a_run(member: Recorded) -> None:
    """The cut goes through the middle of a run; its beginning stays."""
    founded(member)
    for term in range(2, 20):
        kept = member.last
        member.append(*member.sets(9))
        member.apply(kept + 2)
        member.term = Term(term)
        first = kept + 3 + term % 6
        state = HardState(member.term, NodeId(2))
        run = member.run(member.sets(3), first)
        member.commit(LogWrite([run], hard_state=state))


@workload
def memberships(member: Recorded) -> None:
    """Configurations are appended with their entries, and rolled back by truncation."""
    founded(member)
    for term in range(2, 16):
        more = Member(NodeId(2), Incarnation(70 + term), peer="b:1")
        wider = Membership((*MEMBERS.members, more))
        kept = member.last
        run = member.run([wider.encode()], kind=EntryKind.CONFIG)
        member.commit(LogWrite([run], membership=wider))
        if term % 2:
            member.vote(term)
            back = member.run(member.sets(2), kept + 1)
            member.commit(LogWrite([back], membership=MEMBERS))
            member.apply()
        else:
            member.apply()
            run = member.run([MEMBERS.encode()], kind=EntryKind.CONFIG)
            member.commit(LogWrite([run], membership=MEMBERS))
            member.apply()


@workload
def grouped_by_a_thread(member: Recorded) -> None:
    """The log's own writer thread groups what gathers while it syncs."""
    founded(member)
    done: SimpleQueue[BaseException | None] = SimpleQueue()
    writer = ThreadLogWriter(member.store.log, lambda call: call())

    def report(error: BaseException | None) -> None:
        if error is None:
            member.mark("durable")
        done.put(error)

    for _ in range(25):
        submitted, first = 5, member.last + 1
        for _ in range(submitted):
            payloads = member.sets(2)
            write = LogWrite([member.run(payloads, first)])
            first += len(payloads)
            member.announce(write)
            writer.submit(write, report)
        for _ in range(submitted):
            error = done.get()
            assert error is None, error
        member.apply()
    writer.close()


# --- the tree -----------------------------------------------------------------------------------


@workload
def folds(member: Recorded) -> None:
    """The tree reaches its file in many small folds."""
    founded(member)
    for _ in range(25):
        member.do(*member.sets(4))
        member.store.machine.fold()


@workload
def fold_in_steps(member: Recorded) -> None:
    """A large fold pauses while the log goes on."""
    founded(member)
    for batch in range(2):
        names = [f"/wide{batch}-{number}" for number in range(2_500)]
        member.do(*[member.create(name, b"x" * 50) for name in names])
        for _ in member.store.machine.fold_steps():
            member.append(*member.sets(2))
        member.apply()
        member.store.machine.fold()


@workload
def large_values(member: Recorded) -> None:
    """Data that lies apart, in overflow pages."""
    founded(member)
    for size in (1_000, 2_000, 5_000, 70_000, 300_000, 1_025, 9_000):
        member.do(member.create(f"/large{size}", b"v" * size), *member.sets(1, size))
        member.store.machine.fold()
    member.do(member.delete("/large70000"), member.delete("/large300000"))
    member.store.machine.fold()


@workload
def digest_samples(member: Recorded) -> None:
    """Past an index at which every member samples its digest."""
    founded(member)
    for _ in range(9):
        member.do(*member.sets(500, 20))


@workload
def transactions(member: Recorded) -> None:
    """Creates, sets and deletes that happen together."""
    founded(member)
    for number in range(30):
        both = (creation(f"/a{number}", b"1"), creation(f"/a{number}/b", b"2"))
        member.do(member.write(Multi((*both, Set(f"/n{number % 16}", b"3", -1)))))
        if number % 3 == 2:
            gone = (Delete(f"/a{number}/b", -1), Delete(f"/a{number}", -1))
            member.do(member.write(Multi(gone)))
        if number % 10 == 9:
            member.store.machine.fold()


@workload
def expiry(member: Recorded) -> None:
    """Sessions with ephemerals go silent and are ended by an entry; snapshots lie between."""
    founded(member)
    for turn in range(8):
        session, other = member.open_session(), member.open_session()
        names = [f"/e{turn}-{number}" for number in range(5)]
        member.do(*[member.create(n, b"", CreateMode.EPHEMERAL, session) for n in names])
        member.do(member.create(f"/o{turn}", b"", CreateMode.EPHEMERAL, other))
        member.do(*[member.set(f"/n{turn}", b"by a session", session) for _ in range(3)])
        member.do(member.expiry(session))
        if turn % 3 == 1:
            member.take()
            member.cut()
        if turn % 2:
            member.do(member.expiry(other))


@workload
def reaping(member: Recorded) -> None:
    """Nodes with a time to live, and containers that have lost their last child."""
    founded(member)
    for turn in range(10):
        ttl, box = f"/ttl{turn}", f"/box{turn}"
        member.do(
            member.create(ttl, b"", CreateMode.PERSISTENT_TTL, ttl_ms=50),
            member.create(box, b"", CreateMode.CONTAINER),
            member.create(f"{box}/child"),
        )
        made = member.last - 2
        member.do(member.delete(f"{box}/child"))
        emptied = member.last
        member.do(member.entry(commands.reap_node(ttl, made, made), 1_000))
        member.do(member.entry(commands.reap_node(box, made + 1, emptied)))
        member.store.machine.fold()


# --- snapshots ----------------------------------------------------------------------------------


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


# --- installation -------------------------------------------------------------------------------


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


# --- starting and stopping ----------------------------------------------------------------------


@workload
def clean_restarts(member: Recorded) -> None:
    """Stopped and started again: the tree is synced, then trusted under any boot."""
    founded(member)
    for _ in range(8):
        member.do(*member.sets(30, 1_000))
        member.stop(clean=True)
        member.open()
        member.apply()


@workload
def killed(member: Recorded) -> None:
    """The process ends at once and comes back under the same boot."""
    founded(member)
    for _ in range(5):
        member.do(*member.sets(12))
        member.store.machine.fold()
        member.append(*member.sets(3))
        member.stop(clean=False)
        member.open()
        member.apply()


@workload
def rebuilt_from_the_log(member: Recorded) -> None:
    """The machine restarts: the tree is built from nothing, again and again."""
    founded(member)
    for boot in range(4):
        member.do(*member.sets(10))
        member.stop(clean=False)
        member.open(f"boot {boot}")
        member.apply()


@workload
def rebuilt_from_a_snapshot(member: Recorded) -> None:
    """The same with a log that was cut."""
    founded(member)
    for boot in range(4):
        for _ in range(2):
            member.do(*member.sets(20))
            member.take()
        member.cut()
        member.do(*member.sets(3))
        member.stop(clean=False)
        member.open(f"boot {boot}")
        member.apply()


@workload
def distrusted(member: Recorded) -> None:
    """A tree whose digest was wrong is marked, and replaced at the next start."""
    founded(member)
    for _ in range(3):
        member.do(*member.sets(15))
        member.take()
        member.store.distrust_tree()
        member.stop(clean=False)
        member.open()
        member.apply()


def main() -> None:
    """``python -m tests.crash.workloads NAME PLACE [CONTROL]``: live it, in a process that is
    recorded, with something broken if told."""
    name, place, control = sys.argv[1], Path(sys.argv[2]), "".join(sys.argv[3:])
    recording = Recording(place)
    marks = Marks(recording.trace)
    member = Recorded(recording.root, marks)
    with CONTROLS[control].planted() if control else nullcontext():
        WORKLOADS[name](member)
    marks.close()


if __name__ == "__main__":
    main()
