"""What a membership change does to the number of failures a cluster survives: pure arithmetic.

A majority of voters must be up for a write (Raft §5.2), so n voters survive (n − 1) // 2 failures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Seat:
    """One member as a change sees it. ``up`` is None where nobody knows."""

    id: int
    voter: bool
    up: bool | None = None
    leader: bool = False


@dataclass(frozen=True, slots=True)
class Strength:
    """How a set of seats stands."""

    voters: int
    learners: int
    down: tuple[int, ...]

    @property
    def majority(self) -> int:
        """Voters that must be up for a write."""
        return self.voters // 2 + 1

    @property
    def survives(self) -> int:
        """Further failures that still leave a majority; negative: there is none now."""
        return self.voters - len(self.down) - self.majority

    def describe(self) -> str:
        """One line for people."""
        learners = f" and {_count(self.learners, 'learner')}" if self.learners else ""
        text = f"{_count(self.voters, 'voter')}{learners}, majority {self.majority}"
        if self.down:
            text += f", {len(self.down)} down"
        if self.survives < 0:
            return f"{text}: no majority is up"
        return f"{text}: survives {_count(self.survives, 'further failure')}"


@dataclass(frozen=True, slots=True)
class Effect:
    """Before and after a change, what to know about it, and whether it would stop the cluster."""

    before: Strength
    after: Strength
    remarks: tuple[str, ...]
    fatal: bool


def strength(seats: Sequence[Seat]) -> Strength:
    """Count ``seats``; a voter counts as down only if it is known to be."""
    voters = [seat for seat in seats if seat.voter]
    down = tuple(seat.id for seat in voters if seat.up is False)
    return Strength(len(voters), len(seats) - len(voters), down)


def added(seats: Sequence[Seat], member: int) -> Effect:
    """Adding a member: it joins as a learner."""
    assert all(seat.id != member for seat in seats), "a member is added once"
    remarks = ["it joins as a learner: nothing waits for it; promote it when it has caught up"]
    return _effect(seats, [*seats, Seat(member, voter=False, up=True)], remarks)


def promoted(seats: Sequence[Seat], member: int) -> Effect:
    """Making a learner a voter."""
    changed = [replace(seat, voter=True) if seat.id == member else seat for seat in seats]
    return _effect(seats, changed, [])


def removed(seats: Sequence[Seat], member: int) -> Effect:
    """Taking a member out."""
    gone = next(seat for seat in seats if seat.id == member)
    remarks = []
    if gone.leader:
        remarks.append("it leads now: another member takes over once the change has committed")
    if gone.voter and gone.up:
        remarks.append("it is up: its clients reconnect to the others, sessions survive")
    return _effect(seats, [seat for seat in seats if seat.id != member], remarks)


def transferred(seats: Sequence[Seat], member: int) -> Effect:
    """Handing leadership over."""
    target = next(seat for seat in seats if seat.id == member)
    if target.leader:
        remark = "it leads already"
    elif not target.voter:
        remark = "a learner cannot lead: promote it first"
    elif target.up is False:
        remark = "it cannot be reached and could not lead"
    else:
        remark = "writes pause for about one round trip"
    same = strength(seats)
    fatal = not target.voter or target.up is False
    return Effect(same, same, (remark,), fatal)


def _effect(before: Sequence[Seat], after: Sequence[Seat], remarks: list[str]) -> Effect:
    old, new = strength(before), strength(after)
    if new.voters % 2 == 0 and new.voters > old.voters:
        remarks.append(
            f"{new.voters} voters survive no more failures than {new.voters - 1}: add one more"
        )
    if new.voters == 0:
        remarks.append("no voter would be left")
    elif new.survives < 0:
        remarks.append("no majority would be up: the cluster would stop")
    elif new.survives == 0 and old.survives > 0:
        remarks.append("one more failure would stop the cluster")
    return Effect(old, new, tuple(remarks), fatal=new.voters == 0 or new.survives < 0)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
