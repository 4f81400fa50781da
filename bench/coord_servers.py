"""Our own nodes, started as an operator would: one `coord serve` each, default settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import ClassVar, Final

from bench.servers import Servers

ROOT: Final = Path(__file__).resolve().parents[1]


class Coord(Servers):
    """Nodes of coord; they speak both wires on the client port."""

    name = "coord"
    warmup_s: ClassVar[float] = 3.0

    def command(self, number: int) -> list[str]:
        """One node; members are the same for all of them."""
        argv = [sys.executable, "-m", "coord", "serve", "--id", str(number + 1)]
        argv += ["--dir", str(self.home(number) / "data")]
        argv += ["--client", self.address(number), "--peer", self.address(number, 1)]
        for other in range(self.count):
            argv += ["--member", f"{other + 1}={self.address(other, 1)},{self.address(other)}"]
        return argv

    def environment(self) -> dict[str, str]:
        """With this checkout first on the path, as nodes run in a directory of their own."""
        ours = [str(ROOT), str(ROOT / "client"), os.environ.get("PYTHONPATH", "")]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(ours)}

    def is_ready(self) -> bool:
        """One leads, all others follow."""
        return self.has_quorum_view()
