"""Hands a history to its checkers."""

from __future__ import annotations

from pathlib import Path

from jepsen_lite import checkers, history_file
from jepsen_lite.verdict import Judgement


def judge(path: Path) -> list[Judgement]:
    """What every checker of the history's model says about it."""
    history = history_file.read(path)
    return checkers.judge(history, checkers.names_for(history))
