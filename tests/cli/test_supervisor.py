"""The supervisor of a local cluster, over stand-ins for nodes: real processes, real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coord.cli.dev_layout import DevNode, Layout, is_free
from coord.cli.supervisor import Running, Supervisor
from coord.model.errors import ConfigError
from tests.cli.processes import is_running

ROOT = Path(__file__).parents[2]
STUB = Path(__file__).with_name("stub_node.py")


def _free_port(count: int) -> int:
    """The first of ``count`` consecutive free ports; each test process looks elsewhere first."""
    first = 21_000 + os.getpid() % 500 * 20
    return next(
        port
        for port in range(first, 32_000, 10)
        if all(is_free(port + offset) for offset in range(count))
    )


def _stub(*behaviour: str) -> Callable[[DevNode], list[str]]:
    def command(node: DevNode) -> list[str]:
        return [sys.executable, str(STUB), str(node.client_port), str(node.id), *behaviour]

    return command


@asynccontextmanager
async def _supervised(
    directory: Path,
    events: list[dict[str, Any]],
    *behaviour: str,
    restart: bool = True,
    restart_after_s: float = 0.01,
) -> AsyncIterator[Supervisor]:
    layout = Layout.of(directory, _free_port(2), 2)
    layout.prepare()
    supervisor = Supervisor(
        layout,
        restart=restart,
        report=events.append,
        command=_stub(*behaviour),
        restart_after_s=restart_after_s,
        stop_within_s=0.2,
    )
    running = asyncio.create_task(supervisor.run())
    try:
        await supervisor.wait_ready()
        yield supervisor
    finally:
        supervisor.stop()
        await running


def pid_of(running: Running) -> int | None:
    """Its process at this moment (a call, so that type checkers expect it to change)."""
    return running.pid


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for processes to act; the test's own timeout bounds it."""
    while not condition():
        await asyncio.sleep(0.01)


async def test_killed_node_is_restarted_and_reported(tmp_path: Path) -> None:
    """A node that dies is reported with its signal, then runs again under a new process."""
    events: list[dict[str, Any]] = []
    async with _supervised(tmp_path, events) as supervisor:
        victim = supervisor.running[1]
        old = victim.pid
        assert old is not None
        os.kill(old, signal.SIGKILL)
        await _until(lambda: len(events) == 2)
        new = victim.pid

    assert events == [
        {"event": "exit", "id": 2, "pid": old, "code": -signal.SIGKILL},
        {"event": "restart", "id": 2, "pid": new},
    ]
    assert new not in {None, old}


async def test_without_restart_it_ends_with_its_last_node(tmp_path: Path) -> None:
    """With --no-restart a dead node stays dead; when all are, there is nothing to supervise."""
    events: list[dict[str, Any]] = []
    async with _supervised(tmp_path, events, restart=False) as supervisor:
        for one in supervisor.running:
            assert one.pid is not None
            os.kill(one.pid, signal.SIGKILL)
        await _until(lambda: len(events) == 2)

    assert {(event["event"], event["id"]) for event in events} == {("exit", 1), ("exit", 2)}


@pytest.mark.parametrize("behaviour", ["plain", "stubborn"])
async def test_stop_leaves_no_process(tmp_path: Path, behaviour: str) -> None:
    """Every node ends with the supervisor, also one that ignores SIGTERM; it is no exit event."""
    events: list[dict[str, Any]] = []
    async with _supervised(tmp_path, events, behaviour) as supervisor:
        pids = [one.pid for one in supervisor.running if one.pid is not None]

    assert len(pids) == 2
    assert not any(map(is_running, pids))
    assert events == []


async def test_stop_reaches_a_frozen_node(tmp_path: Path) -> None:
    """A node stopped by SIGSTOP is continued, so that it can end."""
    async with _supervised(tmp_path, []) as supervisor:
        pid = supervisor.running[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)

    assert supervisor.running[0].exits == [-signal.SIGTERM]


async def test_node_stopped_on_purpose_stays_stopped(tmp_path: Path) -> None:
    """It gets SIGTERM, is not restarted by itself, and runs again when it is asked for; repeating
    either changes nothing."""
    events: list[dict[str, Any]] = []
    async with _supervised(tmp_path, events) as supervisor:
        first, second = supervisor.running
        old = second.pid
        (stopped,) = await supervisor.stop_nodes([2])
        assert (stopped, stopped.pid) == (second, None)
        assert first.pid is not None
        await supervisor.stop_nodes([2])
        os.kill(first.pid, signal.SIGKILL)
        await _until(lambda: events[-1]["event"] == "restart")
        assert pid_of(second) is None
        (started,) = await supervisor.start_nodes([2])
        new = started.pid
        await supervisor.start_nodes([1, 2])
        assert pid_of(second) == new

    assert new not in {None, old}
    assert [event for event in events if event["id"] == 2] == [
        {"event": "stop", "id": 2, "pid": old, "code": -signal.SIGTERM},
        {"event": "start", "id": 2, "pid": new},
    ]


async def test_all_nodes_may_be_stopped(tmp_path: Path) -> None:
    """A cluster without a running node is still there to be started, also without restarts, also
    if they ignore SIGTERM."""
    events: list[dict[str, Any]] = []
    async with _supervised(tmp_path, events, "stubborn", restart=False) as supervisor:
        await supervisor.stop_nodes([1, 2])
        assert [one.pid for one in supervisor.running] == [None, None]
        await supervisor.start_nodes([2])
        assert supervisor.running[1].pid is not None

    assert [event["event"] for event in events] == ["stop", "stop", "start"]


async def test_node_that_ended_by_itself_can_be_started(tmp_path: Path) -> None:
    """Without restarts, a killed node waits for its start."""
    events: list[dict[str, Any]] = []
    async with _supervised(tmp_path, events, restart=False) as supervisor:
        victim = supervisor.running[0]
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        await _until(lambda: bool(events))
        await supervisor.start_nodes([1])
        assert victim.pid is not None

    assert [event["event"] for event in events] == ["exit", "start"]


async def test_stop_ends_the_wait_for_a_restart(tmp_path: Path) -> None:
    """A node that just died and would be restarted is not, once it was asked to stop."""
    events: list[dict[str, Any]] = []
    async with _supervised(tmp_path, events, restart_after_s=3_600.0) as supervisor:
        victim = supervisor.running[0]
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        await _until(lambda: bool(events))
        await supervisor.stop_nodes([1])
        await supervisor.start_nodes([1])

    assert [event["event"] for event in events] == ["exit", "start"]


async def test_node_that_cannot_start_is_explained(tmp_path: Path) -> None:
    """A node that ends before the cluster is ready: its code and the end of its log."""
    layout = Layout.of(tmp_path, _free_port(1), 1)
    layout.prepare()
    program = "import sys; print('unknown key: colour'); sys.exit(78)"
    supervisor = Supervisor(
        layout,
        restart=True,
        report=lambda _event: None,
        command=lambda _node: [sys.executable, "-c", program],
    )
    running = asyncio.create_task(supervisor.run())
    with pytest.raises(ConfigError) as caught:
        await supervisor.wait_ready()
    supervisor.stop()
    await running

    assert "node 1 ended with code 78" in str(caught.value)
    assert "unknown key: colour" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl and /proc")
async def test_nodes_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    """Kill -9 of the supervisor takes its nodes along, even those that ignore everything else."""
    port = _free_port(2)
    program = f"""
import asyncio, sys
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}]
from coord.cli.dev_layout import Layout
from coord.cli.supervisor import Running, Supervisor
async def main():
    layout = Layout.of(Path({str(tmp_path)!r}), {port}, 2)
    layout.prepare()
    command = lambda n: [sys.executable, {str(STUB)!r}, str(n.client_port), str(n.id), "stubborn"]
    supervisor = Supervisor(layout, restart=True, report=print, command=command)
    running = asyncio.create_task(supervisor.run())
    await supervisor.wait_ready()
    print(*(one.pid for one in supervisor.running), flush=True)
    await running
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    pids = [int(word) for word in (await process.stdout.readline()).split()]
    assert len(pids) == 2
    assert all(map(is_running, pids))
    process.kill()
    await process.wait()

    await _until(lambda: not any(map(is_running, pids)))


def test_another_shape_needs_another_directory(tmp_path: Path) -> None:
    """Ports and members are part of the data: running it differently is refused, with both."""
    Layout.of(tmp_path, 7_000, 3).prepare()
    Layout.of(tmp_path, 7_000, 3).prepare()

    with pytest.raises(ConfigError, match="holds a cluster of 3 nodes on port 7000"):
        Layout.of(tmp_path, 7_000, 5).prepare()


def test_taken_port_is_named(tmp_path: Path) -> None:
    """Before anything starts, a port that is in use is named."""
    layout = Layout.of(tmp_path, _free_port(1), 1)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", layout.port))
        other.listen()
        with pytest.raises(ConfigError, match=f"port {layout.port} is taken"):
            layout.check_ports()
    layout.check_ports()


def test_ports_are_laid_out_by_kind() -> None:
    """Node k serves clients on port+k−1, peers 100 above that."""
    layout = Layout.of(Path("x"), 2181, 3)

    assert layout.hosts == "127.0.0.1:2181,127.0.0.1:2182,127.0.0.1:2183"
    assert [node.peer for node in layout.nodes] == [f"127.0.0.1:{2281 + k}" for k in range(3)]
