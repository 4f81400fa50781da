"""What libfaketime is told: time that jumps and drifts, and never goes back."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from jepsen_lite.clusters import preloaded_clock
from jepsen_lite.clusters.preloaded_clock import PreloadedClock
from jepsen_lite.clusters.zookeeper import ZooKeeperNode


class Machine:
    """The machine's time, as the module sees it."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s


def shown(file: Path, lived_s: float) -> float:
    """The age of a process as its clock tells it, by what the library does with the file."""
    offset, rate = file.read_text().split()
    return lived_s * float(rate.removeprefix("x")) + float(offset)


def test_time_never_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is told, and also when it is right again."""
    machine, dice = Machine(), random.Random(1)
    monkeypatch.setattr(preloaded_clock, "time", machine)
    clock = PreloadedClock(Path("library"), tmp_path / "clock")
    clock.begin()
    latest = lived_s = 0.0
    for _ in range(500):
        step_s = dice.random() * 5
        machine.now_s += step_s
        lived_s += step_s
        assert shown(tmp_path / "clock", lived_s) >= latest
        latest = shown(tmp_path / "clock", lived_s)
        clock.move(dice.choice([0.5, 1.0, 2.0, None]), dice.choice([0, 0, 700]))
        assert shown(tmp_path / "clock", lived_s) >= latest
        assert shown(tmp_path / "clock", lived_s) <= latest + 0.75
    clock.begin()
    assert shown(tmp_path / "clock", 3.0) == 3.0


@pytest.mark.parametrize("change", [{"rate": 0.0}, {"forward_ms": -1}])
def test_what_would_harm_is_refused(change: dict[str, float], tmp_path: Path) -> None:
    """Time that stands still leaves waits behind that never end."""
    clock = PreloadedClock(Path("library"), tmp_path / "clock")
    clock.begin()
    with pytest.raises(ValueError, match="time goes on"):
        clock.move(**change)


async def test_a_server_is_asked_how_long_it_has_run(tmp_path: Path) -> None:
    """By its own clock: what it has gained or lost since it was first asked is shown."""
    age_ms = 5_000

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(4) == b"mntr"
        writer.write(f"zk_version\t3\nzk_uptime\t{age_ms}\n".encode() if age_ms else b"not yet")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        node = ZooKeeperNode(1, tmp_path, server.sockets[0].getsockname()[1])
        node.preloaded = PreloadedClock(Path("library"), tmp_path / "clock")
        node.preloaded.begin()
        node.process.starts = 1
        first = await node.clock()
        assert first["monotonic_ms"] == pytest.approx(first["system_ms"])
        age_ms += 3_600_000
        after = await node.clock(rate=2.0, forward_ms=100)
        assert after["monotonic_ms"] - after["system_ms"] > 1_000_000
        assert (tmp_path / "clock").read_text().endswith("x2.000\n")
        node.process.starts += 1
        again = await node.clock()
        assert again["monotonic_ms"] == pytest.approx(again["system_ms"])
        age_ms = 0
        with pytest.raises(OSError, match="n1 does not serve"):
            await node.clock()
