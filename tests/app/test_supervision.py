"""What supervisor and node tell each other."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from coord.app.supervision import Notifier, parent_has_ended


def heard(directory: Path, environment: dict[str, str], *lines: str) -> bytes:
    """What a supervisor's socket receives."""
    name = str(directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name)
        listening.setblocking(False)
        Notifier({"NOTIFY_SOCKET": name, **environment}, 1).tell(*lines)
        return listening.recv(1_024)


def test_states_arrive_as_one_datagram(tmp_path: Path) -> None:
    """sd_notify(3): one line per assignment."""
    assert heard(tmp_path, {}, "READY=1", "STATUS=fine") == b"READY=1\nSTATUS=fine"


def test_without_a_supervisor_nothing_is_sent() -> None:
    """Neither an error nor a socket."""
    Notifier({}, 1).tell("READY=1")


def test_a_supervisor_that_is_gone_does_not_matter(tmp_path: Path) -> None:
    """Its socket's name may outlive it."""
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "absent")}, 1).tell("READY=1")


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "2"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_signs_of_life_come_twice_per_interval_if_wanted(
    environment: dict[str, str], interval_s: float | None
) -> None:
    """Only when they are for this process."""
    assert Notifier({"NOTIFY_SOCKET": "/x", **environment}, 1).watchdog_s == interval_s


def test_without_a_socket_there_is_no_watchdog() -> None:
    """There is nowhere to send to."""
    assert Notifier({"WATCHDOG_USEC": "3000000"}, 1).watchdog_s is None


def test_the_parents_end_shows_on_the_pipe() -> None:
    """While the other end is open and silent it lives; at the end of the stream it is gone."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    assert not parent_has_ended(reading)
    os.write(writing, b"noise")
    assert not parent_has_ended(reading)
    os.close(writing)
    assert parent_has_ended(reading)
    os.close(reading)


def test_a_descriptor_that_is_no_pipe_counts_as_a_parent_that_has_ended() -> None:
    """Better to stop than to run unsupervised for ever."""
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)

    assert parent_has_ended(reading)
