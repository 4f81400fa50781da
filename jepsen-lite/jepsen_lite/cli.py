"""The command ``jepsen-lite``. Its exit code tells the verdict: 0 valid, 1 invalid, 3 unknown; 2 is
wrong usage, 4 that the cluster could not be started."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from jepsen_lite import checking, matrix, report
from jepsen_lite.clusters import ports
from jepsen_lite.clusters.cluster import ClusterError
from jepsen_lite.clusters.starting import CLUSTERS
from jepsen_lite.faults.catalogue import FAULTS, UnknownFaultError, kind_of
from jepsen_lite.matrix import Cell, Ledger
from jepsen_lite.progress import Board, Progress
from jepsen_lite.run import Result, Run, execute
from jepsen_lite.scenarios import (
    CAMPAIGN_FAULTS,
    CAMPAIGN_WORKLOADS,
    CI,
    MATRIX_FAULTS,
    SCENARIOS,
    SMALL,
)
from jepsen_lite.settings import Settings
from jepsen_lite.verdict import Verdict
from jepsen_lite.workloads import WORKLOADS

USAGE: Final = 2
NOT_STARTED: Final = 4
INTERRUPTED: Final = 130
NODES_MAX: Final = 9
RUNS_AT_ONCE_MAX: Final = ports.COUNT // ports.BLOCK
MEANING: Final = {
    Verdict.VALID: "every check passed",
    Verdict.UNKNOWN: "nothing wrong was found, but not enough was proven",
    Verdict.INVALID: "the service broke a promise",
}

Handler = Callable[[argparse.Namespace], int]


def say(text: str) -> None:
    """A line for people or scripts."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


def _sizes(text: str) -> list[int]:
    sizes = [int(word) for word in text.split(",")]
    if not all(1 <= size <= NODES_MAX for size in sizes):
        raise ValueError(text)
    return sizes


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError(text)
    return key, value


# --- run ------------------------------------------------------------------------------------------


def _common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--cluster", default="local", choices=CLUSTERS, help="what is tested")
    add("--client", default="", help="native, kazoo or etcd; default: the cluster's own")
    add("--compose-file", default="docker-compose.yml", metavar="FILE", help="of compose")
    add("--hosts", default="", metavar="H:P,…", help="of a remote cluster")
    add("--time", dest="time_s", type=_positive, default=60.0, metavar="S", help="of traffic")
    add("--ok", type=_count, default=0, metavar="N",
        help="go on until N operations have succeeded, six times as long at most")  # fmt: skip
    add("--rate", type=_positive, default=500.0, metavar="N", help="operations a second, at most")
    add("--workers", type=int, default=0, metavar="N", help="clients; 0: as the workload wants")
    add(
        "--lasts",
        dest="lasts_s",
        type=_positive,
        default=4.0,
        metavar="S",
        help="a fault, on average",
    )
    add("--rests", dest="rests_s", type=_positive, default=4.0, metavar="S", help="between two")
    add("--session-timeout", dest="session_timeout_s", type=_positive, default=4.0, metavar="S")
    add("--request-timeout", dest="request_timeout_s", type=_positive, default=2.0, metavar="S")
    add("--planted", default="", metavar="BUG", help="start the servers with this planted bug")
    add("--set", dest="server", action="append", type=_pair, default=[], metavar="KEY=VALUE",
        help="a setting of the servers")  # fmt: skip
    add("--first-port", type=int, default=23_000, metavar="PORT")
    add("--out", type=Path, default=Path("jepsen-runs"), metavar="DIR", help="where results go")
    add("--json", action="store_true", help="print the result as JSON")


def settings_of(options: argparse.Namespace, workload: str, faults: Sequence[str]) -> Settings:
    """What is asked for on the command line."""
    names = {field.name for field in dataclasses.fields(Settings)}
    values = {name: value for name, value in vars(options).items() if name in names}
    server = dict(options.server)
    return Settings(**{**values, "workload": workload, "faults": tuple(faults), "server": server})


def _run(options: argparse.Namespace) -> int:
    workload, faults = options.workload, tuple(filter(None, options.faults.split(",")))
    if options.scenario:
        workload, faults = SCENARIOS[options.scenario]
    if not workload:
        raise UnknownFaultError("name a scenario or --workload; `jepsen-lite list` shows them")
    for fault in faults:
        kind_of(fault)
    progress = Progress()
    run = Run(settings_of(options, workload, faults), progress.show)
    try:
        result = execute(run)
    finally:
        progress.end()
    report.write(result.directory)
    say(json.dumps(result.to_json()) if options.json else _told(result))
    return result.verdict.exit_code


def _told(result: Result) -> str:
    lines = [f"{result.verdict.value.upper()}: {MEANING[result.verdict]}"]
    for judgement in result.judgements:
        lines.append(f"  {judgement.checker}: {judgement.verdict.value}")
        lines += [f"    {finding.sentence}" for finding in judgement.findings[:5]]
        if judgement.found > 5:
            lines.append(f"    and {judgement.found - 5} more")
        lines += [f"    cannot say: {reason}" for reason in judgement.reasons]
    figures = result.figures
    lines.append(
        f"{figures['ok']:,} ok, {figures['fail']:,} fail, {figures['info']:,} unknown;"
        f" {figures['strikes']} faults; longest gap {figures['longest_gap_s']} s"
    )
    lines.append(f"report: {result.directory / report.REPORT}; again: {result.settings.command()}")
    return "\n".join(lines)


# --- list -----------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    workloads = {name: kind.summary for name, kind in WORKLOADS.items()}
    faults = {name: (kind.summary, kind.words) for name, kind in FAULTS.items()}
    if options.json:
        say(
            json.dumps(
                {
                    "workloads": workloads,
                    "faults": {n: {"summary": s, "targets": w} for n, (s, w) in faults.items()},
                    "scenarios": SCENARIOS,
                    "clusters": CLUSTERS,
                }
            )
        )
        return 0
    say("Workloads (--workload)")
    for name, summary in workloads.items():
        say(f"  {name:18} {summary}")
    say("\nFaults (--faults NAME[:TARGET],…)")
    for name, (summary, words) in faults.items():
        say(f"  {name:18} {summary}" + (f" [{', '.join(words)}]" if words else ""))
    say("\nScenarios (run NAME)")
    for name, (workload, struck) in SCENARIOS.items():
        say(f"  {name:22} {workload} × {' + '.join(struck)}")
    say(f"\nClusters (--cluster): {', '.join(CLUSTERS)}")
    return 0


# --- matrix ---------------------------------------------------------------------------------------


def _matrix(options: argparse.Namespace) -> int:
    base = settings_of(options, "register", ())
    ledger = Ledger(options.ledger)
    todo = list(_cells(options))
    if options.summary:
        say(matrix.summary(ledger.rows()))
        return 0
    left = len(set(todo) - ledger.done())
    ended: list[Cell] = []
    board = Board()

    def show(lines: list[str]) -> None:
        board.show([f"{len(ended)} of {left} runs have ended", *lines])

    def tell(cell: Cell, row: dict[str, Any]) -> None:
        ended.append(cell)
        board.clear()
        say(json.dumps(row) if options.json else _told_row(cell, row))

    try:
        matrix.go(
            todo, base, ledger, tell, again=options.again, at_once=options.parallel, show=show
        )
    finally:
        board.clear()
    wanted = set(todo)
    rows = [row for row in ledger.rows() if matrix.cell_of(row) in wanted]
    if not options.json:
        say("\n" + matrix.summary(rows))
    verdicts = {row["verdict"] for row in rows}
    for verdict in (Verdict.INVALID, Verdict.UNKNOWN):
        if verdict.value in verdicts:
            return verdict.exit_code
    return 0


def _told_row(cell: Cell, row: dict[str, Any]) -> str:
    why = f"  {row['why'][0]}" if row["why"] else ""
    gap_s = row.get("longest_gap_s", 0)
    return f"{row['verdict']:8} {cell.name}: {row.get('ok', 0):,} ok, gap {gap_s} s{why}"


def _cells(options: argparse.Namespace) -> list[Cell]:
    if options.parallel > 1 and options.cluster == "remote":
        raise UnknownFaultError("a cluster that runs already serves one run at a time")
    nodes, where = options.nodes, options.cluster
    seeds = range(options.seed, options.seed + options.rounds)
    pairs = SMALL if options.small else CI if options.ci else ()
    if pairs:
        return [Cell(w, f, n, s, where) for s in seeds for n in nodes for w, f in pairs]
    if options.campaign:
        return list(matrix.cells(CAMPAIGN_WORKLOADS, CAMPAIGN_FAULTS, nodes, seeds, where))
    workloads = options.workloads.split(",") if options.workloads else list(WORKLOADS)
    faults = options.faults.split(",") if options.faults else list(MATRIX_FAULTS)
    for name in workloads:
        if name not in WORKLOADS:
            raise UnknownFaultError(f"there is no workload {name!r}: {', '.join(WORKLOADS)}")
    for fault in (part for text in faults for part in text.split("+")):
        if fault != matrix.NO_FAULT:
            kind_of(fault)
    return list(matrix.cells(workloads, faults, nodes, seeds, where))


# --- the command ----------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(prog="jepsen-lite", description=__doc__)
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="start a cluster, break it, judge what it did")
    run.add_argument("scenario", nargs="?", choices=SCENARIOS, metavar="SCENARIO")
    run.add_argument("--workload", choices=WORKLOADS, metavar="NAME")
    run.add_argument("--faults", default="", metavar="NAME[:TARGET],…")
    run.add_argument("--nodes", type=int, choices=range(1, NODES_MAX + 1), default=3, metavar="N")
    run.add_argument("--seed", type=int, default=0)
    _common(run)
    run.set_defaults(handler=_run)

    checking.add_parser(commands)
    report.add_parser(commands)

    show = commands.add_parser("list", help="workloads, faults, scenarios, clusters")
    show.add_argument("--json", action="store_true")
    show.set_defaults(handler=_list)

    many = commands.add_parser("matrix", help="all workloads × faults; goes on where it stopped")
    many.add_argument("--workloads", default="", metavar="NAME,…")
    many.add_argument("--faults", default="", metavar="NAME[:TARGET][+…],…", help="none: healthy")
    some = many.add_mutually_exclusive_group()
    some.add_argument("--small", action="store_true", help="twelve pairs that cover most")
    some.add_argument("--ci", action="store_true", help="six pairs with several faults at once")
    some.add_argument("--campaign", action="store_true", help="ten workloads, twelve faults")
    many.add_argument("--nodes", type=_sizes, default=[3], metavar="N,…")
    many.add_argument("--seed", type=int, default=0)
    many.add_argument("--rounds", type=int, default=1, metavar="N", help="with other seeds")
    many.add_argument(
        "--again", type=_count, default=0, metavar="N",
        help="repeat what ends unknown, twice as long, up to N times",
    )  # fmt: skip
    many.add_argument(
        "--parallel", type=int, choices=range(1, RUNS_AT_ONCE_MAX + 1), default=1, metavar="N",
        help=f"runs at the same time, {RUNS_AT_ONCE_MAX} at most; each has its own ports",
    )  # fmt: skip
    many.add_argument("--ledger", type=Path, default=Path("jepsen-runs/ledger.jsonl"))
    many.add_argument("--summary", action="store_true", help="only show what the ledger says")
    _common(many)
    many.set_defaults(handler=_matrix)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    options = parser().parse_args(arguments)
    handler: Handler = options.handler
    # That sessions are lost is what this is about: the history says so, not the terminal.
    logging.getLogger("coord_client").setLevel(logging.CRITICAL)
    try:
        return handler(options)
    except UnknownFaultError as error:
        sys.stderr.write(f"jepsen-lite: {error}\n")
        return USAGE
    except ClusterError as error:
        sys.stderr.write(f"jepsen-lite: {error}\n")
        return NOT_STARTED
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
