"""What the scenarios may do to the servers and to the network while a client is at work."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from kazoo.client import KazooClient

from tests.zookeeper_clients.ensembles import NODES, Ensemble
from tests.zookeeper_clients.relay import Relay

PATIENCE_S: Final = 30.0
"""Of the tests, not a promise: whatever is awaited arrives in a fraction of it, or never."""
_PAUSE: Final = threading.Event()


def wait_until(condition: Callable[[], Any], what: str = "") -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"in vain: {what or condition}"
        _PAUSE.wait(0.02)


class Lab:
    """The servers, a breakable network to them, and a directory of the scenario's own.

    ``hosts`` leads to the servers directly, ``relayed`` through the network that can be cut.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self._ensemble = ensemble
        self._frozen = 0
        self._relay = Relay(list(ensemble.addresses.values()))
        self.hosts = ",".join(ensemble.addresses.values())
        self.relayed = self._relay.address
        self.root = f"/t-{uuid.uuid4().hex[:8]}"
        self.drop = self._relay.drop
        self.cut = self._relay.cut
        self.mend = self._relay.mend
        with self.control() as control:
            control.create(self.root)

    def close(self) -> None:
        """Take the network away and bring the servers back."""
        self._relay.close()
        self.restart()

    def node_of(self, process: int) -> int:
        """The one node that this process has connections to."""
        nodes = {
            node
            for node, address in self._ensemble.addresses.items()
            if int(address.rpartition(":")[2]) in _remote_ports(process)
        }
        assert len(nodes) == 1, f"process {process} is connected to nodes {nodes}"
        return nodes.pop()

    def kill_node_of(self, process: int) -> int:
        """``kill -9`` the node that this process is connected to."""
        node = self.node_of(process)
        self._ensemble.kill(node)
        return node

    def kill_majority(self) -> None:
        """``kill -9`` nodes 1 and 2, once node 3 has all that anybody was told."""
        with self.control(self._ensemble.addresses[3]):
            pass
        self._ensemble.kill(1)
        self._ensemble.kill(2)

    def freeze_node_of(self, process: int) -> None:
        """``kill -STOP`` the node that this process is connected to."""
        self._frozen = self.node_of(process)
        self._ensemble.signal(self._frozen, signal.SIGSTOP)

    def restart(self) -> None:
        """Start what was killed, let go on what was frozen."""
        if self._frozen:
            self._ensemble.signal(self._frozen, signal.SIGCONT)
            with self.control(self._ensemble.addresses[self._frozen]):
                self._frozen = 0  # It has caught up.
        dead = [node for node in NODES if not self._ensemble.is_running(node)]
        if dead:
            self._ensemble.start(*dead)

    def expire(self, ephemeral: str) -> None:
        """Keep the client on the relay away until its session, which owns this node, has ended."""
        with self.control() as control:
            assert control.exists(ephemeral), f"nothing at {ephemeral} to wait for"
            self.cut()
            wait_until(lambda: control.exists(ephemeral) is None, f"the end of {ephemeral}")
        self.mend()

    @contextlib.contextmanager
    def control(self, hosts: str = "") -> Iterator[Any]:
        """A client of the test's own, on the direct way, that has seen all there is to see."""
        client = KazooClient(hosts or self.hosts, timeout=10.0)
        client.start(timeout=PATIENCE_S)
        client.sync("/")
        try:
            yield client
        finally:
            client.stop()
            client.close()


def _remote_ports(process: int) -> set[int]:
    """Ports at the far end of the process's established TCP connections."""
    inodes = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "01" and fields[9] in inodes:
                ports.add(int(fields[2].rpartition(":")[2], 16))
    return ports
