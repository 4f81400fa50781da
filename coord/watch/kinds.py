"""Which watches a ZooKeeper client means when it removes some or asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from coord.model.errors import NoWatcherError

if TYPE_CHECKING:
    from coord.watch.registry import Owner, Table, WatchRegistry

CHILD: Final = 1
DATA: Final = 2
ANY: Final = 3
PERSISTENT: Final = 4
PERSISTENT_RECURSIVE: Final = 5

_ONE_SHOT: Final[tuple[tuple[Table, frozenset[int]], ...]] = (
    ("child", frozenset({CHILD, ANY})),
    ("data", frozenset({DATA, ANY})),
)
_STANDING: Final = (
    (False, frozenset({PERSISTENT, ANY})),
    (True, frozenset({PERSISTENT_RECURSIVE, ANY})),
)


def check(registry: WatchRegistry, owner: Owner, path: str, kind: int) -> None:
    """Raises NoWatcherError unless the owner watches ``path`` in a way that ``kind`` names."""
    found = any(
        kind in kinds and registry.has_once(owner, path, table) for table, kinds in _ONE_SHOT
    ) or any(
        kind in kinds and registry.standing.has(owner, path, recursive=recursive)
        for recursive, kinds in _STANDING
    )
    if not found:
        raise NoWatcherError(f"this connection has no such watch on {path}")


def remove(registry: WatchRegistry, owner: Owner, path: str, kind: int) -> None:
    """Disarm every watch that ``check`` finds. Raises NoWatcherError if there is none."""
    check(registry, owner, path, kind)
    for table, kinds in _ONE_SHOT:
        if kind in kinds and registry.has_once(owner, path, table):
            registry.remove_once(owner, path, table)
    for recursive, kinds in _STANDING:
        if kind in kinds:
            registry.standing.remove(owner, path, recursive=recursive)
