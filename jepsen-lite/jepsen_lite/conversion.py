"""Histories of other checkers, as ours: registers in Knossos's and in porcupine's test format.

Knossos: one EDN map an event, ``{:process 0, :type :invoke, :f :cas, :value [1 2]}``. Porcupine's
register histories are Jepsen's log lines, ``INFO  jepsen.util - 0  :invoke  :cas  [1 2]``. Both
list begins and ends in the order in which they happened; the place in the list becomes the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from jepsen_lite.history import History, Json, Op, Outcome
from jepsen_lite.history_file import HistoryError

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|;[^\n]*|#[\w.-]*|[\[\](){}]|[^\s,\[\](){}"]+')
_LINE: Final = re.compile(r"INFO\s+jepsen\.util\s+-\s+(\S+)\s+:(\w+)\s+:(\w+)\s+(.*)")
_CLOSING: Final = {"[": "]", "(": ")", "{": "}"}
DEPTH_MAX: Final = 50


class _Event(NamedTuple):
    """One line. ``type``: invoke, ok, fail or info."""

    process: int | str
    type: str
    f: str
    value: Json


def from_knossos(lines: Iterable[str]) -> History:
    """A history from EDN maps, in a vector or one after the other. Raises HistoryError."""
    events = []
    for form in _forms("".join(lines)):
        for event in form if isinstance(form, list) else [form]:
            if not isinstance(event, dict) or not {"process", "type", "f"} <= event.keys():
                raise HistoryError(f"not an event of a history: {event!r:.60}")
            if isinstance(event["process"], int):  # others are the faults'
                kind, f = str(event["type"]), str(event["f"])
                events.append(_Event(event["process"], kind, f, event.get("value")))
    return _paired(events, _plain_failure)


def from_porcupine(lines: Iterable[str]) -> History:
    """A history from log lines; other lines are skipped. Raises HistoryError.

    There a compare-and-set that failed in time was answered: the value was another.
    """
    events = []
    for line in lines:
        found = _LINE.match(line)
        if found:
            process, kind, f, value = found.groups()
            if process.isdigit():
                events.append(_Event(int(process), kind, f, next(iter(_forms(value)), None)))
    return _paired(events, _answered_failure)


def _plain_failure(_op: Op, _event: _Event) -> bool:
    return False


def _answered_failure(op: Op, event: _Event) -> bool:
    return op.f == "cas" and isinstance(event.value, list)


# --- EDN ----------------------------------------------------------------------------------------


def _forms(text: str) -> Iterator[Json]:
    """The values of an EDN text. Tags are skipped, keywords and symbols are texts."""
    tokens = [token for token in _TOKEN.findall(text) if token[0] not in ";#"]
    at = 0
    while at < len(tokens):
        form, at = _form(tokens, at, 0)
        yield form


def _form(tokens: list[str], at: int, depth: int) -> tuple[Any, int]:
    opening = tokens[at]
    if depth > DEPTH_MAX or opening in {"]", ")", "}"}:
        raise HistoryError(f"EDN: {opening!r} out of place")
    if opening not in _CLOSING:
        return _atom(opening), at + 1
    items: list[Any] = []
    at += 1
    while at < len(tokens) and tokens[at] != _CLOSING[opening]:
        item, at = _form(tokens, at, depth + 1)
        items.append(item)
    if at == len(tokens):
        raise HistoryError(f"EDN: {opening!r} is never closed")
    if opening == "{":
        pairs = zip(items[::2], items[1::2], strict=False)
        return {str(name): value for name, value in pairs}, at + 1
    return items, at + 1


def _atom(token: str) -> Json:
    if token.startswith('"'):
        return token[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    words: dict[str, Json] = {"nil": None, "true": True, "false": False}
    if token in words:
        return words[token]
    try:
        return int(token)
    except ValueError:
        return token.removeprefix(":")


# --- events to operations -----------------------------------------------------------------------


def _paired(events: Iterable[_Event], is_answered: Callable[[Op, _Event], bool]) -> History:
    """Begins and ends of each process, joined. ``is_answered(op, event)``: a failure that says
    what was there."""
    history = History(model="cas-register")
    under_way: dict[int | str, Op] = {}
    for time, event in enumerate(events):
        if event.type == "invoke":
            op = Op(event.process, event.f, None, event.value, time)
            if event.f == "read":
                op.value = None
            under_way[event.process] = history.add(op)
            continue
        begun = under_way.pop(event.process, None)
        if begun is None or event.type not in {"ok", "fail", "info"}:
            raise HistoryError(f"event {time} ends nothing: {event}")
        if event.type == "ok" or (event.type == "fail" and is_answered(begun, event)):
            begun.outcome = Outcome.OK
            begun.result = {"read": event.value, "cas": event.type == "ok"}.get(event.f)
        elif event.type == "fail":
            begun.outcome = Outcome.FAIL
        begun.complete_ns = time
    return history


READERS: Final[dict[str, Callable[[Iterable[str]], History]]] = {
    "knossos": from_knossos,
    "porcupine": from_porcupine,
}
