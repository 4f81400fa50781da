"""Addresses and networks of scheme ip."""

from __future__ import annotations

import pytest

from coord.model.acl import identities_of_address
from coord.model.networks import contains, ip_of, is_network


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("10.0.0.1:5", "10.0.0.1"),
        ("::1:5", "::1"),
        ("[fd00::1]:5", "fd00::1"),
        ("[::ffff:10.0.0.1]:5", "10.0.0.1"),
        ("fe80::1%eth0:5", "fe80::1"),
        ("host:5", None),
        ("10.0.0:5", None),
        ("", None),
        (":5", None),
    ],
)
def test_the_host_of_an_address(address: str, host: str | None) -> None:
    """Names prove nothing."""
    assert ip_of(address.rpartition(":")[0]) == host
    assert identities_of_address(address) == (() if host is None else (("ip", host),))


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "10.0.0", "10.0.0.256", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/x"),
        *("10.0.0.0/255.0.0.0", "10.0.0.1/8/8", "::/129", "fe80::1%eth0", "10.0.0.1/٣"),
    ],
)
def test_what_is_no_network(text: str) -> None:
    """ZooKeeper's rule: an address, or an address and a number of bits."""
    assert not is_network(text)
    assert not contains(text, "10.0.0.1")


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("10.0.0.1/8", "10.255.0.1", "11.0.0.1"),
        ("10.0.0.128/25", "10.0.0.255", "10.0.0.127"),
        ("0.0.0.0/0", "1.2.3.4", "::1"),
        ("fd00::/8", "fdff::1", "fe00::1"),
        ("::1", "0:0:0:0:0:0:0:1", "::2"),
    ],
)
def test_what_lies_in_a_network(network: str, inside: str, outside: str) -> None:
    """Bits behind the prefix do not count."""
    assert is_network(network)
    assert contains(network, inside)
    assert not contains(network, outside)
