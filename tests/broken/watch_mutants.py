"""Bugs of watches: events that are lost, repeated, split, invented or told too late."""

from __future__ import annotations

from typing import Final

from tests.broken.mutant import Edit, Mutant, one

_REGISTRY = "coord.watch.registry"
_STREAMS = "coord.node.streams"
_REARM = "coord.node.watch_requests"
_OUT = "coord.node.outboxes"

FIRING: Final = (
    one(
        "one-shot-fires-again",
        (54,),
        "a one-shot watch fires once",
        _REGISTRY,
        "            del owned.data[path]\n            heard.setdefault(owner, []).append(fired)\n"
        "            self._forget_if_empty(owner, owned)\n",
        "            heard.setdefault(owner, []).append(fired)\n"
        "            self._data.setdefault(path, {})[owner] = None\n",
        "one-shots",
    ),
    one(
        "child-watch-misses-deletion",
        (54,),
        "a watch on a list of children hears of a child's end",
        _REGISTRY,
        '                if change.path != "/":\n',
        "                if kind == _CREATED:\n",
        "watches",
    ),
    one(
        "recursive-watch-misses-depth",
        (54,),
        "a recursive stream hears of everything below its node",
        _REGISTRY,
        "            streams = recursive.get(at)\n",
        "            streams = recursive.get(at) if at != parent_of(path) else None\n",
    ),
    one(
        "failed-transaction-told",
        (54,),
        "what failed is told to nobody",
        "coord.store.multi",
        "    del tree.changes[changes:]\n",
        "",
        "watches",
    ),
    one(
        "one-event-a-batch",
        (54,),
        "a stream hears of every change, however many are applied together",
        _REGISTRY,
        "            heard.setdefault(stream.owner, []).append((stream.watch_id, event))\n",
        "            told = heard.setdefault(stream.owner, [])\n"
        "            if all(watch_id != stream.watch_id for watch_id, _ in told):\n"
        "                told.append((stream.watch_id, event))\n",
        "watches",
    ),
    one(
        "event-after-reply",
        (54,),
        "an event leaves before any reply that reflects it",
        _OUT,
        "conn.outbox[:0] = merged",
        "conn.outbox += merged",
        "watches",
    ),
    one(
        "events-out-of-order",
        (54,),
        "events and answers leave in the order of their revisions",
        _OUT,
        "sorted(conn.events, key=lambda pair: pair[0])",
        "sorted(conn.events, key=lambda pair: (len(pair[1]), pair[0]))",
        "watches",
    ),
    one(
        "transaction-told-in-pieces",
        (54,),
        "the changes of one transaction are one batch",
        "coord.watch.notify",
        "in groupby(events, _revision_of):",
        "in ((event.revision, (event,)) for event in events):",
        "transactions",
    ),
    one(
        "transaction-told-in-part",
        (54,),
        "the changes of one transaction are told together and all",
        "coord.watch.notify",
        "        parts = split(list(of_revision), with_values=with_values)\n",
        "        parts = split(list(of_revision)[-1:], with_values=with_values)\n",
        "transactions",
    ),
)

RESUMING: Final = (
    one(
        "rearmed-watch-forgets",
        (53,),
        "a watch that is set again fires for what changed meanwhile",
        _REARM,
        "        if Stat.unpack(stat).mzxid > revision:",
        "        if Stat.unpack(stat).mzxid < 0:",
        "one-shots",
        drill=True,
    ),
    one(
        "rearmed-child-watch-forgets",
        (53,),
        "a watch on children that is set again fires for what changed meanwhile",
        _REARM,
        "        if Stat.unpack(stat).pzxid > revision:",
        "        if Stat.unpack(stat).pzxid < 0:",
        "one-shots",
    ),
    one(
        "resume-skips-a-change",
        (53, 54),
        "a resumed stream begins right after the revision it names",
        _STREAMS,
        "self.reader.changes_after(revision, REPLAY_CHANGES)",
        "self.reader.changes_after(min(revision + 1, self.reader.revision), REPLAY_CHANGES)",
        "resumes",
        drill=True,
    ),
    one(
        "resume-repeats-a-change",
        (54,),
        "a resumed stream does not repeat what it has told",
        _STREAMS,
        "self.reader.changes_after(revision, REPLAY_CHANGES)",
        "self.reader.changes_after(max(revision - 1, self.reader.floor), REPLAY_CHANGES)",
    ),
    one(
        "resume-without-replay",
        (53,),
        "a resumed stream tells what was missed before what is new",
        _STREAMS,
        "        if request.resume is None:\n            self.registry.add_stream(",
        "        if request.resume is None or request.resume[1] < self.reader.revision:\n"
        "            self.registry.add_stream(",
        drill=True,
    ),
    Mutant(
        "compaction-unnoticed",
        (54,),
        "a stream whose past is gone is told so",
        (
            Edit(
                _STREAMS, "        if revision < self.reader.floor:\n", "        if revision < 0:\n"
            ),
            Edit("coord.store.history", "if revision < journal.floor:", "if revision < 0:"),
        ),
        "forgotten-pasts",
    ),
    one(
        "bookmark-ahead-of-events",
        (54,),
        "a bookmark names what has been told",
        _STREAMS,
        "_bookmark(conn, xid, self.reader.revision)",
        "_bookmark(conn, xid, self.reader.revision + 1)",
        "watches",
    ),
    one(
        "replay-tells-less",
        (53, 54),
        "a resumed stream hears as a live one does",
        "coord.watch.replay",
        "    if kind != _DATA and change.path",
        "    if kind == _CREATED and change.path",
        "watches",
    ),
    one(
        "listing-misses-a-change",
        (54,),
        "a stream begins where its listing ends",
        _STREAMS,
        "        self.registry.add_stream(conn, xid, request.path, mode, request.with_values)\n"
        "        entries",
        "        self._scheduler.call_later(\n"
        "            50,\n"
        "            lambda: self.registry.add_stream(\n"
        "                conn, xid, request.path, mode, request.with_values\n"
        "            ),\n"
        "        )\n"
        "        entries",
    ),
)

MUTANTS: Final[tuple[Mutant, ...]] = (*FIRING, *RESUMING)
