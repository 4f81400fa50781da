"""What open pages hear: the cluster's pulse, and news of the directories that they show.

One look at the journal every tick serves all pages. It gathers which nodes were touched and
tells how they are now, so that a node written a thousand times costs what one written once does,
and fifty pages on one directory cost one encoding. Of many only the names are told: a page asks for
those in its sight. Of too many it is told that there are: then it asks for all rows in its sight.

A tick's work is cut into steps, and whoever uses the cluster is served between two of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from coord.model.acl import READ, Identity, permits
from coord.model.errors import CompactedError
from coord.model.paths import ROOT, join, parent_of
from coord.model.znode import Stat
from coord.raft import Role
from coord.server.http.health import readiness

if TYPE_CHECKING:
    from coord.node.node import Node
    from coord.store.reader import TreeReader

TICK_S: Final = 0.5
PAGES_A_TICK: Final = 25
"""With more pages a tick takes longer in proportion: a node does not tell more for being watched by
many."""
QUIET_S: Final = 4.0
"""Without news the pulse still beats this often; a page that hears nothing for three times as long
takes the node for lost."""
LOOK_MAX: Final = 2_000
"""Changes looked at in one tick, in some 10 ms. When there are more, none is told: everything may
have changed."""
LOOK_A_STEP: Final = 50
PAGES_A_STEP: Final = 3
STEP_S: Final = 0.005
"""Between two steps of a tick, each of a fraction of a millisecond."""
ENTRIES_MAX: Final = 100
"""Children told of one directory in one message; of more only the names, at most LOOK_MAX."""
WAITING_MAX: Final = 8
"""Messages that may wait for a page that reads slowly; one more, and it is told to start over."""

Touched = dict[str, dict[str, None]]
"""Directory → names of its children that changed, in order."""
Steps = Generator[None, None, None]


class Token(NamedTuple):
    """Where a page is: everything up to ``revision`` of that history has been told."""

    history: int
    revision: int

    def __str__(self) -> str:
        return f"{self.history:x}.{self.revision}"

    @classmethod
    def parse(cls, text: str) -> Token | None:
        """The inverse; None for what is no token."""
        history, _, revision = text.partition(".")
        try:
            return cls(int(history, 16), int(revision))
        except ValueError:
            return None


class Listener:
    """One page: what it wants to hear, and the messages that wait for it."""

    def __init__(self, directories: Iterable[str], identities: tuple[Identity, ...]) -> None:
        self.directories = tuple(dict.fromkeys(directories))
        self.identities = identities
        self._messages: list[bytes] = []
        self._arrived = asyncio.Event()
        self.is_over = False

    def put(self, message: bytes) -> bool:
        """Queue a message; False if too many wait: then all of them are dropped, and this one."""
        if len(self._messages) >= WAITING_MAX:
            self._messages.clear()
            return False
        self._messages.append(message)
        self._arrived.set()
        return True

    def end(self) -> None:
        """Nothing more will come."""
        self.is_over = True
        self._arrived.set()

    async def take(self) -> bytes:
        """All that waits, as soon as there is anything; b"" at the end."""
        await self._arrived.wait()
        self._arrived.clear()
        messages, self._messages = self._messages, []
        return b"".join(messages)


class Feed:
    """All pages of one node. It looks at the tree only while there are any."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._listeners: dict[Listener, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._told = Token(0, 0)
        self._pulse = b""
        self._quiet_s = 0.0

    # --- pages ----------------------------------------------------------------------------------

    def join(self, listener: Listener, since: Token | None) -> None:
        """Tell a page what it missed after ``since``, and from now on everything."""
        if not self._listeners:
            self._told = self._now()
            self._pulse = b""
        self._listeners[listener] = None
        now = self._now()
        listener.put(_message("open", now, {"revision": now.revision}))
        listener.put(_message("pulse", None, pulse_of(self._node)))
        if since is not None and since != now:
            self._catch_up(listener, since, now)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="coord-page-feed")

    def leave(self, listener: Listener) -> None:
        """A page has gone."""
        self._listeners.pop(listener, None)

    def close(self) -> None:
        """End every stream."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for listener in self._listeners:
            listener.end()
        self._listeners.clear()

    def __len__(self) -> int:
        return len(self._listeners)

    def _now(self) -> Token:
        return Token(self._node.store.machine.history_id, self._node.reader.revision)

    def _catch_up(self, listener: Listener, since: Token, now: Token) -> None:
        touched = None
        if since.history == now.history and since.revision <= now.revision:
            touched = gather(self._node.reader, since.revision)
        if touched is None:
            listener.put(_message("reset", now, {"revision": now.revision}))
        else:
            message = _News(self._node.reader, touched, now).message(listener)
            if message:
                listener.put(message)

    # --- time -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while self._listeners:
                await asyncio.sleep(self.tick_s)
                for _ in self.steps():
                    await asyncio.sleep(STEP_S)
        finally:
            self._task = None

    @property
    def tick_s(self) -> float:
        """How long a tick takes with as many pages as there are."""
        return min(QUIET_S, TICK_S * max(1.0, len(self._listeners) / PAGES_A_TICK))

    def tick(self) -> None:
        """All steps of a tick at once."""
        for _ in self.steps():
            pass

    def steps(self) -> Steps:
        """Tell every page what has happened since the last tick. A page that comes meanwhile has
        heard of it as it came."""
        told, now = self._told, self._now()
        listeners = tuple(self._listeners)
        news = None
        if now != told:
            touched = None
            if now.history == told.history:
                touched = yield from gather_steps(self._node.reader, told.revision, now.revision)
            self._told = now
            news = _News(self._node.reader, touched, now)
        pulse = self._next_pulse()
        for at, listener in enumerate(listeners):
            if at and not at % PAGES_A_STEP:
                yield
            if listener in self._listeners:
                for message in (news and news.message(listener), pulse):
                    if message:
                        self._put(listener, message)

    def _next_pulse(self) -> bytes:
        """b"": it is as it was, and was told a moment ago."""
        pulse = _message("pulse", None, pulse_of(self._node))
        self._quiet_s += self.tick_s
        if pulse == self._pulse and self._quiet_s < QUIET_S:
            return b""
        self._pulse, self._quiet_s = pulse, 0.0
        return pulse

    def _put(self, listener: Listener, message: bytes) -> None:
        if not listener.put(message):
            now = self._now()
            listener.put(_message("reset", now, {"revision": now.revision}))


def gather(reader: TreeReader, since: int) -> Touched | None:
    """What was touched after ``since``; None if that is too much or no longer known."""
    steps = gather_steps(reader, since, reader.revision)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Touched | None = end.value
            return found


def gather_steps(
    reader: TreeReader, since: int, until: int
) -> Generator[None, None, Touched | None]:
    """What was touched after ``since`` and up to ``until``, perhaps a little more; None if that is
    too much or no longer known.

    A creation or deletion touches the parent too: the parent's row shows how many children it has.
    """
    touched: Touched = {}
    count = 0
    while since < until:
        if until - since > LOOK_MAX - count:
            return None
        before = since
        try:
            for change in reader.touched_after(since, LOOK_A_STEP):
                count += 1
                since = change.revision
                _touch(touched, change.path)
                if change.old is None or not change.exists:
                    _touch(touched, parent_of(change.path))
        except CompactedError:
            return None
        if count > LOOK_MAX:
            return None
        if since == before:
            break
        yield
    return touched


def _touch(touched: Touched, path: str) -> None:
    if path == ROOT:
        touched.setdefault(ROOT, {})
    else:
        parent = parent_of(path)
        touched.setdefault(parent, {})[path[len(parent) + (parent != ROOT) :]] = None


class _News:
    """One tick's news, encoded once for all pages that may hear the same. ``touched`` None: of
    everything."""

    def __init__(self, reader: TreeReader, touched: Touched | None, now: Token) -> None:
        self._reader = reader
        self._touched = touched
        self._now = now
        self._encoded: dict[str, str] = {}
        self._messages: dict[tuple[str, ...], bytes] = {}

    def message(self, listener: Listener) -> bytes:
        """What this page is told of the directories that it follows; b"": nothing."""
        paths = tuple(
            path
            for path in listener.directories
            if self._has(path) and self._may_hear(path, listener.identities)
        )
        if not paths:
            return b""
        message = self._messages.get(paths)
        if message is None:
            told = ",".join(f"{json.dumps(path)}:{self._of(path)}" for path in paths)
            body = f'{{"revision":{self._now.revision},"dirs":{{{told}}}}}'
            message = self._messages[paths] = _frame("changes", self._now, body)
        return message

    def _has(self, path: str) -> bool:
        return self._touched is None or path in self._touched

    def _may_hear(self, path: str, identities: tuple[Identity, ...]) -> bool:
        """READ on a directory lets its children be listed; of one that is gone all may hear."""
        found = self._reader.acl(path)
        return found is None or permits(found[0], READ, identities)

    def _of(self, path: str) -> str:
        encoded = self._encoded.get(path)
        if encoded is None:
            encoded = self._encoded[path] = json.dumps(self._describe(path), separators=(",", ":"))
        return encoded

    def _describe(self, path: str) -> dict[str, Any]:
        """The directory's stat (null: it is gone), children as [name, stat or null], names of
        children where these are too many, and whether anything else may have changed."""
        reader = self._reader
        names = () if self._touched is None else tuple(self._touched[path])
        is_many = len(names) > ENTRIES_MAX
        told = () if is_many else names
        return {
            "stat": _stat(reader.stat(path)),
            "entries": [[name, _stat(reader.stat(join(path, name)))] for name in told],
            "names": names if is_many else (),
            "more": self._touched is None,
        }


def _stat(packed: bytes | None) -> Stat | None:
    """As a list of its numbers: a page knows their names."""
    return None if packed is None else Stat.unpack(packed)


def pulse_of(node: Node) -> dict[str, Any]:
    """How this node sees its cluster."""
    raft = node.raft
    failing = [check.says for check in readiness(node) if not check.is_ok]
    return {
        "node": int(node.id),
        "leader": int(raft.leader) or None,
        "leads": raft.role is Role.LEADER,
        "term": int(raft.term),
        "revision": node.reader.revision,
        "ready": not failing,
        "why": failing[0] if failing else "",
        "members": [
            {
                "id": int(member.id),
                "role": member.role.name.lower(),
                "http": member.http,
                "reachable": member.id == node.id or node.is_linked(member.id),
            }
            for member in raft.membership.members
        ],
    }


def _message(kind: str, token: Token | None, body: dict[str, Any]) -> bytes:
    return _frame(kind, token, json.dumps(body, separators=(",", ":")))


def _frame(kind: str, token: Token | None, body: str) -> bytes:
    """One server-sent event. JSON holds no line feed."""
    lines: Iterator[str] = iter(() if token is None else (f"id: {token}\n",))
    return "".join((*lines, f"event: {kind}\ndata: {body}\n\n")).encode()
