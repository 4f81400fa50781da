"""Leaves a reason behind when a fatal signal ends the process.

LMDB faults or aborts on a damaged file, and a mapping whose disk cannot be read faults too. The
handler writes the signal and the Python stacks into the directory's ``suspect`` file, where the
next start finds it (``coord.store.suspicion``).
"""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coord.model.errors import StorageError
from coord.store.suspicion import Suspicion


@contextmanager
def remembered(directory: Path) -> Iterator[Suspicion]:
    """While this lasts, a fatal signal is held against ``directory``, which is made if missing.

    Raises StorageError if nothing can be written there.
    """
    suspicion = Suspicion(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = suspicion.path.open("ab")
    except OSError as error:
        raise StorageError(f"{suspicion.path}: {error.strerror}") from error
    was_enabled = faulthandler.is_enabled()
    with file:
        faulthandler.enable(file)
        try:
            yield suspicion
        finally:
            faulthandler.disable()
            if was_enabled:
                faulthandler.enable()
