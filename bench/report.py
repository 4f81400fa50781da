"""Results as text: the table on the terminal, and the generated parts of docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from bench import charts
from bench import results as found
from bench.cases import CASES, LABELS, METRICS, SYSTEMS, Metric
from bench.results import Record, Results, Row, Summary

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "performance.md"
LABEL_OF: Final = {case.name: case.label for case in CASES}
STALLS_SHOWN: Final = 20


def number(value: float, unit: str) -> str:
    """With as many digits as the measurement deserves."""
    if unit.endswith("/s"):
        return f"{value:,.0f}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def floor_of(metric: Metric) -> str:
    """What the issue asks for, as text."""
    if not metric.floor:
        return "–"
    bound = "at least" if metric.more_is_better else "at most"
    if metric.is_absolute:
        return f"{bound} {metric.floor:,.0f} {metric.unit}"
    return f"{bound} {metric.floor:g}×"


def verdict(row: Row) -> str:
    """Whether the floor is met."""
    return "–" if row.is_met is None else "meets" if row.is_met else "MISSES"


def _cell(row: Row, system: str) -> str:
    one = row.found.get(system)
    if one is None:
        return "–"
    text = number(one.median, row.metric.unit)
    if row.metric.case.startswith("failover"):
        text += f" (worst {number(one.most, row.metric.unit)})"
    return text


def table(results: Results) -> list[list[str]]:
    """Head and body of the comparison."""
    shown = [
        system for system in SYSTEMS if any(system in row.found for row in found.rows(results))
    ]
    head = ["work", "unit", *(LABELS[system] for system in shown), "ratio", "floor", ""]
    body = [
        [
            row.metric.label,
            row.metric.unit,
            *(_cell(row, system) for system in shown),
            f"{row.ratio:.2f}×" if row.ratio is not None else "–",
            floor_of(row.metric),
            verdict(row),
        ]
        for row in found.rows(results)
    ]
    return [head, *body]


def detail(results: Results) -> list[list[str]]:
    """Latency, processor time and spread of every load."""
    records = found.counted(results["records"])
    figures = {"ops_s": 1.0, "p50_us": 1e-3, "p99_us": 1e-3, "p999_us": 1e-3}
    figures |= {"server_cpu_us": 1.0, "generator_busy": 100.0}
    head = ["work", "system", "ops/s", "least to most", "p50 ms", "p99 ms", "p99.9 ms"]
    lines = [[*head, "CPU µs", "generator"]]
    for name in dict.fromkeys(metric.case for metric in METRICS if metric.unit == "ops/s"):
        lines += _detail_of(records, name, figures)
    if any(metric.case == "set-1x1" for metric in METRICS):
        lines += _detail_of(records, "set-1x1", figures)
    return lines


def _detail_of(records: list[Record], case: str, figures: dict[str, float]) -> list[list[str]]:
    lines = []
    for system in SYSTEMS:
        have: dict[str, Summary] = {}
        for figure, scale in figures.items():
            one = found.summary(records, Metric(case, figure, figure, "", scale=scale), system)
            if one is not None:
                have[figure] = one
        if "ops_s" not in have:
            continue
        rate = have["ops_s"]
        line = [LABEL_OF[case], LABELS[system], f"{rate.median:,.0f}"]
        line.append(f"{rate.least:,.0f} – {rate.most:,.0f}")
        line += [
            f"{have[name].median:.2f}" if name in have else "–"
            for name in ("p50_us", "p99_us", "p999_us")
        ]
        line.append(f"{have['server_cpu_us'].median:.1f}" if "server_cpu_us" in have else "–")
        busy = have.get("generator_busy")
        lines.append([*line, f"{busy.median:.0f} %" if busy else "–"])
    return lines


def remarks(results: Results) -> list[str]:
    """Where, when, how often; what was disturbed."""
    lines = [_place(results), _measured(results)]
    stalls = found.stalled(results)
    if stalls:
        listed = "; ".join(_stall(record) for record in stalls[:STALLS_SHOWN])
        more = f"; and {len(stalls) - STALLS_SHOWN} more" if len(stalls) > STALLS_SHOWN else ""
        lines.append(f"Trials during which the machine itself stood still: {listed}{more}.")
    else:
        lines.append("The machine stood still for more than 50 ms in none of the trials.")
    failures = found.failed(results)
    if failures:
        listed = "; ".join(f"{one['system']} {one['case']}" for one in failures[:STALLS_SHOWN])
        lines.append(f"Attempts that failed: {listed}.")
    return lines


def _place(results: Results) -> str:
    machine, versions = results["machine"], results["versions"]
    return (
        f"{machine['date']}, commit {machine['commit']}: {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory']}, Linux {machine['kernel']}, "
        f"{machine['file system']}; Python {versions['python']}, ZooKeeper "
        f"{versions['zookeeper'] or '–'}, etcd {versions['etcd'] or '–'}."
    )


def _measured(results: Results) -> str:
    scale = results["scale"]
    return (
        f"Rounds: {scale['rounds']}; each load: {scale['seconds']} s after {scale['warmup']} s; "
        f"failovers: {_failovers(results)}."
    )


def _failovers(results: Results) -> str:
    counts = [
        f"{LABEL_OF[row.metric.case]}, "
        + " and ".join(f"{one.count} times on {LABELS[name]}" for name, one in row.found.items())
        for row in found.rows(results)
        if row.metric.case.startswith("failover")
    ]
    return "; ".join(counts) or "none"


def _stall(record: Record) -> str:
    longest = max(stall["late_ms"] for stall in record["stalls"])
    return (
        f"{record['system']} {record['case']}, round {record['round'] + 1} ({longest:.0f} ms, "
        f"attempt {record['attempt'] + 1})"
    )


# --- renderings ---------------------------------------------------------------------------------


def aligned(lines: list[list[str]]) -> str:
    """For a terminal: the first column to the left, the others to the right."""
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        ).rstrip()
        for line in lines
    )


def markdown(lines: list[list[str]]) -> str:
    """For a page: text to the left, numbers to the right."""
    head, *body = lines
    numbers = [sum(line[at][:1].isdigit() for line in body) for at in range(len(head))]
    rule = ["---:" if count > len(body) / 2 else "---" for count in numbers]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body])


def replace_between(page: Path, name: str, text: str) -> None:
    """Put ``text`` between the markers ``begin: name`` and ``end: name`` of ``page``."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    whole = page.read_text(encoding="utf-8")
    if begin not in whole or end not in whole:
        raise SystemExit(f"{page} has no markers for {name}")
    before, _, rest = whole.partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def write_docs(results: Results, page: Path = PAGE) -> list[Path]:
    """Write the generated parts of the page, and the chart beside it; the files written."""
    chart = page.with_name("performance.svg")
    chart.write_text(charts.ratios(found.rows(results)), encoding="utf-8")
    comparison = [markdown(table(results)), "", *_paragraphs(remarks(results))]
    replace_between(page, "comparison", "\n".join(comparison))
    replace_between(page, "detail", markdown(detail(results)))
    return [page, chart]


def _paragraphs(lines: list[str]) -> list[str]:
    return [part for line in lines for part in (line, "")][:-1]


def show(results: Results) -> None:
    """Print the comparison."""
    print(aligned(table(results)))
    print()
    print(aligned(detail(results)))
    print()
    for line in remarks(results):
        print(line)


def everything(
    machine: dict[str, str], versions: dict[str, str], scale: dict[str, Any], records: list[Record]
) -> Results:
    """Results in the form that is kept."""
    return {"machine": machine, "versions": versions, "scale": scale, "records": records}
