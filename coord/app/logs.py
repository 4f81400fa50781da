"""How the process writes its log: one line per event to stderr, for people or for machines.

The product logs through the standard library with facts as ``extra``; here they become
``key=value`` pairs or JSON members. (A logging library would cost 100 ms of every start.)
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Final, TextIO

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_COLOURS: Final = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_EVENT_WIDTH: Final = 34


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as ``extra``."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One JSON object per line; the reserved members are time, level, logger, node, event."""

    def __init__(self, node: int) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "node": self._node,
            "logger": record.name,
            "event": record.getMessage(),
            **facts_of(record),
        }
        if record.exc_info:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str, ensure_ascii=False)


class ConsoleFormatter(logging.Formatter):
    """Time, level, node, event, facts; coloured on a terminal."""

    def __init__(self, node: int, *, colour: bool) -> None:
        super().__init__()
        self._node = node
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback below it if there is one."""
        level = f"{record.levelname.lower():<8}"
        facts = " ".join(f"{key}={_shown(value)}" for key, value in facts_of(record).items())
        event = record.getMessage()
        if self._colour:
            level = f"\x1b[{_COLOURS[record.levelname]}m{level}\x1b[0m"
        if facts:
            event = f"{event:<{_EVENT_WIDTH}} {facts}"
        line = f"{_time_of(record)} {level} node-{self._node} {event}"
        if record.exc_info:
            line += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return line


def _shown(value: Any) -> str:
    shown = str(value)
    return repr(shown) if " " in shown or not shown else shown


def set_up(node: int, form: str, level: str, stream: TextIO | None = None) -> None:
    """Send everything of ``level`` and above to ``stream`` (stderr)."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        JsonFormatter(node) if form == "json" else ConsoleFormatter(node, colour=stream.isatty())
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # asyncio's own debug chatter says nothing about this node.
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, root.level))
