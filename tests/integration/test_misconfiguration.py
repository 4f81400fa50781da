"""Every way not to start: an exit code of its own, and a message that says what to do."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coord.model.errors import NoSpaceError
from coord_client import Client, connect
from tests.integration.conftest import MakeCluster
from tests.integration.processes import READY_WITHIN_S, Cluster

MIB = 1 << 20


@pytest.fixture
def single(make_cluster: MakeCluster) -> Cluster:
    """A cluster of one that does not run yet."""
    return make_cluster(1)


def refused(cluster: Cluster, *more: str, node: int = 1) -> tuple[int, str]:
    """Exit code and last words of a node that cannot start."""
    cluster[node].start(cluster.initial, *more)
    return cluster[node].wait_exit(), cluster[node].log()


def test_a_taken_client_port_names_who_holds_it(single: Cluster) -> None:
    """Code 69; here it is this very process."""
    host, port = single[1].client.split(":")
    with socket.create_server((host, int(port))):
        code, said = refused(single)

    assert code == 69
    assert f"port {port} " in said
    assert f"process {os.getpid()} (" in said
    assert "Traceback" not in said


def test_a_directory_in_use_names_the_process(single: Cluster, tmp_path: Path) -> None:
    """Code 75, and the first node is not disturbed."""
    single.start()
    pid = single[1].process.pid if single[1].process else 0
    second = Cluster(tmp_path / "second", 1)
    second[1].directory = single[1].directory
    second[1].log_file = tmp_path / "second.log"
    code, said = refused(second)

    assert code == 75
    assert str(single[1].directory) in said
    assert f"process {pid}" in said
    single[1].signal(signal.SIGTERM)
    assert single[1].wait_exit() == 0


def test_the_data_of_another_node_is_refused(make_cluster: MakeCluster) -> None:
    """Code 65: a directory that was moved to the wrong machine."""
    cluster = make_cluster(1)
    cluster.start()
    cluster[1].kill()
    other = ServedAs(cluster, 2)
    code, said = other.refused()

    assert code == 65
    assert "node 1" in said
    assert "Traceback" not in said


class ServedAs:
    """Node 1's directory started under another id."""

    def __init__(self, cluster: Cluster, node: int) -> None:
        self.cluster = cluster
        self.node = cluster[1]
        self.node.id = node

    def refused(self) -> tuple[int, str]:
        """As the function above."""
        return refused(self.cluster)


def test_a_directory_that_is_a_file_is_refused(single: Cluster) -> None:
    """Code 74: what the system said, and where."""
    single[1].directory.write_text("not a directory")
    code, said = refused(single)

    assert code == 74
    assert str(single[1].directory) in said
    assert "Traceback" not in said


def test_an_unknown_key_is_refused(single: Cluster, tmp_path: Path) -> None:
    """Code 78, with the key that was probably meant."""
    file = tmp_path / "coord.toml"
    file.write_text("[raft]\nhartbeat_ms = 1\n")
    code, said = refused(single, "--config", str(file))

    assert code == 78
    assert "raft.heartbeat_ms" in said


def test_check_starts_nothing(single: Cluster) -> None:
    """Code 0, and neither a directory nor a port is touched."""
    single[1].start(single.initial, "--check")
    assert single[1].wait_exit() == 0
    assert not single[1].directory.exists()


def test_optimised_python_is_refused(single: Cluster) -> None:
    """The assertions are part of the product."""
    command = single[1].command(single.initial)
    command.insert(1, "-O")
    ended = subprocess.run(command, check=False, capture_output=True, timeout=READY_WITHIN_S)

    assert ended.returncode == 78
    assert b"-O" in ended.stderr


def test_a_node_ends_when_its_parent_does(single: Cluster) -> None:
    """The pipe that it was given reaches its end: code 0, within seconds."""
    reading, writing = os.pipe()
    single[1].start(
        single.initial, environment={"COORD_PARENT_FD": str(reading)}, pass_fds=(reading,)
    )
    os.close(reading)
    single[1].wait_ready()
    os.close(writing)

    assert single[1].wait_exit() == 0
    assert "parent" in single[1].log()


def test_a_node_that_waits_for_the_others_can_be_stopped(make_cluster: MakeCluster) -> None:
    """It has no cluster yet, and its directory is as empty as before for the next start."""
    cluster = make_cluster(3)
    cluster[1].start(cluster.initial)
    wait_for_log(cluster, "waiting for node 2, 3")
    cluster[1].signal(signal.SIGTERM)

    assert cluster[1].wait_exit() == 0
    assert cluster.start() in {1, 2, 3}


def wait_for_log(cluster: Cluster, words: str) -> None:
    """Follow node 1's log until it says so, or until the node has ended."""
    node = cluster[1]
    assert node.process is not None
    with subprocess.Popen(
        ["tail", "-n", "+1", "-F", f"--pid={node.process.pid}", str(node.log_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as following:
        assert following.stdout is not None
        for line in following.stdout:
            if words.encode() in line:
                break
        else:
            raise AssertionError(f"node 1 ended without saying {words!r}:\n{node.log()}")
        following.kill()


def test_a_supervisor_hears_of_readiness_and_of_the_end(single: Cluster, tmp_path: Path) -> None:
    """READY=1 once it serves, signs of life, STOPPING=1 on SIGTERM."""
    name = str(tmp_path / "notify")
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(name)
        supervisor.settimeout(READY_WITHIN_S)
        single[1].start(
            single.initial,
            environment={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000"},
        )
        while not any(b"READY=1" in each for each in heard) or b"WATCHDOG=1" not in heard:
            heard.append(supervisor.recv(1_024))
        single[1].signal(signal.SIGTERM)
        while b"STOPPING=1" not in heard:
            heard.append(supervisor.recv(1_024))

    assert single[1].wait_exit() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB; needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "coord-test", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root: run the tests as root in a container")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk_loses_nothing_that_was_acknowledged(
    single: Cluster, small_disk: Path
) -> None:
    """With a reserve that is too small the log's commit fails: the node ends with code 74 and
    acknowledges nothing more; with room again, all that was acknowledged is there."""
    node = single[1]
    node.directory = small_disk / "node"
    node.start(single.initial, "--set", "storage.reserve_bytes=1MiB")
    node.wait_ready()
    acknowledged: set[str] = set()
    balloon = small_disk / "balloon"
    async with connect(node.client, request_timeout_s=1.0) as client:
        await client.create("/n", b"")
        balloon.write_bytes(bytes(free_bytes(small_disk) - 2 * MIB))

        async def write(number: int) -> None:
            await client.create(f"/n/{number}", os.urandom(100_000))
            acknowledged.add(str(number))

        # Many at once: the tree may run out of space first, which stalls it, and ends nothing.
        writes = (write(number) for number in range(200))
        await asyncio.gather(*writes, return_exceptions=True)
    assert len(acknowledged) < 200, "the disk was not full"
    assert node.wait_exit() == 74
    assert "fatal" in node.log()

    balloon.unlink()
    node.start(single.initial, "--set", "storage.reserve_bytes=1MiB")
    node.wait_ready()
    async with connect(node.client, request_timeout_s=10.0) as client:
        names = set(await client.children("/n"))
    assert names >= acknowledged


async def fill(client: Client) -> None:
    """Write until something gives."""
    for number in range(1_000):
        await client.create(f"/n/{number}", os.urandom(50_000))


async def writable(client: Client) -> None:
    """Write again and again until the node has noticed that there is room."""
    deadline_s = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            await client.create("/n/again", b"")
        except NoSpaceError:
            assert time.monotonic() < deadline_s, "writes do not resume"
        else:
            return


async def test_a_nearly_full_disk_refuses_writes_and_recovers(
    single: Cluster, small_disk: Path
) -> None:
    """With a proper reserve the node stays up: user writes are refused, deletes pass, and when
    there is room again writes do too."""
    node = single[1]
    node.directory = small_disk / "node"
    node.start(single.initial, "--set", "storage.reserve_bytes=8MiB")
    node.wait_ready()
    balloon = small_disk / "balloon"
    async with connect(node.client, request_timeout_s=10.0) as client:
        await client.create("/n", b"")
        balloon.write_bytes(bytes(free_bytes(small_disk) - 12 * MIB))
        with pytest.raises(NoSpaceError):
            await fill(client)
        await client.delete("/n/0")

        balloon.unlink()
        await writable(client)
    node.signal(signal.SIGTERM)
    assert node.wait_exit() == 0


def free_bytes(place: Path) -> int:
    """What can still be written there."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize
