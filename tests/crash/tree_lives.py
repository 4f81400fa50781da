"""Members whose tree changes: folds, large values, sessions, nodes with a time to live."""

from __future__ import annotations

from coord.model import commands
from coord.model.requests import Delete, Multi, Set
from coord.model.znode import CreateMode
from tests.crash.member import Recorded, creation
from tests.crash.registry import founded, workload


@workload
def folds(member: Recorded) -> None:
    """The tree reaches its file in many small folds."""
    founded(member)
    for _ in range(25):
        member.do(*member.sets(4))
        member.store.machine.fold()


@workload
def fold_in_steps(member: Recorded) -> None:
    """A large fold goes on while entries are written and applied."""
    founded(member)
    for batch in range(2):
        names = [f"/wide{batch}-{number}" for number in range(2_500)]
        member.do(*[member.create(name, b"x" * 50) for name in names])
        for step, _ in enumerate(member.store.machine.fold_steps()):
            member.append(*member.sets(2))
            if step % 3:
                member.apply()
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
