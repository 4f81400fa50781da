"""Faults by name, and how ``name:target`` becomes one."""

from __future__ import annotations

import random
from typing import Final

from jepsen_lite.clusters.cluster import Cluster
from jepsen_lite.faults.administration import Membership, Snapshot, Transfer, Wipe
from jepsen_lite.faults.clocks import ClockDrift, ClockFreeze, ClockJump
from jepsen_lite.faults.disks import (
    Corruption,
    FailingDisk,
    FullDisk,
    PowerLoss,
    SlowDisk,
    StuckDisk,
)
from jepsen_lite.faults.fault import Fault
from jepsen_lite.faults.load import Overload, Stampede
from jepsen_lite.faults.network import Bandwidth, Delay, Drop, Duplicate, Loss, Reorder, Reset
from jepsen_lite.faults.partitions import ClientPartition, Flapping, Isolation, Partition, Swizzle
from jepsen_lite.faults.processes import Kill, Pause, Restart

_ALL: Final[tuple[type[Fault], ...]] = (
    Kill,
    Pause,
    Restart,
    Partition,
    ClientPartition,
    Flapping,
    Swizzle,
    Isolation,
    Delay,
    Bandwidth,
    Drop,
    Loss,
    Duplicate,
    Reorder,
    Reset,
    ClockJump,
    ClockDrift,
    ClockFreeze,
    Transfer,
    Snapshot,
    Wipe,
    Membership,
    SlowDisk,
    StuckDisk,
    FailingDisk,
    FullDisk,
    PowerLoss,
    Corruption,
    Overload,
    Stampede,
)
FAULTS: Final[dict[str, type[Fault]]] = {each.name: each for each in _ALL}


class UnknownFaultError(ValueError):
    """There is no such fault, or the cluster cannot have it; the message says what there is."""


def kind_of(text: str) -> tuple[type[Fault], str | None]:
    """``kill:leader`` → (Kill, "leader"). Raises UnknownFaultError."""
    name, colon, word = text.partition(":")
    kind = FAULTS.get(name)
    if kind is None:
        raise UnknownFaultError(f"there is no fault {name!r}: {', '.join(FAULTS)}")
    if colon and word not in kind.words:
        choice = ", ".join(kind.words) or "none"
        raise UnknownFaultError(f"{name} has no target {word!r}: {choice}")
    return kind, word or None


def make(text: str, cluster: Cluster, dice: random.Random) -> Fault:
    """The fault that ``text`` names. Raises UnknownFaultError if this cluster cannot have it."""
    kind, word = kind_of(text)
    missing = kind.needs - cluster.abilities
    if missing:
        lack = "; ".join(sorted(ability.value for ability in missing))
        raise UnknownFaultError(f"{text}: on {cluster.name} nobody can {lack}")
    return kind(cluster, dice, word)
