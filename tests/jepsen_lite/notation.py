"""Histories in one line, for tables of hand-made ones.

    lost: 0-1 add(x) 1; a/7 2-3 read(x) -> [] @9; 2-? write(x) 4; 5-6! write(x) 5

First what must be found (rules, or ``valid``, or ``unknown``), then operations: process and session
if they matter, begin and end (``?``: no answer, ``!``: it failed), name, key, value, result, and
the revision of the answer. Values are JSON. ``model NAME`` and ``meta JSON`` hold for the lines
after them; ``#`` begins a comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jepsen_lite.history import NEVER, UNKNOWN_REVISION, History, Op, Outcome

FOLDER = Path(__file__).with_name("histories")
_OP = re.compile(
    r"(?:(?P<process>[a-z]\w*)(?:/(?P<session>\d+))? )?"
    r"(?P<begin>\d+)-(?P<end>\d+|\?)(?P<failed>!)? (?P<f>[a-z-]+)(?:\((?P<key>[^)]*)\))?"
    r"(?: (?P<value>(?!->|@).+?))?(?: -> (?P<result>.+?))?(?: @(?P<revision>\d+))?"
)


class Line(NamedTuple):
    """One hand-made history and what must be said about it."""

    where: str
    expected: set[str]
    history: History


def lines_of(checker: str) -> Iterator[Line]:
    """The table of one checker."""
    model, meta = "", {}
    path = FOLDER / f"{checker}.txt"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("model "):
            model = line.removeprefix("model ")
        elif line.startswith("meta "):
            meta = json.loads(line.removeprefix("meta "))
        elif line and not line.startswith("#"):
            expected, _, text = line.partition(": ")
            history = History(model=model, meta=meta)
            for at, part in enumerate(text.split("; ")):
                history.add(_parsed(part, at))
            yield Line(f"{checker}-{number}", set(expected.split(", ")), history)


def _parsed(text: str, at: int) -> Op:
    found = _OP.fullmatch(text)
    assert found, f"not an operation: {text!r}"
    outcome = Outcome.INFO if found["end"] == "?" else Outcome.OK
    key: Any = found["key"]
    return Op(
        process=found["process"] or f"p{at}",
        f=found["f"],
        key=key,
        value=json.loads(found["value"] or "null"),
        invoke_ns=int(found["begin"]),
        complete_ns=NEVER if found["end"] == "?" else int(found["end"]),
        outcome=Outcome.FAIL if found["failed"] else outcome,
        result=json.loads(found["result"] or "null"),
        session=int(found["session"] or 0),
        revision=int(found["revision"] or UNKNOWN_REVISION),
    )
