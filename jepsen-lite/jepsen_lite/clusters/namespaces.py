"""Network namespaces of one run: one for each node, joined by a bridge in a further one.

Nothing of the machine's own network is changed, but for one interface that leads to the bridge. It
and everything else goes with the namespaces. A run that was killed leaves them behind; the next one
finds them by their names, and by the lock that nobody holds any more.

Each node has two addresses: ``seen`` by other nodes and by clients, and ``behind``, for the
harness, before which no fault stands.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Final

from jepsen_lite.clusters.cluster import ClusterError

RUNS_MAX: Final = 32
"""At the same time on one machine."""
TOOLS: Final = ("ip", "iptables", "ss")
WITHIN_S: Final = 20.0
_HARNESS: Final = 254
_PREFIX: Final = "jepsen-lite"


def run(*command: str, given: str = "") -> str:
    """Run a command; what it printed. Raises ClusterError."""
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=WITHIN_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def check_able() -> None:
    """Raises ClusterError that says what is missing."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise ClusterError(f"netns needs {', '.join(missing)}: apt-get install iproute2 iptables")
    if os.geteuid() != 0:
        raise ClusterError("netns needs root: only it can make network namespaces")


class Namespaces:
    """Those of one run of ``count`` nodes. ``close`` may be called at any time, and twice."""

    def __init__(self, count: int) -> None:
        """Take the first network that no other run uses. Raises ClusterError."""
        self.numbers = range(1, count + 1)
        self._lock: IO[str] | None = None
        self.network = 0
        for network in range(RUNS_MAX):
            lock = _locked(network)
            if lock is None:
                continue
            if self._lock is None:
                self._lock, self.network = lock, network
                _remove(network)
            else:
                _remove(network)
                lock.close()
        if self._lock is None:
            raise ClusterError(f"{RUNS_MAX} runs in namespaces are under way")

    def seen(self, number: int = _HARNESS) -> str:
        """The address of a node (of the clients) that faults stand before."""
        return f"198.18.{self.network}.{number}"

    def behind(self, number: int = _HARNESS) -> str:
        """The address of a node (of the harness) that no fault stands before."""
        return f"198.19.{self.network}.{number}"

    def name(self, number: int) -> str:
        """The namespace of a node; of the bridge for 0."""
        return f"{_PREFIX}-{self.network}-n{number}"

    def within(self, number: int) -> list[str]:
        """What makes a command run on a node."""
        return ["ip", "netns", "exec", self.name(number)]

    def open(self) -> None:
        """Make everything. Raises ClusterError."""
        bridge = self.name(0)
        run("ip", "netns", "add", bridge)
        run("ip", "-n", bridge, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", bridge, "link", "set", "bridge", "up")
        for number in self.numbers:
            space = self.name(number)
            run("ip", "netns", "add", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
            self._join(number, space)
        self._join(_HARNESS, None)

    def _join(self, number: int, space: str | None) -> None:
        """A cable to the bridge from a namespace; None: from the machine itself."""
        bridge, port = self.name(0), f"port{number}"
        cable = _cable(self.network) if space is None else "eth0"
        where = [] if space is None else ["-n", space]
        far = ["peer", "name", port, "netns", bridge]
        run("ip", *where, "link", "add", cable, "type", "veth", *far)
        run("ip", "-n", bridge, "link", "set", port, "master", "bridge", "up")
        for address in (self.seen(number), self.behind(number)):
            run("ip", *where, "address", "add", f"{address}/24", "dev", cable)
        run("ip", *where, "link", "set", cable, "up")

    def close(self) -> None:
        """Remove everything; never raises."""
        if self._lock is not None:
            _remove(self.network)
            self._lock.close()
            self._lock = None


def _cable(network: int) -> str:
    """The machine's own interface in a network."""
    return f"jepsen{network}"


def _locked(network: int) -> IO[str] | None:
    """The lock of a network, if nobody holds it."""
    path = Path(tempfile.gettempdir()) / f"{_PREFIX}-network-{network}"
    lock = path.open("a", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def _remove(network: int) -> None:
    """End what still runs in a network's namespaces, a frozen process too, then remove them. The
    cables go with their ends."""
    for name in _present(network):
        with contextlib.suppress(ClusterError):
            for pid in run("ip", "netns", "pids", name).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        with contextlib.suppress(ClusterError):
            run("ip", "netns", "delete", name)
    # The other end has gone, but the kernel takes its time.
    if Path(f"/sys/class/net/{_cable(network)}").exists():
        with contextlib.suppress(ClusterError):
            run("ip", "link", "delete", _cable(network))


def _present(network: int) -> list[str]:
    """Namespaces of a network that exist, whichever run made them."""
    home = Path("/run/netns")
    return sorted(path.name for path in home.glob(f"{_PREFIX}-{network}-n*"))
