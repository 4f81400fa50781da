"""``python -m tests.crash``: crash images of recorded stores and servers, opened and judged.

    python -m tests.crash --images 5000           # spread over all workloads
    python -m tests.crash --serve 100             # start a whole `coord serve` on so many
    python -m tests.crash --workload log_cuts --images 300 --only 17 --keep DIR
    python -m tests.crash --controls              # break the store: each must be found

Needs gcc, and root or user namespaces (the boot id is changed in a mount namespace). Exit code 1 if
anything was found, or a control was not; 2 if it cannot be done here.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.boot import AnotherBoot
from tests.crash.campaign import Campaign, Progress, catch_controls
from tests.crash.serving import LIVES
from tests.crash.workloads import WORKLOADS


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=int, default=5_000, help="opened by a worker, in all")
    parser.add_argument("--serve", type=int, default=0, help="images that a server is started on")
    parser.add_argument("--workload", action="append", choices=[*WORKLOADS, *LIVES])
    parser.add_argument("--only", type=int, default=0, help="number of one image")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=3, help="workloads at a time")
    parser.add_argument("--controls", action="store_true")
    parser.add_argument("--keep", type=Path, help="directory to work in, left as it is")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="coord-crash-", dir=fast_directory()) as made:
        place = options.keep or Path(made)
        place.mkdir(exist_ok=True)
        why_not = AnotherBoot(place).why_not()
        if why_not:
            parser.error(f"the boot id cannot be changed here: {why_not}")
        if options.controls:
            missed = catch_controls(place, options.seed, sys.stdout.write)
            return 1 if missed else 0
        campaign = Campaign(place, options.seed, options.jobs, Progress(sys.stderr))
        findings = campaign.run(
            options.workload or [*WORKLOADS, *LIVES], options.images, options.serve, options.only
        )
    summary = {
        "opened": findings.opened,
        "distinct": len(findings.prints),
        "distinct_without_trees": len(findings.log_prints),
        **findings.kinds,
        "problems": findings.problems,
        "seconds": round(time.monotonic() - started, 1),
    }
    sys.stdout.write(json.dumps(summary, indent=None if options.json else 1) + "\n")
    return 1 if findings.problems else 0


def fast_directory() -> Path | None:
    """A file system in memory, where syncing costs nothing: the recorder knows what was synced."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
