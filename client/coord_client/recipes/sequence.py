"""Standing in line: ephemeral sequential contenders, each watching only the one before it.

Layout below the recipe's node: ``c-0000000007`` are contenders, in order; ``holder`` is the record
of the current grant. Whoever is first in line writes ``holder``, in one transaction that checks
its own contender: the revision of that write is the grant's fencing token. The record is
ephemeral, and it alone decides who holds: it goes with its session, or when released.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable
from typing import Any

from coord.model.errors import (
    OK,
    BadVersionError,
    CoordError,
    NodeExistsError,
    NoNodeError,
    SessionExpiredError,
    TransactionError,
)
from coord.model.events import ChangeKind
from coord.model.limits import TXN_OPERATIONS_MAX
from coord.model.paths import join, name_of
from coord.model.recipes import (
    CONTENDER,
    HOLDER,
    MARKS,
    refuse_beside_line,
    sequence_of,
    wrong_content,
)
from coord.model.types import ReadLevel
from coord.model.znode import CreateMode
from coord_client.client import Client
from coord_client.recipes.hold import Hold
from coord_client.values import Created

assert TXN_OPERATIONS_MAX >= 2


class PlaceLostError(Exception):
    """The contender is gone (its session ended, or someone deleted it): stand in line again."""


async def claim(client: Client, path: str, kind: str) -> None:
    """Make ``path`` the home of a recipe. Raises ForeignPathError if it is something else.

    A session that ends meanwhile is no obstacle: the next one looks again.
    """
    mark = MARKS[kind]
    while True:
        with contextlib.suppress(NodeExistsError, SessionExpiredError):
            await client.create(path, mark, make_parents=True, timeout_s=math.inf)
            return
        # Changed meanwhile: look again.
        with contextlib.suppress(NoNodeError, BadVersionError, SessionExpiredError):
            node = await client.get(path, timeout_s=math.inf)
            if node.data == mark:
                return
            if node.data or node.stat.num_children:
                names = [] if node.data else await client.children(path, timeout_s=math.inf)
                raise wrong_content(path, kind, node.data, names)
            await client.set(path, mark, version=node.stat.version, timeout_s=math.inf)
            return


async def wait_gone(client: Client, path: str) -> None:
    """Until the node at ``path`` does not exist, or for a moment did not."""
    with contextlib.closing(client.watch(path)) as stream:
        if await client.exists(path, timeout_s=math.inf) is None:
            return
        async for batch in stream:
            if batch.listing is not None:
                if all(node.path != path for node in batch.listing):
                    return
            elif any(each.kind is ChangeKind.DELETED for each in batch.changes):
                return


async def wait_session_end(client: Client, session_id: int) -> None:
    """Until the client's session is no longer ``session_id``."""
    changed = asyncio.Event()
    stop = client.on_state(lambda _: changed.set())
    try:
        while client.session_id == session_id:
            changed.clear()
            await changed.wait()
    finally:
        stop()


async def first_of(*waits: Awaitable[Any]) -> None:
    """Until the first of ``waits`` is over; the others are cancelled. Raises what it raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Place:
    """One place in line.

    Whatever happens to the task that stands here, :meth:`leave_soon` removes every trace: it waits
    for a create or grant in flight, through reconnects, and undoes it. (If the session ends first,
    the service has undone it.)
    """

    def __init__(self, client: Client, parent: str, kind: str, data: bytes) -> None:
        self._client = client
        self._parent = parent
        self._kind = kind
        self._data = data
        self._creating: asyncio.Task[Created] | None = None
        self._granting: asyncio.Task[list[Any]] | None = None
        self._path = ""
        self._session_id = 0

    async def join(self) -> None:
        """Stand at the end of the line. Raises PlaceLostError if the session ended meanwhile."""
        create = self._client.create(
            join(self._parent, CONTENDER),
            self._data,
            mode=CreateMode.EPHEMERAL_SEQUENTIAL,
            timeout_s=math.inf,
        )
        self._creating = self._client.spawn(create, "coord-join-line")
        try:
            created = await asyncio.shield(self._creating)
        except SessionExpiredError as error:
            raise PlaceLostError from error
        self._path = created.path
        self._session_id = created.stat.ephemeral_owner

    async def is_first(self) -> bool:
        """Whether nobody stands before us. Raises PlaceLostError."""
        return await self._predecessor() is None

    async def wait_first(self) -> None:
        """Until nobody stands before us. Raises PlaceLostError."""
        while (before := await self._predecessor()) is not None:
            await self._wait_gone(join(self._parent, before))

    async def _wait_gone(self, path: str) -> None:
        await first_of(
            wait_gone(self._client, path), wait_session_end(self._client, self._session_id)
        )
        if self._client.session_id != self._session_id:
            raise PlaceLostError

    async def _predecessor(self) -> str | None:
        names = await self._names(ReadLevel.LINEARIZABLE)
        line = sorted((name for name in names if name.startswith(CONTENDER)), key=sequence_of)
        own = name_of(self._path)
        if own not in line:
            raise PlaceLostError
        position = line.index(own)
        return line[position - 1] if position else None

    async def _names(self, level: ReadLevel) -> list[str]:
        """Who stands in line, and the holder. Raises ForeignPathError if anything else does."""
        names = await self._client.children(self._parent, level=level, timeout_s=math.inf)
        refuse_beside_line(self._parent, self._kind, names)
        return names

    async def grant(self) -> Hold:
        """Become the holder. Raises PlaceLostError, ForeignPathError."""
        record = join(self._parent, HOLDER)
        while True:
            txn = self._client.transaction().check(self._path)
            txn.create(record, self._data, mode=CreateMode.EPHEMERAL)
            self._granting = self._client.spawn(txn.commit(math.inf), "coord-take-grant")
            try:
                _, created = await asyncio.shield(self._granting)
            except SessionExpiredError as error:
                raise PlaceLostError from error
            except TransactionError as error:
                await self._refused(error, record)
            else:
                # A session sees its own write: nothing foreign was there before the grant.
                await self._names(ReadLevel.SESSION)
                hold = Hold(self._client, created, self._path)
                if not hold.is_held:  # Granted to a session that has ended meanwhile.
                    raise PlaceLostError
                return hold

    async def _refused(self, error: TransactionError, record: str) -> None:
        """Our place is gone, or the last holder is not: it alone may remove its record."""
        own, taken = error.results
        if own != OK:
            raise PlaceLostError from error
        if taken != NodeExistsError.code:
            raise error
        await self._wait_gone(record)

    def leave_soon(self) -> None:
        """Remove every trace of us, in the background."""
        self._client.clean_up(self._leave())

    async def _leave(self) -> None:
        if self._creating is None:
            return
        with contextlib.suppress(CoordError):
            created = await self._creating
            if created.stat.ephemeral_owner != self._client.session_id:
                return
            if self._granting is not None:
                with contextlib.suppress(CoordError):  # No grant: the place is left all the same.
                    _, granted = await self._granting
                    await Hold(self._client, granted, created.path).release(math.inf)
            with contextlib.suppress(NoNodeError):
                await self._client.delete(created.path, timeout_s=math.inf)


async def acquire(client: Client, parent: str, kind: str, data: bytes) -> Hold:
    """Stand in line until granted. Cancelled, it leaves nothing behind."""
    await claim(client, parent, kind)
    while True:
        place = Place(client, parent, kind, data)
        try:
            await place.join()
            await place.wait_first()
            return await place.grant()
        except PlaceLostError:
            place.leave_soon()
        except BaseException:
            place.leave_soon()
            raise


async def acquire_nowait(client: Client, parent: str, kind: str, data: bytes) -> Hold | None:
    """Be granted at once, or None if others stand in line."""
    await claim(client, parent, kind)
    place = Place(client, parent, kind, data)
    try:
        await place.join()
        if await place.is_first() and await client.exists(join(parent, HOLDER)) is None:
            return await place.grant()
    except PlaceLostError:
        pass
    except BaseException:
        place.leave_soon()
        raise
    place.leave_soon()
    return None
