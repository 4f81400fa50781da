"""Where trials take place."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")


@contextmanager
def place() -> Iterator[Path]:
    """A fresh directory, in memory if possible: syncs cost nothing there, and protect nothing that
    is tried here."""
    parent = str(_MEMORY) if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="coord-damage-", dir=parent) as found:
        yield Path(found)
