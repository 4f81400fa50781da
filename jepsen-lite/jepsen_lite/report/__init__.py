"""The report of a run: one HTML file that needs nothing else, and no network.

``facts`` counts, ``charts`` draws, ``page`` writes. The timeline is drawn in the reader's browser
from data inside the file (``timeline.js``).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from jepsen_lite import history_file
from jepsen_lite.checkers import MODELS, judge, names_for
from jepsen_lite.history_file import HistoryError
from jepsen_lite.report.page import page
from jepsen_lite.verdict import Judgement, merged

__all__ = ["REPORT", "add_parser", "run", "write"]

HISTORY: Final = "history.jsonl"
RESULT: Final = "result.json"
REPORT: Final = "report.html"
USAGE: Final = 2


def write(directory: Path) -> Path:
    """Write the report of the run that lies in ``directory``; its path.

    Raises HistoryError or OSError if there is no history.
    """
    history = history_file.read(directory / HISTORY)
    target = directory / REPORT
    target.write_text(page(history, json.loads((directory / RESULT).read_text())), "utf-8")
    return target


def _of_history(path: Path) -> str:
    """The report of a history alone, judged here and now."""
    history = history_file.read(path)
    if history.model not in MODELS:
        raise HistoryError(f"unknown model {history.model!r}")
    judgements: list[Judgement] = judge(history, names_for(history))
    result: dict[str, Any] = {
        "verdict": merged(judgement.verdict for judgement in judgements).value,
        "judgements": [judgement.to_json() for judgement in judgements],
        "figures": {},
    }
    return page(history, result)


def add_parser(commands: Any) -> None:
    """Add the command to ``commands``, the parser's subparsers."""
    report = commands.add_parser("report", help="write a run's HTML report (again)")
    report.add_argument("source", type=Path, metavar="DIR|FILE.jsonl", help="a run, or a history")
    report.add_argument("--to", type=Path, metavar="FILE.html", help="default: beside the source")
    report.set_defaults(handler=run)


def run(options: argparse.Namespace) -> int:
    """The command."""
    try:
        if options.source.is_dir():
            made = write(options.source)
            target = made if options.to is None else made.replace(options.to)
        else:
            target = options.to or options.source.with_suffix(".html")
            target.write_text(_of_history(options.source), "utf-8")
    except (HistoryError, OSError, ValueError) as error:
        sys.stderr.write(f"jepsen-lite: {options.source}: {error}\n")
        return USAGE
    sys.stdout.write(f"{target}\n")
    return 0
