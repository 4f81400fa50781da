"""Workloads by name. Each file says what it prepares, what a process does, who judges it."""

from __future__ import annotations

from typing import Final

from jepsen_lite.workloads.registers import CasRegister, Register, VersionedRegister
from jepsen_lite.workloads.workload import Worker, Workload

_ALL: Final[tuple[type[Workload], ...]] = (
    Register,
    CasRegister,
    VersionedRegister,
)
WORKLOADS: Final[dict[str, type[Workload]]] = {each.name: each for each in _ALL}

__all__ = ["WORKLOADS", "Worker", "Workload"]
