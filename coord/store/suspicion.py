"""What is held against a data directory: the file ``suspect``.

A process that meets damage ends, and LMDB may end it by a signal before it can say anything. In
both cases a reason is left in this file (by ``note``, or by the handler of fatal signals), and the
next process that opens the directory does not trust what it finds: it has the log examined by a
child process and builds the tree anew. An empty file, or none, holds nothing against it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

SUSPECT_FILE: Final = "suspect"
_READ_BYTES: Final = 4096
_SIGNAL: Final = "Fatal Python error: "


class Suspicion:
    """The file in one directory. Lasts until ``clear``, across processes."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / SUSPECT_FILE

    def reason(self) -> str:
        """Why the directory is not to be trusted, in one line; "" if nothing is known."""
        try:
            with self.path.open("rb") as file:
                text = file.read(_READ_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""
        line = next((line.strip() for line in text.splitlines() if line.strip()), "")
        if line.startswith(_SIGNAL):
            return f"the last process was ended by a fatal signal: {line.removeprefix(_SIGNAL)}"
        return line

    def note(self, reason: str) -> None:
        """Remember a reason, if none is. As durable as the disk lets it be."""
        if self.reason():
            return
        with suppress(OSError), self.path.open("wb") as file:
            file.write(reason.replace("\n", " ").encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def clear(self) -> None:
        """The log was examined and the tree built anew, if there was a reason to."""
        if self.reason():
            os.truncate(self.path, 0)
