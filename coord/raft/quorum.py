"""Majority and joint arithmetic over plain numbers; nothing here knows what they mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class Verdict(Enum):
    """State of a vote."""

    PENDING = "pending"
    WON = "won"
    LOST = "lost"


def majority(count: int) -> int:
    """How many of ``count`` make a majority."""
    return count // 2 + 1


def agreed(values: list[int]) -> int:
    """The highest number that a majority of ``values`` reaches; 0 for no values.

    Sorts in place: callers pass a list made for the call.
    """
    if not values:
        return 0
    values.sort()
    # With n values ascending, those from position n - majority on are a majority.
    return values[(len(values) - 1) // 2]


def verdict(voters: Collection[T], votes: Mapping[T, bool]) -> Verdict:
    """Outcome among ``voters``; votes of others do not count, whoever cast them."""
    granted = sum(1 for voter in voters if votes.get(voter) is True)
    refused = sum(1 for voter in voters if votes.get(voter) is False)
    needed = majority(len(voters))
    if granted >= needed:
        return Verdict.WON
    if len(voters) - refused < needed:
        return Verdict.LOST
    return Verdict.PENDING


def joint_verdict(
    incoming: Collection[T], outgoing: Collection[T], votes: Mapping[T, bool]
) -> Verdict:
    """While joint, both configurations must agree (Raft §6); ``outgoing`` empty: only one."""
    first = verdict(incoming, votes)
    if not outgoing:
        return first
    second = verdict(outgoing, votes)
    if first is second:
        return first
    return Verdict.LOST if Verdict.LOST in (first, second) else Verdict.PENDING
