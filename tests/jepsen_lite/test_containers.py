"""Containers as processes, against an engine that is a script: what is asked, what is believed."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from jepsen_lite.clusters.cluster import Ability, ClusterError
from jepsen_lite.clusters.compose import ComposeCluster
from jepsen_lite.clusters.containers import Container, Engine
from jepsen_lite.faults.catalogue import make
from jepsen_lite.faults.fault import NoEffectError
from tests.jepsen_lite.test_faults import FakeCluster, FakeNode

ENGINE = """#!%s -IS
import json, os, pathlib, sys
file = pathlib.Path(__file__).with_name("state.json")
state = json.loads(file.read_text())
state["asked"].append(sys.argv[1:])
words = [word for word in sys.argv[1:] if not word.startswith("--")]
if pathlib.Path(__file__).name == "docker-compose":
    words = words[2:]
verb, last = words[0], words[-1]
if verb == state["fails"]:
    sys.exit("the engine is tired")
elif verb == "config":
    print("worker1", "node10", "node2", "node1", sep="\\n")
elif verb == "ps":
    print("id-" + last)
elif verb == "inspect":
    print(json.dumps(state["networks"] if "Networks" in words[1] else state["state"]))
elif verb in ("kill", "stop"):
    state["state"].update(Pid=0, Running=False, ExitCode=137)
elif verb == "start":
    state["state"].update(Pid=8, Running=True)
elif verb in ("pause", "unpause"):
    state["state"].update(Paused=verb == "pause")
elif verb == "network" and words[1] == "disconnect":
    del state["networks"][words[2]]
elif verb == "network":
    state["networks"][words[-2]] = {}
file.write_text(json.dumps(state))
"""


class FakeEngine:
    """The script, and what it remembers."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "state.json"
        state = {"Pid": 7, "Running": True, "Paused": False, "ExitCode": 0}
        self.write(asked=[], fails="", state=state, networks={"a": {}, "b": {}})
        for name in ("docker", "docker-compose"):
            (folder / name).write_text(ENGINE % sys.executable)
            (folder / name).chmod(0o755)

    def write(self, **change: Any) -> None:
        self.file.write_text(json.dumps({**(self.read() if self.file.exists() else {}), **change}))

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file.read_text())
        return found


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """In front of any real engine, with a lock of its own."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return FakeEngine(tmp_path)


@pytest.fixture
def container(fake: FakeEngine, tmp_path: Path) -> Container:
    """One that runs."""
    del fake
    made = Container(Engine(tmp_path / "compose.yml"), "node1", tmp_path / "log")
    made.found()
    return made


async def test_a_container_is_a_process(container: Container) -> None:
    """Killed, started, frozen: by the engine's word."""
    assert (container.is_running, container.pid, container.exit_code) == (True, 7, None)
    await container.kill()
    assert (container.is_running, container.exit_code) == (False, 137)
    assert not container.died_by_itself
    container.start()
    assert container.is_running
    assert container.starts == 2
    await container.pause()
    assert container.is_paused
    container.resume()
    assert not container.is_paused


async def test_who_ends_by_himself_is_known(container: Container, fake: FakeEngine) -> None:
    """Nobody told it to."""
    fake.write(state={"Pid": 0, "Running": False, "Paused": False, "ExitCode": 1})
    assert container.died_by_itself


async def test_isolation_takes_all_networks_and_gives_them_back(
    container: Container, fake: FakeEngine
) -> None:
    """Under the name by which other nodes know it; and says so if one was left."""
    node: Any = FakeNode("n1")
    node.process = container
    cluster = FakeCluster()
    cluster.abilities |= {Ability.NETWORKS}
    cluster.fakes = cluster.nodes = (node,)
    fault = make("isolation:one", cluster, random.Random(0))
    assert await fault.start() == ["n1"]
    assert not fake.read()["networks"]
    assert "no network" in await fault.verify()
    fake.write(networks={"b": {}})
    with pytest.raises(NoEffectError, match="still attached to b"):
        await fault.verify()
    await fault.stop()
    await fault.stop()
    assert sorted(fake.read()["networks"]) == ["a", "b"]
    assert fake.read()["asked"][-1] == ["network", "connect", "--alias", "node1", "a", "id-node1"]


def test_nodes_are_the_services_with_a_number(fake: FakeEngine, tmp_path: Path) -> None:
    """In their order."""
    del fake
    assert Engine(tmp_path / "file").services() == ["node1", "node2", "node10"]


def test_one_run_at_a_time_and_what_was_left_is_removed(fake: FakeEngine, tmp_path: Path) -> None:
    """Before and after; the project is free then."""
    first, second = Engine(tmp_path / "file"), Engine(tmp_path / "file")
    first.take()
    with pytest.raises(ClusterError, match="another run"):
        second.take()
    first.leave()
    first.leave()
    second.take()
    second.leave()
    downs = [asked for asked in fake.read()["asked"] if "down" in asked]
    assert len(downs) == 4
    assert all("--volumes" in asked for asked in downs)


async def test_what_the_engine_refuses_is_said(fake: FakeEngine, tmp_path: Path) -> None:
    """And the project is left empty."""
    file = tmp_path / "compose.yml"
    with pytest.raises(ClusterError, match="name the compose file"):
        ComposeCluster(tmp_path, file, 3, first_port=23_000)
    file.touch()
    cluster = ComposeCluster(tmp_path, file, 2, first_port=23_000)
    with pytest.raises(ClusterError, match="has node1, node2, node10: use --nodes"):
        await cluster.start()
    fake.write(fails="config")
    await cluster.stop()
    with pytest.raises(ClusterError, match="the engine is tired"):
        await cluster.start()
    await cluster.stop()
    assert "down" in fake.read()["asked"][-1]
