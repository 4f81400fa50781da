"""The state of every directed path between two names: what is cut, slow or unreliable now.

A path leads from one name to another ("n1" → "n2", "clients" → "n1"); what flows the other way
on the same connection belongs to the reverse path. Faults change paths; proxies obey them and
count what really crossed, which is how a fault proves that it took effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

CLIENTS: Final = "clients"
"""The name of the side that every client is on."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How one path treats what is sent along it. Chances are between 0 and 1, for each frame."""

    is_cut: bool = False
    """Nothing crosses: it waits, as if retransmitted, until healed or given up."""
    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Added to the delay: uniform between 0 and this."""
    bytes_per_s: float = 0.0
    """0: as fast as it goes."""
    drop: float = 0.0
    duplicate: float = 0.0
    """Sent, and once more later."""
    reorder: float = 0.0
    """Sent later than what follows it."""
    late_s: float = 0.3
    """How much later, at most."""

    @property
    def is_clear(self) -> bool:
        """Nothing is done to what is sent."""
        return not (
            self.is_cut
            or self.delay_s
            or self.jitter_s
            or self.bytes_per_s
            or self.drop
            or self.duplicate
            or self.reorder
        )


CLEAR: Final = Conditions()
CUT: Final = Conditions(is_cut=True)


@dataclass(slots=True)
class Path:
    """One direction between two names, with what happened on it so far."""

    source: str
    destination: str
    conditions: Conditions = CLEAR
    """What all faults together make of it."""
    layers: dict[object, Conditions] = field(default_factory=dict)
    """What each fault makes of it."""
    crossed_bytes: int = 0
    crossed_frames: int = 0
    held_frames: int = 0
    """Had to wait for a cut path, or for bandwidth."""
    dropped: int = 0
    duplicated: int = 0
    reordered: int = 0
    waited: int = 0
    """Connections that were attempted while a way was cut."""
    connections: int = 0
    """Open now."""
    listeners: list[Callable[[], None]] = field(default_factory=list)
    """Called after each change of the conditions. One for each open pipe."""

    def lay(self, owner: object, conditions: Conditions) -> None:
        """What ``owner`` makes of this path from now on; CLEAR: nothing."""
        if conditions == self.layers.get(owner, CLEAR):
            return
        if conditions.is_clear:
            del self.layers[owner]
        else:
            self.layers[owner] = conditions
        self.conditions = _together(self.layers.values())
        for listener in tuple(self.listeners):
            listener()


def _together(layers: Iterable[Conditions]) -> Conditions:
    """Several faults on one path: delays add up, the narrowest bandwidth and the greatest chance
    count."""
    found = tuple(layers)
    widths = [each.bytes_per_s for each in found if each.bytes_per_s]
    return Conditions(
        any(each.is_cut for each in found),
        sum(each.delay_s for each in found),
        sum(each.jitter_s for each in found),
        min(widths, default=0.0),
        max((each.drop for each in found), default=0.0),
        max((each.duplicate for each in found), default=0.0),
        max((each.reorder for each in found), default=0.0),
    )


class Weather:
    """All paths of a cluster."""

    def __init__(self) -> None:
        self._paths: dict[tuple[str, str], Path] = {}
        self._connections: dict[Callable[[], None], tuple[str, str]] = {}
        """How to reset an open connection → who talks over it."""

    def path(self, source: str, destination: str) -> Path:
        """The path from ``source`` to ``destination``."""
        found = self._paths.get((source, destination))
        if found is None:
            found = self._paths[source, destination] = Path(source, destination)
        return found

    def __iter__(self) -> Iterator[Path]:
        return iter(tuple(self._paths.values()))

    def lay(self, owner: object, wanted: Mapping[tuple[str, str], Conditions]) -> None:
        """What ``owner`` makes of these paths from now on; of all others, nothing any more."""
        for source, destination in wanted:
            self.path(source, destination)
        for path in self:
            path.lay(owner, wanted.get((path.source, path.destination), CLEAR))

    def measure(self) -> None:
        """See to it that what paths count is true now."""

    def clear(self) -> None:
        """Heal everything, whoever did it."""
        for path in self:
            for owner in tuple(path.layers):
                path.lay(owner, CLEAR)

    def opened(self, ends: tuple[str, str], reset: Callable[[], None]) -> None:
        """A connection between ``ends`` is open; ``reset`` breaks it."""
        self._connections[reset] = ends

    def closed(self, reset: Callable[[], None]) -> None:
        """That connection is over."""
        self._connections.pop(reset, None)

    def reset(self, chosen: Callable[[tuple[str, str]], bool]) -> int:
        """Break the open connections whose (dialler, dialled) are chosen; how many there were."""
        doomed = [reset for reset, ends in self._connections.items() if chosen(ends)]
        for reset in doomed:
            reset()
        return len(doomed)
