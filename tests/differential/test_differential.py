"""coord against a real ZooKeeper: the same sequences, the same outcomes.

A handful here; ``make zk-differential`` plays hundreds for CI and thousands when asked.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.differential.campaign import regressions, search
from tests.differential.compare import Side, compare
from tests.differential.corners import CORNERS
from tests.differential.differences import DIFFERENCES, UNTRIED, Difference
from tests.differential.normal import normalised
from tests.differential.player import fresh_root
from tests.differential.steps import Step
from tests.differential.table import Table

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.needs("java", "zookeeper.jar"),
    pytest.mark.xdist_group("differential"),
    pytest.mark.timeout(900),  # of which shrinking takes up to 300, if anything differs
]

SEQUENCES: Final = 30
STORED: Final = CORNERS | regressions()


@pytest.mark.parametrize("name", STORED)
def test_stored_sequences_are_equal(sides: tuple[Side, Side], name: str) -> None:
    """Corners, made by hand, and what has found a bug once."""
    _, difference = compare(STORED[name], *sides)
    assert difference is None, str(difference)


def test_drawn_sequences_are_equal(sides: tuple[Side, Side]) -> None:
    """Replies, errors, stats, children and events, operation by operation."""
    table = Table()
    difference = search(sides, sequences_max=SEQUENCES, seed_=1, table=table)
    assert difference is None, str(difference)
    assert table.succeeded >= 0.6, str(table)
    assert not table.unexpected(), "table.REACHABLE does not know these"


def test_corners_reach_every_cell(sides: tuple[Side, Side]) -> None:
    """Corners alone do: what is reachable is reached in every run."""
    table = Table()
    zookeeper = sides[0].player
    for sequence in CORNERS.values():
        table.add(sequence, normalised(zookeeper.play(sequence, fresh_root())))
    assert not table.missing()
    assert not table.unexpected()


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
