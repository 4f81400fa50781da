"""What watch streams told is what the log did, in order, once, whole, and in time.

Rules, by name: ``filter`` (only what the stream asked for), ``ordered`` (revisions grow),
``unique`` (none comes twice), ``reliable`` (no gap, also across a resume and before a bookmark),
``atomic`` (one revision's changes come whole), ``changes`` (kinds, stats, values are right),
``newer-state`` (an event precedes every reply that could show its effect; a listing that stands
in for events which were compacted away may follow it), ``listing`` (a listing
is the tree at its revision).

First for each connection as it was on the wire, then for what the library handed to programs.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from tests.sim.checkers.one_shots import Timeline, Watches
from tests.sim.codes import MAY_READ
from tests.sim.history import Asked, Ended, History, Pushed, Replied, Subscription, Transcript
from tests.sim.model import Model
from tests.sim.model_node import permits
from tests.sim.replay import RECURSIVE, Heard, Replay, replay_of

OPENS: Final = ("watch", "list_watch")
COMPACTED: Final = -208
Changes = tuple[tuple[Any, ...], ...]


def check(history: History) -> list[str]:
    """Everything wrong with what streams told."""
    if not history.transcripts and not history.subscriptions:
        return []
    expected = _Expected(replay_of(history))
    timeline = Timeline(replay_of(history))
    problems: list[str] = []
    for transcript in history.transcripts:
        problems += _Connection(transcript, expected).problems()
        problems += Watches(transcript, timeline).problems()
    for subscription in history.subscriptions:
        problems += _check_subscription(history, subscription, expected)
    return problems + _check_listings(history)


class _Expected:
    """What each kind of stream should hear, worked out once."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._heard: dict[tuple[str, int], Heard] = {}

    def of(self, path: str, mode: int) -> Heard:
        key = (path, mode)
        if key not in self._heard:
            self._heard[key] = self._replay.heard_by(path, mode)
        return self._heard[key]


class _Stream:
    """One stream as its hearer sees it. ``told``: everything up to this revision is known."""

    def __init__(self, name: str, heard: Heard, values: bool) -> None:
        self.name = name
        self.told = -1
        self.newest = -1
        """Revision of the last event."""
        self._heard = heard
        self._values = values
        self._parts: list[tuple[Any, ...]] = []
        self._part_of = -1
        self._next_part = 0

    def start(self, revision: int) -> None:
        """Everything after ``revision`` is owed."""
        self.told = revision

    def replied(self, revision: int) -> list[str]:
        """A reply that shows the state at ``revision`` arrived."""
        owed = self._heard.after(self.told)
        if owed > revision:
            return []
        self.told = revision
        return [f"watches/newer-state: {self.name}: a reply at {revision} before event {owed}"]

    def is_cut_off(self, cuts: set[int]) -> bool:
        """What it should tell next was compacted away when it was resumed."""
        owed = self._heard.after(self.told)
        return any(self.newest <= cut < owed for cut in cuts)

    def pushed(self, push: Pushed) -> list[str]:
        """A message of the stream arrived."""
        if self._parts and push.revision != self._part_of:
            problem = f"watches/atomic: {self.name}: {push.revision} inside {self._part_of}"
            self._parts, self._next_part = [], 0
            return [problem, *self.pushed(push)]
        if not push.changes and push.complete and not push.part:
            return self._bookmark(push.revision)
        problems = []
        if push.part != self._next_part:
            problems.append(
                f"watches/atomic: {self.name}: part {push.part} of {push.revision},"
                f" not {self._next_part}"
            )
        self._parts += push.changes
        self._part_of, self._next_part = push.revision, push.part + 1
        if push.complete:
            changes, self._parts, self._next_part = tuple(self._parts), [], 0
            problems += self.event(push.revision, changes)
        return problems

    def _bookmark(self, revision: int) -> list[str]:
        owed = self._heard.after(self.told)
        problems = []
        if owed <= revision:
            problems.append(f"watches/reliable: {self.name}: bookmark {revision} without {owed}")
        if revision < self.newest:
            problems.append(f"watches/ordered: {self.name}: bookmark {revision} < {self.newest}")
        self.told = max(self.told, revision)
        return problems

    def event(self, revision: int, changes: Changes) -> list[str]:
        """All changes of one revision arrived."""
        problems = self._check_place(revision)
        self.told, self.newest = max(self.told, revision), max(self.newest, revision)
        problems += self._check_content(revision, changes)
        return problems

    def _check_place(self, revision: int) -> list[str]:
        if revision == self.newest:
            return [f"watches/unique: {self.name}: {revision} came twice"]
        if revision < self.newest:
            return [f"watches/ordered: {self.name}: {revision} after {self.newest}"]
        if revision not in self._heard.at:
            return [f"watches/filter: {self.name}: nothing to tell at {revision}"]
        if self.told >= 0 and revision <= self.told:
            return [f"watches/ordered: {self.name}: {revision}, told up to {self.told}"]
        owed = self._heard.after(self.told)
        if self.told >= 0 and owed < revision:
            return [f"watches/reliable: {self.name}: {revision} without {owed}"]
        return []

    def _check_content(self, revision: int, changes: Changes) -> list[str]:
        wanted = self._heard.at.get(revision)
        if wanted is None:
            return []
        told = Counter(changes)
        owed = Counter(_shown(change, self._values) for change in wanted)
        if told == owed:
            return []
        if not told - owed:
            return [f"watches/atomic: {self.name}: {revision} without {_some(owed - told)}"]
        said, meant = _some(told - owed), _some(owed - told)
        return [f"watches/changes: {self.name}: {revision} told {said}, not {meant}"]


def _shown(change: tuple[object, ...], values: bool) -> tuple[object, ...]:
    """A change as a stream with or without values carries it."""
    kind, path, stat, data, prev_stat, prev_data = change
    return (kind, path, stat, data if values else None, prev_stat, prev_data if values else None)


def _some(changes: Counter[tuple[Any, ...]]) -> str:
    return f"{list(changes.elements())!r:.200}"


class _Connection:
    """Walks through one transcript."""

    def __init__(self, transcript: Transcript, expected: _Expected) -> None:
        self._transcript = transcript
        self._expected = expected
        self._asked: dict[int, Asked] = {}
        self._streams: dict[int, _Stream] = {}
        self._left: set[int] = set()
        """Streams that the client has ended: what is under way may still come."""

    def problems(self) -> list[str]:
        """Everything wrong on this connection."""
        found: list[str] = []
        for item in self._transcript.items:
            if isinstance(item, Asked):
                self._on_asked(item)
            elif isinstance(item, Replied):
                found += self._on_reply(item)
            elif isinstance(item, Pushed):
                found += self._on_push(item)
            elif isinstance(item, Ended):
                self._streams.pop(item.xid, None)
        return found

    def _on_asked(self, asked: Asked) -> None:
        if asked.what in OPENS:
            self._asked[asked.xid] = asked
        elif asked.what == "unwatch":
            self._streams.pop(asked.xid, None)
            self._left.add(asked.xid)

    def _on_reply(self, reply: Replied) -> list[str]:
        found = [
            problem
            for stream in self._streams.values()
            for problem in stream.replied(reply.revision)
        ]
        asked = self._asked.get(reply.xid)
        if asked is not None and reply.complete:
            del self._asked[reply.xid]
            if reply.code == 0:
                name = f"{self._transcript.client}'s stream {asked.xid} on {asked.path}"
                heard = self._expected.of(asked.path, asked.mode)
                stream = self._streams[reply.xid] = _Stream(name, heard, asked.values)
                stream.start(asked.since if asked.since >= 0 else reply.revision)
        return found

    def _on_push(self, push: Pushed) -> list[str]:
        stream = self._streams.get(push.xid)
        if stream is not None:
            return stream.pushed(push)
        if push.xid in self._left:
            return []
        return [f"watches/filter: {self._transcript.client} heard of stream {push.xid}: not open"]


def _check_subscription(
    history: History, subscription: Subscription, expected: _Expected
) -> list[str]:
    """The same rules for a stream that the library has resumed from connection to connection."""
    heard = expected.of(subscription.path, subscription.mode)
    name = f"{subscription.client}'s subscription to {subscription.path}"
    stream = _Stream(name, heard, subscription.values)
    sure = _newest_applied(history, subscription.established_us)
    cuts = _cuts(history, subscription)
    problems: list[str] = []
    seen = iter([*subscription.seen, (len(subscription.heard) + 1, -1)])
    count, revision = next(seen)
    for place in range(len(subscription.heard) + 1):
        while count == place:
            if stream.told < 0 and sure >= 0:
                stream.start(sure)
            lists_next = all(
                changes is None for _, changes in subscription.heard[place : place + 1]
            )
            if stream.told >= 0 and not (lists_next and stream.is_cut_off(cuts)):
                problems += stream.replied(revision)
            count, revision = next(seen)
        if place < len(subscription.heard):
            problems += _hear(stream, *subscription.heard[place], sure, heard)
    return problems


def _cuts(history: History, subscription: Subscription) -> set[int]:
    """Revisions from which on the client was told that the service no longer knows what happened:
    what comes next is a listing, and answers to what was asked meanwhile may precede it."""
    found: set[int] = set()
    for transcript in history.transcripts:
        if transcript.client != subscription.client:
            continue
        asked: dict[int, int] = {}
        for item in transcript.items:
            if isinstance(item, Asked) and (item.path, item.mode) == (
                subscription.path,
                subscription.mode,
            ):
                asked[item.xid] = item.since
            elif isinstance(item, Replied) and item.code == COMPACTED and item.xid in asked:
                found.add(asked[item.xid])
    return found


def _hear(
    stream: _Stream, revision: int, changes: Changes | None, sure: int, heard: Heard
) -> list[str]:
    if changes is None:
        problems = []
        if revision < stream.newest:
            problems.append(
                f"watches/ordered: {stream.name}: listing {revision} after {stream.newest}"
            )
        stream.start(max(stream.told, revision))
        return problems
    if stream.told < 0 and 0 <= sure < revision and heard.after(sure) < revision:
        stream.start(sure)
    return stream.event(revision, changes)


def _newest_applied(history: History, time_us: int) -> int:
    """The newest index that any node had applied by then; −1 if there is no such time.

    A stream established by then listens at the latest from there on.
    """
    if time_us < 0:
        return -1
    return max((index for index, us in history.applied_us.items() if us <= time_us), default=0)


def _check_listings(history: History) -> list[str]:
    """Every listing is the tree at its revision."""
    wanted: dict[int, list[tuple[Subscription, dict[str, tuple[bytes | None, bytes]]]]] = {}
    for subscription in history.subscriptions:
        for revision, listing in subscription.listings.items():
            wanted.setdefault(revision, []).append((subscription, listing))
    problems: list[str] = []
    if not wanted:
        return problems
    model = Model()
    for entry in history.log:
        model.apply(entry.index, entry.kind, entry.payload)
        for subscription, listing in wanted.get(entry.index, ()):
            if listing != _listed(model, subscription):
                name = f"{subscription.client}'s listing of {subscription.path}"
                problems.append(f"watches/listing: {name} at {entry.index} is not the tree")
    return problems


def _listed(model: Model, subscription: Subscription) -> dict[str, tuple[bytes | None, bytes]]:
    """What a listing must hold: the node and its children, or everything below it."""
    path, values = subscription.path, subscription.values
    below = path if path == "/" else f"{path}/"
    deep = subscription.mode == RECURSIVE
    return {
        name: (node.data if values else None, node.stat())
        for name, node in model.tree.nodes.items()
        if permits(node.acl, MAY_READ, ())
        and (name == path or name.startswith(below))
        and (deep or "/" not in name[len(below) :])
    }
