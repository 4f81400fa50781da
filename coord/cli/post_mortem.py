"""A session's story in sentences: whether it is open, and if not, why it ended. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from coord.cli import output

_HOW: Final = {
    "closed": "was closed by its client",
    "expired": "expired",
    "all ended": "was ended together with all others, when the cluster was restored",
}


def explain_session(session: int, found: dict[str, Any]) -> list[str]:
    """One headline, then one fact per line. A key that is missing makes no line."""
    name = output.session_name(session)
    if found.get("state") == "open":
        return [f"session {name} is open", *_lines(_open_facts(found))]
    reason = found.get("reason") or {}
    how = _HOW.get(reason.get("kind", ""), str(reason.get("kind") or "ended"))
    when = output.moment(int(found.get("ended_wall_ms") or 0))
    revision = found.get("ended_revision")
    headline = f"session {name} {how}"
    if when:
        headline += f" at {when}, revision {revision}"
    return [headline, *_lines(_ended_facts(found, reason))]


def _lines(facts: Iterator[tuple[str, str]]) -> list[str]:
    return [f"  {name:<9} {text}" for name, text in facts]


def _open_facts(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _who(found)
    if found.get("here"):
        yield "attached", "to the node that was asked"
    yield from _timeout(found)
    if found.get("ephemerals"):
        yield "owns", _paths(found["ephemerals"])


def _ended_facts(found: dict[str, Any], reason: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "last_heard_ms" in reason:
        yield "heard", f"nothing for {output.elapsed(reason['last_heard_ms'])} before it ended"
    yield from _timeout(found)
    if reason.get("leader"):
        yield "decided", f"by node {reason['leader']}, leading then"
    for ago_ms, gap_ms in reason.get("pauses") or ():
        gap, ago = output.elapsed(gap_ms), output.elapsed(ago_ms)
        yield "pause", f"that node itself had stood still for {gap}, {ago} before"
    yield from _who(found)
    opened = output.moment(int(found.get("opened_wall_ms") or 0))
    if opened:
        yield "opened", f"{opened}, revision {found.get('opened_revision')}"
    for revision, wall_ms, address in found.get("attaches") or ():
        yield "attached", f"{output.moment(wall_ms)}, revision {revision}, from {address}"
    if found.get("ephemerals"):
        yield "owned", f"{_paths(found['ephemerals'])}; deleted with it"


def _who(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    client, address = found.get("client") or "unnamed", found.get("address")
    if address:
        yield "client", f"{client} at {address}"


def _timeout(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if found.get("timeout_ms"):
        yield "timeout", output.elapsed(found["timeout_ms"])


def _paths(paths: Sequence[str], shown: int = 10) -> str:
    text = ", ".join(paths[:shown])
    return text if len(paths) <= shown else f"{text} and {len(paths) - shown} more"
