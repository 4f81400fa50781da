"""Watches: every change once, in order, whole, and before any newer answer. O(n log n).

What happened is taken from the writes themselves, by the revisions in their answers; a write that
was not answered may have happened at any revision. Rules, by name: ``filter`` (only what was asked
for), ``ordered``, ``unique``, ``reliable`` (no acknowledged change skipped before a later event or
bookmark), ``content`` (an event says what the write did), ``phantom`` (an event without a write),
``atomic`` (one revision in one piece), ``newer-state`` (no answer of the same process shows a
revision before its event came).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, Final

from jepsen_lite.history import UNKNOWN_REVISION, History, Json, Op
from jepsen_lite.verdict import Judgement

KINDS: Final = {"create": "created", "delete": "deleted", "set": "data"}
READS: Final = ("get", "look", "read")


@dataclass(slots=True)
class _Writes:
    """What clients changed. ``at``: revision → the changes that were acknowledged there."""

    at: dict[int, list[tuple[str, str, Json, Op]]] = field(default_factory=dict)
    tried: dict[tuple[str, str], list[Op]] = field(default_factory=dict)
    """(kind, path) → writes that may have happened and whose revision nobody knows."""
    failed: dict[tuple[str, str], list[Op]] = field(default_factory=dict)


@dataclass(slots=True)
class _Watch:
    """One watch as its process heard it. ``told``: everything up to here is known."""

    op: Op
    path: str
    mode: str
    told: int
    newest: int = UNKNOWN_REVISION
    shown: int = UNKNOWN_REVISION
    """The greatest revision that an answer has shown too early."""
    owed: list[int] = field(default_factory=list)
    """Revisions of acknowledged changes that it must tell, in order."""

    def wants(self, kind: str, path: str) -> bool:
        """Whether a change belongs to it."""
        if self.mode == "recursive":
            return path == self.path or path.startswith(self.path.rstrip("/") + "/")
        if path == self.path:
            return True
        parent = path.rpartition("/")[0] or "/"
        return self.mode == "children" and parent == self.path and kind != "data"

    def owed_after(self, revision: int) -> int | None:
        """The first revision owed after this one."""
        at = bisect_right(self.owed, revision)
        return self.owed[at] if at < len(self.owed) else None


def check(history: History) -> Judgement:
    """Whether each watch was told what happened."""
    judgement = Judgement("watches")
    writes = _collect(history)
    watches: dict[Any, _Watch] = {}
    events = 0
    for op in sorted(history.ops, key=_heard_at):
        if op.f == "watch" and op.is_ok:
            watches[op.value["watch"]] = _open(op, writes)
        elif op.f == "event" and op.is_ok:
            events += 1
            _hear(judgement, watches, writes, op)
        elif op.f in {*READS, *KINDS} and op.is_ok and op.revision != UNKNOWN_REVISION:
            for watch in watches.values():
                _answered(judgement, watch, op)
    if not events:
        judgement.cannot_say("no watch heard of anything")
    judgement.figures = {"operations": len(history.ops), "events": events, "watches": len(watches)}
    return judgement


def _heard_at(op: Op) -> tuple[int, int]:
    """The order in which a process hears: by end, then as in the history."""
    return op.end_ns, op.id


def _collect(history: History) -> _Writes:
    writes = _Writes()
    for op in history.ops:
        kind = KINDS.get(op.f)
        if kind is None:
            continue
        key = (kind, str(op.key))
        if not op.may_have_happened:
            writes.failed.setdefault(key, []).append(op)
        elif op.is_ok and op.revision != UNKNOWN_REVISION:
            value = None if kind == "deleted" else op.value
            writes.at.setdefault(op.revision, []).append((kind, str(op.key), value, op))
        else:
            writes.tried.setdefault(key, []).append(op)
    return writes


def _open(op: Op, writes: _Writes) -> _Watch:
    since = op.value.get("since")
    told = op.result if since is None else since
    watch = _Watch(op, str(op.key), op.value.get("mode", "node"), told)
    watch.owed = sorted(
        revision
        for revision, changes in writes.at.items()
        if revision > told and any(watch.wants(kind, path) for kind, path, _, _ in changes)
    )
    return watch


def _answered(judgement: Judgement, watch: _Watch, op: Op) -> None:
    """An answer that shows a revision came to the process of a watch."""
    if op.process != watch.op.process or op.invoke_ns < watch.op.end_ns:
        return
    owed = watch.owed_after(max(watch.told, watch.shown))
    if owed is not None and owed <= op.revision:
        sentence = f"{op} shows revision {op.revision} before {watch.op} told of {owed}"
        judgement.add("newer-state", sentence, op.id, watch.op.id)
        watch.shown = op.revision


def _hear(judgement: Judgement, watches: dict[Any, _Watch], writes: _Writes, op: Op) -> None:
    watch = watches.get(op.value["watch"])
    if watch is None:
        judgement.add("filter", f"{op} came to a watch that was not open", op.id)
        return
    revision, changes = op.result["revision"], op.result["changes"]
    if not changes:
        _skipped(judgement, watch, op, revision + 1)
        if revision < watch.newest:
            judgement.add("ordered", f"{op}: a bookmark older than what was told", op.id)
        watch.told = max(watch.told, revision)
        return
    if revision == watch.newest:
        judgement.add("unique", f"{op}: revision {revision} was told before", op.id, watch.op.id)
        return
    if revision < watch.newest or revision <= watch.told:
        sentence = f"{op}: revision {revision} came after {max(watch.newest, watch.told)}"
        judgement.add("ordered", sentence, op.id, watch.op.id)
        return
    _skipped(judgement, watch, op, revision)
    watch.newest = watch.told = revision
    _check_content(judgement, watch, writes, op, revision, changes)


def _skipped(judgement: Judgement, watch: _Watch, op: Op, revision: int) -> None:
    owed = watch.owed_after(watch.told)
    if owed is not None and owed < revision:
        sentence = f"{op}: {watch.op} was never told of revision {owed}"
        judgement.add("reliable", sentence, op.id, watch.op.id)


def _check_content(
    judgement: Judgement,
    watch: _Watch,
    writes: _Writes,
    op: Op,
    revision: int,
    changes: list[list[Json]],
) -> None:
    """Each change was wanted and made by somebody; none of the revision's is missing."""
    known = {(kind, path): (value, by) for kind, path, value, by in writes.at.get(revision, ())}
    told = set()
    for kind, path, value in changes:
        told.add((kind, path))
        if not watch.wants(kind, path):
            judgement.add("filter", f"{op}: {kind} {path} is not what {watch.op} asked for", op.id)
        elif (kind, path) in known:
            meant, by = known[kind, path]
            if value is not None and meant is not None and value != meant:
                judgement.add(
                    "content", f"{op} says {value!r:.60}, {by} did otherwise", op.id, by.id
                )
        else:
            _check_tried(judgement, writes, op, kind, path, value)
    for kind, path in known:
        if watch.wants(kind, path) and (kind, path) not in told:
            judgement.add("atomic", f"{op} lacks {kind} {path} of the same revision", op.id)


def _check_tried(
    judgement: Judgement, writes: _Writes, op: Op, kind: str, path: str, value: Json
) -> None:
    """An event that no acknowledged write explains: then one that was not answered must."""
    fitting = [
        write
        for write in writes.tried.get((kind, path), ())
        if value is None or write.value == value
    ]
    if not fitting:
        failed = writes.failed.get((kind, path), ())
        blame = next((write for write in failed if value in {None, write.value}), None)
        what = "nobody did that" if blame is None else f"{blame} was said to have failed"
        ids = [] if blame is None else [blame.id]
        judgement.add("phantom", f"{op}: {kind} {path} {value!r:.60}: {what}", op.id, *ids)
    elif all(write.invoke_ns > op.end_ns for write in fitting):
        sentence = f"{op} came before {fitting[0]} began"
        judgement.add("phantom", sentence, op.id, fitting[0].id)
