"""Deterministic simulation of a cluster in virtual time: the engine.

What it does: a run is a function of its seed. ``Kernel`` holds virtual time and the heap of
events; ``Process`` lives, hangs and dies; ``Network`` carries ordered streams over paths that can
be cut; ``SimLogWriter`` is a disk with group commit; ``SimTransport`` is a node's peer transport
over that network; ``Trace`` hashes what happened.

What it does not: decide which faults happen, run clients or judge results. That is up to
``coord.testing`` and to ``tests/sim``. It never touches lmdb, aiohttp, sockets, threads or real
time.

Who calls it: test harnesses. It imports ``coord.node.ports`` and what stands below it.

Read first: ``kernel``, ``process``, ``network``; then ``peers`` and ``disk``.
"""

from __future__ import annotations

from coord.sim.disk import DiskConditions, SimLogWriter
from coord.sim.kernel import US_PER_MS, US_PER_S, Kernel, Killed
from coord.sim.network import Conditions, End, Network
from coord.sim.peers import SimTransport, host_name
from coord.sim.process import Process, ProcessClock
from coord.sim.streams import Streams
from coord.sim.trace import Trace

__all__ = [
    "US_PER_MS",
    "US_PER_S",
    "Conditions",
    "DiskConditions",
    "End",
    "Kernel",
    "Killed",
    "Network",
    "Process",
    "ProcessClock",
    "SimLogWriter",
    "SimTransport",
    "Streams",
    "Trace",
    "host_name",
]
