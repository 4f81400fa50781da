"""The outside world as the node sees it. ``coord.app`` and the simulator each bring their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord.model.errors import CoordError
    from coord.model.events import WatchEvent
    from coord.raft.types import Membership, NodeId


class Clock(Protocol):
    """Reads time; nothing else in the node does."""

    def monotonic_ms(self) -> int:
        """Boot-time milliseconds: never steps, counts suspend."""
        ...

    def wall_ms(self) -> int:
        """Unix milliseconds, for display only."""
        ...


class Cancellable(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Forget the call if it has not run."""
        ...


class Scheduler(Protocol):
    """Runs calls on the node's one thread."""

    def call_soon(self, call: Callable[[], None], /) -> object:
        """Run after the input that is ready now has been read."""
        ...

    def call_later(self, delay_ms: int, call: Callable[[], None]) -> Cancellable:
        """Run once, ``delay_ms`` from now."""
        ...


class PeerHandler(Protocol):
    """What a transport reports."""

    def on_messages(self, peer: NodeId, incarnation: int, messages: list[Any]) -> None:
        """Messages from an authenticated peer, in the order sent."""
        ...

    def on_link_up(self, peer: NodeId, hello: dict[str, Any]) -> None:
        """A peer introduced itself (again)."""
        ...

    def on_link_lost(self, peer: NodeId) -> None:
        """The peer's connection ended (EOF or reset)."""
        ...


class Transport(Protocol):
    """Carries batches of messages to peers; drops rather than blocks."""

    def start(self, handler: PeerHandler) -> None:
        """Begin to accept and dial."""
        ...

    def set_members(self, membership: Membership) -> None:
        """Whom to dial and whom to accept from now on."""
        ...

    def send(self, to: NodeId, messages: Sequence[Any]) -> bool:
        """Queue a batch as one frame; False if it was dropped (no link, queue full)."""
        ...

    def close(self) -> None:
        """End all links."""
        ...


class Codec(Protocol):
    """How replies and events become bytes on one connection (``coord.protocol``).

    ``xid`` is what ``feed`` gave with the request; a codec may pack more into it than the client's
    own number.
    """

    is_zookeeper: ClassVar[bool]
    """ZooKeeper's rules hold on this connection: the node numbers its writes, answers pings at
    once, and closes where the native wire would explain."""

    def closes_on(self, error: CoordError | int) -> bool:
        """Whether the wire has no answer for ``error`` but the end of the connection."""
        ...

    def reply(self, xid: int, revision: int, body: tuple[Any, ...]) -> bytes:
        """Success."""
        ...

    def error(
        self,
        xid: int,
        revision: int,
        error: CoordError | int,
        message: str = "",
        detail: object = None,
    ) -> bytes:
        """A refusal."""
        ...

    def changes(self, events: Sequence[WatchEvent], *, with_values: bool) -> bytes:
        """Events as a push carries them; none make a bookmark."""
        ...

    def events(
        self, watch_id: int, revision: int, part: int, complete: bool, changes: bytes
    ) -> bytes:
        """A push of a watch stream."""
        ...

    def one_shot(self, event: WatchEvent) -> bytes:
        """A one-shot watch fired."""
        ...

    def cancelled(self, watch_id: int, revision: int, error: CoordError) -> bytes:
        """The server ended a stream."""
        ...

    def notice(self, revision: int, reason: str, message: str) -> bytes:
        """The connection is about to be closed, and why."""
        ...


class ClientLink(Protocol):
    """One client's byte stream, seen from the node."""

    def write(self, data: bytes) -> None:
        """Queue bytes; a reader that lags beyond the limit is dropped."""
        ...

    def close(self) -> None:
        """Flush, then end the stream."""
        ...

    def pause_reading(self) -> None:
        """Stop reading requests (too many are waiting)."""
        ...

    def resume_reading(self) -> None:
        """Read requests again."""
        ...
