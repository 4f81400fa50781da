"""How the cost of our nodes grows with what they are given.

    python -m bench.growth                            all curves, and their part of the page
    python -m bench.growth --quick --json FILE        few points, shown and kept
    python -m bench.growth --curve watches            one curve
    python -m bench.growth --write-docs RESULTS       the page and its chart from earlier results

Each point states what one operation costs one server in processor time. That is steadier than a
rate, and shows what grows: a cost that does not is a level line, one that grows in proportion rises
by a decade in every decade.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import charts, machine, report, tools
from bench.charts import Panel, Series
from bench.curves import CURVES, Bench, Curve, Point
from bench.run import raise_descriptor_limit
from bench.servers import ServersError

PORT: Final = 23_181
FORMAT: Final = 1
CHART: Final = report.PAGE.with_name("growth.svg")
LABELS: Final = {
    "ops_s": "/s",
    "p50_ms": " p50 ms",
    "cpu_us": " CPU µs",
    "anonymous_mib": "memory MiB",
    "arms_s": "armed/s",
    "bytes_per_watch": "bytes a watch",
    "restart_s": "restart s",
}


def parse() -> argparse.Namespace:
    """The command line."""
    names = [curve.name for curve in CURVES]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--curve", action="append", choices=names, help="only this one (repeatable)")
    add("--quick", action="store_true", help="few points, one second each")
    add("--seconds", type=int, help="measured, per point and operation")
    add("--port", type=int, default=PORT, help="first of about thirty")
    add("--json", type=Path, metavar="FILE", help="keep every point there")
    add("--docs", action="store_true", help="write docs/performance.md and its chart")
    add("--write-docs", type=Path, metavar="RESULTS", help="the same, from earlier results")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> dict[str, list[Point]]:
    """The points of every curve; those of a curve whose nodes failed are missing."""
    seconds = options.seconds or (1 if options.quick else 3)
    bench = Bench(options.port, seconds, 1, lambda text: print(f"  {text}", file=sys.stderr))
    found: dict[str, list[Point]] = {}
    for curve in CURVES:
        if options.curve and curve.name not in options.curve:
            continue
        print(curve.title, file=sys.stderr)
        try:
            points = curve.quick_points if options.quick else curve.points
            found[curve.name] = curve.measure(bench, points)
        except ServersError as error:
            print(f"{curve.title}: {error}", file=sys.stderr)
    return found


# --- report -------------------------------------------------------------------------------------


def exponent(points: Sequence[Point], figure: str) -> float:
    """The k of the power x^k that fits best: 0 is level, 1 in proportion."""
    pairs = [
        (math.log(point["x"]), math.log(point[figure]))
        for point in points
        if point.get(figure, 0) > 0
    ]
    if len(pairs) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*pairs, strict=True)).slope


def _label(figure: str) -> str:
    for ending, label in LABELS.items():
        if figure == ending:
            return label
        if figure.endswith(f"_{ending}"):
            return figure.removesuffix(f"_{ending}") + label
    return figure


def table(curve: Curve, points: Sequence[Point]) -> list[list[str]]:
    """Head, a line for each point, and how each drawn figure grows."""
    figures = [name for name in points[0] if name != "x"]
    drawn = {name for name, _ in curve.drawn}
    body = [
        [f"{point['x']:,.0f}", *(report.number(point[name], _unit(name)) for name in figures)]
        for point in points
    ]
    growth = [f"x^{exponent(points, name):.2f}" if name in drawn else "" for name in figures]
    return [[curve.x_label, *map(_label, figures)], *body, ["grows as", *growth]]


def _unit(figure: str) -> str:
    return "ops/s" if figure.endswith("_s") and not figure.startswith("restart") else ""


def panels(curves: dict[str, list[Point]]) -> list[Panel]:
    """A panel for each curve that was measured; and for restarts, which come with the log's."""
    found = []
    for curve in CURVES:
        points = curves.get(curve.name)
        if not points:
            continue
        series = tuple(_series(points, *drawn) for drawn in curve.drawn)
        found.append(Panel(curve.title, curve.x_label, curve.y_label, series))
        if "restart_s" in points[0]:
            series = (_series(points, "restart_s", "restart"),)
            y_label = "time until a killed node serves again, s"
            found.append(Panel("Restart", curve.x_label, y_label, series))
    return found


def _series(points: Sequence[Point], figure: str, label: str) -> Series:
    return Series(label, tuple((one["x"], one[figure]) for one in points if one[figure] > 0))


def show(results: dict[str, Any]) -> None:
    """Print every table."""
    for curve in CURVES:
        if points := results["curves"].get(curve.name):
            print(f"\n{curve.title}\n\n{report.aligned(table(curve, points))}")


def write_docs(results: dict[str, Any]) -> None:
    """The page's part on growth, and its chart."""
    parts = [f"Measured on {results['machine']['date']}, commit {results['machine']['commit']}."]
    for curve in CURVES:
        if points := results["curves"].get(curve.name):
            parts += [f"**{curve.title}**", report.markdown(table(curve, points))]
    report.replace_between(report.PAGE, "growth", "\n\n".join(parts))
    title = "What one operation costs one server"
    CHART.write_text(charts.small_multiples(panels(results["curves"]), title), encoding="utf-8")


def main() -> int:
    """Write the page from earlier results, or measure."""
    options = parse()
    if options.write_docs:
        results = json.loads(options.write_docs.read_text(encoding="utf-8"))
        write_docs(results)
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise_descriptor_limit()
    tools.build()
    results = {"format": FORMAT, "machine": machine.describe(), "curves": measure(options)}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    show(results)
    if options.docs:
        write_docs(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
