"""The HTTP API of a real cluster, used as its users do: by a script, and from node to node."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
import requests

from coord_client import Lock, connect
from tests.integration.conftest import MakeCluster
from tests.integration.processes import Cluster, free_port

SCRIPT = Path(__file__).parents[2] / "examples" / "http" / "nightly-report.sh"
LOCK = "/v1/locks/locks/report"

pytestmark = [pytest.mark.needs("curl"), pytest.mark.needs("jq")]


class HttpCluster:
    """Three nodes that serve HTTP."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.http = {number: f"127.0.0.1:{free_port()}" for number in cluster.nodes}
        for number, node in cluster.nodes.items():
            node.start(cluster.initial, "--set", f"node.http={self.http[number]}")
        self.leader = int([node.wait_ready() for node in cluster.nodes.values()][-1]["leader"])

    def ask(self, node: int, method: str, path: str, body: Any = None, handle: str = "") -> Any:
        """One request to a node."""
        url, headers = f"http://{self.http[node]}{path}", {"Coord-Session": handle}
        answer = requests.request(
            method, url, json=body, headers=headers if handle else None, timeout=60
        )
        answer.raise_for_status()
        return answer.json()

    async def run_script(self) -> str:
        """The example, to its end; what it printed."""
        process = await asyncio.create_subprocess_exec(
            "sh", str(SCRIPT),
            env={**os.environ, "COORD": " ".join(self.http.values())},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, (out + err).decode()
        return out.decode()


async def test_a_script_and_a_program_exclude_each_other(make_cluster: MakeCluster) -> None:
    """And a session over HTTP outlives the node that it was opened on."""
    http = HttpCluster(make_cluster(3))
    async with connect(http.cluster.hosts) as client:
        hold = await Lock(client, "/locks/report", b"program").acquire()
        script = asyncio.create_task(http.run_script())
        while not (await asyncio.to_thread(http.ask, 1, "GET", LOCK))["waiting"]:
            await asyncio.sleep(0.05)
        assert not script.done()
        await hold.release()
        printed = await script
        assert f"granted with token {hold.token}" not in printed
        assert '"path":"/reports/nightly"' in printed
        assert (await client.get("/reports/nightly")).data

    first, *others = sorted(http.http, key=lambda node: node != http.leader)
    opened = http.ask(first, "POST", "/v1/sessions", {})
    handle, session = opened["handle"], opened["session"]
    held = http.ask(first, "POST", LOCK, {}, handle)
    http.cluster[first].kill()
    kept = http.ask(others[0], "POST", f"/v1/sessions/{session}/keep-alive", {}, handle)
    assert kept["session"] == session
    assert http.ask(others[1], "POST", LOCK, {}, handle)["token"] == held["token"]
    told = http.ask(others[0], "GET", "/v1/cluster")
    assert told["leader"] in others
    assert first in [it["leader"] for it in told["leaders"]]
    assert {it["id"]: it["status"] is not None for it in told["members"]} == {
        first: False,
        **dict.fromkeys(others, True),
    }
