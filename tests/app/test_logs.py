"""Log lines: one per event, facts beside the message, for people and for machines."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from coord.app import logs


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Puts the process's logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(form: str, level: str = "info") -> tuple[logging.Logger, io.StringIO]:
    """A logger whose lines go to the stream."""
    stream = io.StringIO()
    logs.set_up(7, form, level, stream)
    return logging.getLogger("coord.test"), stream


def test_a_json_line_holds_event_and_facts() -> None:
    """Every line is an object on its own."""
    log, stream = written("json")
    log.warning("peer %s refused", 3, extra={"reason": "no member", "at": ("h", 1)})

    line = json.loads(stream.getvalue())
    assert line["event"] == "peer 3 refused"
    assert line["level"] == "warning"
    assert line["node"] == 7
    assert line["reason"] == "no member"
    assert line["time"].endswith("Z")


def test_a_console_line_holds_event_and_facts() -> None:
    """Values with spaces are quoted, so that pairs can be told apart."""
    log, stream = written("console")
    log.error("peer refused", extra={"peer": 3, "reason": "no member"})

    line = stream.getvalue()
    assert " error    node-7 peer refused" in line
    assert line.endswith("peer=3 reason='no member'\n")
    assert "\x1b" not in line


def test_a_terminal_gets_colour() -> None:
    """The level is coloured and nothing else."""
    formatter = logs.ConsoleFormatter(1, colour=True)
    record = logging.makeLogRecord({"levelname": "ERROR", "msg": "event"})

    assert "\x1b[31merror" in formatter.format(record)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_is_kept(form: str) -> None:
    """It is what a report of a fault needs."""
    log, stream = written(form)
    try:
        raise ValueError("broken rule")
    except ValueError:
        log.critical("fatal", exc_info=sys.exc_info())

    assert "Traceback" in stream.getvalue()
    assert "broken rule" in stream.getvalue()


def test_lines_below_the_level_are_not_written() -> None:
    """Debug lines only when asked for."""
    log, stream = written("console", "warning")
    log.info("quiet")

    assert not stream.getvalue()
