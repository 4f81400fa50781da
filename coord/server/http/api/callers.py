"""Who acts for an HTTP request: a caller for each address and user, or the session it names."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from coord.model.errors import (
    AuthFailedError,
    CoordError,
    LimitError,
    NoAuthError,
    NotReadyError,
)
from coord.model.limits import SESSION_TIMEOUT_MS
from coord.model.types import NO_SESSION
from coord.server.http.api.caller import Caller

if TYPE_CHECKING:
    from coord.model.acl import Identity
    from coord.node.node import Node
    from coord.server.http.api.asked import Asked

CALLERS_MAX: Final = 1_000
LEASES_MAX: Final = 10_000
"""Sessions opened over HTTP that are attached to this node."""
IDLE_S: Final = 30.0
"""A shared caller that nobody has used for so long gives its session back."""
UPKEEP_S: Final = 1.0
TOUCH_S: Final = SESSION_TIMEOUT_MS / 1_000 / 4
CLIENT: Final = "http"

_Key = tuple[str, "tuple[Identity, ...]"]


class Callers:
    """All callers of one node's HTTP door.

    Invariant: every caller in ``_shared`` and ``_leases`` was open when it was last looked at; one
    that has ended is replaced by the next request.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._shared: dict[_Key, Caller] = {}
        self._leases: dict[int, Caller] = {}
        self._own: set[Caller] = set()
        """Callers of one request each (watches), kept alive here."""
        self._touched_s = 0.0

    # --- choosing one ---------------------------------------------------------------------------

    @asynccontextmanager
    async def acting_for(self, asked: Asked) -> AsyncIterator[Caller]:
        """The caller of a request while it lasts. Raises CoordError."""
        caller = self._shared_by(asked) if asked.session is None else await self._leased(asked)
        caller.users += 1
        caller.used_s = _now_s()
        try:
            yield caller
        finally:
            caller.users -= 1
            caller.used_s = _now_s()

    @asynccontextmanager
    async def of_its_own(self, asked: Asked, client: str) -> AsyncIterator[Caller]:
        """A caller for one request alone, whose session ends with it. Raises CoordError."""
        if len(self._own) >= CALLERS_MAX:
            raise LimitError(f"{CALLERS_MAX} requests of this node have sessions of their own")
        caller = self._open(asked, client)
        self._own.add(caller)
        try:
            yield caller
        finally:
            self._own.discard(caller)
            _give_up(caller)

    def _shared_by(self, asked: Asked) -> Caller:
        key = (asked.host, asked.identities)
        caller = self._shared.get(key)
        if caller is None or not caller.is_open:
            if len(self._shared) >= CALLERS_MAX:
                self._make_room()
            caller = self._shared[key] = self._open(asked, CLIENT)
        return caller

    async def _leased(self, asked: Asked) -> Caller:
        caller = self._lease_of(asked)
        try:
            await caller.attached()
        except CoordError:
            caller.hang_up()
            raise
        return caller

    def _lease_of(self, asked: Asked) -> Caller:
        assert asked.session is not None
        session, secret = asked.session
        caller = self._leases.get(session)
        if caller is not None and caller.is_open:
            if not hmac.compare_digest(caller.secret, secret):
                raise AuthFailedError("the session's secret does not match")
            if caller.identities != asked.identities:
                raise NoAuthError("this session was opened or attached by another user")
            return caller
        row = self._node.store.machine.sessions.get(session)
        timeout_ms = SESSION_TIMEOUT_MS if row is None else row.timeout_ms
        caller = self._open_lease(asked, CLIENT, timeout_ms, (session, secret))
        self._keep_lease(session, caller)
        return caller

    async def new_lease(self, asked: Asked, client: str, timeout_ms: int) -> Caller:
        """A session that lives as long as its client says so. Raises CoordError."""
        caller = self._open_lease(asked, client, timeout_ms, (NO_SESSION, b""))
        try:
            await caller.attached()
        except CoordError:
            caller.hang_up()
            raise
        self._keep_lease(caller.conn.session, caller)
        return caller

    def _open_lease(
        self, asked: Asked, client: str, timeout_ms: int, lease: tuple[int, bytes]
    ) -> Caller:
        if len(self._leases) >= LEASES_MAX:
            raise LimitError(f"{LEASES_MAX} sessions opened over HTTP are attached to this node")
        return self._open(asked, client, timeout_ms, lease)

    def _keep_lease(self, session: int, caller: Caller) -> None:
        """Found by its id from now on, until its connection ends."""
        self._leases[session] = caller
        caller.on_end = lambda _error: self._forget(session, caller)

    def _forget(self, session: int, caller: Caller) -> None:
        if self._leases.get(session) is caller:
            del self._leases[session]

    def _open(
        self,
        asked: Asked,
        client: str,
        timeout_ms: int = SESSION_TIMEOUT_MS,
        lease: tuple[int, bytes] = (NO_SESSION, b""),
    ) -> Caller:
        gateway = self._node.gateway
        if gateway.draining:
            raise NotReadyError("this node is stopping; ask another")
        return Caller(
            gateway,
            asked.address,
            asked.identities,
            client=client,
            timeout_ms=timeout_ms,
            lease=lease,
        )

    def shared(self) -> Iterable[Caller]:
        """Those that requests share."""
        return self._shared.values()

    # --- upkeep ---------------------------------------------------------------------------------

    async def keep_up(self) -> None:
        """Runs as long as the door: sessions of callers in use live, those of idle ones end."""
        while True:
            await asyncio.sleep(UPKEEP_S)
            self.tick()

    def tick(self) -> None:
        """One look at all callers."""
        now_s = _now_s()
        for key, caller in list(self._shared.items()):
            if not caller.is_open:
                del self._shared[key]
            elif not caller.users and caller.used_s + IDLE_S <= now_s:
                del self._shared[key]
                _give_up(caller)
        if self._touched_s + TOUCH_S <= now_s:
            self._touched_s = now_s
            for caller in (*self._shared.values(), *self._own):
                caller.touch()

    def _make_room(self) -> None:
        """Give back the caller that has been idle longest."""
        idle = [(it.used_s, key) for key, it in self._shared.items() if not it.users]
        if not idle:
            raise LimitError(f"{CALLERS_MAX} addresses and users are being served")
        _give_up(self._shared.pop(min(idle)[1]))

    def close(self) -> None:
        """The door closes: shared sessions end at once, leases are left to their owners."""
        for caller in (*self._shared.values(), *self._own):
            _give_up(caller)
        for caller in list(self._leases.values()):
            caller.hang_up()
        self._shared.clear()
        self._own.clear()


def _give_up(caller: Caller) -> None:
    """End its session without waiting for that."""
    if caller.is_open:
        caller.end_session()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
