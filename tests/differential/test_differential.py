"""coord against a real ZooKeeper: the same sequences, the same outcomes.

A small number here; ``python -m tests.differential`` plays thousands.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.differential.campaign import regressions, search
from tests.differential.compare import Side, compare
from tests.differential.differences import DIFFERENCES, UNTRIED, Difference
from tests.differential.steps import Sequence, Step
from tests.differential.table import Table

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.needs("java", "zookeeper.jar"),
    pytest.mark.xdist_group("differential"),
    pytest.mark.timeout(180),
]

SEQUENCES: Final = 120
REGRESSIONS = regressions()


@pytest.mark.parametrize("name", sorted(REGRESSIONS))
def test_what_differed_once_is_equal(sides: tuple[Side, Side], name: str) -> None:
    """A sequence that has found a bug stays."""
    _, difference = compare(REGRESSIONS[name], *sides)
    assert difference is None, str(difference)


def test_drawn_sequences_are_equal(sides: tuple[Side, Side]) -> None:
    """Replies, errors, stats, children and events, operation by operation."""
    table = Table()
    difference = search(sides, sequences_max=SEQUENCES, seed_=1, table=table)
    assert difference is None, str(difference)
    assert table.succeeded >= 0.6, str(table)
    assert not table.unexpected(), "table.REACHABLE does not know these"


def test_a_silent_session_ends_as_on_zookeeper(sides: tuple[Side, Side]) -> None:
    """Expiry deletes what the session owned and tells those who watch."""

    def node(path: str, flags: int) -> dict[str, object]:
        acl = [[31, "world", "anyone"]]
        return {"path": path, "data": "", "acl": acl, "flags": flags}

    sequence: Sequence = (
        Step(0, "create", node("~/a", 0)),
        Step(0, "create", node("~/a/e", 1)),
        Step(0, "create", node("~/a/f", 1)),
        Step(1, "getChildren", {"path": "~/a", "watch": True}),
        Step(1, "exists", {"path": "~/a/e", "watch": True}),
        Step(2, "addWatch", {"path": "~", "mode": 1}),
        Step(0, "expire", {}),
        Step(0, "reattachEnded", {}),
        Step(1, "getChildren2", {"path": "~/a", "watch": False}),
        Step(0, "getEphemerals", {"prefix": "/"}),
    )
    records, difference = compare(sequence, *sides)
    assert difference is None, str(difference)
    assert [len(records[6]["after"][session]) for session in (1, 2)] == [2, 2]


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda each: each.name)
def test_known_differences_are_as_written(sides: tuple[Side, Side], difference: Difference) -> None:
    """Each rule shows on both sides; one that no longer does leaves the table."""
    zookeeper, coord = (side.player.address for side in sides)
    if difference.zookeeper_38 is not UNTRIED:
        assert difference.measure(zookeeper) == difference.zookeeper_38, "no longer a difference"
    assert difference.measure(coord) == difference.coord, difference.rule


def test_the_comparison_sees_what_differs(sides: tuple[Side, Side]) -> None:
    """A known difference, played as if it were none, is found: the tests above can fail."""
    sequence = (
        Step(0, "addWatch", {"path": "~", "mode": 0}),
        Step(0, "getData", {"path": "~", "watch": True}),
        Step(0, "setData", {"path": "~", "data": "x", "version": -1}),
        Step(0, "setData", {"path": "~", "data": "y", "version": -1}),
    )
    _, difference = compare(sequence, *sides)
    assert difference is not None
    assert "before differ" in difference.text
