"""Named runs, and what ``make jepsen`` and its campaign go through."""

from __future__ import annotations

from typing import Final

SCENARIOS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "leader-crashes": ("register", ("kill:leader",)),
    "lights-out": ("append", ("kill:all",)),
    "split-brain": ("cas-register", ("partition:leader", "pause:leader")),
    "deaf-leader": ("versions", ("partition:one-way",)),
    "bad-weather": ("append", ("reorder:all", "duplicate:all", "drop:all")),
    "restless": ("bank", ("transfer", "snapshot", "flapping")),
    "wrong-clocks": ("lock", ("clock-jump", "clock-drift")),
    "changing-of-the-guard": ("set", ("wipe:one", "partition:one")),
}
"""Name → (workload, faults)."""

SMALL: Final[tuple[tuple[str, str], ...]] = (
    ("register", "kill:leader"),
    ("append", "partition:halves"),
    ("cas-register", "pause:leader"),
    ("set", "kill:majority"),
    ("queue", "partition:one-way"),
    ("lock", "pause:leader"),
    ("bank", "reorder:all"),
    ("sequence", "transfer"),
    ("watch", "flapping"),
    ("session", "clock-jump"),
    ("once", "reset:all"),
    ("counter", "wipe:one"),
)
"""Twelve pairs for ``make jepsen``."""

CI: Final[tuple[tuple[str, str], ...]] = (
    ("register", "kill:leader+partition:one"),
    ("append", "partition:leader+reset:all"),
    ("cas-register", "pause:leader+delay:one"),
    ("set", "kill:all"),
    ("lock", "partition:one-way+clock-jump"),
    ("watch", "restart:one+duplicate:all"),
)
"""Pairs for ``make jepsen-ci``: several faults at once, because there is little time."""

MATRIX_FAULTS: Final[tuple[str, ...]] = (
    "kill:leader",
    "kill:majority",
    "kill:all",
    "pause:leader",
    "restart",
    "partition:leader",
    "partition:halves",
    "partition:one-way",
    "flapping",
    "client-partition",
    "delay",
    "reorder:all",
    "reset:all",
    "clock-jump",
    "clock-drift",
    "transfer",
    "snapshot",
    "wipe:one",
)
"""What ``jepsen-lite matrix`` gives every workload, if it is not told."""

CAMPAIGN_WORKLOADS: Final[tuple[str, ...]] = (
    "register",
    "append",
    "set",
    "versions",
    "watch",
    "bank",
    "cas-register",
    "queue",
    "session",
    "lock",
)
CAMPAIGN_FAULTS: Final[tuple[str, ...]] = (
    "kill:leader",
    "partition:leader",
    "pause:leader",
    "power-loss:all",
    "partition:one-way",
    "reset:all",
    "kill:majority",
    "flapping",
    "clock-jump",
    "wipe:one",
    "reorder:all",
    "restart",
)
"""One or two faults of each kind, for runs of a minute."""
