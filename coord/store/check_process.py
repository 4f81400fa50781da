"""Runs a check of a file in a child process and tells damage from a check that could not be made.

In a child, because LMDB may abort, fault or never return on a damaged file, and because a check
takes seconds of Python that the node's loop must not wait for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from coord.model.errors import CoordError, CorruptionError, NewerFormatError, StorageError

DAMAGED: Final = 65
"""Exit status of a check that found damage; what it found is on standard error."""
_FAILED: Final = 74
_NICE: Final = 10
"""Lower priority than the node's own: a snapshot may take longer, a commit may not."""
_PATIENCE_S: Final = 60.0
_PATIENCE_S_PER_MIB: Final = 1.0
_DEATHS: Final = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}
)


def command_of(module: str, *arguments: str) -> tuple[list[str], Mapping[str, str]]:
    """Command line and environment that run a check."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return [sys.executable, "-m", module, *arguments], environment


def patience_s(file: Path) -> float:
    """How long a check of this file may take before it counts as caught in damage."""
    with suppress(OSError):
        return _PATIENCE_S + file.stat().st_blocks * 512 / 2**20 * _PATIENCE_S_PER_MIB
    return _PATIENCE_S


def judge(file: Path, status: int, said: str) -> None:
    """What the end of a check means. ``status``: as of ``subprocess``.

    Raises CorruptionError with what it said, or if it died of what it read; StorageError if it
    could not be made.
    """
    if status == 0:
        return
    lines = said.strip().splitlines()
    if status == DAMAGED and lines:
        raise CorruptionError(lines[-1])
    if -status in _DEATHS:
        name = signal.Signals(-status).name
        raise CorruptionError(f"{file}: damaged: whoever reads it is ended by {name}")
    reason = lines[-1] if lines else f"it ended with status {status}"
    raise StorageError(f"{file}: cannot be checked: {reason}")


def never_ends(file: Path) -> CorruptionError:
    """What it means that a check outlasted its patience."""
    return CorruptionError(f"{file}: damaged: whoever reads it never ends")


def check_in_child(file: Path, module: str, *arguments: str) -> None:
    """Run a check and wait for it. Raises as ``judge`` does."""
    command, environment = command_of(module, *arguments)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=patience_s(file),
        )
    except subprocess.TimeoutExpired as error:
        raise never_ends(file) from error
    except OSError as error:
        raise StorageError(f"cannot run the check of {file}: {error.strerror}") from error
    judge(file, done.returncode, done.stderr)


def run_as_check(check: Callable[[Sequence[str]], str], arguments: Sequence[str]) -> int:
    """Be the child: run ``check``, print the line that it returns, answer with the exit status."""
    with suppress(OSError):
        os.nice(_NICE)
    try:
        report = check(arguments)
    except (CorruptionError, NewerFormatError) as error:
        sys.stderr.write(f"{error}\n")
        return DAMAGED
    except CoordError as error:
        sys.stderr.write(f"{error}\n")
        return _FAILED
    sys.stdout.write(report + "\n")
    return 0
