"""A drill on the compose cluster: `make compose-test`.

Starts the cluster of docker-compose.yml from empty volumes, elects, kills containers, takes a
network away, loses a volume, restarts everything on the same volumes, and looks each time for every
acknowledged write. Ends with 1 at the first broken promise, with the containers' last words.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable

from coord.model.errors import CoordError
from coord_client import Client, connect
from tests.compose.project import NODES, Overdue, Project

WRITES = 50
"""Acknowledged between two steps."""


class Drill:
    """The steps share a project and the list of what was acknowledged."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.acknowledged = 0

    async def write(self) -> None:
        """More writes, through whoever serves."""
        async with connect(self.project.hosts) as client:
            if not self.acknowledged:
                await client.create("/drill", b"")
            for _ in range(WRITES):
                await self._one(client)
                self.acknowledged += 1

    async def _one(self, client: Client) -> None:
        path = f"/drill/{self.acknowledged:06d}"
        while True:
            with contextlib.suppress(CoordError):
                if await client.exists(path) is None:
                    await client.create(path, str(self.acknowledged).encode())
                return
            await asyncio.sleep(0.05)

    async def verify(self) -> None:
        """Every acknowledged write is there, once."""
        async with connect(self.project.hosts) as client:
            found = sorted(await client.children("/drill"))
        wanted = [f"{number:06d}" for number in range(self.acknowledged)]
        assert found == wanted, f"{len(wanted)} writes acknowledged, {len(found)} found"

    async def start(self) -> None:
        """Unattended, from nothing."""
        self.project.compose("up", "--detach", "--no-build", "node1", "node2", "node3")
        await self.project.wait_ready()

    async def elect(self) -> None:
        """Of three workers one leads and HAProxy finds it; that one killed, another."""
        project = self.project
        project.compose("--profile", "demo", "up", "--detach", "--no-build")
        first = await project.worker_that_leads()
        project.docker("kill", project.container(first))
        await project.worker_that_leads(after=first)
        workers = [f"worker{number}" for number in (1, 2, 3)]
        project.compose("--profile", "demo", "rm", "--stop", "--force", "haproxy", *workers)

    async def kill_leader(self) -> None:
        """The others go on; the engine starts it again."""
        project = self.project
        leader = project.leader()
        project.docker("kill", project.container(f"node{leader}"))
        await project.wait("another node leads", lambda: project.leader() not in {0, leader})
        await self.write()
        project.docker("start", project.container(f"node{leader}"))
        await project.wait_ready()

    async def kill_all(self) -> None:
        """Power cut for all containers at once."""
        project = self.project
        containers = [project.container(f"node{node}") for node in NODES]
        project.docker("kill", *containers)
        project.docker("start", *containers)
        await project.wait_ready()

    async def cut_off(self) -> None:
        """A follower without its network says so, and catches up."""
        project = self.project
        victim = next(node for node in NODES if node != project.leader())
        network = f"{project.name}_cluster"
        container = project.container(f"node{victim}")
        project.docker("network", "disconnect", network, container)
        await self._write_elsewhere(victim)
        project.docker("network", "connect", "--alias", f"node{victim}", network, container)
        await project.wait_ready()

    async def _write_elsewhere(self, victim: int) -> None:
        hosts = self.project.hosts
        kept = [host for node, host in zip(NODES, hosts.split(","), strict=True) if node != victim]
        self.project.hosts = ",".join(kept)
        await self.write()
        self.project.hosts = hosts

    async def lose_volume(self) -> None:
        """A node that comes back empty is replaced by the others, not believed."""
        project = self.project
        victim = next(node for node in NODES if node != project.leader())
        project.compose("rm", "--stop", "--force", f"node{victim}")
        project.docker("volume", "rm", f"{project.name}_node{victim}")
        project.compose("up", "--detach", "--no-build", f"node{victim}")
        await project.wait_ready()
        await project.wait(
            "all nodes hold the same",
            lambda: len({project.status(node).get("applied") for node in NODES}) == 1,
        )

    async def restart(self) -> None:
        """Everything down and up again on the same volumes."""
        self.project.compose("down")
        await self.start()


async def run(project: Project, *, keep: bool) -> None:
    """All steps, each followed by writes and by a look at everything."""
    drill = Drill(project)
    steps: tuple[Callable[[], object], ...] = (
        drill.start, drill.elect, drill.kill_leader, drill.cut_off, drill.kill_all,
        drill.lose_volume, drill.restart,
    )  # fmt: skip
    project.compose("--profile", "demo", "down", "--volumes", "--remove-orphans")
    try:
        for step in steps:
            sys.stdout.write(f"{step.__name__.replace('_', ' ')} … ")
            sys.stdout.flush()
            await step()  # type: ignore[misc]
            await drill.write()
            await drill.verify()
            sys.stdout.write(f"{drill.acknowledged} writes, all there\n")
    finally:
        if not keep:
            project.compose("--profile", "demo", "down", "--volumes", "--remove-orphans")


def main() -> int:
    """Run the drill."""
    parser = argparse.ArgumentParser(prog="python -m tests.compose", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the containers for a look")
    options = parser.parse_args()
    try:
        asyncio.run(run(Project(), keep=options.keep))
    except (AssertionError, Overdue) as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
