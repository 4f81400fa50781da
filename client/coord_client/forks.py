"""Counts forks: what was made before a fork must not be used after it."""

from __future__ import annotations

import os


class _Forks:
    count = 0


def fork_count() -> int:
    """How many forks lie between this process and the one that imported this module."""
    return _Forks.count


def _forked() -> None:
    _Forks.count += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
