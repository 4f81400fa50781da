"""A hold: what a lock or a leadership grants, and how its holder learns that it is over."""

from __future__ import annotations

import asyncio
import contextlib
import math

from coord.model.errors import CoordError, OperationTimeoutError
from coord.model.events import ChangeKind
from coord.model.requests import Guard
from coord.model.znode import Stat
from coord_client.client import Client
from coord_client.session import ConnectionState
from coord_client.values import Created, WatchBatch


class Hold:
    """Held from the grant until it is released or lost; lost is for good.

    It is lost, as far as we can tell, when (send time of the session's last confirmed heartbeat) +
    timeout, less the drift bound, has passed on our own clock: the service gives it to nobody else
    before that moment. A machine that was paused reads its clock too late: there only the token
    protects, in a :meth:`guard` or checked by the resource that the hold is for.
    """

    def __init__(self, client: Client, record: Created, contender: str) -> None:
        self._client = client
        self._contender = contender
        self._session_id = record.stat.ephemeral_owner
        self._changed = asyncio.Event()
        self._is_over = False
        self._is_released = False
        self.path = record.path
        """The holder record."""
        self.token = record.stat.mzxid
        """Fencing token: the revision of the grant. Later grants have greater ones."""
        self._stop_listening = client.on_state(self._state_changed)
        self._watchdog = client.spawn(self._watch(), "coord-hold-watchdog")

    @property
    def is_held(self) -> bool:
        """Whether nobody else can hold it now. Ask right before acting, every time."""
        if not self._is_over and (
            self._client.session_id != self._session_id or self._client.hold_remaining_s <= 0
        ):
            self._end()
        return not self._is_over

    @property
    def remaining_s(self) -> float:
        """Seconds for which nobody else can hold it, if no further heartbeat is confirmed."""
        return self._client.hold_remaining_s if self.is_held else 0.0

    def guard(self) -> Guard:
        """For ``Transaction.add``: the transaction happens only if this is still the grant."""
        return Guard(self.path, self.token)

    async def wait_lost(self, margin_s: float = 0.0) -> None:
        """Until it is released or lost, or could be lost within ``margin_s`` seconds."""
        while (remaining_s := self.remaining_s) > margin_s:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(remaining_s - margin_s):
                    await self._changed.wait()

    async def release(self, timeout_s: float | None = None) -> None:
        """Give it up; the next in line is granted it. If it is lost already, returns at once.

        If the service cannot be reached in time, the release goes on in the background and this
        raises OperationTimeoutError.
        """
        was_held = self.is_held
        self._end()
        if self._is_released or self._client.state is ConnectionState.CLOSED:
            return
        self._is_released = True
        self._watchdog.cancel()
        work = self._client.spawn(self._release(), "coord-hold-release")
        if not was_held:
            return
        limit_s = self._client.limit_s(timeout_s)
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.shield(work)
        except TimeoutError:
            text = f"release of {self.path}: no answer in time; it goes on in the background"
            raise OperationTimeoutError(text) from None

    async def _release(self) -> None:
        """Both nodes in one transaction; one by one if one of them is gone."""
        txn = self._client.transaction().add(self.guard())
        txn.delete(self.path).delete(self._contender)
        try:
            await txn.commit(math.inf)
        except CoordError:
            for guarded in (True, False):
                part = self._client.transaction()
                if guarded:
                    part.add(self.guard()).delete(self.path)
                else:
                    part.delete(self._contender)
                with contextlib.suppress(CoordError):
                    await part.commit(math.inf)

    # --- how it ends -----------------------------------------------------------------------------

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._stop_listening()
        self._changed.set()

    def _state_changed(self, state: ConnectionState) -> None:
        self._changed.set()
        if state is ConnectionState.CLOSED or self._client.session_id != self._session_id:
            self._end()

    async def _watch(self) -> None:
        """End the hold if the record changes or time runs out; then clear away what is left."""
        record = asyncio.ensure_future(self._record_changed())
        lost = asyncio.ensure_future(self.wait_lost())
        try:
            await asyncio.wait({record, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (record, lost):
                task.cancel()
            await asyncio.gather(record, lost, return_exceptions=True)
        self._end()
        if not self._is_released:
            self._is_released = True
            await self._release()

    async def _record_changed(self) -> None:
        """Until the record is not the one of our grant."""
        with contextlib.closing(self._client.watch(self.path)) as stream:
            stat = await self._client.exists(self.path, timeout_s=math.inf)
            if not self._is_ours(stat):
                return
            async for batch in stream:
                if not self._still_ours(batch):
                    return

    def _still_ours(self, batch: WatchBatch) -> bool:
        if batch.listing is not None:
            stats = [node.stat for node in batch.listing if node.path == self.path]
            return bool(stats) and self._is_ours(stats[0])
        return all(
            each.kind is not ChangeKind.DELETED and self._is_ours(each.stat)
            for each in batch.changes
            if each.kind is not ChangeKind.CHILDREN
        )

    def _is_ours(self, stat: Stat | None) -> bool:
        return stat is not None and stat.mzxid == self.token
