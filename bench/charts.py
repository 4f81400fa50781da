"""Charts as SVG, readable on a light and on a dark page, from results alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from bench.results import Row

FONT: Final = "font-family:system-ui,-apple-system,'Segoe UI',sans-serif"
STYLE: Final = f"""<style>
svg {{ {FONT}; font-size: 13px; background: #ffffff; }}
text {{ fill: #1f2328; }}
.title {{ font-weight: 600; }}
.faint {{ fill: #59636e; font-size: 12px; }}
.grid {{ stroke: #d1d9e0; stroke-width: 1; }}
.one {{ stroke: #59636e; stroke-width: 1.5; }}
.floor {{ stroke: #9a6700; stroke-width: 2; }}
.good {{ fill: #1a7f64; }}
.bad {{ fill: #cf222e; }}
.plain {{ fill: #57799c; }}
.line0 {{ stroke: #1a7f64; }} .dot0 {{ fill: #1a7f64; }}
.line1 {{ stroke: #8250df; }} .dot1 {{ fill: #8250df; }}
.line2 {{ stroke: #bc4c00; }} .dot2 {{ fill: #bc4c00; }}
.curve {{ fill: none; stroke-width: 2; }}
@media (prefers-color-scheme: dark) {{
svg {{ background: #0d1117; }}
text {{ fill: #e6edf3; }}
.faint {{ fill: #9198a1; }}
.grid {{ stroke: #3d444d; }}
.one {{ stroke: #9198a1; }}
.floor {{ stroke: #d29922; }}
.good {{ fill: #3fb68b; }}
.bad {{ fill: #f85149; }}
.plain {{ fill: #7fa6cc; }}
.line0 {{ stroke: #3fb68b; }} .dot0 {{ fill: #3fb68b; }}
.line1 {{ stroke: #ab7df8; }} .dot1 {{ fill: #ab7df8; }}
.line2 {{ stroke: #f0883e; }} .dot2 {{ fill: #f0883e; }}
}}
</style>"""

WIDTH: Final = 860
LEFT: Final = 280
RIGHT: Final = 90
BAR: Final = 18
STEP: Final = 28
TOP: Final = 64


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    mark = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{mark}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def document(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """A whole SVG file."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'role="img" aria-label="{escape(title)}">'
    )
    return "\n".join([head, f"<title>{escape(title)}</title>", STYLE, *parts, "</svg>"]) + "\n"


# --- bars of ratios -----------------------------------------------------------------------------


def _advantage(row: Row) -> float | None:
    """How many times better than ZooKeeper: its inverse where less is better."""
    if not row.ratio:
        return None
    return row.ratio if row.metric.more_is_better else 1 / row.ratio


def _wanted(row: Row) -> float | None:
    """The floor on the same scale; None for one that is no ratio."""
    metric = row.metric
    if not metric.floor or metric.is_absolute:
        return None
    return metric.floor if metric.more_is_better else 1 / metric.floor


def ratios(rows: Sequence[Row]) -> str:
    """One bar a metric: how many times better than ZooKeeper, on a logarithmic scale."""
    bars = [(row, advantage) for row in rows if (advantage := _advantage(row)) is not None]
    title = "How many times better than ZooKeeper 3.8"
    values = [advantage for _, advantage in bars]
    values += [wanted for row, _ in bars if (wanted := _wanted(row)) is not None]
    least = 2.0 ** math.floor(math.log2(min([*values, 1.0])))
    most = 2.0 ** math.ceil(math.log2(max([*values, 2.0]) * 1.02))
    span = math.log2(most / least)
    bottom = TOP + STEP * len(bars)

    def place(value: float) -> float:
        return LEFT + math.log2(value / least) / span * (WIDTH - LEFT - RIGHT)

    parts = [_text(16, 28, title, kind="title"), _legend()]
    for power in range(round(span) + 1):
        value = least * 2**power
        kind = "one" if value == 1 else "grid"
        parts.append(_line(place(value), TOP - 6, place(value), bottom, kind))
        parts.append(_text(place(value), bottom + 18, f"{value:g}×", "middle", "faint"))
    for at, (row, advantage) in enumerate(bars):
        parts += _bar(row, advantage, TOP + STEP * at, place)
    return document(WIDTH, bottom + 34, title, parts)


def _legend() -> str:
    return _text(
        16, 46, "Right of 1× is better. The short line is the floor, where that is a ratio.",
        kind="faint",
    )  # fmt: skip


def _bar(row: Row, advantage: float, y: float, place: Callable[[float], float]) -> list[str]:
    kind = {True: "good", False: "bad", None: "plain"}[row.is_met]
    start, end = sorted((place(1.0), place(advantage)))
    box = f'x="{start:.1f}" y="{y:.1f}" width="{max(end - start, 1):.1f}" height="{BAR}"'
    parts = [
        _text(LEFT - 10, y + BAR - 4, row.metric.label, "end"),
        f'<rect {box} rx="2" class="{kind}"/>',
        _text(WIDTH - 16, y + BAR - 4, f"{advantage:.2f}×", "end"),
    ]
    wanted = _wanted(row)
    if wanted is not None:
        parts.append(_line(place(wanted), y - 3, place(wanted), y + BAR + 3, "floor"))
    return parts


# --- small multiples ----------------------------------------------------------------------------

PANEL_WIDTH: Final = 400
PANEL_HEIGHT: Final = 250
PLOT_LEFT: Final = 62
PLOT_TOP: Final = 48
PLOT_WIDTH: Final = 318
PLOT_HEIGHT: Final = 140
NAME_WIDTH: Final = 60

Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """A named line of (x, y), both above zero."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One small chart: both axes logarithmic, so that a straight line is a power."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]


def brief(value: float) -> str:
    """1200000 as 1.2M."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def _scale(values: Sequence[float]) -> Bounds:
    """Powers of ten around all values."""
    least = 10.0 ** math.floor(math.log10(min(values)) + 1e-9)
    most = 10.0 ** math.ceil(math.log10(max(values)) - 1e-9)
    return least, most if most > least else least * 10


def _share(value: float, bounds: Bounds) -> float:
    return math.log10(value / bounds[0]) / math.log10(bounds[1] / bounds[0])


def small_multiples(panels: Sequence[Panel], title: str) -> str:
    """All panels, two in a row."""
    parts = [_text(16, 26, title, kind="title")]
    for at, panel in enumerate(panels):
        x, y = (at % 2) * PANEL_WIDTH, 40 + (at // 2) * PANEL_HEIGHT
        parts.append(f'<g transform="translate({x},{y})">')
        parts += _panel(panel)
        parts.append("</g>")
    height = 40 + math.ceil(len(panels) / 2) * PANEL_HEIGHT
    return document(2 * PANEL_WIDTH + 10, height, title, parts)


def _panel(panel: Panel) -> list[str]:
    points = [point for series in panel.series for point in series.points]
    if not points:
        return [_text(16, 20, panel.title)]
    across, up = _scale([x for x, _ in points]), _scale([y for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            PLOT_LEFT + _share(x, across) * PLOT_WIDTH,
            PLOT_TOP + (1 - _share(y, up)) * PLOT_HEIGHT,
        )

    parts = [_text(16, 18, panel.title, kind="title"), _text(16, 36, panel.y_label, kind="faint")]
    parts += _axes(across, up, place)
    middle = PLOT_LEFT + PLOT_WIDTH / 2
    parts.append(_text(middle, PLOT_TOP + PLOT_HEIGHT + 36, panel.x_label, "middle", "faint"))
    for number, series in enumerate(panel.series):
        parts += _curve(number, [place(*point) for point in series.points])
        if len(panel.series) > 1:
            x = PLOT_LEFT + PLOT_WIDTH - NAME_WIDTH * (len(panel.series) - 1 - number)
            parts.append(_text(x, 18, series.name, "end", f"dot{number % 3}"))
    return parts


def _axes(
    across: Bounds, up: Bounds, place: Callable[[float, float], tuple[float, float]]
) -> list[str]:
    parts = []
    for value in _powers(up):
        x, y = place(across[0], value)
        parts.append(_line(x, y, x + PLOT_WIDTH, y, "grid"))
        parts.append(_text(x - 6, y + 4, brief(value), "end", "faint"))
    for value in _powers(across):
        x, y = place(value, up[0])
        parts.append(_text(x, y + 18, brief(value), "middle", "faint"))
    return parts


def _powers(bounds: Bounds) -> list[float]:
    first, last = round(math.log10(bounds[0])), round(math.log10(bounds[1]))
    return [10.0**power for power in range(first, last + 1)]


def _curve(number: int, places: Sequence[tuple[float, float]]) -> list[str]:
    kind = number % 3
    track = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="dot{kind}"/>' for x, y in places]
    return [f'<polyline points="{track}" class="curve line{kind}"/>', *dots]
