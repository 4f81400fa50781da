"""Draws sequences, plays them against both servers, and keeps the smallest of those that differ."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.differential.compare import Difference, Side, compare
from tests.differential.player import Player
from tests.differential.sequences import sequences
from tests.differential.servers import Coord, ZooKeeper
from tests.differential.steps import Sequence, dumps, loads
from tests.differential.table import Table

REGRESSIONS: Final = Path(__file__).parent / "regressions"
"""Sequences that have differed once, smallest form, one file each."""


class Found(Exception):  # noqa: N818 - what a search is for
    """A sequence differs."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


@contextlib.contextmanager
def both_servers(directory: Path) -> Iterator[tuple[Side, Side]]:
    """A ZooKeeper and a coord node, running."""
    with ZooKeeper(directory / "zookeeper") as zookeeper, Coord(directory / "coord") as coord:
        sides = (
            Side(zookeeper.name, Player(zookeeper.address, checks_read_of_exists=False), True),
            Side(coord.name, Player(coord.address), False),
        )
        yield sides
        for side in sides:
            side.player.close()


def search(
    sides: tuple[Side, Side],
    *,
    sequences_max: int,
    seed_: int,
    table: Table,
    expiring: bool = False,
    told: Callable[[], None] = lambda: None,
) -> Difference | None:
    """Play up to ``sequences_max`` sequences; the first difference, shrunk, or None.

    ``told`` is called after each; what shrinking plays is neither counted nor told.
    """
    is_shrinking = False

    @seed(seed_)
    @settings(
        max_examples=sequences_max,
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(sequences(expiring=expiring))
    def play(sequence: Sequence) -> None:
        nonlocal is_shrinking
        records, difference = compare(sequence, *sides)
        if difference is not None:
            is_shrinking = True
            raise Found(difference)
        if not is_shrinking:
            table.add(sequence, records)
            told()

    try:
        play()
    except Found as found:
        return found.difference
    return None


def regressions() -> dict[str, Sequence]:
    """Name → sequence of every regression."""
    files = sorted(REGRESSIONS.glob("*.json"))
    return {file.stem: loads(file.read_text(encoding="utf-8")) for file in files}


def store(sequence: Sequence) -> Path:
    """Keep a sequence as a regression; its file."""
    text = dumps(sequence)
    REGRESSIONS.mkdir(exist_ok=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
    file = REGRESSIONS / f"{name}.json"
    file.write_text(text, encoding="utf-8")
    return file
