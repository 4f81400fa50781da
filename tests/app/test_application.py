"""What ends the process, with which code; and what does not."""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import pytest

from coord.app.application import Application
from coord.app.failures import PortTakenError, exit_code_of
from coord.app.parts import LoopScheduler, Parts, SystemClock
from coord.app.wiring import once_per_turn
from coord.config import load
from coord.model.errors import (
    ConfigError,
    CorruptionError,
    DirectoryInUseError,
    ForeignDataError,
    NewerFormatError,
    ProtocolError,
    StorageError,
)
from coord.store.suspicion import Suspicion


@pytest.fixture
def application(tmp_path: Path) -> tuple[Application, list[int]]:
    """An application that has not been started, and the codes it ended with."""
    codes: list[int] = []
    flags = {
        "node.id": ("1", "--id"),
        "node.dir": ("d", "--dir"),
        "cluster.initial": ("1=127.0.0.1:1", "--initial"),
    }
    parts = Parts(exit_now=codes.append)
    return Application(load(flags, {}, None), parts, {}, Suspicion(tmp_path)), codes


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 78),
        (PortTakenError("x"), 69),
        (DirectoryInUseError("x"), 75),
        (ForeignDataError("x"), 65),
        (NewerFormatError("x"), 65),
        (CorruptionError("x"), 74),
        (StorageError("x"), 74),
        (OSError(errno.EIO, "x"), 74),
        (AssertionError("x"), 70),
        (ProtocolError("x"), 70),
        (KeyError("x"), 70),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_every_error_has_its_exit_code(error: BaseException, code: int) -> None:
    """After sysexits.h; what nobody foresaw is a fault of ours."""
    assert exit_code_of(error) == code


@pytest.mark.parametrize(
    ("error", "code"), [(AssertionError("broken rule"), 70), (StorageError("no commit"), 74)]
)
def test_what_escapes_a_callback_ends_the_process(
    application: tuple[Application, list[int]],
    error: Exception,
    code: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The loop's handler swallows nothing; the log has the traceback."""
    it, codes = application
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(it._on_loop_error)

    def fails() -> None:
        raise error

    loop.call_soon(fails)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()

    assert codes == [code]
    assert caplog.records[-1].exc_info is not None


@pytest.mark.parametrize(
    ("error", "held"),
    [
        (CorruptionError("log/data.mdb: entry 7: checksum"), "log/data.mdb: entry 7: checksum"),
        (lmdb.CorruptedError("page 4"), "LMDB: page 4"),
        (StorageError("no space"), ""),
        (AssertionError("a fault of ours"), "AssertionError('a fault of ours')"),
    ],
)
def test_damage_is_held_against_the_directory(
    application: tuple[Application, list[int]], tmp_path: Path, error: Exception, held: str
) -> None:
    """The next start finds the first reason; a disk that failed is no reason."""
    it, codes = application
    it._fatal(error)
    assert Suspicion(tmp_path).reason() == held
    it._fatal(CorruptionError("another"))

    assert Suspicion(tmp_path).reason() == (held or "another")
    assert codes == [70 if isinstance(error, AssertionError) else 74, 74]


@pytest.mark.parametrize(
    "context",
    [
        {"message": "accept failed", "exception": OSError(errno.EMFILE, "too many open files")},
        {"message": "something was closed twice"},
    ],
    ids=["descriptors", "no-exception"],
)
def test_running_out_of_descriptors_does_not_end_the_process(
    application: tuple[Application, list[int]], context: dict[str, Any]
) -> None:
    """A connection that could not be accepted harms nobody else."""
    it, codes = application
    loop = asyncio.new_event_loop()
    it._on_loop_error(loop, context)
    loop.close()

    assert not codes


def test_a_second_signal_ends_the_process_at_once(
    application: tuple[Application, list[int]],
) -> None:
    """With the code that a shell gives to a process ended by that signal."""
    it, codes = application
    it._on_signal(signal.SIGTERM)
    assert not codes
    it._on_signal(signal.SIGINT)

    assert codes == [128 + signal.SIGINT]


def test_the_clock_counts_milliseconds_and_never_steps_back() -> None:
    """Boot time for deadlines, Unix time for display."""
    clock = SystemClock()
    first = clock.monotonic_ms()

    assert clock.monotonic_ms() >= first > 0
    assert clock.wall_ms() > 1_700_000_000_000


def test_a_stall_is_looked_for_once_per_turn_of_the_loop() -> None:
    """However many sockets have something to say in that turn."""
    checks: list[float] = []
    now = 5.0
    before_input = once_per_turn(lambda: now, lambda: checks.append(now))
    before_input()
    before_input()
    now = 5.001
    before_input()
    before_input()

    assert checks == [5.0, 5.001]


async def test_the_scheduler_runs_calls_on_the_loop() -> None:
    """Soon, later, and not at all if cancelled."""
    scheduler = LoopScheduler(asyncio.get_running_loop())
    done = asyncio.Event()
    ran: list[str] = []

    def note(what: str) -> Callable[[], None]:
        return lambda: ran.append(what)

    scheduler.call_later(0, note("cancelled")).cancel()
    scheduler.call_soon(note("soon"))
    scheduler.call_later(1, note("later"))
    scheduler.call_later(2, done.set)
    await done.wait()

    assert ran == ["soon", "later"]
