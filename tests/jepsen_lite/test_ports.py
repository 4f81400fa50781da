"""Two runs that start at one moment must not take each other's ports."""

from __future__ import annotations

import socket
from itertools import islice

from jepsen_lite.clusters.ports import HOST, free_ports


def test_runs_at_the_same_time_have_ports_of_their_own() -> None:
    """Also before they bind them; and they give them back."""
    one, other = free_ports(), free_ports()
    first = set(islice(one, 20))
    second = set(islice(other, 20))
    assert not first & second
    for port in first:
        with socket.create_server((HOST, port)):
            pass
    one.close()
    again = free_ports()
    assert next(again) in first
    for each in (other, again):
        each.close()
