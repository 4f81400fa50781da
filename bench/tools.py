"""The programs that make the load: compiled when their sources are newer, run, and understood."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.servers import ServersError

HERE: Final = Path(__file__).resolve().parent
LOAD: Final = HERE / "load"
BIN: Final = HERE / "bin"
ETCDLOAD: Final = HERE / "etcdload"
GO_SOURCES: Final = Path("/usr/share/gocode")
FLAGS: Final = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-pthread")
WIRES: Final = ("net.c", "native.c", "zookeeper.c")
PROGRAMS: Final = {
    "coordload": ("coordload.c", "client.c", "options.c", "report.c", *WIRES),
    "coordprobe": ("coordprobe.c", *WIRES),
    "canary": ("canary.c",),
}
SLACK_S: Final = 400.0
"""A generator that is silent for so much longer than its measurement has stalled."""

Figures = dict[str, Any]


def _is_fresh(program: Path, sources: Sequence[Path]) -> bool:
    newest = max(source.stat().st_mtime for source in sources)
    return program.exists() and program.stat().st_mtime >= newest


def build() -> None:
    """Compile the C programs. Ends the process if there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("bench needs a C compiler: apt-get install gcc libc6-dev")
    BIN.mkdir(exist_ok=True)
    headers = list(LOAD.glob("*.h"))
    for name, parts in PROGRAMS.items():
        sources = [LOAD / part for part in parts]
        if not _is_fresh(BIN / name, [*sources, *headers]):
            command = [compiler, *FLAGS, "-o", str(BIN / name), *map(str, sources)]
            subprocess.run(command, check=True)


def etcdload_missing() -> str:
    """What must be installed to build the generator for etcd; empty if nothing."""
    found = shutil.which("go") and (GO_SOURCES / "src/go.etcd.io/etcd/clientv3").is_dir()
    return "" if found else "apt-get install golang-go golang-etcd-server-dev"


def build_etcdload() -> None:
    """Compile the generator for etcd from Debian's sources, without a network."""
    program = BIN / "etcdload"
    if _is_fresh(program, list(ETCDLOAD.glob("*.go"))):
        return
    BIN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-go-") as folder:
        (Path(folder) / "src").mkdir()
        (Path(folder) / "src/etcdload").symlink_to(ETCDLOAD)
        settings = {
            "GO111MODULE": "off",
            "GOFLAGS": "",
            "GOPATH": f"{folder}:{GO_SOURCES}",
            "GOCACHE": f"{folder}/cache",
        }
        subprocess.run(
            ["go", "build", "-o", str(program), "etcdload"],
            env={**os.environ, **settings},
            cwd=folder,
            check=True,
        )


def command(wire: str, hosts: str, *arguments: str) -> list[str]:
    """The generator's command line for one of the wires: native, zookeeper, etcd."""
    if wire == "etcd":
        return [str(BIN / "etcdload"), "-s", hosts, *arguments]
    return [str(BIN / "coordload"), "-P", wire, "-s", hosts, *arguments]


def load(wire: str, hosts: str, *arguments: str) -> Figures:
    """Run the generator and take its figures. Raises ServersError if it has none."""
    return _run(command(wire, hosts, *arguments))


def probe(wire: str, hosts: str, name: str, *arguments: str) -> Figures:
    """Run a probe that ends by itself. Raises ServersError if it fails."""
    return _run([str(BIN / "coordprobe"), "-P", wire, "-s", hosts, "-o", name, *arguments])


def _run(argv: list[str]) -> Figures:
    try:
        run = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SLACK_S)
    except subprocess.TimeoutExpired as error:
        raise ServersError(f"{' '.join(argv)}: no result in {SLACK_S:g} s") from error
    if run.returncode != 0 or not run.stdout:
        raise ServersError(f"{' '.join(argv)}: code {run.returncode}\n{run.stderr.strip()}")
    figures: Figures = json.loads(run.stdout)
    return figures


class Holding:
    """A probe that keeps its sessions while the body of the ``with`` runs."""

    def __init__(self, wire: str, hosts: str, name: str, *arguments: str) -> None:
        argv = [str(BIN / "coordprobe"), "-P", wire, "-s", hosts, "-o", name, *arguments]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.figures: Figures = {}

    def __enter__(self) -> Figures:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ServersError(f"the probe ended with code {self._process.wait()}")
        self.figures = json.loads(line)
        return self.figures

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
