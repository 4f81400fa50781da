"""Standing in line for a lock or an election, as ``coord_client``'s recipes do: the same nodes, the
same order, the same rules. One session has one place in a line, found again by what it owns, on
whichever node the next request arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from coord.model import requests as rq
from coord.model.acl import OPEN
from coord.model.errors import (
    OK,
    BadVersionError,
    CoordError,
    NodeExistsError,
    NoNodeError,
    TransactionError,
)
from coord.model.paths import join, name_of, parent_of
from coord.model.recipes import (
    CONTENDER,
    HOLDER,
    MARKS,
    refuse_beside_line,
    sequence_of,
    wrong_content,
)
from coord.model.types import ReadLevel
from coord.model.znode import CreateMode, Stat
from coord.server.http.api.parents import create_with_parents
from coord.watch.registry import StreamMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord.protocol.native_client import Reply
    from coord.server.http.api.caller import Caller

LOOK_AGAIN_S: Final = 1.0
"""While waiting, the session is kept alive and the line looked at this often at least."""
_LINEARIZABLE: Final = int(ReadLevel.LINEARIZABLE)


class Grant(NamedTuple):
    """Held: writes under ``guard`` and ``token`` are fenced."""

    guard: str
    token: int


class Place(NamedTuple):
    """Not held yet. ``before``: how many stand in front; ``behind``: the node to wait for."""

    name: str
    before: int
    behind: str


async def claim(caller: Caller, path: str, kind: str) -> None:
    """Make ``path`` the home of a recipe. Raises ForeignPathError if it is something else."""
    mark = MARKS[kind]
    while True:
        with contextlib.suppress(NodeExistsError):
            home = rq.Create(path, mark, OPEN, int(CreateMode.PERSISTENT), 0)
            await create_with_parents(caller, home)
            return
        # Changed meanwhile: look again.
        with contextlib.suppress(NoNodeError, BadVersionError):
            data, packed = (await caller.ask(rq.Get(path, False, _LINEARIZABLE))).body
            stat = Stat.unpack(packed)
            if data == mark:
                return
            if data or stat.num_children:
                names = [] if data else await names_at(caller, path, _LINEARIZABLE)
                raise wrong_content(path, kind, data, names)
            await caller.write_one(rq.Set(path, mark, stat.version))
            return


async def names_at(caller: Caller, path: str, level: int) -> list[str]:
    """All children. Raises CoordError."""
    reply = await caller.ask(rq.Children(path, False, level, "", 0, 0))
    names: list[str] = reply.body[0]
    return names


class Line:
    """One recipe's line, for one session."""

    def __init__(self, caller: Caller, path: str, kind: str, data: bytes) -> None:
        self._caller = caller
        self._path = path
        self._kind = kind
        self._data = data
        self._record = join(path, HOLDER)

    async def acquire(self, wait_s: float, is_gone: Callable[[], bool]) -> Grant | Place:
        """The grant, or after ``wait_s`` the place, which is kept. ``is_gone``: whoever waits has
        hung up, and keeps its session alive by itself or not at all. Raises CoordError."""
        deadline = asyncio.get_running_loop().time() + wait_s
        await claim(self._caller, self._path, self._kind)
        while True:
            found = await self._try()
            left_s = deadline - asyncio.get_running_loop().time()
            if isinstance(found, Grant) or left_s <= 0 or is_gone():
                return found
            await self._wait_gone(found.behind, min(left_s, LOOK_AGAIN_S))

    async def _try(self) -> Grant | Place:
        async with self._caller.standing:
            own = await self._own()
            if HOLDER in own:
                return await self._held()
            contender = next((name for name in own if name.startswith(CONTENDER)), None)
            contender = contender or await self._join()
            place = await self._place(contender)
            while place is None:  # Somebody deleted our contender: the end of the line again.
                contender = await self._join()
                place = await self._place(contender)
            return place if place.before else await self._grant(contender)

    async def _own(self) -> list[str]:
        """Names of what this session owns here."""
        reply = await self._caller.ask(rq.Ephemerals(join(self._path, "")))
        return [name_of(path) for path in reply.body[0] if parent_of(path) == self._path]

    async def _held(self) -> Grant:
        (packed,) = (await self._caller.ask(rq.Exists(self._record, False, _LINEARIZABLE))).body
        return Grant(self._record, Stat.unpack(packed).mzxid)

    async def _join(self) -> str:
        mode = int(CreateMode.EPHEMERAL_SEQUENTIAL)
        contender = rq.Create(join(self._path, CONTENDER), self._data, OPEN, mode, 0)
        return name_of((await self._caller.write_one(contender)).body[0])

    async def _place(self, contender: str) -> Place | None:
        names = await names_at(self._caller, self._path, _LINEARIZABLE)
        refuse_beside_line(self._path, self._kind, names)
        line = sorted((name for name in names if name.startswith(CONTENDER)), key=sequence_of)
        if contender not in line:
            return None
        before = line.index(contender)
        return Place(contender, before, line[before - 1] if before else HOLDER)

    async def _grant(self, contender: str) -> Grant | Place:
        """Become the holder, unless the last one's record is still there."""
        record = rq.Create(self._record, self._data, OPEN, int(CreateMode.EPHEMERAL), 0)
        check = rq.Check(join(self._path, contender), -1)
        try:
            reply = await self._caller.write_one(rq.Multi((check, record)))
        except TransactionError as error:
            if error.results[:1] == (OK,) and error.results[1:] == (NodeExistsError.code,):
                return Place(contender, 0, HOLDER)
            if error.results[:1] == (NoNodeError.code,):
                return Place(contender, 0, contender)  # Gone: the next look stands in line again.
            raise
        # A session sees its own write: nothing foreign was there before the grant.
        names = await names_at(self._caller, self._path, int(ReadLevel.SESSION))
        try:
            refuse_beside_line(self._path, self._kind, names)
        except CoordError:
            await self.leave()
            raise
        return Grant(self._record, reply.revision)

    async def _wait_gone(self, name: str, wait_s: float) -> None:
        """Until something happens to a node of the line, or for a while."""
        path, changed = join(self._path, name), asyncio.Event()
        self._caller.touch()
        watch = rq.Watch(path, int(StreamMode.PERSISTENT), False, None)
        watch_id, _ = await self._caller.listen(watch, lambda _push: changed.set())
        try:
            await self._caller.ask(rq.Exists(path, False, _LINEARIZABLE))
            async with asyncio.timeout(wait_s):
                await changed.wait()
        except (NoNodeError, TimeoutError):
            pass  # Gone, or time to look.
        finally:
            await self._caller.unlisten(watch_id)

    async def leave(self) -> bool:
        """Give up the hold or the place; whether it was held. Raises CoordError."""
        async with self._caller.standing:
            own = await self._own()
            deletes: list[Any] = []
            if HOLDER in own:
                held = await self._held()
                deletes += [rq.Guard(held.guard, held.token), rq.Delete(held.guard, -1)]
            places = [name for name in own if name.startswith(CONTENDER)]
            deletes += [rq.Delete(join(self._path, name), -1) for name in places]
            if deletes:
                await self._delete(deletes)
            return HOLDER in own

    async def _delete(self, deletes: list[Any]) -> Reply:
        return await self._caller.write_one(rq.Multi(tuple(deletes)))
