"""Which lines of the product do simulated runs execute?

    python -m tests.sim.lines --seeds 1-300

Measured over ``PARTS``, without the shells that the simulator replaces: what holds sockets, and
what lies below the key-value seam (LMDB, files, threads, child processes). Those have suites of
their own. Exits 1 below ``WANTED`` per cent.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coverage import Coverage

from tests.sim.__main__ import say, seed_range
from tests.sim.drawing import draw
from tests.sim.keeping import ROOT, corpus
from tests.sim.progress import Progress
from tests.sim.run import run_plan

PARTS: Final = ("raft", "store", "session", "watch", "node")
SHELLS: Final = (
    # sockets
    "node/transport.py",
    "node/peer_link.py",
    # LMDB, files, threads, child processes
    "store/check_process.py",
    "store/commit_floor.py",
    "store/directory_home.py",
    "store/file_system.py",
    "store/lmdb_kv.py",
    "store/lock.py",
    "store/log_volume.py",
    "store/log_writer.py",
    "store/member_store.py",
    "store/quarantine.py",
    "store/snapshot_file.py",
    "store/suspicion.py",
    "store/tree_home.py",
    "store/verify_files.py",
    "store/verify_snapshot.py",
    "store/worker.py",
    # aids of the core's own tests: a log in memory, lines for its scripts
    "raft/describe.py",
    "raft/storage.py",
)
WANTED: Final = 90.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Lines of one file."""

    name: str
    lines: int
    missing: list[int]


def measure(seeds: range, workers: int) -> list[Measured]:
    """Run the corpus and the seeds under coverage, one process per worker."""
    include = ",".join(f"{ROOT}/coord/{part}/*" for part in PARTS)
    with tempfile.TemporaryDirectory() as folder:
        data = f"{folder}/lines"
        started = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "coverage", "run", "--parallel-mode"),
                    *("--rcfile=/dev/null", f"--include={include}", f"--data-file={data}"),
                    *("-m", "tests.sim.lines", "--inside", f"{number}/{workers}"),
                    *("--seeds", f"{seeds[0]}-{seeds[-1]}"),
                ],
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(workers)
        ]
        progress = Progress(workers, "measuring lines")
        for process in started:
            process.communicate()
            if process.returncode:
                raise RuntimeError("a run under coverage failed")
            progress.step()
        progress.end()
        return _read(data)


def _read(data: str) -> list[Measured]:
    measured = Coverage(data_file=data, config_file=False)
    measured.combine([str(Path(data).parent)])
    found = []
    for part in PARTS:
        for path in sorted((ROOT / "coord" / part).rglob("*.py")):
            name = str(path.relative_to(ROOT / "coord"))
            if name not in SHELLS:
                _, lines, _, missing, _ = measured.analysis2(str(path))
                found.append(Measured(name, len(lines), missing))
    return found


def _inside(share: str, seeds: range) -> int:
    """In a worker: every ``workers``-th plan."""
    number, _, workers = share.partition("/")
    plans = [plan for _, plan in corpus()] + [draw(seed) for seed in seeds]
    for plan in plans[int(number) :: int(workers)]:
        run_plan(plan)
    return 0


def share_of(found: list[Measured]) -> float:
    """Per cent of the lines that were executed."""
    lines = sum(part.lines for part in found)
    return 100 * (1 - sum(len(part.missing) for part in found) / max(lines, 1))


def table(found: list[Measured]) -> str:
    """One line per file with something missing, most first, then each part."""
    out = io.StringIO()
    for part in sorted(found, key=lambda part: len(part.missing), reverse=True):
        if part.missing:
            numbers = " ".join(map(str, part.missing))
            out.write(f"{share_of([part]):5.1f} %  {part.name:<28} without {numbers:.100}\n")
    for name in PARTS:
        inside = [part for part in found if part.name.startswith(f"{name}/")]
        out.write(f"{share_of(inside):5.1f} %  coord/{name}\n")
    out.write(f"{share_of(found):5.1f} %  all, without shells")
    return out.getvalue()


def main() -> int:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.lines")
    parser.add_argument("--seeds", type=seed_range, default=range(1, 301), metavar="A-B")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one per core")
    parser.add_argument("--json", action="store_true", help="figures as one line of JSON")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return _inside(options.inside, options.seeds)
    found = measure(options.seeds, options.workers or os.cpu_count() or 1)
    share = share_of(found)
    missing = {part.name: part.missing for part in found if part.missing}
    say(json.dumps({"share": share, "missing": missing}) if options.json else table(found))
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
