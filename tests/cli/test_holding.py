"""A command runs only while its hold is certain: signals, order, exit codes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from coord.cli import exits
from coord.cli.holding import KILL_MARGIN_S, run_while_held


class FakeCommand:
    """A command that ends when told to; ``obeys`` are the signals it ends on."""

    def __init__(self, *, obeys: frozenset[int] = frozenset({signal.SIGTERM})) -> None:
        self.received: list[int] = []
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._obeys = obeys | {signal.SIGKILL}

    async def wait(self) -> int:
        """Until :meth:`end` or a signal it obeys."""
        return await asyncio.shield(self._ended)

    def end(self, code: int) -> None:
        """The command ends by itself."""
        if not self._ended.done():
            self._ended.set_result(code)

    def signal(self, number: int) -> None:
        """Remember it, and obey."""
        self.received.append(number)
        if number in self._obeys:
            self.end(-number)


class Hold:
    """A hold whose remaining time the test sets, and whose loss it announces."""

    def __init__(self, remaining_s: float = 60.0) -> None:
        self.left_s = remaining_s
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.signals: asyncio.Queue[int] = asyncio.Queue()

    def remaining_s(self) -> float:
        """What the client library would say."""
        return self.left_s

    def run(self, command: FakeCommand, grace_s: float = 3.0) -> asyncio.Task[int]:
        """Begin to look after ``command``."""
        return asyncio.create_task(
            run_while_held(
                command,
                lost=self.lost,
                remaining_s=self.remaining_s,
                signals=self.signals,
                grace_s=grace_s,
            )
        )


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition did not come true")


@pytest.mark.parametrize(("ended", "code"), [(0, 0), (7, 7), (-signal.SIGSEGV, 139)])
async def test_exit_code_passes_through(ended: int, code: int) -> None:
    """A command that ends by itself decides the exit code."""
    command, hold = FakeCommand(), Hold()
    task = hold.run(command)
    command.end(ended)

    assert await task == code
    assert command.received == []


async def test_asked_to_end_while_the_hold_lasts() -> None:
    """When the remaining time falls to the grace, SIGTERM comes, while the hold still lasts."""
    command, hold = FakeCommand(), Hold(remaining_s=3.0)
    task = hold.run(command, grace_s=3.0)

    assert await task == exits.TEMPORARY
    assert command.received == [signal.SIGTERM]


async def test_killed_before_the_hold_can_end() -> None:
    """A command that ignores SIGTERM is killed before the last moment, not after it."""
    command, hold = FakeCommand(obeys=frozenset()), Hold(remaining_s=KILL_MARGIN_S + 0.01)
    task = hold.run(command)

    assert await task == exits.TEMPORARY
    assert command.received == [signal.SIGTERM, signal.SIGKILL]


async def test_certain_loss_kills_at_once() -> None:
    """Once another may hold it there is no time for courtesy."""
    command, hold = FakeCommand(), Hold()
    task = hold.run(command)
    hold.lost.set_result(None)

    assert await task == exits.TEMPORARY
    assert command.received == [signal.SIGKILL]


async def test_time_that_ran_out_unseen_kills_at_once() -> None:
    """After a suspended machine wakes, the hold may have ended long ago: kill, do not ask."""
    command, hold = FakeCommand(), Hold(remaining_s=-5.0)

    assert await hold.run(command) == exits.TEMPORARY
    assert command.received == [signal.SIGKILL]


async def test_loss_while_the_command_takes_its_time() -> None:
    """The hold is lost while a command still works on its SIGTERM: it is killed then."""
    command, hold = FakeCommand(obeys=frozenset()), Hold(remaining_s=30.0)
    task = hold.run(command, grace_s=30.0)
    await _until(lambda: command.received == [signal.SIGTERM])
    hold.lost.set_result(None)

    assert await task == exits.TEMPORARY
    assert command.received == [signal.SIGTERM, signal.SIGKILL]


async def test_signals_are_passed_on() -> None:
    """SIGINT and SIGTERM to us reach the command, which decides how to end."""
    command, hold = FakeCommand(obeys=frozenset({signal.SIGTERM})), Hold()
    task = hold.run(command)
    hold.signals.put_nowait(signal.SIGINT)
    await _until(lambda: command.received == [signal.SIGINT])
    hold.signals.put_nowait(signal.SIGTERM)

    assert await task == exits.of_signal(signal.SIGTERM)
    assert command.received == [signal.SIGINT, signal.SIGTERM]


async def test_renewed_hold_lets_the_command_run() -> None:
    """Heartbeats that are confirmed in time push the moment away; nothing is signalled."""
    command, hold = FakeCommand(), Hold(remaining_s=3.001)
    task = hold.run(command, grace_s=3.0)
    await asyncio.sleep(0)
    hold.left_s = 60.0
    hold.signals.put_nowait(signal.SIGUSR1)
    await _until(lambda: command.received == [signal.SIGUSR1])
    command.end(0)

    assert await task == 0


async def test_cancelled_wait_leaves_no_command() -> None:
    """Whatever ends the waiting, the command does not run on without a guard."""
    command, hold = FakeCommand(), Hold()
    task = hold.run(command)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert command.received == [signal.SIGKILL]
