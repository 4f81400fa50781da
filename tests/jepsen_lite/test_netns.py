"""Networks made of namespaces: what they cut, count and break, and that nothing of them stays."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jepsen_lite.clusters import namespaces
from jepsen_lite.clusters.cluster import ClusterError
from jepsen_lite.clusters.namespaces import Namespaces
from jepsen_lite.clusters.netns import CLIENT_PORT, PEER_PORT
from jepsen_lite.clusters.packet_filter import PacketFilter
from jepsen_lite.clusters.weather import CLIENTS, CUT, Conditions

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("jepsen-netns")]

WITHIN_S = 30.0
SERVER = f"""
import socket
server = socket.create_server(("0.0.0.0", {CLIENT_PORT}))
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    try:
        print(connection.recv(1), flush=True)
    except OSError:
        pass
"""


@pytest.fixture
def spaces() -> Iterator[Namespaces]:
    """A network of two nodes, where this machine lets us have one."""
    try:
        namespaces.check_able()
        made = Namespaces(2)
    except ClusterError as error:
        pytest.skip(f"needs root, ip and iptables: {error}")
    try:
        made.open()
    except ClusterError as error:
        made.close()
        pytest.skip(f"needs network namespaces: {error}")
    yield made
    made.close()


@pytest.fixture
def weather(spaces: Namespaces) -> PacketFilter:
    """Its packet filter."""
    made = PacketFilter(spaces, PEER_PORT, CLIENT_PORT)
    made.open()
    return made


@pytest.fixture
def server(spaces: Namespaces) -> Iterator[subprocess.Popen[str]]:
    """Something on the first node that says what it receives."""
    command = [*spaces.within(1), sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def dial(address: str, within_s: float = WITHIN_S) -> socket.socket:
    """A connection to the server. Raises TimeoutError."""
    return socket.create_connection((address, CLIENT_PORT), within_s)


def test_what_is_cut_is_dropped_and_counted(
    spaces: Namespaces, weather: PacketFilter, server: subprocess.Popen[str]
) -> None:
    """The harness's own way stays open; a healed way is open again; counters add up."""
    del server
    path = weather.path(CLIENTS, "n1")
    with dial(spaces.seen(1)):
        weather.measure()
    crossed = path.crossed_bytes
    assert crossed > 0
    for dropped in range(2):
        weather.lay("test", {(CLIENTS, "n1"): CUT})
        crossed, held = path.crossed_bytes, path.held_frames
        assert held >= dropped
        with pytest.raises(TimeoutError):
            dial(spaces.seen(1), 0.2)
        with dial(spaces.behind(1)):
            weather.measure()
        assert path.crossed_bytes == crossed
        assert path.held_frames > held
        weather.lay("test", {})
        with dial(spaces.seen(1)):
            weather.measure()
        assert path.crossed_bytes > crossed
    assert not weather.path("n1", CLIENTS).held_frames


def test_one_direction_alone(
    spaces: Namespaces, weather: PacketFilter, server: subprocess.Popen[str]
) -> None:
    """What clients send arrives though they hear nothing."""
    with dial(spaces.seen(1)) as connection:
        weather.lay("test", {("n1", CLIENTS): CUT})
        connection.sendall(b"x")
        assert server.stdout is not None
        assert server.stdout.readline() == "b'x'\n"
    weather.measure()
    assert weather.path("n1", CLIENTS).held_frames
    assert not weather.path(CLIENTS, "n1").held_frames


def test_packets_are_lost_by_chance(
    spaces: Namespaces, weather: PacketFilter, server: subprocess.Popen[str]
) -> None:
    """All of them, if the chance is one."""
    del server
    weather.lay("test", {(CLIENTS, "n1"): Conditions(drop=1.0)})
    with pytest.raises(TimeoutError):
        dial(spaces.seen(1), 0.2)
    weather.measure()
    assert weather.path(CLIENTS, "n1").dropped
    weather.clear()
    dial(spaces.seen(1)).close()


def test_connections_are_broken(
    spaces: Namespaces, weather: PacketFilter, server: subprocess.Popen[str]
) -> None:
    """The chosen ones only, and their client is told."""
    del server
    with dial(spaces.seen(1)) as doomed, dial(spaces.behind(1)) as kept:
        assert not weather.reset(lambda ends: ends == (CLIENTS, "n2"))
        assert weather.reset(lambda ends: ends == (CLIENTS, "n1")) == 1
        doomed.settimeout(WITHIN_S)
        with pytest.raises(ConnectionResetError):
            doomed.recv(1)
        kept.sendall(b"x")


def test_what_a_killed_run_has_left_is_removed(spaces: Namespaces) -> None:
    """Its namespaces, and processes that could not notice because they were frozen."""
    command = [*spaces.within(1), "sh", "-c", "echo; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as left:
        assert left.stdout is not None
        left.stdout.readline()
        os.kill(left.pid, signal.SIGSTOP)
        _forget(spaces)
        following = Namespaces(1)
        assert left.wait(WITHIN_S) == -signal.SIGKILL
    with contextlib.closing(following):
        assert not list(Path("/run/netns").glob(f"{spaces.name(0)[:-1]}*"))
        following.open()
    assert not list(Path("/run/netns").glob(f"{following.name(0)[:-1]}*"))


def _forget(spaces: Namespaces) -> None:
    """What the kernel does for a process that is killed: its lock is gone."""
    lock, spaces._lock = spaces._lock, None
    assert lock is not None
    lock.close()


def test_runs_at_the_same_time_have_networks_of_their_own(spaces: Namespaces) -> None:
    """And none removes the other's."""
    with contextlib.closing(Namespaces(1)) as other:
        assert other.network != spaces.network
        other.open()
    assert spaces.seen(1) in namespaces.run(*spaces.within(1), "ip", "address", "show", "eth0")
