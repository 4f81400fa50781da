"""Workloads by name. Each file says what it prepares, what a process does, who judges it."""

from __future__ import annotations

from typing import Final

from jepsen_lite.workloads.collections import Counter, Once, Queue, Sequence, Set
from jepsen_lite.workloads.guarded import Guarded
from jepsen_lite.workloads.holds import Leadership, LockHolds
from jepsen_lite.workloads.membership import Membership
from jepsen_lite.workloads.registers import CasRegister, Register, VersionedRegister
from jepsen_lite.workloads.sessions import Sessions
from jepsen_lite.workloads.transactions import Append, Bank
from jepsen_lite.workloads.watching import Watch
from jepsen_lite.workloads.workload import Worker, Workload

_ALL: Final[tuple[type[Workload], ...]] = (
    Register,
    CasRegister,
    VersionedRegister,
    Append,
    Bank,
    Set,
    Counter,
    Queue,
    Sequence,
    Once,
    LockHolds,
    Leadership,
    Guarded,
    Watch,
    Sessions,
    Membership,
)
WORKLOADS: Final[dict[str, type[Workload]]] = {each.name: each for each in _ALL}

__all__ = ["WORKLOADS", "Worker", "Workload"]
