"""Whole runs against real processes: short, healthy and broken, sound and with a planted bug."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from jepsen_lite import history_file
from jepsen_lite.clusters.cluster import ClusterError
from jepsen_lite.history import Outcome
from jepsen_lite.run import HISTORY, RESULT, Result, Run
from jepsen_lite.settings import Settings
from jepsen_lite.verdict import Verdict
from jepsen_lite.workloads import WORKLOADS

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("jepsen"),  # two runs at once would look for ports at the same place
]


def go(out: Path, workload: str, *faults: str, **more: Any) -> Result:
    """A run of a few seconds on one node, unless told otherwise."""
    settings = {"nodes": 1, "time_s": 3.0, "lasts_s": 1.0, "rests_s": 1.0, "rate": 150.0, **more}
    return asyncio.run(Run(Settings(workload, faults, out=out, **settings)).run())


def why(result: Result) -> str:
    """What the judges found, for a failure's message."""
    return json.dumps([judgement.to_json() for judgement in result.judgements])


@pytest.mark.parametrize("workload", [name for name in WORKLOADS if name != "session"])
def test_every_workload_passes_on_one_healthy_node(workload: str, tmp_path: Path) -> None:
    """Before any fault: most bugs of an interface need none. Every judge has something to say."""
    result = go(tmp_path, workload, ok=WORKLOADS[workload].ok_min)
    assert result.verdict is Verdict.VALID, why(result)
    assert {judgement.checker for judgement in result.judgements} >= {"run", "order"}
    stored = json.loads((result.directory / RESULT).read_text())
    assert stored["verdict"] == "valid"
    history = history_file.read(result.directory / HISTORY)
    assert history.workload == workload
    assert history.meta["command"] == result.settings.command()
    assert len(history.ops) >= WORKLOADS[workload].ok_min
    assert history.calls
    assert history.log


@pytest.mark.slow
def test_a_crash_of_the_leader_is_survived_and_recorded(tmp_path: Path) -> None:
    """Faults are in the history with their proof, nodes come back, data agree."""
    result = go(tmp_path, "register", "kill:leader", nodes=3, time_s=6.0)
    assert result.verdict is Verdict.VALID, why(result)
    assert "all nodes have digest" in result.figures["converged"]
    faults = history_file.read(result.directory / HISTORY).faults
    assert faults
    assert all(fault.name == "kill:leader" and fault.verified for fault in faults)


@pytest.mark.slow
def test_a_planted_bug_is_found(tmp_path: Path) -> None:
    """Versions that are not compared: the tool that passes everything proves nothing."""
    result = go(tmp_path, "versions", planted="version-not-compared")
    assert result.verdict is Verdict.INVALID, why(result)
    found = {judgement.checker for judgement in result.judgements if judgement.findings}
    assert "versions" in found


@pytest.mark.needs("kazoo")
def test_zookeepers_wire_on_coord(tmp_path: Path) -> None:
    """The same workload through kazoo; nothing it did can be compared with the log."""
    result = go(tmp_path, "register", client="kazoo")
    assert result.verdict is Verdict.VALID, why(result)
    history = history_file.read(result.directory / HISTORY)
    assert not history.calls
    assert not history.log
    assert sum(op.outcome is Outcome.OK for op in history.ops) >= 50


def test_too_little_proves_nothing(tmp_path: Path) -> None:
    """A run with hardly any operation has not passed."""
    result = go(tmp_path, "register", rate=2.0, workers=1)
    assert result.verdict is Verdict.UNKNOWN, why(result)
    assert "are the minimum" in why(result)


def test_a_run_lasts_until_enough_was_done(tmp_path: Path) -> None:
    """In the time that was asked for, this rate allows half of it."""
    result = go(tmp_path, "register", rate=50.0, ok=300)
    assert result.verdict is Verdict.VALID, why(result)
    assert result.figures["ok"] >= 300


def test_a_server_that_does_not_start_is_said_at_once(tmp_path: Path) -> None:
    """With where its log is, and no process left behind."""
    with pytest.raises(ClusterError, match=r"n1: it ended with 78 \(see .*server.log\)"):
        go(tmp_path, "register", server={"raft.heartbeat_ms": "nonsense"})
