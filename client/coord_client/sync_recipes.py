"""Lock, election and group for programs without an event loop. Made by ``SyncClient``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from coord.model.requests import Guard
from coord_client.background import Background
from coord_client.recipes import Group, GroupView, Hold, Lock, Membership
from coord_client.recipes.lock import Holder


class SyncHold:
    """See coord_client.Hold."""

    def __init__(self, background: Background, inner: Hold) -> None:
        self._background = background
        self._inner = inner
        self.token: Final = inner.token
        self.path: Final = inner.path

    @property
    def is_held(self) -> bool:
        """See Hold.is_held."""
        return self._background.read(lambda: self._inner.is_held)

    @property
    def remaining_s(self) -> float:
        """See Hold.remaining_s."""
        return self._background.read(lambda: self._inner.remaining_s)

    def guard(self) -> Guard:
        """See Hold.guard."""
        return self._inner.guard()

    def wait_lost(self, timeout_s: float | None = None) -> bool:
        """Whether it was lost within ``timeout_s`` (None: waits for it)."""

        async def wait() -> bool:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._inner.wait_lost()
            except TimeoutError:
                return False
            return True

        return self._background.run(wait())

    def release(self, timeout_s: float | None = None) -> None:
        """See Hold.release."""
        self._background.run(self._inner.release(timeout_s))


class SyncLock:
    """See coord_client.Lock and coord_client.LeaderElection."""

    def __init__(self, background: Background, inner: Lock) -> None:
        self._background = background
        self._inner = inner

    def acquire(self, timeout_s: float | None = None) -> SyncHold:
        """See Lock.acquire."""
        hold = self._background.run(self._inner.acquire(timeout_s))
        return SyncHold(self._background, hold)

    def acquire_nowait(self) -> SyncHold | None:
        """See Lock.acquire_nowait."""
        hold = self._background.run(self._inner.acquire_nowait())
        return None if hold is None else SyncHold(self._background, hold)

    def holder(self) -> Holder | None:
        """See Lock.holder."""
        return self._background.run(self._inner.holder())

    def __enter__(self) -> SyncHold:
        return SyncHold(self._background, self._background.run(self._inner.__aenter__()))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._background.run(self._inner.__aexit__(kind, error, trace))


class SyncGroup:
    """See coord_client.Group."""

    def __init__(self, background: Background, inner: Group) -> None:
        self._background = background
        self._inner = inner

    def join(self, name: str, data: bytes = b"", *, wait: bool = False) -> SyncMembership:
        """See Group.join."""
        membership = self._background.run(self._inner.join(name, data, wait=wait))
        return SyncMembership(self._background, membership)

    def members(self) -> dict[str, bytes]:
        """See Group.members."""
        return self._background.run(self._inner.members())

    def view(self) -> SyncGroupView:
        """See Group.view."""
        return SyncGroupView(self._background, self._inner.view())


class SyncMembership:
    """See coord_client.recipes.Membership."""

    def __init__(self, background: Background, inner: Membership) -> None:
        self._background = background
        self._inner = inner

    def update(self, data: bytes) -> None:
        """See Membership.update."""
        self._background.run(self._inner.update(data))

    def leave(self) -> None:
        """See Membership.leave."""
        self._background.run(self._inner.leave())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()


class SyncGroupView:
    """See coord_client.recipes.GroupView."""

    def __init__(self, background: Background, inner: GroupView) -> None:
        self._background = background
        self._inner = inner

    @property
    def members(self) -> Mapping[str, bytes]:
        """See GroupView.members; a copy."""
        return self._background.read(lambda: dict(self._inner.members))

    def wait_changed(self) -> Mapping[str, bytes]:
        """See GroupView.wait_changed; a copy."""

        async def wait() -> dict[str, bytes]:
            return dict(await self._inner.wait_changed())

        return self._background.run(wait())

    def __enter__(self) -> Self:
        self._background.run(self._inner.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._background.run(self._inner.__aexit__(kind, error, trace))
