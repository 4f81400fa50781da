"""Two charts as SVG: operations a second by outcome, and latency; faults are shaded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from jepsen_lite.report.facts import Bucket, Facts, Span

WIDTH: Final = 1000
HEIGHT: Final = 180
LEFT: Final = 60
BOTTOM: Final = 24
TOP: Final = 10
INNER_WIDTH: Final = WIDTH - LEFT - 10
INNER_HEIGHT: Final = HEIGHT - TOP - BOTTOM
OUTCOMES: Final = ("ok", "fail", "info")


def rates(facts: Facts) -> str:
    """Operations a second over time, stacked by outcome."""
    top = _nice(max((sum(bucket.rates.values()) for bucket in facts.buckets), default=1.0))
    base = [0.0] * len(facts.buckets)
    layers = []
    for outcome in OUTCOMES:
        upper = [low + b.rates[outcome] for low, b in zip(base, facts.buckets, strict=True)]
        layers.append(_area(facts, base, upper, top, outcome))
        base = upper
    body = "".join(layers) + _scale([0.0, top / 2, top], lambda v: v / top, "{:,.0f}")
    return _frame(facts, body, "Operations a second")


def latencies(facts: Facts) -> str:
    """Median and 99th percentile of successful operations, on a logarithmic scale."""
    values = [v for b in facts.buckets for v in (b.p50_ms, b.p99_ms) if v]
    low = 10 ** math.floor(math.log10(max(min(values, default=1.0), 1e-3)))
    high = 10 ** math.ceil(math.log10(max(max(values, default=10.0), low * 10)))
    span = math.log10(high / low)

    def place(value: float) -> float:
        return min(1.0, max(0.0, math.log10(max(value, low) / low) / span))

    ticks = [low * 10**power for power in range(round(span) + 1)]
    lines = "".join(
        _line(facts, [(b, getattr(b, name)) for b in facts.buckets], place, css)
        for name, css in (("p50_ms", "p50"), ("p99_ms", "p99"))
    )
    return _frame(facts, lines + _scale(ticks, place, "{:g}"), "Latency in ms: median and p99")


def _x(facts: Facts, time_s: float) -> float:
    return LEFT + INNER_WIDTH * time_s / facts.length_s


def _y(share: float) -> float:
    return TOP + INNER_HEIGHT * (1 - share)


def _area(
    facts: Facts, lower: Sequence[float], upper: Sequence[float], top: float, css: str
) -> str:
    xs = [_x(facts, bucket.start_s) for bucket in facts.buckets]
    there = [f"{x:.1f},{_y(value / top):.1f}" for x, value in zip(xs, upper, strict=True)]
    back = [f"{x:.1f},{_y(value / top):.1f}" for x, value in zip(xs, lower, strict=True)][::-1]
    return f'<polygon class="{css}" points="{" ".join(there + back)}"/>'


def _line(
    facts: Facts,
    points: Iterable[tuple[Bucket, float | None]],
    place: object,
    css: str,
) -> str:
    """A line that breaks off where nothing succeeded."""
    assert callable(place)
    path, is_drawing = [], False
    for bucket, value in points:
        if value is None:
            is_drawing = False
            continue
        command = "L" if is_drawing else "M"
        path.append(f"{command}{_x(facts, bucket.start_s):.1f} {_y(place(value)):.1f}")
        is_drawing = True
    return f'<path class="{css}" d="{"".join(path)}"/>'


def _scale(ticks: Sequence[float], place: object, form: str) -> str:
    assert callable(place)
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{LEFT + INNER_WIDTH}" y1="{_y(place(tick)):.1f}"'
        f' y2="{_y(place(tick)):.1f}"/><text class="tick" x="{LEFT - 6}"'
        f' y="{_y(place(tick)) + 4:.1f}" text-anchor="end">{form.format(tick)}</text>'
        for tick in ticks
    )


def _frame(facts: Facts, body: str, title: str) -> str:
    shades = "".join(_shade(facts, span) for span in facts.spans)
    step = _nice(facts.length_s / 8)
    times = "".join(
        f'<text class="tick" x="{_x(facts, at * step):.1f}" y="{HEIGHT - 6}"'
        f' text-anchor="middle">{at * step:g} s</text>'
        for at in range(int(facts.length_s / step) + 1)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{shades}{body}{times}</svg>"
    )


def _shade(facts: Facts, span: Span) -> str:
    x, end = _x(facts, span.start_s), _x(facts, span.end_s)
    title = escape(f"{span.fault.name} {', '.join(span.fault.targets)}")
    return (
        f'<rect class="fault" x="{x:.1f}" width="{max(1.5, end - x):.1f}" y="{TOP}"'
        f' height="{INNER_HEIGHT}"><title>{title}</title></rect>'
    )


def _nice(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 … at or above a positive value."""
    value = max(value, 1e-9)
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value * 0.999)
