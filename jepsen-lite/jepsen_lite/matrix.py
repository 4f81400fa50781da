"""Many runs: all workloads × faults × sizes, resumable from a ledger of one JSON line a run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, BinaryIO, Final, NamedTuple

from jepsen_lite import parallel, report
from jepsen_lite.clusters.cluster import ClusterError
from jepsen_lite.progress import Progress
from jepsen_lite.run import Result, Run, execute
from jepsen_lite.settings import Settings
from jepsen_lite.verdict import Verdict

NO_FAULT: Final = "none"


class Cell(NamedTuple):
    """One run of the matrix; what the ledger tells runs apart by."""

    workload: str
    faults: str
    nodes: int
    seed: int
    cluster: str = "local"

    @property
    def name(self) -> str:
        """For people."""
        where = "" if self.cluster == "local" else f" of {self.cluster}"
        return f"{self.workload} × {self.faults}, {self.nodes} nodes{where}, seed {self.seed}"


def cells(
    workloads: Iterable[str],
    faults: Sequence[str],
    nodes: Sequence[int],
    seeds: Iterable[int],
    cluster: str = "local",
) -> Iterator[Cell]:
    """All combinations, by diagonals: of a campaign that was stopped early every workload has met
    about as many faults. Every pair is run at one size, in turn along the diagonals, before any is
    at a second. Several faults at once are joined by "+"."""
    rows = list(workloads)
    for seed in seeds:
        for turn in range(len(nodes)):
            for shift in range(len(faults)):
                count = nodes[(shift + turn) % len(nodes)]
                for at, workload in enumerate(rows):
                    fault = faults[(at + shift) % len(faults)]
                    yield Cell(workload, fault, count, seed, cluster)


class Ledger:
    """What has been run. Lines that are no JSON (an interrupted write) are left out."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self) -> list[dict[str, Any]]:
        """Every run so far, oldest first."""
        if not self._path.exists():
            return []
        rows = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
        return rows

    def done(self) -> set[Cell]:
        """Cells that have a row."""
        return set(map(cell_of, self.rows()))

    def add(self, row: dict[str, Any]) -> None:
        """Append a run; a line that an interrupted write has left stays a line of its own."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+b") as file:
            is_cut_short = file.tell() > 0 and _last_byte(file) != b"\n"
            line = json.dumps(row, sort_keys=True) + "\n"
            file.write((b"\n" if is_cut_short else b"") + line.encode())


def cell_of(row: dict[str, Any]) -> Cell:
    """Whose row it is. Raises KeyError."""
    return Cell(*(row[name] for name in Cell._fields))


def _last_byte(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def row_of(cell: Cell, base: Settings, result: Result | str) -> dict[str, Any]:
    """A line of the ledger. ``result`` as text: why the run could not be done."""
    command = settings_of(cell, base).command()
    row: dict[str, Any] = {**cell._asdict(), "time_s": base.time_s, "command": command}
    if isinstance(result, str):
        return {**row, "verdict": Verdict.UNKNOWN.value, "why": [result]}
    why = [
        text
        for judgement in result.judgements
        for text in (*(each.sentence for each in judgement.findings[:3]), *judgement.reasons)
    ]
    kept = ("ok", "fail", "info", "strikes", "longest_gap_s", "recovered_s")
    figures = {name: result.figures[name] for name in kept if name in result.figures}
    return {**row, "verdict": result.verdict.value, "why": why, **figures}


def settings_of(cell: Cell, base: Settings) -> Settings:
    """What the run of a cell is asked to do."""
    faults = () if cell.faults == NO_FAULT else tuple(cell.faults.split("+"))
    return replace(
        base,
        workload=cell.workload,
        faults=faults,
        nodes=cell.nodes,
        seed=cell.seed,
        cluster=cell.cluster,
    )


def go(
    todo: Iterable[Cell],
    base: Settings,
    ledger: Ledger,
    tell: Callable[[Cell, dict[str, Any]], None],
    *,
    again: int = 0,
    at_once: int = 1,
    show: Callable[[list[str]], None] = lambda _lines: None,
) -> None:
    """Run what the ledger does not have. What passed leaves only its row behind.

    ``tell`` hears of each row, ``show`` of how far those runs are that are under way, a line each.
    More than one ``at_once``: each in a process of its own, their rows in the order in which they
    end. A run that ends unknown is repeated, twice as long, up to ``again`` times; its row says
    what was not known before. Raises UnknownFaultError, KeyboardInterrupt; no server is left then.
    """
    done = ledger.done()
    left = (cell for cell in todo if cell not in done)
    work = partial(_row, base=base, again=again)
    with closing(_results(left, work, at_once, show)) as results:
        for cell, result in results:
            row = row_of(cell, base, result) if isinstance(result, str) else result
            ledger.add(row)
            tell(cell, row)


def _results(
    left: Iterable[Cell],
    work: parallel.Work[Cell],
    at_once: int,
    show: Callable[[list[str]], None],
) -> Generator[tuple[Cell, dict[str, Any] | str], None, None]:
    """Rows as they come; as text, why there is none."""
    if at_once > 1:
        yield from parallel.each(left, work, at_once, show)
    else:
        yield from ((cell, work(cell, lambda line: show([line]))) for cell in left)


def _row(cell: Cell, tell: parallel.Tell, *, base: Settings, again: int) -> dict[str, Any]:
    """Do a run, and again while it ends unknown; its row."""
    before: list[str] = []
    row = _one(cell, base, tell)
    for _ in range(again):
        if row["verdict"] != Verdict.UNKNOWN.value:
            break
        before += row["why"]
        row = _one(cell, replace(base, time_s=2 * row["time_s"]), tell)
    if before:
        row["unknown_before"] = before
    return row


def _one(cell: Cell, base: Settings, tell: parallel.Tell) -> dict[str, Any]:
    """Do one run; its row."""
    progress = Progress()
    run = Run(settings_of(cell, base), lambda run: tell(f"{cell.name}: {progress.line(run)}"))
    try:
        result = execute(run)
    except ClusterError as error:
        return row_of(cell, base, f"could not be run: {error}")
    except ExceptionGroup as errors:  # The tool's own fault must not end a campaign of days.
        return row_of(cell, base, f"the tool failed: {_first(errors)!r} (see {run.directory})")
    _keep(result)
    return row_of(cell, base, result)


def _first(error: Exception) -> Exception:
    """What lies at the bottom of groups within groups."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _keep(result: Result) -> None:
    """What passed leaves only its row behind; the rest gets a report."""
    if result.verdict is Verdict.VALID:
        shutil.rmtree(result.directory, ignore_errors=True)
    else:
        report.write(result.directory)


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table of faults: runs, verdicts, operations that succeeded, and the longest time
    without one (median and worst of the runs that were judged); last, all together."""
    lines = [
        "| fault | runs | valid | unknown | invalid | operations | longest gap: median | worst |",
        "|---|---|---|---|---|---|---|---|",
    ]
    faults = dict.fromkeys(row["faults"] for row in rows)
    lines += [_summed(name, [row for row in rows if row["faults"] == name]) for name in faults]
    return "\n".join([*lines, _summed("all", rows)])


def _summed(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """A line of the table."""
    counts = [
        sum(row["verdict"] == verdict.value for row in rows)
        for verdict in (Verdict.VALID, Verdict.UNKNOWN, Verdict.INVALID)
    ]
    gaps = [row["longest_gap_s"] for row in rows if "longest_gap_s" in row]
    shown = [f"{gap:.2f} s" for gap in (median(gaps), max(gaps))] if gaps else ["", ""]
    operations = sum(row.get("ok", 0) for row in rows)
    fields = [name, len(rows), *counts, f"{operations:,}", *shown]
    return f"| {' | '.join(map(str, fields))} |"
