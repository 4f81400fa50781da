"""All workloads, and the process in which one is recorded."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

from tests.crash import log_lives, restart_lives, snapshot_lives, tree_lives
from tests.crash.controls import CONTROLS
from tests.crash.member import Recorded
from tests.crash.recorder import Marks, Recording
from tests.crash.registry import WORKLOADS

__all__ = ["WORKLOADS", "log_lives", "restart_lives", "snapshot_lives", "tree_lives"]
# Naming the modules here registers what they define.


def main() -> None:
    """``python -m tests.crash.workloads NAME PLACE [CONTROL]``: live it, in a process that is
    recorded, with something broken if told."""
    name, place, control = sys.argv[1], Path(sys.argv[2]), "".join(sys.argv[3:])
    recording = Recording(place)
    marks = Marks(recording.trace)
    member = Recorded(recording.root, marks)
    with CONTROLS[control].planted() if control else nullcontext():
        WORKLOADS[name](member)
    marks.close()


if __name__ == "__main__":
    main()
