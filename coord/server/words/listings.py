"""Words that list sessions, connections and watches: facts in, text out, in ZooKeeper's format.

A listing ends after LISTING_BYTES_MAX and says how much it left out: a node with 200,000 watches
must not build an answer of 20 MB while its clients wait. ``collect`` bounds what is read for one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from coord.model.limits import MIB

if TYPE_CHECKING:
    from coord.server.words.facts import Deadline, SessionsFacts, WatchCounts, WatchFacts

LISTING_BYTES_MAX: Final = 1 * MIB
DEADLINE_STEP_MS: Final = 2_000
"""Deadlines are shown rounded up to this, so that few sets hold many sessions."""


def bounded(lines: Iterable[str], bytes_max: int = LISTING_BYTES_MAX) -> str:
    """The lines, each ended; those that do not fit are counted in their place."""
    kept: list[str] = []
    room, left_out = bytes_max, 0
    for line in lines:
        room -= len(line.encode()) + 1
        if room >= 0:
            kept.append(line)
        else:
            room, left_out = -1, left_out + 1
    return "".join(f"{line}\n" for line in (*kept, *missing(left_out)))


def missing(left_out: int) -> Iterator[str]:
    """The line that stands for what is not listed, if anything is not."""
    if left_out:
        yield f"({left_out} left out)"


def cons(connections: Iterable[str]) -> str:
    """All connections, one line each."""
    return bounded(connections) + "\n"


def wchs(counts: WatchCounts) -> str:
    """How many watches there are. Unlike ZooKeeper's, the count includes watches of children."""
    return (
        f"{counts.owners} connections watching {counts.paths} paths\n"
        f"Total watches:{counts.watches}\n"
    )


def wchc(facts: WatchFacts) -> str:
    """Watched paths by session."""
    return _grouped([(f"{it.session:#x}", it.path) for it in facts.watching], facts.left_out)


def wchp(facts: WatchFacts) -> str:
    """Watching sessions by path."""
    return _grouped([(it.path, f"{it.session:#x}") for it in facts.watching], facts.left_out)


def _grouped(pairs: Sequence[tuple[str, str]], left_out: int) -> str:
    return bounded((*_groups(pairs), *missing(left_out))) + "\n"


def _groups(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    groups: dict[str, dict[str, None]] = {}
    for head, member in pairs:
        groups.setdefault(head, {})[member] = None
    for head, members in groups.items():
        yield head
        yield from (f"\t{member}" for member in members)


def dump(facts: SessionsFacts) -> str:
    """Sessions, their ephemeral nodes, and connections."""
    return bounded(_dump_lines(facts))


def _dump_lines(facts: SessionsFacts) -> Iterator[str]:
    yield "SessionTracker dump:"
    if facts.deadlines is None:
        yield f"Global Sessions({len(facts.sessions)}):"
        for session, timeout_ms in facts.sessions:
            yield f"{session:#x}\t{timeout_ms}ms"
    else:
        yield from _sets("Session", facts.deadlines)
    yield "ephemeral nodes dump:"
    yield f"Sessions with Ephemerals ({len(facts.ephemerals)}):"
    for session, paths in facts.ephemerals:
        yield f"{session:#x}:"
        yield from (f"\t{path}" for path in paths)
    yield "Connections dump:"
    yield from _sets("Connections", facts.connections)
    yield from missing(facts.left_out)


def _sets(title: str, deadlines: Iterable[Deadline]) -> Iterator[str]:
    """What ends together, earliest first."""
    ordered = sorted(
        deadline._replace(at_ms=-(-deadline.at_ms // DEADLINE_STEP_MS) * DEADLINE_STEP_MS)
        for deadline in deadlines
    )
    sets = [(at_ms, list(members)) for at_ms, members in groupby(ordered, attrgetter("at_ms"))]
    yield f"{title} Sets ({len(sets)})/({len(ordered)}):"
    for at_ms, members in sets:
        yield f"{len(members)} expire at {_java_date(at_ms)}:"
        yield from (f"\t{member.line}" for member in members)


def _java_date(at_ms: int) -> str:
    """As ``java.util.Date`` prints itself, in UTC."""
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(at_ms // 1_000))
