"""Histories survive the trip through their file, and files that are none are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_lite import history_file
from jepsen_lite.history import (
    NEVER,
    Call,
    Fault,
    History,
    LogRun,
    Op,
    Outcome,
    entries,
    to_bytes,
    to_text,
)

HEADER = '{"format":"jepsen-lite","version":1,"workload":"w","model":"register","meta":{}}\n'


def _sample() -> History:
    history = History("w", "register", {"seed": 7})
    history.add(Op(0, "write", "x", 1, 10, 20, Outcome.OK, None, session=5, revision=8, node="n1"))
    history.add(Op("watcher", "read", None, None, 15, NEVER, Outcome.INFO, error="timed out"))
    history.add(Op(2, "read", 3, None, 16, 17, Outcome.FAIL))
    call = Call(5, 1, "set", ["/x", "\udcff1", -1], 11, 19, Outcome.OK, 0, [[1] * 11], 8, op=0)
    call.id = 0
    history.calls.append(call)
    history.faults.append(Fault("kill", ["n1"], 12, 30, "process gone"))
    history.log.append(LogRun("n1", 7, 2, 0, [b"\x00a", b"b"]))
    return history


def test_file_holds_everything(tmp_path: Path) -> None:
    """What is written is read again, every field of every record."""
    history_file.write(tmp_path / "h.jsonl", _sample())

    assert history_file.read(tmp_path / "h.jsonl") == _sample()


def test_writer_numbers_operations(tmp_path: Path) -> None:
    """Operations are numbered as they end, which is how the reader numbers them."""
    ops = _sample().ops[::-1]
    with history_file.Writer(tmp_path / "h.jsonl", History()) as writer:
        for op in ops:
            writer.op(op)

    assert [op.id for op in ops] == [0, 1, 2]
    assert history_file.read(tmp_path / "h.jsonl").ops == ops


def test_interrupted_file_is_read_and_marked(tmp_path: Path) -> None:
    """A writer that was killed within a line leaves a history that says so."""
    path = tmp_path / "h.jsonl"
    history_file.write(path, _sample())
    path.write_text(path.read_text()[:-10])

    found = history_file.read(path)

    assert found.is_cut_short
    assert found.ops == _sample().ops
    assert not found.log


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("", "line 1: no header", id="empty"),
        pytest.param("[]\n", "line 1: no header", id="list"),
        pytest.param(HEADER.replace('"version":1', '"version":2'), "version 2", id="version"),
        pytest.param(HEADER.replace("{}", "3"), "meta", id="meta"),
        pytest.param(HEADER + "{\n", "line 2: not JSON", id="json"),
        pytest.param(HEADER + "[" * 100_000 + "\n", "line 2: not JSON", id="deep"),
        pytest.param(HEADER + "3\n", "line 2: not an object", id="scalar"),
        pytest.param(HEADER + "\n{}\n", "line 3: neither an operation", id="nothing"),
        pytest.param(HEADER + '{"call":[1]}\n', "13 fields", id="call"),
        pytest.param(HEADER + '{"log":["n",1,1,0,["!"]]}\n', "base64", id="payload"),
        pytest.param(HEADER + '{"log":["n",1,1,0,[3]]}\n', "base64", id="payload-number"),
        pytest.param(HEADER + '{"fault":"kill"}\n', "start_ns", id="fault"),
    ],
)
def test_files_that_are_none(text: str, complaint: str) -> None:
    """Each is refused with the line and the reason."""
    with pytest.raises(history_file.HistoryError, match=complaint):
        history_file.parse(text.splitlines(keepends=True))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param({"f": 3}, "f is not", id="f"),
        pytest.param({"process": None}, "process", id="process"),
        pytest.param({"key": [1]}, "key", id="key"),
        pytest.param({"type": "done"}, "type", id="type"),
        pytest.param({"type": ["ok"]}, "type", id="type-list"),
        pytest.param({"invoke_ns": "1"}, "invoke_ns", id="invoke"),
        pytest.param({"invoke_ns": True}, "invoke_ns", id="invoke-bool"),
        pytest.param({"invoke_ns": -5}, "range", id="negative"),
        pytest.param({"invoke_ns": 30}, "before", id="backwards"),
        pytest.param({"complete_ns": -1}, "before", id="ok-without-end"),
        pytest.param({"complete_ns": None}, "complete_ns", id="null"),
        pytest.param({"session": "a"}, "session", id="session"),
        pytest.param({"revision": 1.5}, "revision", id="revision"),
    ],
)
def test_operations_that_are_none(change: dict[str, object], complaint: str) -> None:
    """Each wrong field is named."""
    good = {"process": 1, "f": "read", "key": "x", "type": "ok", "invoke_ns": 10, "complete_ns": 20}
    history_file.parse([HEADER, json.dumps(good) + "\n"])

    with pytest.raises(history_file.HistoryError, match=f"line 2: .*{complaint}"):
        history_file.parse([HEADER, json.dumps(good | change) + "\n"])


@given(st.binary(max_size=40))
def test_bytes_survive_as_text(data: bytes) -> None:
    """Any bytes can be the value of a node."""
    assert to_bytes(json.loads(json.dumps(to_text(data)))) == data


def test_entries_are_numbered() -> None:
    """Runs of the log fall apart into entries with their indexes."""
    assert list(entries(_sample().log)) == [(7, 2, 0, b"\x00a"), (8, 2, 0, b"b")]
