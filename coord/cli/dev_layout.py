"""What ``coord dev`` runs: ports, directories, and the file that remembers both."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coord.model.errors import ConfigError

HOST: Final = "127.0.0.1"
PEER_PORT_OFFSET: Final = 100
HTTP_PORT_OFFSET: Final = 200
TLS_PORT_OFFSET: Final = 300
PORTS_APART: Final = 100
"""Room between two kinds of port: node numbers stay below it."""
NODES_MAX: Final = 9
MEMORY: Final = "dev.json"


@dataclass(frozen=True, slots=True)
class DevNode:
    """One node of the local cluster."""

    id: int
    client_port: int
    directory: Path

    @property
    def client(self) -> str:
        """Where it serves clients."""
        return f"{HOST}:{self.client_port}"

    @property
    def peer(self) -> str:
        """Where it serves the other nodes."""
        return f"{HOST}:{self.client_port + PEER_PORT_OFFSET}"

    @property
    def http(self) -> str:
        """Where it serves HTTP."""
        return f"{HOST}:{self.client_port + HTTP_PORT_OFFSET}"

    @property
    def log_file(self) -> Path:
        """What it prints goes here."""
        return self.directory / "node.log"


@dataclass(frozen=True, slots=True)
class Layout:
    """A local cluster: ``nodes`` numbered from 1, node k on ``port`` + k − 1."""

    directory: Path
    port: int
    nodes: tuple[DevNode, ...]
    settings: tuple[str, ...] = ()
    """KEY=VALUE of the configuration, for every node."""

    @classmethod
    def of(cls, directory: Path, port: int, count: int, settings: tuple[str, ...] = ()) -> Layout:
        """Node k serves clients on port+k−1, peers 100 above, HTTP 200 above."""
        assert 1 <= count <= NODES_MAX < PORTS_APART
        nodes = tuple(
            DevNode(k, port + k - 1, directory / f"node-{k}") for k in range(1, count + 1)
        )
        return cls(directory, port, nodes, settings)

    @property
    def hosts(self) -> str:
        """The connect string of the whole cluster."""
        return ",".join(node.client for node in self.nodes)

    def prepare(self) -> None:
        """Make the directories, and refuse to run another cluster's data.

        Raises ConfigError: addresses and members are part of the data, so another port or number
        of nodes needs another directory.
        """
        wanted = {"port": self.port, "nodes": len(self.nodes)}
        memory = self.directory / MEMORY
        try:
            for node in self.nodes:
                node.directory.mkdir(parents=True, exist_ok=True)
            if not memory.exists():
                memory.write_text(json.dumps(wanted) + "\n", encoding="utf-8")
                return
            known = _remembered(memory)
        except OSError as error:
            raise ConfigError(f"{self.directory}: {error.strerror or error}") from error
        if known != wanted:
            raise ConfigError(
                f"{self.directory} holds a cluster of {known.get('nodes')} nodes on port "
                f"{known.get('port')}: run it with those, or name another --dir"
            )

    def check_ports(self) -> None:
        """Say which port is taken before three nodes fail over it. Raises ConfigError."""
        for node in self.nodes:
            for offset in (0, PEER_PORT_OFFSET, HTTP_PORT_OFFSET):
                number = node.client_port + offset
                if not is_free(number):
                    raise ConfigError(
                        f"port {number} is taken: is another cluster running? "
                        "--port chooses others, --dir another place for the data"
                    )

    def values_of(self, node: DevNode) -> dict[str, str]:
        """Key → value of the settings that only this command can choose for ``node``."""
        members = (f"{it.id}={it.peer}/{it.client}/{it.http}" for it in self.nodes)
        return {
            "node.id": str(node.id),
            "node.dir": str(node.directory),
            "node.client": node.client,
            "node.peer": node.peer,
            "node.http": node.http,
            "cluster.initial": ",".join(members),
        }

    def command_of(self, node: DevNode) -> list[str]:
        """The command line that runs ``node``; members are the same for all of them."""
        argv = [sys.executable, "-m", "coord", "serve"]
        argv += ["--id", str(node.id), "--data-dir", str(node.directory)]
        argv += ["--client", node.client, "--peer", node.peer]
        argv += ["--set", f"node.http={node.http}"]
        for other in self.nodes:
            argv += ["--member", f"{other.id}={other.peer},{other.client},{other.http}"]
        for setting in self.settings:
            argv += ["--set", setting]
        return argv


def remembered_nodes(directory: Path) -> int | None:
    """How many nodes the cluster in ``directory`` has, None if there is none."""
    memory = directory / MEMORY
    if not memory.exists():
        return None
    count = _remembered(memory).get("nodes")
    return count if isinstance(count, int) else None


def _remembered(memory: Path) -> dict[str, Any]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{memory} is damaged ({error}): remove it or the directory") from error
    return known if isinstance(known, dict) else {}


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
