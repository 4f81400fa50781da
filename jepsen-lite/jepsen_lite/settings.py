"""What a run is asked to do: the identity of a run, as plain data."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds; ``rate`` in operations a second, of all clients together."""

    workload: str
    faults: tuple[str, ...] = ()
    cluster: str = "local"
    client: str = ""
    """Empty: the cluster's own."""
    nodes: int = 3
    time_s: float = 60.0
    ok: int = 0
    """Go on until so many operations have succeeded and every fault has struck, STRETCH_MAX times
    as long at most: what a slow machine needs to prove as much as a fast one."""
    rate: float = 500.0
    workers: int = 0
    """0: as many as the workload wants."""
    seed: int = 0
    lasts_s: float = 4.0
    rests_s: float = 4.0
    session_timeout_s: float = 4.0
    request_timeout_s: float = 2.0
    planted: str = ""
    """A bug to start the servers with (see ``python -m tests.broken list``)."""
    compose_file: str = "docker-compose.yml"
    """What describes the containers, for ``cluster`` compose."""
    hosts: str = ""
    """Addresses of a cluster that runs already, for ``cluster`` remote."""
    server: dict[str, str] = field(default_factory=dict)
    """Settings of the servers."""
    first_port: int = 23_000
    out: Path = Path("jepsen-runs")

    def to_json(self) -> dict[str, Any]:
        """For the history and the report."""
        return {**asdict(self), "faults": list(self.faults), "out": str(self.out)}

    def command(self) -> str:
        """How to run this again."""
        words = ["jepsen-lite", "run", "--workload", self.workload]
        defaults = Settings(self.workload)
        if self.faults:
            words += ["--faults", ",".join(self.faults)]
        for name in (
            "cluster",
            "client",
            "nodes",
            "rate",
            "workers",
            "ok",
            "planted",
            "hosts",
            "compose_file",
        ):
            value = getattr(self, name)
            if value != getattr(defaults, name):
                words += [
                    f"--{name.replace('_', '-')}",
                    f"{value:g}" if isinstance(value, float) else str(value),
                ]
        words += ["--time", f"{self.time_s:g}", "--seed", str(self.seed)]
        for name in ("lasts", "rests", "session_timeout", "request_timeout"):
            value = getattr(self, f"{name}_s")
            if value != getattr(defaults, f"{name}_s"):
                words += [f"--{name.replace('_', '-')}", f"{value:g}"]
        for key, value in self.server.items():
            words += ["--set", f"{key}={value}"]
        return shlex.join(words)
