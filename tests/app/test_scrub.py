"""A snapshot that a follower could not use is looked into at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from coord.app.scrub import Scrubber
from coord.raft.types import SnapshotMeta
from coord.store.directory_home import SNAPSHOTS, snapshot_path
from coord.store.store import MemberStore
from tests.store.store_fixtures import DirectoryMachine, founded, grow, take

PATIENCE_S = 60.0


class Watched:
    """A store with one snapshot, and what its scrubber does."""

    def __init__(self, directory: Path) -> None:
        machine = DirectoryMachine(directory)
        self.store: MemberStore = founded(machine)
        grow(self.store, 50)
        self.meta: SnapshotMeta = take(machine, self.store)
        self.path = snapshot_path(directory / SNAPSHOTS, self.meta)
        self.damage: list[BaseException] = []
        self.asked = asyncio.Event()
        """Another snapshot was asked for."""
        self.scrubber = Scrubber(
            directory,
            self.store,
            interval_s=0,
            on_damage=self.damage.append,
            take_snapshot=self.asked.set,
        )


async def test_a_damaged_file_is_dropped_and_replaced(tmp_path: Path) -> None:
    """Nobody is sent it again, and the node goes on."""
    watched = Watched(tmp_path / "data")
    data = bytearray(watched.path.read_bytes())
    data[len(data) // 2] ^= 1
    watched.path.write_bytes(data)

    watched.scrubber.look_into(watched.meta)

    await asyncio.wait_for(watched.asked.wait(), PATIENCE_S)
    assert watched.store.snapshots.kept() == ()
    assert not watched.path.exists()
    assert watched.damage == []
    watched.scrubber.stop()
    watched.store.close(clean=True)


async def test_a_sound_file_is_looked_into_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A follower that refuses it again and again makes no more work than the first time."""
    watched = Watched(tmp_path / "data")

    for _ in range(3):
        watched.scrubber.look_into(watched.meta)
    async with asyncio.timeout(PATIENCE_S):
        while "is sound here" not in caplog.text:
            await asyncio.sleep(0.01)
    watched.scrubber.look_into(watched.meta)
    await asyncio.sleep(0)

    assert caplog.text.count("checking it") == 1
    assert watched.store.snapshots.kept() == (watched.meta,)
    assert not watched.asked.is_set()
    watched.scrubber.stop()
    watched.store.close(clean=True)
