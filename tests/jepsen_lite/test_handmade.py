"""Hand-made histories, each wrong in one way: every checker names that way, and passes good ones.

The tables are in ``histories/``, one history a line. The order check has its own test, because
its histories hold a log.
"""

from __future__ import annotations

import pytest

from jepsen_lite.checkers import CHECKERS
from jepsen_lite.verdict import Judgement, Verdict
from tests.jepsen_lite.notation import FOLDER, Line, lines_of

NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))
LINES = [(name, line) for name in NAMES for line in lines_of(name)]
BAD_MIN = 20


def _said(judgement: Judgement) -> set[str]:
    found = {finding.rule for finding in judgement.findings}
    return found or {judgement.verdict.value}


@pytest.mark.parametrize(
    ("name", "line"), [pytest.param(name, line, id=line.where) for name, line in LINES]
)
def test_checker_names_what_is_wrong(name: str, line: Line) -> None:
    """What a line says is what is found: these rules and no others."""
    judgement = CHECKERS[name].check(line.history)

    assert _said(judgement) == line.expected
    assert all(finding.sentence for finding in judgement.findings)
    ids = {op.id for op in line.history.ops}
    assert all(set(finding.ops) <= ids for finding in judgement.findings)


def test_tables_are_long_enough() -> None:
    """Every checker but the order check has a table, of at least twenty bad histories."""
    assert set(NAMES) == CHECKERS.keys() - {"order"}
    for name in NAMES:
        passed = {Verdict.VALID.value, Verdict.UNKNOWN.value}
        bad = [line for own, line in LINES if own == name and not line.expected & passed]
        assert len(bad) >= BAD_MIN, name
