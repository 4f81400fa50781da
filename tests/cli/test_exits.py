"""Exit codes: scripts rely on them."""

from __future__ import annotations

import signal

import pytest

from coord.cli import exits
from coord.model import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NoNodeError("/a"), exits.NO_NODE),
        (errors.NodeExistsError("/a"), exits.REFUSED),
        (errors.BadVersionError("/a"), exits.REFUSED),
        (errors.TransactionError("no"), exits.REFUSED),
        (errors.NotReadyError("no leader"), exits.UNAVAILABLE),
        (errors.OverloadedError("busy"), exits.UNAVAILABLE),
        (errors.ResultUnknownError("gone"), exits.UNKNOWN),
        (errors.ConnectionLostError("cut"), exits.UNKNOWN),
        (errors.ConnectionLostError("refused", definite=True), exits.UNAVAILABLE),
        (errors.OperationTimeoutError("late"), exits.UNKNOWN),
        (errors.OperationTimeoutError("unsent", definite=True), exits.UNAVAILABLE),
        (errors.ProtocolError("not coord"), exits.PROTOCOL),
        (errors.ConfigError("bad key"), exits.CONFIG),
        (errors.CorruptionError("crc"), exits.STORAGE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_error_has_its_code(error: errors.CoordError, code: int) -> None:
    """Each kind of failure ends in the code that says what it means for the operation."""
    assert exits.of_error(error) == code


@pytest.mark.parametrize("cls", errors.BY_CODE.values(), ids=lambda cls: cls.__name__)
def test_definite_errors_never_look_unknown(cls: type[errors.CoordError]) -> None:
    """A script that retries on 3 alone never repeats an operation that was plainly refused."""
    error = errors.from_code(cls.code, "why")

    assert (exits.of_error(error) == exits.UNKNOWN) <= (not error.definite)
    assert exits.of_error(error) != exits.OK


def test_child_codes_follow_the_shell() -> None:
    """A command ended by signal n is reported as 128 + n, as a shell would."""
    assert exits.of_returncode(7) == 7
    assert exits.of_returncode(-signal.SIGKILL) == 137
    assert exits.INTERRUPTED == 130
