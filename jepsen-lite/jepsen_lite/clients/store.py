"""A versioned tree as workloads see it, whichever system and client library serves it.

Every error is one of two: RefusedError (it certainly did not happen) or InDoubtError (it may have,
now or later). Telling a doubt from a refusal is each client's first duty: a wrong refusal makes
every checker unsound.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from jepsen_lite.history import UNKNOWN_REVISION


class StoreError(Exception):
    """``text``: its kind, a colon, and what the client library said."""

    @property
    def text(self) -> str:
        """One line for the history."""
        kind = type(self).__name__.removesuffix("Error")
        words = " ".join(str(self).split())
        return f"{kind}: {words}"[:200] if words else kind


class RefusedError(StoreError):
    """It certainly did not happen."""


class NoNodeError(RefusedError):
    """There is no such node."""


class ExistsError(RefusedError):
    """The node is there already."""


class ConflictError(RefusedError):
    """The node has another version, or a condition of a transaction does not hold."""


class UnavailableError(RefusedError):
    """Nobody could be asked."""


class InDoubtError(StoreError):
    """Nobody knows whether it happened or will."""


class SessionLostError(InDoubtError):
    """The session ended while it was under way."""


class Value(NamedTuple):
    """A node. ``created``: a number that no other node that ever had this path shares."""

    data: bytes
    version: int
    created: int
    revision: int = UNKNOWN_REVISION


class Written(NamedTuple):
    """A node after a write; ``path`` includes a sequence number."""

    path: str
    version: int
    created: int
    revision: int = UNKNOWN_REVISION


class Check(NamedTuple):
    """The node has this version."""

    path: str
    version: int


class Put(NamedTuple):
    """Replace the data of a node that has this version (−1: any)."""

    path: str
    data: bytes
    version: int


class Make(NamedTuple):
    """Create a node."""

    path: str
    data: bytes


class Remove(NamedTuple):
    """Delete a node that has this version (−1: any)."""

    path: str
    version: int


Part = Check | Put | Make | Remove


class Store(ABC):
    """One client with a session of its own. Paths begin with a slash."""

    kind: str

    @property
    @abstractmethod
    def session_id(self) -> int:
        """The present session, 0 if there is none."""

    @property
    def node(self) -> str | None:
        """The node this client is bound to, if it is bound to one."""
        return None

    @abstractmethod
    async def open(self) -> None:
        """Connect. Raises UnavailableError."""

    @abstractmethod
    async def close(self) -> None:
        """End the session; never raises."""

    @abstractmethod
    async def get(self, path: str) -> Value:
        """A node; a linearizable read. Raises NoNodeError."""

    @abstractmethod
    async def children(self, path: str) -> list[str]:
        """Names of the children; a linearizable read. Raises NoNodeError."""

    @abstractmethod
    async def create(
        self, path: str, data: bytes = b"", *, ephemeral: bool = False, sequential: bool = False
    ) -> Written:
        """Create a node. Raises ExistsError, NoNodeError."""

    @abstractmethod
    async def set(self, path: str, data: bytes, version: int = -1) -> Written:
        """Replace the data. Raises NoNodeError, ConflictError."""

    @abstractmethod
    async def delete(self, path: str, version: int = -1) -> int:
        """Delete a childless node; the revision if known. Raises NoNodeError, ConflictError."""

    @abstractmethod
    async def commit(self, parts: Sequence[Part]) -> int:
        """All of it or nothing; the revision if known. Raises ConflictError."""

    async def ensure(self, path: str, data: bytes = b"") -> None:
        """Create a node unless it is there."""
        try:
            await self.create(path, data)
        except ExistsError:
            return
