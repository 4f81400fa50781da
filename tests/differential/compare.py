"""Plays one sequence against two servers and finds the first difference."""

from __future__ import annotations

import pprint
from typing import Any, NamedTuple

from tests.differential.normal import Record, normalised, problems
from tests.differential.player import Player, fresh_root
from tests.differential.steps import Sequence


class Side(NamedTuple):
    """A server to play against. ``is_38``: ZooKeeper before 3.9, judged by its own rules."""

    name: str
    player: Player
    is_38: bool


class Difference(NamedTuple):
    """Where two plays part, or a rule that one server broke."""

    sequence: Sequence
    text: str

    def __str__(self) -> str:
        steps = "\n".join(f"  {number:2} {step}" for number, step in enumerate(self.sequence))
        return f"{self.text}\n{steps}"


def compare(sequence: Sequence, left: Side, right: Side) -> tuple[list[Record], Difference | None]:
    """The left side's records, and what is different on the right."""
    root = fresh_root()
    plays = [side.player.play(sequence, root) for side in (left, right)]
    records = [normalised(play) for play in plays]
    for side, play in zip((left, right), plays, strict=True):
        if broken := problems(play, events_carry_zxids=not side.is_38):
            return records[0], Difference(sequence, f"{side.name}: " + "\n".join(broken))
    for number, (one, other) in enumerate(zip(*records, strict=True)):
        if one != other:
            text = _described(number, sequence, (left, right), (one, other))
            return records[0], Difference(sequence, text)
    return records[0], None


def _described(
    number: int,
    sequence: Sequence,
    sides: tuple[Side, Side],
    records: tuple[Record, Record],
) -> str:
    one, other = records
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    lines = [f"step {number}, {sequence[number]}: {', '.join(keys)} differ"]
    for side, record in zip(sides, records, strict=True):
        shown: dict[str, Any] = {key: record.get(key) for key in ["err", *keys]}
        lines.append(f"  {side.name}: {pprint.pformat(shown, width=180)}")
    return "\n".join(lines)
