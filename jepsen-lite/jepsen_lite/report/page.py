"""The page: what was concluded, and everything that helps to see why."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Any, Final

from jepsen_lite.checkers import CHECKERS
from jepsen_lite.history import History
from jepsen_lite.report import charts
from jepsen_lite.report.facts import Facts, Span

MEANING: Final = {
    "valid": (
        "Valid",
        "Everything that clients were told can be explained by a service that kept its promises.",
    ),
    "invalid": (
        "Invalid",
        "Clients were told something that a service which keeps its promises cannot say.",
    ),
    "unknown": (
        "Unknown",
        "Nothing wrong was found, but not enough was proven to call it right.",
    ),
}
RUN_ABOUT: Final = "the run itself went as it should: enough was done, nodes recovered and agree"
FINDINGS_SHOWN: Final = 20


def page(history: History, result: dict[str, Any]) -> str:
    """The whole report. ``result``: as ``result.json`` of a run."""
    facts = Facts(history)
    judgements = result["judgements"]
    offending = {
        op for judgement in judgements for finding in judgement["findings"] for op in finding["ops"]
    }
    title = f"{history.workload or history.model}: {result['verdict']}"
    sections = [
        _verdict(history, facts, result),
        _section("What the checkers say", _judgements(judgements)),
        _section("Timeline", _timeline()),
        _section("Throughput", _legend() + charts.rates(facts)),
        _section("Latency", _latency_legend() + charts.latencies(facts)),
        _section("Faults and availability", _faults(facts)),
        _section("Operations", _operations(facts)),
        _section("How it was run", _setup(history, result)),
    ]
    return _document(title, "".join(sections), facts.drawn(offending))


def _document(title: str, body: str, data: dict[str, Any]) -> str:
    here = files(__package__)
    style = (here / "report.css").read_text("utf-8")
    script = (here / "timeline.js").read_text("utf-8")
    # "<" would let a value of the history end the script.
    drawn = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>{body}"
        f"<footer>Written by jepsen-lite, which is not affiliated with Jepsen.</footer>"
        f'<script type="application/json" id="data">{drawn}</script>'
        f"<script>{script}</script></body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _verdict(history: History, facts: Facts, result: dict[str, Any]) -> str:
    verdict = str(result["verdict"])
    word, meaning = MEANING[verdict]
    ok = sum(op.is_ok for op in history.ops)
    tiles = (
        (f"{len(history.ops):,}", "operations"),
        (f"{ok:,}", "succeeded"),
        (f"{facts.length_s:,.0f} s", "of traffic"),
        (f"{len(history.faults)}", "faults"),
        (_duration(facts.longest_gap_s), "longest time without a success"),
    )
    boxes = "".join(f"<div><b>{escape(big)}</b><span>{small}</span></div>" for big, small in tiles)
    return (
        f'<header class="{verdict}"><p class=what>{escape(_what(history))}</p><h1>{word}</h1>'
        f"<p>{meaning}</p></header><div class=tiles>{boxes}</div>"
    )


def _what(history: History) -> str:
    """What was done to what: "register × kill:leader on 3 nodes of local, 60 s, seed 7"."""
    name, settings = history.workload or history.model, history.meta.get("settings")
    if not isinstance(settings, dict) or not isinstance(settings.get("faults"), list):
        return name
    faults = " + ".join(map(str, settings["faults"])) or "no fault"
    where = f"{settings.get('nodes')} nodes of {settings.get('cluster')}"
    planted = f", planted: {settings['planted']}" if settings.get("planted") else ""
    times = f"{settings.get('time_s')} s, seed {settings.get('seed')}"
    return f"{name} × {faults} on {where}, {times}{planted}"


def _judgements(judgements: list[dict[str, Any]]) -> str:
    return "".join(_judgement(judgement) for judgement in judgements)


def _judgement(judgement: dict[str, Any]) -> str:
    name, verdict = str(judgement["checker"]), str(judgement["verdict"])
    about = CHECKERS[name].about if name in CHECKERS else RUN_ABOUT
    items = [_finding(finding) for finding in judgement["findings"][:FINDINGS_SHOWN]]
    left = judgement["found"] - len(items)
    if left > 0:
        items.append(f"<li>and {left:,} more</li>")
    items += [f"<li>Cannot say: {escape(reason)}</li>" for reason in judgement["reasons"]]
    listed = f"<ul>{''.join(items)}</ul>" if items else ""
    return (
        f'<article><h3><span class="badge {verdict}">{verdict}</span> {escape(name)}</h3>'
        f"<p class=about>A pass means: {escape(about)}.</p>{listed}</article>"
    )


def _finding(finding: dict[str, Any]) -> str:
    links = " ".join(
        f'<a href="#timeline" data-op="{int(op)}">#{int(op)}</a>' for op in finding["ops"][:8]
    )
    shown = f"<br><small>Show on the timeline: {links}</small>" if links else ""
    return f"<li><code>{escape(finding['rule'])}</code> {escape(finding['sentence'])}{shown}</li>"


def _timeline() -> str:
    return (
        '<p class=about id="timeline-note">One row a client. Scroll to zoom, drag to move, point'
        " at an operation to read it; shaded: faults; outlined: offending operations.</p>"
        '<div id="timeline"><canvas tabindex="0" aria-label="Operations of each client over time">'
        '</canvas><div id="tip" role="status" hidden></div></div>'
        '<p><button id="whole" type="button">Show everything</button>'
        ' <button id="next" type="button">Next offending operation</button></p>'
    )


def _legend() -> str:
    names = (("ok", "succeeded"), ("fail", "certainly failed"), ("info", "nobody knows"))
    return "<p class=legend>" + "".join(_key(css, text) for css, text in names) + "</p>"


def _latency_legend() -> str:
    names = (("p50", "median"), ("p99", "99th percentile"))
    return "<p class=legend>" + "".join(_key(css, text) for css, text in names) + "</p>"


def _key(css: str, text: str) -> str:
    return f'<span><i class="{css}"></i>{text}</span>'


def _faults(facts: Facts) -> str:
    if not facts.spans:
        return "<p class=about>None: the cluster was left alone.</p>"
    heads = ("Fault", "Targets", "From", "For", "Longest gap", "How it was seen to work")
    note = (
        "<p class=about>Longest gap: the longest time without any success of any client that"
        " overlaps the fault.</p>"
    )
    return note + _table(heads, map(_fault_row, facts.spans))


def _fault_row(span: Span) -> tuple[str, ...]:
    return (
        escape(span.fault.name),
        escape(", ".join(span.fault.targets)),
        f"{span.start_s:.1f} s",
        _duration(span.end_s - span.start_s),
        _duration(span.gap_s),
        escape(span.fault.verified),
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1_000:.0f} ms"


def _operations(facts: Facts) -> str:
    rows = [
        (escape(name), *(f"{counts[outcome]:,}" for outcome in charts.OUTCOMES))
        for name, counts in facts.counts().items()
    ]
    table = _table(("Operation", "Succeeded", "Failed", "Unknown"), rows)
    errors = facts.errors()
    if errors:
        table += _table(("Error", "Times"), ((escape(e), f"{count:,}") for e, count in errors))
    return table


def _setup(history: History, result: dict[str, Any]) -> str:
    meta = {name: value for name, value in history.meta.items() if name != "command"}
    flat = dict(_flat({**meta, **result.get("figures", {})}))
    command = str(history.meta.get("command", ""))
    again = f"<p>Run it again:</p><pre>{escape(command)}</pre>" if command else ""
    rows = ((escape(name), escape(str(value))) for name, value in flat.items())
    return again + _table(("Setting or figure", "Value"), rows)


def _flat(values: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", ", ".join(map(str, value))
        elif value not in {"", None}:
            yield f"{prefix}{name}", value
