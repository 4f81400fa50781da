"""Processes that believe the machine has restarted.

The kernel names each boot in one file. A process started with ``command`` lives in a mount
namespace of its own, where another file lies over that one.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from coord.store.trust import BOOT_ID

OTHER_BOOT: Final = "00000000-0000-4000-8000-000000000001"
_SCRIPT: Final = 'mount --bind "$0" "$1" && shift && exec "$@"'


class AnotherBoot:
    """Runs commands under another boot id. ``directory`` holds the file that says so."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "boot_id"
        self._file.write_text(OTHER_BOOT + "\n", encoding="ascii")

    def command(self, arguments: list[str]) -> list[str]:
        """``arguments``, to be run as after a restart."""
        unshare = ["unshare", "--mount", "--propagation", "private"]
        if os.geteuid() != 0:
            unshare += ["--user", "--map-root-user"]
        return [*unshare, "sh", "-c", _SCRIPT, str(self._file), str(BOOT_ID), *arguments]

    def why_not(self) -> str:
        """Why that does not work here; "" if it does."""
        try:
            run = subprocess.run(
                self.command(["cat", str(BOOT_ID)]), capture_output=True, text=True, check=False
            )
        except OSError as error:
            return f"unshare: {error.strerror}"
        if run.returncode == 0 and run.stdout.strip() == OTHER_BOOT:
            return ""
        return run.stderr.strip() or "the boot id did not change"
