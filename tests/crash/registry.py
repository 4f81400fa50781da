"""The workloads by name: each is a member's life, from an empty directory on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.crash.member import Recorded

Workload = Callable[[Recorded], None]
WORKLOADS: Final[dict[str, Workload]] = {}


def workload(function: Workload) -> Workload:
    """Register it under its name."""
    WORKLOADS[function.__name__] = function
    return function


def founded(member: Recorded) -> None:
    """A cluster with sixteen nodes."""
    member.found()
    member.plant()
