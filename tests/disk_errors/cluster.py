"""Three real nodes under steady writes, each on a disk of its own that can be made to fail."""

from __future__ import annotations

from pathlib import Path

from tests.disk_errors.faults import Switch
from tests.integration.busy_cluster import BusyCluster


class FaultyCluster(BusyCluster):
    """A busy cluster with a switch for each disk."""

    def __init__(self, directory: Path, library: Path, *settings: str) -> None:
        super().__init__(directory, *settings)
        self.switches = {
            n: Switch(library, directory / f"disk-{n}.fault") for n in self.nodes.nodes
        }

    def environment_of(self, number: int) -> dict[str, str]:
        """With the disk that fails preloaded."""
        return self.switches[number].environment

    async def close(self) -> None:
        """Leave nothing behind; a disk that is stuck lets go first."""
        for switch in self.switches.values():
            switch.off()
        await super().close()

    async def back(self, number: int) -> None:
        """Start a node that has ended, on a disk that works, and wait until it serves."""
        self.switches[number].off()
        await super().back(number)
