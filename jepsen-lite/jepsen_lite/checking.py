"""``jepsen-lite check``: judges a history from a file, whoever made it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from jepsen_lite import history_file
from jepsen_lite.checkers import CHECKERS, MODELS, judge, names_for
from jepsen_lite.conversion import READERS
from jepsen_lite.history import History
from jepsen_lite.history_file import HistoryError
from jepsen_lite.verdict import Judgement, Verdict, merged

FINDINGS_SHOWN: Final = 10
USAGE: Final = 2


def add_parser(commands: Any) -> None:
    """Add the command to ``commands``, the parser's subparsers."""
    check = commands.add_parser("check", help="judge a history from any system")
    check.add_argument("file", type=Path, metavar="FILE.jsonl")
    check.add_argument("--model", choices=sorted(MODELS), help="default: the one the file names")
    check.add_argument(
        "--checker", choices=sorted(CHECKERS), action="append", help="instead of the model's own"
    )
    check.add_argument(
        "--format", choices=["jepsen-lite", *READERS], default="jepsen-lite", help="of the file"
    )
    check.add_argument(
        "--min-ok", type=int, default=1, metavar="N", help="fewer successful ones prove nothing"
    )
    check.add_argument("--json", action="store_true", help="print the judgements as JSON")
    check.set_defaults(handler=run)


def read(path: Path, form: str) -> History:
    """A history in one of the known formats. Raises HistoryError, OSError."""
    if form == "jepsen-lite":
        return history_file.read(path)
    with path.open(encoding="utf-8", errors="replace") as lines:
        return READERS[form](lines)


def judged(history: History, names: list[str] | None, ok_min: int) -> list[Judgement]:
    """What checkers say, and whether enough was done. Raises KeyError for an unknown model."""
    judgements = judge(history, names or names_for(history))
    done = sum(op.is_ok for op in history.ops) + sum(call.code == 0 for call in history.calls)
    if done < ok_min:
        counted = Judgement("enough")
        counted.cannot_say(f"only {done} operations succeeded; {ok_min} are the minimum")
        judgements.append(counted)
    return judgements


def run(options: argparse.Namespace) -> int:
    """The command. Its exit code tells the verdict."""
    try:
        history = read(options.file, options.format)
    except (HistoryError, OSError) as error:
        sys.stderr.write(f"jepsen-lite: {options.file}: {error}\n")
        return USAGE
    history.model = options.model or history.model
    if history.model not in MODELS:
        known = ", ".join(sorted(MODELS))
        sys.stderr.write(f"jepsen-lite: model {history.model!r}: name one by --model: {known}\n")
        return USAGE
    judgements = judged(history, options.checker, options.min_ok)
    verdict = merged(judgement.verdict for judgement in judgements)
    if options.json:
        record = {
            "verdict": verdict.value,
            "judgements": [judgement.to_json() for judgement in judgements],
        }
        sys.stdout.write(json.dumps(record) + "\n")
    else:
        sys.stdout.write(told(verdict, judgements))
    return verdict.exit_code


def told(verdict: Verdict, judgements: list[Judgement]) -> str:
    """The judgements for people."""
    lines = [verdict.value.upper()]
    for judgement in judgements:
        figures = ", ".join(f"{value:,} {name}" for name, value in judgement.figures.items())
        lines.append(f"  {judgement.checker}: {judgement.verdict.value} ({figures})")
        lines += [
            f"    {finding.rule}: {finding.sentence}"
            for finding in judgement.findings[:FINDINGS_SHOWN]
        ]
        if judgement.found > FINDINGS_SHOWN:
            lines.append(f"    and {judgement.found - FINDINGS_SHOWN:,} more")
        lines += [f"    cannot say: {reason}" for reason in judgement.reasons]
    return "\n".join(lines) + "\n"
