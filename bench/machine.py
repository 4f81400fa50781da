"""What a reader of figures must know about where they come from."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def _said(*argv: str) -> str:
    if shutil.which(argv[0]) is None:
        return ""
    run = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
    return run.stdout.strip() if run.returncode == 0 else ""


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return ""


def commit() -> str:
    """The commit that is checked out; says if the sources differ from it."""
    dirty = _said("git", "status", "--porcelain", "--", "coord", "client", "bench/load")
    return _said("git", "rev-parse", "--short", "HEAD") + (" with changes" if dirty else "")


def versions() -> dict[str, str]:
    """Versions of all that takes part."""
    packaged = _said("dpkg-query", "-W", "-f", "${Version}", "zookeeper")
    etcd = _said("etcd", "--version").splitlines()
    return {
        "python": platform.python_version(),
        "zookeeper": packaged,
        "etcd": etcd[0].rpartition(" ")[2] if etcd else "",
    }


def describe() -> dict[str, str]:
    """Processor, cores, memory, kernel, the file system the data lies on, and when."""
    kib = int(_field("/proc/meminfo", "MemTotal").split()[0])
    return {
        "processor": _field("/proc/cpuinfo", "model name"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{kib / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "file system": _said("df", "--output=fstype", tempfile.gettempdir()).split()[-1],
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
