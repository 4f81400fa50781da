"""Files of histories: one JSON object a line, the header first, then records in any order.

The format is described in ``docs/jepsen-lite.md``; other systems can write it too.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from jepsen_lite import collection
from jepsen_lite.history import (
    FOREVER,
    NEVER,
    UNKNOWN_REVISION,
    Call,
    Fault,
    History,
    Json,
    LogRun,
    Op,
    Outcome,
)

FORMAT: Final = "jepsen-lite"
VERSION: Final = 1


class HistoryError(Exception):
    """The file is no history; the message names the line and what is wrong with it."""


# --- writing ------------------------------------------------------------------------------------


def _compact(record: dict[str, Json]) -> str:
    return json.dumps(record, separators=(",", ":"))


def header_line(history: History) -> str:
    """The first line of a file."""
    return _compact(
        {
            "format": FORMAT,
            "version": VERSION,
            "workload": history.workload,
            "model": history.model,
            "meta": history.meta,
        }
    )


_DEFAULTS: Final = {"session": 0, "revision": UNKNOWN_REVISION, "error": None, "node": None}


def op_line(op: Op) -> str:
    """An operation; fields that say nothing are left out."""
    record: dict[str, Json] = {"process": op.process, "f": op.f}
    if op.key is not None:
        record["key"] = op.key
    if op.value is not None:
        record["value"] = op.value
    record |= {"type": op.outcome.value, "invoke_ns": op.invoke_ns}
    if op.complete_ns != NEVER:
        record["complete_ns"] = op.complete_ns
    if op.result is not None:
        record["result"] = op.result
    for name, default in _DEFAULTS.items():
        value = getattr(op, name)
        if value != default:
            record[name] = value
    return _compact(record)


def call_line(call: Call) -> str:
    """A request, as a list: there are many."""
    return _compact(
        {
            "call": [
                call.session,
                call.seq,
                call.kind,
                call.args,
                call.invoke_ns,
                call.complete_ns,
                call.outcome.value,
                call.code,
                call.body,
                call.revision,
                call.level,
                int(call.sent_again),
                call.op,
            ]
        }
    )


def fault_line(fault: Fault) -> str:
    """A fault."""
    return _compact(
        {
            "fault": fault.name,
            "targets": fault.targets,
            "start_ns": fault.start_ns,
            "end_ns": fault.end_ns,
            "verified": fault.verified,
        }
    )


def log_line(run: LogRun) -> str:
    """A run of log entries."""
    payloads = [base64.b64encode(payload).decode("ascii") for payload in run.payloads]
    return _compact({"log": [run.node, run.first, run.term, run.kind, payloads]})


class Writer:
    """Writes a history as it happens; keeps nothing in memory. Use with ``with``."""

    def __init__(self, path: Path, header: History) -> None:
        """``header``: its workload, model and meta go into the first line."""
        self._file: TextIO = path.open("w", encoding="ascii", newline="\n")
        self._ops = 0
        self._file.write(header_line(header) + "\n")

    def op(self, op: Op) -> None:
        """Write an operation once it is over, and number it."""
        op.id = self._ops
        self._ops += 1
        self._file.write(op_line(op) + "\n")

    def call(self, call: Call) -> None:
        """Write a request once it is over."""
        self._file.write(call_line(call) + "\n")

    def fault(self, fault: Fault) -> None:
        """Write a fault once it has ended."""
        self._file.write(fault_line(fault) + "\n")

    def log(self, run: LogRun) -> None:
        """Write a part of a node's log."""
        self._file.write(log_line(run) + "\n")

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def write(path: Path, history: History) -> None:
    """Write a whole history."""
    with Writer(path, history) as writer:
        for op in history.ops:
            writer.op(op)
        for call in history.calls:
            writer.call(call)
        for fault in history.faults:
            writer.fault(fault)
        for run in history.log:
            writer.log(run)


# --- reading ------------------------------------------------------------------------------------

_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
_CALL_FIELDS: Final = 13
_CALL_TYPES: Final = (int, int, str, list, int, int, str, int, list, int, int, int, int)


class _WrongError(Exception):
    """What is wrong with one record."""


def read(path: Path) -> History:
    """A history from its file. Raises HistoryError, OSError."""
    with path.open(encoding="utf-8", errors="surrogateescape") as file, collection.paused():
        return parse(file)


def parse(lines: Iterable[str]) -> History:
    """A history from its lines. Raises HistoryError."""
    source = iter(lines)
    history = _header(next(source, ""))
    for number, line in enumerate(source, 2):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            if not line.endswith("\n"):
                history.is_cut_short = True
                break
            if not line.strip():
                continue
            raise HistoryError(f"line {number}: not JSON ({error})") from None
        try:
            _take(history, record)
        except _WrongError as error:
            raise HistoryError(f"line {number}: {error}") from None
    return history


def _header(line: str) -> History:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise HistoryError(f'line 1: no header: {{"format": "{FORMAT}", "version": {VERSION}, …}}')
    if header.get("version") != VERSION:
        version = header.get("version")
        raise HistoryError(f"line 1: format version {version!r}; this program reads {VERSION}")
    meta = header.get("meta", {})
    if not isinstance(meta, dict):
        raise HistoryError("line 1: meta is not an object")
    return History(str(header.get("workload", "")), str(header.get("model", "")), meta)


def _take(history: History, record: Json) -> None:
    if not isinstance(record, dict):
        raise _WrongError("not an object")
    if "f" in record:
        history.add(_op(record))
    elif "call" in record:
        call = _call(record["call"])
        call.id = len(history.calls)
        history.calls.append(call)
    elif "fault" in record:
        history.faults.append(_fault(record))
    elif "log" in record:
        history.log.append(_log_run(record["log"]))
    else:
        raise _WrongError("neither an operation (f) nor call, fault or log")


def _need(condition: bool, what: str) -> None:
    if not condition:
        raise _WrongError(what)


def _is_int(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _op(record: dict[str, Json]) -> Op:
    process: Json = record.get("process")
    f, key = record["f"], record.get("key")
    invoke: Json = record.get("invoke_ns")
    complete: Json = record.get("complete_ns", NEVER)
    outcome = _OUTCOMES.get(str(record.get("type")))
    _need(isinstance(f, str), "f is not a text")
    _need(_is_int(process) or isinstance(process, str), "process is neither number nor text")
    _need(key is None or _is_int(key) or isinstance(key, str), "key is neither number nor text")
    _need(outcome is not None, "type is none of ok, fail, info")
    _need(_is_int(invoke) and _is_int(complete), "invoke_ns or complete_ns is not an integer")
    _need(0 <= invoke < FOREVER, "invoke_ns is out of range")
    ended = invoke <= complete < FOREVER
    _need(ended or (complete == NEVER and outcome is Outcome.INFO), "complete_ns before invoke_ns")
    session, revision = record.get("session", 0), record.get("revision", UNKNOWN_REVISION)
    _need(_is_int(session) and _is_int(revision), "session or revision is not an integer")
    assert outcome is not None
    return Op(
        process=process,
        f=f,
        key=key,
        value=record.get("value"),
        invoke_ns=invoke,
        complete_ns=complete,
        outcome=outcome,
        result=record.get("result"),
        session=session,
        revision=revision,
        error=record.get("error"),
        node=record.get("node"),
    )


def _call(fields: Json) -> Call:
    _need(isinstance(fields, list) and len(fields) == _CALL_FIELDS, "call: not 13 fields")
    for value, kind in zip(fields, _CALL_TYPES, strict=True):
        _need(isinstance(value, kind), f"call: {value!r:.40} is not {kind.__name__}")
    outcome = _OUTCOMES.get(fields[6])
    _need(outcome is not None, "call: type is none of ok, fail, info")
    assert outcome is not None
    ended = fields[4] <= fields[5] or (fields[5] == NEVER and outcome is Outcome.INFO)
    _need(ended, "call: complete_ns before invoke_ns")
    session, seq, kind, args, invoke, complete, _, code, body, revision, level, again, op = fields
    return Call(
        session,
        seq,
        kind,
        args,
        invoke,
        complete,
        outcome,
        code,
        body,
        revision,
        level,
        bool(again),
        op,
    )


def _fault(record: dict[str, Json]) -> Fault:
    targets: Json = record.get("targets", [])
    start: Json = record.get("start_ns")
    end: Json = record.get("end_ns")
    _need(isinstance(record["fault"], str), "fault is not a text")
    _need(isinstance(targets, list), "targets is not a list")
    _need(_is_int(start), "start_ns is not an integer")
    _need(end is None or _is_int(end), "end_ns is not an integer")
    return Fault(
        record["fault"],
        [str(target) for target in targets],
        start,
        NEVER if end is None else end,
        str(record.get("verified", "")),
    )


def _log_run(fields: Json) -> LogRun:
    _need(isinstance(fields, list) and len(fields) == 5, "log: not 5 fields")
    node, first, term, kind, payloads = fields
    _need(isinstance(node, str), "log: node is not a text")
    _need(all(map(_is_int, (first, term, kind))), "log: index, term or kind is not an integer")
    _need(isinstance(payloads, list), "log: payloads are not a list")
    try:
        decoded = [base64.b64decode(payload, validate=True) for payload in payloads]
    except (TypeError, ValueError, binascii.Error) as error:
        raise _WrongError(f"log: payload is not base64 ({error})") from None
    return LogRun(node, first, term, kind, decoded)
