"""The committed log, replayed once for all checkers that ask what happened at which revision."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Final

from tests.sim.codes import CHILDREN, DATA
from tests.sim.history import Committed, History
from tests.sim.model import Answer, Model
from tests.sim.model_node import ModelChange, parent_path

RECURSIVE: Final = 2
SHOWN: Final = 6
"""So many fields of a ModelChange travel."""
OWNER_AT: Final = 44
"""Where a packed Stat holds the owner."""


@dataclass(slots=True)
class Replay:
    """Indexes of what the log did. Lists are in the order of revisions."""

    answers: dict[int, Answer] = field(default_factory=dict)
    opened: dict[int, int] = field(default_factory=dict)
    """Session → index of the entry that opened it."""
    ended: dict[int, int] = field(default_factory=dict)
    timeouts_ms: dict[int, int] = field(default_factory=dict)
    """Session → the time-out it was opened with."""
    term_starts: dict[int, int] = field(default_factory=dict)
    """Term → index of its first entry."""
    changes: list[tuple[int, ModelChange]] = field(default_factory=list)
    last: int = 0

    def is_open(self, session: int, revision: int) -> bool:
        """Whether the session was open once ``revision`` was applied."""
        opened = self.opened.get(session, 1 << 62)
        return opened <= revision < self.ended.get(session, 1 << 62)

    def heard_by(self, path: str, mode: int) -> Heard:
        """What a stream on ``path`` would hear of everything."""
        heard: list[tuple[int, tuple[object, ...]]] = []
        below = path if path == "/" else f"{path}/"
        for revision, change in self.changes:
            if change.hidden:
                continue
            if mode == RECURSIVE:
                if change.path == path or change.path.startswith(below):
                    heard.append((revision, change[:SHOWN]))
                continue
            if change.path == path:
                heard.append((revision, change[:SHOWN]))
            if change.kind != DATA and change.path != "/" and parent_path(change.path) == path:
                heard.append((revision, (CHILDREN, path, None, None, None, None)))
        return Heard(heard)


class Heard:
    """Events of one stream, by revision."""

    def __init__(self, events: list[tuple[int, tuple[object, ...]]]) -> None:
        self.at: dict[int, list[tuple[object, ...]]] = {}
        for revision, event in events:
            self.at.setdefault(revision, []).append(event)
        self.revisions = list(self.at)

    def before(self, revision: int) -> list[tuple[object, ...]] | None:
        """The events of the last revision before ``revision``, None if there is none."""
        place = bisect_left(self.revisions, revision)
        return self.at[self.revisions[place - 1]] if place else None

    def after(self, revision: int) -> int:
        """The first revision after ``revision`` with an event; a huge one if there is none."""
        place = bisect_right(self.revisions, revision)
        return self.revisions[place] if place < len(self.revisions) else 1 << 62


def owner_of(stat: bytes) -> int:
    """The session that a node belongs to, 0 if none, from its packed Stat."""
    owner: int = struct.unpack_from(">q", stat, OWNER_AT)[0]
    return owner


def replayed(log: list[Committed]) -> Replay:
    """What the log did."""
    model, replay = Model(), Replay()
    for entry in log:
        replay.term_starts.setdefault(entry.term, entry.index)
        before = len(model.sessions)
        answer = model.apply(entry.index, entry.kind, entry.payload)
        replay.last = entry.index
        replay.changes += [(entry.index, change) for change in model.tree.changes]
        if answer is None:
            continue
        replay.answers[entry.index] = answer
        if len(model.sessions) > before:
            replay.opened[entry.index] = entry.index
            replay.timeouts_ms[entry.index] = answer.arguments[0]
    replay.ended = model.ended
    return replay


def replay_of(history: History) -> Replay:
    """The replay of a history's log, made at the first call."""
    replay = history.replay
    if not isinstance(replay, Replay) or replay.last != len(history.log):
        replay = history.replay = replayed(history.log)
    return replay
