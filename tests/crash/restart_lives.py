"""Members that stop, are killed or lose power, and come back."""

from __future__ import annotations

from tests.crash.member import Recorded
from tests.crash.registry import founded, workload


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
