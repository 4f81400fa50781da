"""Did the machine itself stand still while something was measured?"""

from __future__ import annotations

import json
import subprocess
from typing import Any, Final, Self

from bench.tools import BIN

STALL_MS: Final = 50
"""A processor that did nothing for longer spoils a trial."""


class Canary:
    """Watches every processor while the body of the ``with`` runs; then ``stalls`` are known."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self.stalls: list[dict[str, Any]] = []
        self.is_realtime = False

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [str(BIN / "canary"), "-t", str(STALL_MS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # an interruption of the bench must not reach it
        )
        return self

    def __exit__(self, *_: object) -> None:
        said, _none = self._process.communicate()
        report = json.loads(said)
        self.longest_ms = report["longest_ms"]
        self.stalls = report["stalls"]
        self.is_realtime = report["realtime"]
