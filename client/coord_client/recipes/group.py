"""Group membership: who is there now, live."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Self

from coord.model.errors import (
    BadArgumentsError,
    CoordError,
    NodeExistsError,
    NoNodeError,
    SessionExpiredError,
    TransactionError,
)
from coord.model.events import ChangeKind
from coord.model.paths import join, name_of, parent_of
from coord.model.recipes import ForeignPathError, kind_of, refuse_beside_members
from coord.model.znode import CreateMode, Stat
from coord_client.client import Client
from coord_client.recipes.sequence import claim, wait_gone, wait_session_end
from coord_client.session import ConnectionState
from coord_client.values import Created, WatchBatch
from coord_client.watches import WatchStream


class Group:
    """Members are ephemeral nodes below ``path``, by name, with data of their own."""

    KIND = "group"

    def __init__(self, client: Client, path: str) -> None:
        self._client = client
        self._path = path

    async def join(self, name: str, data: bytes = b"", *, wait: bool = False) -> Membership:
        """Become a member; the membership is renewed if the session ends and another begins.

        ``wait``: if the name is taken (by the process that ran before us, whose session has not
        ended yet), wait until it is free; otherwise that raises NodeExistsError.
        """
        if not name or "/" in name:
            raise BadArgumentsError(f"{name!r} is not a member's name: one path segment is wanted")
        if kind := kind_of(name):
            raise BadArgumentsError(f"{name!r} is not a member's name: {kind} names its nodes so")
        await claim(self._client, self._path, self.KIND)
        names = await self._client.children(self._path, timeout_s=math.inf)
        refuse_beside_members(self._path, names)
        membership = Membership(self._client, join(self._path, name), data)
        await membership.enter(wait=wait)
        return membership

    async def members(self) -> dict[str, bytes]:
        """Name → data, as of one revision. Raises ForeignPathError if other recipes' nodes are
        among them."""
        try:
            listing, stream = await self._client.list_and_watch(self._path)
        except NoNodeError:
            return {}
        stream.close()
        found = {
            name_of(node.path): node.data or b""
            for node in listing.nodes
            if node.path != self._path
        }
        refuse_beside_members(self._path, found)
        return found

    def view(self) -> GroupView:
        """A live view, to be used with ``async with``."""
        return GroupView(self._client, self._path)


class Membership:
    """One member, until :meth:`leave` (or the end of ``async with``)."""

    def __init__(self, client: Client, path: str, data: bytes) -> None:
        self._client = client
        self._path = path
        self._data = data
        self._stat: Stat | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_member(self) -> bool:
        """Whether the service counts us as a member, as far as we know."""
        return self._stat is not None and self._stat.ephemeral_owner == self._client.session_id

    async def enter(self, *, wait: bool) -> None:
        """Create the member's node; once in, stay in."""
        await self._create(wait=wait)
        self._keeper = self._client.spawn(self._keep(), "coord-group-keeper")

    async def _create(self, *, wait: bool) -> None:
        while True:
            create = self._client.create(
                self._path, self._data, mode=CreateMode.EPHEMERAL, timeout_s=math.inf
            )
            creating = self._client.spawn(create, "coord-group-enter")
            try:
                self._stat = (await asyncio.shield(creating)).stat
            except SessionExpiredError:
                continue
            except NodeExistsError:
                if not wait:
                    raise
                await wait_gone(self._client, self._path)
            except asyncio.CancelledError:
                self._client.clean_up(self._undo(creating))
                raise
            else:
                return

    async def _undo(self, creating: asyncio.Task[Created]) -> None:
        with contextlib.suppress(CoordError):
            created = await creating
            await self._remove(created.stat)

    async def _keep(self) -> None:
        while self._stat is not None:
            await wait_session_end(self._client, self._stat.ephemeral_owner)
            await self._create(wait=True)

    async def update(self, data: bytes) -> None:
        """Change this member's data."""
        self._data = data
        await self._client.set(self._path, data)

    async def leave(self) -> None:
        """Stop being a member."""
        if self._keeper is None:
            return
        self._keeper.cancel()
        self._keeper = None
        stat, self._stat = self._stat, None
        if stat is not None and self._client.state is not ConnectionState.CLOSED:
            await self._remove(stat)

    async def _remove(self, stat: Stat) -> None:
        """Delete our node, and only ours: not one that another has created since."""
        txn = self._client.transaction()
        txn.compare(self._path, "czxid", "=", stat.czxid).delete(self._path)
        with contextlib.suppress(TransactionError, SessionExpiredError):
            await txn.commit(math.inf)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.leave()


class GroupView:
    """The members, kept up to date in the background; see ``members`` and ``wait_changed``."""

    def __init__(self, client: Client, path: str) -> None:
        self._client = client
        self._path = path
        self._members: dict[str, bytes] = {}
        self._foreign: set[str] = set()
        """Those of the members that are not ours."""
        self._stream: WatchStream | None = None

    @property
    def members(self) -> Mapping[str, bytes]:
        """Name → data, with every change that has arrived. Raises ForeignPathError if nodes of
        other recipes are among them."""
        while self._stream is not None and (batch := self._stream.next_nowait()) is not None:
            self._apply(batch)
        refuse_beside_members(self._path, self._foreign)
        return MappingProxyType(self._members)

    async def wait_changed(self) -> Mapping[str, bytes]:
        """The members after the next change that is not in ``members`` yet."""
        assert self._stream is not None, "use `async with group.view() as view`"
        before = dict(self._members)
        while self.members == before:
            self._apply(await anext(self._stream))
        return self.members

    async def __aenter__(self) -> Self:
        await claim(self._client, self._path, Group.KIND)
        listing, self._stream = await self._client.list_and_watch(self._path)
        self._apply(WatchBatch(listing.revision, (), listing.nodes))
        try:
            refuse_beside_members(self._path, self._foreign)
        except ForeignPathError:
            self._stream.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def _apply(self, batch: WatchBatch) -> None:
        if batch.listing is not None:
            self._members = {
                name_of(node.path): node.data or b""
                for node in batch.listing
                if parent_of(node.path) == self._path and node.path != self._path
            }
            self._foreign = {name for name in self._members if kind_of(name)}
        for change in batch.changes:
            if parent_of(change.path) != self._path or change.path == self._path:
                continue
            name = name_of(change.path)
            if change.kind is ChangeKind.DELETED:
                self._members.pop(name, None)
                self._foreign.discard(name)
            else:
                self._members[name] = change.data or b""
                if kind_of(name):
                    self._foreign.add(name)
