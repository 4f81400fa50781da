"""The state of every directed path between two names: what is cut, slow or unreliable now.

A path leads from one name to another ("n1" → "n2", "clients" → "n1"); what flows the other way
on the same connection belongs to the reverse path. Faults change paths; proxies obey them and
count what really crossed, which is how a fault proves that it took effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

CLIENTS: Final = "clients"
"""The name of the side that every client is on."""


@dataclass(slots=True)
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


@dataclass(slots=True)
class Path:
    """One direction between two names, with what happened on it so far."""

    source: str
    destination: str
    conditions: Conditions = field(default_factory=Conditions)
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

    def set(self, conditions: Conditions) -> None:
        """From now on the path behaves like this."""
        self.conditions = conditions
        for listener in tuple(self.listeners):
            listener()


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

    def cut(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Let nothing cross these paths, and only these: other cut paths are healed."""
        wanted = set(pairs)
        for source, destination in wanted:
            self.path(source, destination)
        for path in self:
            is_cut = (path.source, path.destination) in wanted
            if path.conditions.is_cut != is_cut:
                path.set(replace(path.conditions, is_cut=is_cut))

    def clear(self) -> None:
        """Heal everything."""
        for path in self:
            if not path.conditions.is_clear:
                path.set(Conditions())

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
