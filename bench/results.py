"""From the records of trials to the lines of the table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.cases import METRICS, SYSTEMS, Metric

FORMAT: Final = 1

Record = dict[str, Any]
Results = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Summary:
    """All good trials of one figure of one system."""

    median: float
    least: float
    most: float
    count: int


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of every system that has it. ``ratio`` is ours to ZooKeeper's."""

    metric: Metric
    found: dict[str, Summary]
    ratio: float | None
    is_met: bool | None


def read(path: Path) -> Results:
    """The results in ``path``. Ends the process if they are of another format."""
    results: Results = json.loads(path.read_text(encoding="utf-8"))
    if results.get("format") != FORMAT:
        raise SystemExit(f"{path} is not a result of this version of the bench")
    return results


def write(path: Path, results: Results) -> None:
    """Keep them, a trial a line."""
    head = {"format": FORMAT, **{key: results[key] for key in results if key != "records"}}
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    trials = ",\n".join(json.dumps(record, sort_keys=True) for record in results["records"])
    parts.append(f'"records": [\n{trials}\n]')
    path.write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


def counted(records: Iterable[Record]) -> list[Record]:
    """The trials that count: those without a stall; a stalled one where no other was had.

    An attempt that failed never counts.
    """
    last: dict[tuple[Any, ...], Record] = {}
    kept = []
    for place, record in enumerate(records):
        if "error" in record:
            continue
        if record["stalls"]:
            last[record["round"], record["case"], record["system"], place - record["attempt"]] = (
                record
            )
            continue
        last.pop(
            (record["round"], record["case"], record["system"], place - record["attempt"]), None
        )
        kept.append(record)
    return [*kept, *last.values()]


def summary(records: list[Record], metric: Metric, system: str) -> Summary | None:
    """The metric of one system over all trials, in the metric's unit; None without any."""
    values = [
        record["figures"][metric.figure] * metric.scale
        for record in records
        if record["case"] == metric.case
        and record["system"] == system
        and metric.figure in record["figures"]
    ]
    if not values:
        return None
    return Summary(statistics.median(values), min(values), max(values), len(values))


def rows(results: Results) -> list[Row]:
    """A row for each metric that any system has a figure for."""
    records = counted(results["records"])
    found = []
    for metric in METRICS:
        summaries = {
            system: one
            for system in SYSTEMS
            if (one := summary(records, metric, system)) is not None
        }
        if summaries:
            found.append(_row(metric, summaries))
    return found


def _row(metric: Metric, found: dict[str, Summary]) -> Row:
    ours, theirs = found.get("coord"), found.get("zookeeper")
    ratio = ours.median / theirs.median if ours and theirs and theirs.median else None
    is_met = metric.is_met(ours.median, ratio) if ours else None
    return Row(metric, found, ratio, is_met)


def stalled(results: Results) -> list[Record]:
    """Trials during which the machine stood still."""
    return [record for record in results["records"] if record["stalls"]]


def failed(results: Results) -> list[Record]:
    """Trials that gave nothing."""
    return [record for record in results["records"] if "error" in record]
