"""Measures a cluster of three real nodes with the load generator of this directory.

    make bench                                  the whole table
    python bench/run.py --case set-64x1         one case
    python bench/run.py --strace                also: system calls of a node under writes
    python bench/run.py --profile DIR           also: a py-spy profile of every node
    python bench/run.py --hosts h1:2181,…       a cluster that runs already

Every case runs ``--repeats`` times, in turn (A B C A B C …), because machines are noisy; medians
are reported. A run during which the machine itself stood still (the generator's canary) is marked.
CPU is what the nodes used, in microseconds of one core per operation and node.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
GENERATOR: Final = HERE / "bin" / "coordload"
SOURCES: Final = ("coordload.c", "options.h", "wire.h", "histogram.h")
READY_S: Final = 30.0
STOP_S: Final = 15.0
STALL_MS: Final = 200.0
"""A canary later than this says that the machine, not the cluster, stood still."""


class Case(NamedTuple):
    """One line of the table. ``target``: operations a second it should reach, 0 for none."""

    name: str
    arguments: tuple[str, ...]
    target: int = 0


CASES: Final = (
    Case("set-64x1", ("-o", "set", "-c", "64", "-d", "1")),
    Case("set-256x1", ("-o", "set", "-c", "256", "-d", "1"), 20_000),
    Case("set-16x16", ("-o", "set", "-c", "16", "-d", "16"), 20_000),
    Case("set-64x32", ("-o", "set", "-c", "64", "-d", "32"), 20_000),
    Case("create-64x1", ("-o", "create", "-c", "64", "-d", "1")),
    Case("get-64x1", ("-o", "get", "-l", "session", "-c", "64", "-d", "1"), 60_000),
    Case("get-16x16", ("-o", "get", "-l", "session", "-c", "16", "-d", "16"), 60_000),
    Case("get-lin-64x1", ("-o", "get", "-l", "linearizable", "-c", "64", "-d", "1")),
    Case("mixed-64x1", ("-o", "mixed", "-l", "session", "-c", "64", "-d", "1")),
    Case("set-1x1", ("-o", "set", "-c", "1", "-d", "1")),
)


@dataclass(slots=True)
class Cluster:
    """A running cluster: what clients dial, and the nodes' processes if they are ours."""

    hosts: str
    pids: tuple[int, ...] = ()

    def cpu_s(self) -> float:
        """Processor time all nodes have used so far."""
        ticks = 0
        for pid in self.pids:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks += int(stat[11]) + int(stat[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def build() -> None:
    """Compile the generator if its sources are newer."""
    newest = max((HERE / name).stat().st_mtime for name in SOURCES)
    if GENERATOR.exists() and GENERATOR.stat().st_mtime >= newest:
        return
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("bench needs a C compiler: apt-get install gcc libc6-dev")
    GENERATOR.parent.mkdir(exist_ok=True)
    flags = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")
    source = str(HERE / "coordload.c")
    subprocess.run([compiler, *flags, "-o", str(GENERATOR), source], check=True)


@contextlib.contextmanager
def local_cluster(port: int, nodes: int) -> Iterator[Cluster]:
    """`coord dev` in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="coord-bench-") as folder:
        command = [sys.executable, "-m", "coord", "dev", "--json", "--no-restart"]
        command += ["--nodes", str(nodes), "--port", str(port), "--dir", folder]
        path = os.pathsep.join([str(ROOT), str(ROOT / "client"), os.environ.get("PYTHONPATH", "")])
        with subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE
        ) as process:
            try:
                assert process.stdout is not None
                ready = json.loads(process.stdout.readline() or b"{}")
                if "nodes" not in ready:
                    raise SystemExit("the cluster did not become ready; see the messages above")
                yield Cluster(
                    ",".join(node["client"] for node in ready["nodes"]),
                    tuple(node["pid"] for node in ready["nodes"]),
                )
            finally:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def measure(
    cluster: Cluster, case: Case, options: argparse.Namespace, *, fill: bool
) -> dict[str, Any]:
    """One run of one case."""
    command = [str(GENERATOR), "-s", cluster.hosts, "-t", str(options.seconds)]
    command += ["-w", str(options.warmup), "-k", str(options.keys), *case.arguments]
    before_s = cluster.cpu_s()
    run = subprocess.run(
        command if fill else [*command, "-n"], stdout=subprocess.PIPE, text=True, check=False
    )
    used_s = cluster.cpu_s() - before_s
    if not run.stdout:
        raise SystemExit(f"{case.name}: the generator failed with code {run.returncode}")
    result: dict[str, Any] = json.loads(run.stdout)
    done = result["ops_s"] * (options.seconds + options.warmup)
    if cluster.pids and done:
        result["node_cpu_us"] = used_s * 1e6 / done / len(cluster.pids)
    return result


def run_cases(
    cluster: Cluster, cases: list[Case], options: argparse.Namespace
) -> dict[str, list[dict[str, Any]]]:
    """All repeats of all cases, in turn."""
    results: dict[str, list[dict[str, Any]]] = {case.name: [] for case in cases}
    filled = False
    for repeat in range(options.repeats):
        for case in cases:
            print(f"\r{repeat + 1}/{options.repeats} {case.name:<16}", end="", file=sys.stderr)
            results[case.name].append(measure(cluster, case, options, fill=not filled))
            # The first to need the keys makes them; creates need only the root.
            filled = filled or not case.name.startswith("create")
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    return results


COLUMNS: Final = (
    ("ops_s", "ops/s", "{:,.0f}"),
    ("p50_us", "p50 ms", "{:.2f}"),
    ("p99_us", "p99 ms", "{:.2f}"),
    ("max_us", "max ms", "{:.1f}"),
    ("write_gap_max_ms", "gap ms", "{:.0f}"),
    ("node_cpu_us", "CPU us", "{:.1f}"),
)


def median_of(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Medians of every number of a case; the spread of its rate; worst canary, all errors."""
    names = [name for name, _, _ in COLUMNS if all(name in run for run in runs)]
    medians = {name: statistics.median(run[name] for run in runs) for name in names}
    rates = [run["ops_s"] for run in runs]
    medians["ops_s_min"], medians["ops_s_max"] = min(rates), max(rates)
    medians["canary_max_ms"] = max(run["canary_max_ms"] for run in runs)
    medians["errors"] = sum(sum(run["errors"].values()) for run in runs)
    medians["reconnects"] = sum(run["reconnects"] for run in runs)
    return medians


def show(cases: list[Case], medians: dict[str, dict[str, float]]) -> None:
    """The table."""
    heads = ["case", *(head for _, head, _ in COLUMNS), "spread", "remarks"]
    rows = [heads]
    for case in cases:
        found = medians[case.name]
        row = [case.name]
        for name, _, form in COLUMNS:
            value = found.get(name)
            scale = 1_000 if name.endswith("_us") and name != "node_cpu_us" else 1
            row.append("–" if value is None else form.format(value / scale))
        spread = (found["ops_s_max"] - found["ops_s_min"]) / max(found["ops_s"], 1)
        rows.append([*row, f"{spread:.0%}", remarks_on(case, found)])
    widths = [max(len(row[at]) for row in rows) for at in range(len(heads))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        print("  ".join([*cells, row[-1]]).rstrip())


def remarks_on(case: Case, found: dict[str, float]) -> str:
    """What a reader of the line must know."""
    remarks = []
    if case.target:
        met = "meets" if found["ops_s"] >= case.target else "MISSES"
        remarks.append(f"{met} {case.target:,}/s")
    if found["canary_max_ms"] > STALL_MS:
        remarks.append(f"the machine stood still for {found['canary_max_ms']:.0f} ms")
    if found["errors"] or found["reconnects"]:
        remarks.append(f"{found['errors']:.0f} errors, {found['reconnects']:.0f} reconnects")
    return "; ".join(remarks)


# --- looking inside -----------------------------------------------------------------------------


def count_calls(cluster: Cluster, options: argparse.Namespace) -> None:
    """System calls of the first node under set-64x1, with the syncs each write cost."""
    strace = shutil.which("strace")
    if strace is None:
        raise SystemExit("strace is missing: apt-get install strace")
    with tempfile.NamedTemporaryFile("r", suffix=".strace", encoding="utf-8") as report:
        watcher = subprocess.Popen(
            [strace, "-c", "-f", "-q", "-o", report.name, "-p", str(cluster.pids[0])]
        )
        result = measure(cluster, CASES[0], options, fill=False)
        watcher.send_signal(signal.SIGINT)
        watcher.wait(STOP_S)
        text = report.read()
    print(f"\nsystem calls of one node under {CASES[0].name} ({result['ops_s']:,.0f} writes/s)\n")
    print("\n".join(text.splitlines()[:20]))
    # Columns: % time, seconds, usecs/call, calls, (errors), name.
    lines = [line.split() for line in text.splitlines()]
    syncs = sum(int(line[3]) for line in lines if line and line[-1] in ("fsync", "fdatasync"))
    writes = result["ops_s"] * (options.seconds + options.warmup)
    if syncs:
        print(f"\n{syncs} syncs for about {writes:,.0f} writes: {writes / syncs:.1f} a sync")


def profile(cluster: Cluster, folder: Path, options: argparse.Namespace) -> None:
    """A flame graph of every node under set-16x16."""
    recorder = shutil.which("py-spy")
    if recorder is None:
        raise SystemExit("py-spy is missing: pip install py-spy")
    folder.mkdir(parents=True, exist_ok=True)
    seconds = str(options.seconds)
    watchers = []
    for number, pid in enumerate(cluster.pids, 1):
        target = ["-p", str(pid), "-o", str(folder / f"node-{number}.svg")]
        command = [recorder, "record", "-n", "-t", "-d", seconds, "-r", "200", *target]
        watchers.append(subprocess.Popen(command))
    case = next(case for case in CASES if case.name == "set-16x16")
    result = measure(cluster, case, options, fill=False)
    for watcher in watchers:
        watcher.wait(STOP_S + options.seconds)
    print(f"\nprofiles of {case.name} ({result['ops_s']:,.0f} writes/s) are in {folder}")


# --- command ------------------------------------------------------------------------------------


def parse() -> argparse.Namespace:
    """The command line."""
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=names, help="only this one (repeatable)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="measured, per run")
    parser.add_argument("--warmup", type=int, default=2, help="seconds before that")
    parser.add_argument("--keys", type=int, default=10_000, help="distinct nodes written and read")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--port", type=int, default=23181)
    parser.add_argument("--hosts", help="measure this cluster instead of starting one")
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--strace", action="store_true", help="count system calls")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="record CPU profiles")
    return parser.parse_args()


def main() -> int:
    """Measure, then show."""
    options = parse()
    build()
    cases = [case for case in CASES if not options.case or case.name in options.case]
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    with contextlib.ExitStack() as stack:
        cluster = (
            Cluster(options.hosts)
            if options.hosts
            else stack.enter_context(local_cluster(options.port, options.nodes))
        )
        results = run_cases(cluster, cases, options)
        medians = {name: median_of(runs) for name, runs in results.items()}
        print(
            f"{options.nodes} nodes, {os.cpu_count()} cores for nodes and generator, "
            f"{options.keys:,} nodes in the tree, medians of {options.repeats}\n"
        )
        show(cases, medians)
        if options.strace:
            count_calls(cluster, options)
        if options.profile:
            profile(cluster, options.profile, options)
    if options.json:
        everything = {"started": started, "medians": medians, "runs": results}
        options.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
