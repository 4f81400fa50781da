"""Server processes are started, frozen and ended, and what they do by themselves is noticed."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jepsen_lite.clusters.process import ServerProcess
from tests.jepsen_lite.wires import until

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
DEAF = [*SLEEPER[:2], f"import signal; signal.signal(signal.SIGTERM, 1); {SLEEPER[2]}"]


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A process that no test leaves behind."""
    made = ServerProcess(tmp_path / "log")
    yield made
    await made.kill()


async def started(process: ServerProcess, command: list[str]) -> None:
    """Start it and wait until it says that it is up."""
    process.start(command)
    await until(lambda: "up" in process.log_file.read_text())


async def test_killed_and_started_again(process: ServerProcess) -> None:
    """An end that was asked for is no surprise."""
    await started(process, SLEEPER)
    first = process.pid
    assert (process.is_running, process.died_by_itself) == (True, False)
    await process.kill()
    assert (process.is_running, process.died_by_itself) == (False, False)
    assert process.exit_code == -9
    await started(process, SLEEPER)
    assert process.pid not in {0, first}
    assert process.starts == 2


async def test_frozen_and_thawed(process: ServerProcess) -> None:
    """The kernel says so."""
    await started(process, SLEEPER)
    assert process.state in {"S", "R"}
    await process.pause()
    assert process.is_paused
    process.resume()
    await until(lambda: not process.is_paused)


async def test_asked_to_end(process: ServerProcess) -> None:
    """One that does not listen is killed, and that is said."""
    await started(process, SLEEPER)
    assert await process.terminate()
    process.log_file.write_text("")
    await started(process, DEAF)
    assert not await process.terminate(within_s=0.2)
    assert not process.is_running


async def test_an_end_of_its_own_is_noticed_unless_it_was_expected(process: ServerProcess) -> None:
    """That is how a crash of a server is told from a fault."""
    process.start([sys.executable, "-c", "raise SystemExit(70)"])
    await until(lambda: not process.is_running)
    assert process.died_by_itself
    assert process.exit_code == 70
    process.start([sys.executable, "-c", "raise SystemExit(74)"])
    process.may_end()
    await until(lambda: not process.is_running)
    assert not process.died_by_itself
