"""Checks of what callers pass in: refused here, before it costs a round trip or a connection."""

from __future__ import annotations

import math

from coord.model.errors import BadArgumentsError, MisuseError, TooLargeError
from coord.model.limits import DATA_BYTES_MAX, TTL_MS_MAX
from coord.model.paths import check_path
from coord.model.znode import CreateMode
from coord_client.operations import NEVER_MS


def checked_path(path: str, *, sequential: bool = False) -> str:
    """``path``, if the tree can hold it. Raises BadArgumentsError."""
    if type(path) is not str:
        raise BadArgumentsError(f"a path is a str, not {type(path).__name__}")
    check_path(path, sequential=sequential)
    return path


def checked_data(data: bytes) -> bytes:
    """``data`` as bytes. Raises BadArgumentsError, TooLargeError."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise BadArgumentsError(f"data is bytes, not {type(data).__name__}")
    if len(data) > DATA_BYTES_MAX:
        raise TooLargeError(f"data of {len(data)} bytes is above the {DATA_BYTES_MAX} allowed")
    return bytes(data)


def ttl_ms_of(mode: CreateMode, ttl_s: float | None) -> int:
    """Time to live in milliseconds, 0 for modes without. Raises BadArgumentsError."""
    if not mode.has_ttl:
        if ttl_s is not None:
            raise BadArgumentsError(f"ttl_s has no meaning for mode {mode.name}")
        return 0
    ttl_ms = round((ttl_s or 0) * 1_000)
    if not 0 < ttl_ms <= TTL_MS_MAX:
        raise BadArgumentsError(f"mode {mode.name} needs 0 < ttl_s ≤ {TTL_MS_MAX // 1_000}")
    return ttl_ms


def milliseconds(seconds: float) -> int:
    """A time limit, rounded up; NEVER_MS for ``math.inf``. Raises MisuseError below 0."""
    if seconds < 0 or math.isnan(seconds):
        raise MisuseError(f"a time limit cannot be {seconds} s")
    return NEVER_MS if math.isinf(seconds) else math.ceil(seconds * 1_000)
