"""Connect strings, the order of dialling, and the pauses between rounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.model.errors import BadArgumentsError, MisuseError
from coord_client.hosts import Host, Rotation, parse_connect_string
from coord_client.retry import BACKOFF_MS_MAX, BACKOFF_MS_MIN, backoff_ms

HOSTS = (Host("a", 1), Host("b", 2), Host("c", 3))


@pytest.mark.parametrize(
    ("text", "hosts", "chroot"),
    [
        ("h", [("h", 2181)], ""),
        ("h1:1,h2 , h3:3", [("h1", 1), ("h2", 2181), ("h3", 3)], ""),
        ("h:1/app/x", [("h", 1)], "/app/x"),
        ("h:1/", [("h", 1)], ""),
        ("[::1]:7,[fe80::1]", [("::1", 7), ("fe80::1", 2181)], ""),
    ],
)
def test_connect_strings(text: str, hosts: list[tuple[str, int]], chroot: str) -> None:
    """Hosts with optional ports, IPv6 in brackets, an optional chroot."""
    assert parse_connect_string(text) == (tuple(Host(*host) for host in hosts), chroot)


@pytest.mark.parametrize("text", ["", "h:", "h:0", "h:65536", "h:x", ":1", "a,,b", "[::1]:", "::1"])
def test_bad_connect_strings(text: str) -> None:
    """The error quotes the part that is wrong."""
    with pytest.raises(MisuseError, match="is not a host"):
        parse_connect_string(text)


def test_bad_chroot() -> None:
    """A chroot must be a path that the tree can hold."""
    with pytest.raises(BadArgumentsError):
        parse_connect_string("h:1/a//b")


def test_hosts_are_printed_as_they_are_written() -> None:
    """IPv6 addresses get their brackets back."""
    assert [str(host) for host in (Host("h", 1), Host("::1", 2))] == ["h:1", "[::1]:2"]


def test_failures_move_on_at_once_and_pause_after_a_round() -> None:
    """Each host is tried once without a pause, then the pause grows round by round."""
    rotation = Rotation(HOSTS, first=1)
    tried = []
    for _ in range(7):
        host, pause_ms = rotation.next_host(0.0)
        tried.append((host.name, pause_ms))
        rotation.failed()

    assert tried == [("b", 0), ("c", 0), ("a", 0), ("b", 20), ("c", 0), ("a", 0), ("b", 40)]


def test_lost_host_comes_last() -> None:
    """After a connection that worked, the next dial goes elsewhere, at once."""
    rotation = Rotation(HOSTS, first=0)
    for _ in range(4):
        rotation.next_host(0.0)
        rotation.failed()
    host, _ = rotation.next_host(0.0)
    rotation.succeeded()

    assert host.name == "b"
    assert rotation.next_host(0.0) == (HOSTS[2], 0)


def test_single_host_is_redialled_at_once_after_a_loss() -> None:
    """One host: a lost connection is redialled without a pause, failures pause."""
    rotation = Rotation(HOSTS[:1], first=5)
    assert rotation.next_host(0.0)[1] == 0
    rotation.succeeded()
    assert rotation.next_host(0.0)[1] == 0
    rotation.failed()
    assert rotation.next_host(0.0)[1] == BACKOFF_MS_MIN


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_back_off_is_bounded_and_spread(attempt: int, spread: float) -> None:
    """Between half the full pause and the full pause, never above the maximum."""
    full = backoff_ms(attempt, 0.0)

    assert full // 2 <= backoff_ms(attempt, spread) <= full <= BACKOFF_MS_MAX


def test_back_off_doubles() -> None:
    """20, 40, 80 … 1,000 milliseconds."""
    pauses = [backoff_ms(attempt, 0.0) for attempt in range(1, 9)]

    assert pauses == [20, 40, 80, 160, 320, 640, 1_000, 1_000]
