"""What a resuming stream missed: the rules of ``registry``, for changes that lie in the past."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coord.model.events import Change, ChangeKind, WatchEvent
from coord.model.paths import parent_of
from coord.watch.registry import StreamMode

_CREATED: Final = int(ChangeKind.CREATED)
_DELETED: Final = int(ChangeKind.DELETED)
_DATA: Final = int(ChangeKind.DATA)
_CHILDREN: Final = int(ChangeKind.CHILDREN)


def events_for(path: str, mode: int, change: Change) -> Iterator[WatchEvent]:
    """What a stream on ``path`` hears of ``change``: for replaying history to a resuming stream.

    The same rules as ``WatchRegistry.match``; ONE_SHOT streams hear as PERSISTENT ones do.
    """
    kind = change.kind
    if kind not in {_CREATED, _DELETED, _DATA}:
        return
    if mode == StreamMode.RECURSIVE:
        prefix = path if path == "/" else path + "/"
        if change.path == path or change.path.startswith(prefix):
            yield WatchEvent(kind, change.path, change.revision, change)
        return
    if change.path == path:
        yield WatchEvent(kind, path, change.revision, change)
    if kind != _DATA and change.path != "/" and parent_of(change.path) == path:
        yield WatchEvent(_CHILDREN, path, change.revision, change)
