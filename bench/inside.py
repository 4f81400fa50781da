"""Looking inside our nodes under load: system calls, profiles."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from bench.cases import LOADS, Case
from bench.plan import Scale, measure_load
from bench.servers import Servers
from bench.tools import Figures

STOP_S: Final = 15.0
CALLS_SHOWN: Final = 20
PROFILE_HZ: Final = 200


def _case(name: str) -> Case:
    return next(case for case in LOADS if case.name == name)


def _measure(servers: Servers, name: str, scale: Scale) -> Figures:
    return measure_load(servers, "zookeeper", _case(name).arguments, scale)


def count_calls(servers: Servers, scale: Scale) -> None:
    """System calls of the first node under set-64x1, with the syncs each write cost."""
    strace = shutil.which("strace")
    if strace is None:
        raise SystemExit("strace is missing: apt-get install strace")
    with tempfile.NamedTemporaryFile("r", suffix=".strace", encoding="utf-8") as report:
        watcher = subprocess.Popen(
            [strace, "-c", "-f", "-q", "-o", report.name, "-p", str(servers.pids[0])]
        )
        result = _measure(servers, "set-64x1", scale)
        watcher.send_signal(signal.SIGINT)
        watcher.wait(STOP_S)
        text = report.read()
    print(f"\nsystem calls of one node under set-64x1 ({result['ops_s']:,.0f} writes/s)\n")
    print("\n".join(text.splitlines()[:CALLS_SHOWN]))
    # Columns: % time, seconds, usecs/call, calls, (errors), name.
    lines = [line.split() for line in text.splitlines()]
    syncs = sum(int(line[3]) for line in lines if line and line[-1] in {"fsync", "fdatasync"})
    writes = result["ops_s"] * (scale.seconds + scale.warmup)
    if syncs:
        print(f"\n{syncs} syncs for about {writes:,.0f} writes: {writes / syncs:.1f} a sync")


def profile(servers: Servers, folder: Path, scale: Scale) -> None:
    """A flame graph of every node under set-16x16."""
    recorder = shutil.which("py-spy")
    if recorder is None:
        raise SystemExit("py-spy is missing: pip install py-spy")
    folder.mkdir(parents=True, exist_ok=True)
    watchers = []
    for number, pid in enumerate(servers.pids, 1):
        target = ["-p", str(pid), "-o", str(folder / f"node-{number}.svg")]
        timing = ["-d", str(scale.seconds), "-r", str(PROFILE_HZ)]
        watchers.append(subprocess.Popen([recorder, "record", "-n", "-t", *timing, *target]))
    result = _measure(servers, "set-16x16", scale)
    for watcher in watchers:
        watcher.wait(STOP_S + scale.seconds)
    print(f"\nprofiles of set-16x16 ({result['ops_s']:,.0f} writes/s) are in {folder}")
