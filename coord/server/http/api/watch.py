"""Watches as server-sent events: every change in order, resumed where the client left off.

A message's id is the history's id and the revision up to which everything has been told; a browser
sends it back by itself (Last-Event-ID), to whichever node it reaches next.
"""

from __future__ import annotations

import asyncio
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiohttp import web

from coord.model import requests as rq
from coord.model.errors import (
    BadArgumentsError,
    CompactedError,
    CoordError,
    LimitError,
    OverloadedError,
)
from coord.model.events import Change
from coord.model.limits import MIB, REVISION_MAX
from coord.protocol.native_client import StreamPush
from coord.server.http.api.caller import SHARED_BYTES_MAX, SHARED_MAX
from coord.server.http.api.calls import Call, Endpoint
from coord.server.http.api.forms import KINDS, stat_or_none, value_fields
from coord.server.http.api.refusals import word_of
from coord.server.http.api.schemas import FLAG, TEXT
from coord.server.http.api.waiting import wait_applied
from coord.watch.registry import StreamMode

if TYPE_CHECKING:
    from coord.server.http.api.caller import Caller, Push

WATCHES_MAX: Final = 128
PENDING_BYTES_MAX: Final = 8 * MIB
"""Told to a client that does not read; past it the stream ends, and the client may resume."""
QUIET_S: Final = 10.0
"""A stream says something at least this often."""
STREAM_S: Final = 3_600.0
"""After so long a stream ends and its client resumes, with the rights that it has by then."""
PACE_S: Final = 0.05
"""After a write, what happens meanwhile gathers for the next: a busy tree costs a watch twenty
writes a second, not thousands."""
RETRY_MS: Final = 1_000
_HISTORY_MAX: Final = 2**64 - 1
_CHANGE_BYTES: Final = 500
"""About what a change takes beside its path and values."""

Resume = tuple[int, int]


class Feed:
    """What one stream has still to tell. ``end`` may come at any time and is told last."""

    def __init__(self) -> None:
        self._pending: list[Push] = []
        self._bytes = 0
        self._news = asyncio.Event()
        self._ended: CoordError | None = None

    def push(self, push: Push) -> None:
        """Something happened."""
        self._bytes += _bytes_of(push)
        if self._bytes > PENDING_BYTES_MAX:
            self._pending.clear()
            self.end(OverloadedError("this client reads more slowly than things happen: resume"))
        elif self._ended is None:
            self._pending.append(push)
            self._news.set()

    def end(self, error: CoordError) -> None:
        """Nothing follows."""
        self._ended = self._ended or error
        self._news.set()

    async def next(self) -> list[Push]:
        """What has happened since the last call; [] after a while without anything.

        Raises the CoordError that ended it.
        """
        try:
            async with asyncio.timeout(QUIET_S):
                await self._news.wait()
        except TimeoutError:
            return []
        self._news.clear()
        pending, self._pending, self._bytes = self._pending, [], 0
        if self._ended is not None and not pending:
            raise self._ended
        if self._ended is not None:
            self._news.set()
        return pending


def _bytes_of(push: Push) -> int:
    changes = push.changes if isinstance(push, StreamPush) else ()
    return _CHANGE_BYTES + sum(
        _CHANGE_BYTES + len(change.path) + len(change.data or b"") for change in changes
    )


class Wanted(NamedTuple):
    """What is watched, and after what."""

    path: str
    mode: StreamMode
    values: bool
    resume: Resume | None

    def request(self) -> rq.Watch:
        """As the gateway takes it."""
        return rq.Watch(self.path, int(self.mode), self.values, self.resume)


async def watch(call: Call) -> web.StreamResponse:
    """Tell what happens until the client goes or the node stops."""
    wanted = _wanted(call)
    services = call.services
    if len(services.feeds) >= WATCHES_MAX:
        raise LimitError(f"{WATCHES_MAX} watches are open over HTTP on this node; ask another")
    if wanted.resume is not None and wanted.resume[0] == call.node.store.machine.history_id:
        await wait_applied(call.node, wanted.resume[1])
    feed = Feed()
    services.feeds.add(feed)
    try:
        async with services.callers.of_its_own(call.asked, "http watch") as caller:
            caller.on_end = feed.end
            first, history = await _establish(caller, feed, wanted)
            return await _tell(call, caller, feed, _Teller(wanted, history), first)
    finally:
        services.feeds.discard(feed)


def _wanted(call: Call) -> Wanted:
    query = call.query
    mode = StreamMode.RECURSIVE if query.is_set("recursive") else StreamMode.PERSISTENT
    token = call.request.headers.get("Last-Event-ID") or query.text("resume")
    return Wanted(call.path, mode, query.is_set("values"), _resume_of(token) if token else None)


def _resume_of(token: str) -> Resume:
    history, _, revision = token.partition(".")
    try:
        found = int(history, 16), int(revision)
    except ValueError:
        found = -1, -1
    if not (0 <= found[0] <= _HISTORY_MAX and 0 <= found[1] <= REVISION_MAX):
        raise BadArgumentsError("resume (or Last-Event-ID) is the id of an earlier message")
    return found


async def _establish(caller: Caller, feed: Feed, wanted: Wanted) -> tuple[bytes, int]:
    """(first message, history id). What is no longer kept is said, and skipped."""
    try:
        _, reply = await caller.listen(wanted.request(), feed.push)
    except CompactedError as error:
        _, reply = await caller.listen(wanted._replace(resume=None).request(), feed.push)
        history = reply.body[0]
        told = {"revision": reply.revision, "detail": str(error)}
        return _message("compacted", told, (history, reply.revision)), history
    history = reply.body[0]
    revision = reply.revision if wanted.resume is None else wanted.resume[1]
    return _message("open", {"revision": revision}, (history, revision)), history


async def _tell(
    call: Call, caller: Caller, feed: Feed, teller: _Teller, first: bytes
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(call.request)
    try:
        await response.write(f"retry: {RETRY_MS}\n\n".encode() + first)
        until_s = asyncio.get_running_loop().time() + STREAM_S
        while asyncio.get_running_loop().time() < until_s:
            try:
                pushes = await feed.next()
            except CoordError as error:
                told = {"code": word_of(type(error)), "detail": str(error)}
                await response.write(_message("end", told))
                return response
            messages = [await teller.message(caller, feed, push) for push in pushes]
            await response.write(b"".join(messages) or b":\n\n")
            await asyncio.sleep(PACE_S)
    except ConnectionResetError:
        pass  # The client has gone.
    return response


class _Teller:
    """Pushes of one stream as messages."""

    def __init__(self, wanted: Wanted, history: int) -> None:
        self._wanted = wanted
        self._history = history

    async def message(self, caller: Caller, feed: Feed, push: Push) -> bytes:
        """One message. Raises CoordError if the stream cannot go on."""
        if not isinstance(push, StreamPush):
            error = push.error()
            if not isinstance(error, CompactedError):
                raise error
            afresh = self._wanted._replace(resume=None)
            first, self._history = await _establish(caller, feed, afresh)
            return first.replace(b"event: open", b"event: compacted", 1)
        at = (self._history, push.revision) if push.complete else None
        if not push.changes:
            return _message("bookmark", {"revision": push.revision}, at)
        if len(push.changes) == 1 and len(push.changes[0].data or b"") <= SHARED_BYTES_MAX:
            return _shared_message(push.revision, push.changes, at)
        return _changes_message(push.revision, push.changes, at)


def _changes_message(revision: int, changes: tuple[Change, ...], at: Resume | None) -> bytes:
    told = {"revision": revision, "changes": [_change(change) for change in changes]}
    return _message("change", told, at)


_shared_message: Final = lru_cache(SHARED_MAX)(_changes_message)
"""What many watches hear is made once."""


def _change(change: Change) -> dict[str, Any]:
    """A value is there only if the stream was asked for values."""
    told = {
        "kind": KINDS[change.kind],
        "path": change.path,
        "stat": stat_or_none(change.stat),
        "previous": stat_or_none(change.prev_stat),
    }
    if change.data is not None:
        told.update(value_fields(change.data))
    return told


def _message(event: str, data: dict[str, Any], at: Resume | None = None) -> bytes:
    """``at``: history and revision up to which everything has been told."""
    head = f"id: {at[0]:x}.{at[1]}\n" if at is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data)}\n\n".encode()


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/v1/watch/{path}",
        watch,
        "Changes of a node and its list of children, or of everything below it, as they happen",
        {"type": "string", "description": "messages: open, change, bookmark, compacted, end"},
        query={"recursive": FLAG, "values": FLAG, "resume": TEXT},
        answer_type="text/event-stream",
    ),
)
