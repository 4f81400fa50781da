"""The failing disk of ``faulty.c``, built once, and one switch for each node."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("faulty.c")
LOG: Final = "/log/"
TREE: Final = "/tree-"


def build(directory: Path) -> Path:
    """Compile the library; its path. Raises CalledProcessError."""
    library = directory / "faulty.so"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, str(SOURCE), "-o", str(library), "-ldl"], check=True)
    return library


class Switch:
    """Decides how one process's disk behaves, from now on."""

    def __init__(self, library: Path, control: Path) -> None:
        self._library = library
        self._control = control
        self.off()

    @property
    def environment(self) -> dict[str, str]:
        """What the process must be started with."""
        return {"LD_PRELOAD": str(self._library), "COORD_FAULT_CONTROL": str(self._control)}

    def on(self, mode: str, part: str, milliseconds: int = 0) -> None:
        """Strike the files whose path contains ``part``."""
        self._replace(f"{mode} {part} {milliseconds}\n")

    def off(self) -> None:
        """The disk works again; what was stuck returns."""
        self._replace("")

    def _replace(self, text: str) -> None:
        fresh = self._control.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._control)
