"""Every Hypothesis strategy that more than one test could want."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from coord.model import requests
from coord.model.acl import ALL, CREATE, OPEN, READ, READ_ONLY, SUPER, WRITE, Acl, Identity
from coord.model.limits import INLINE_DATA_BYTES_MAX
from coord.model.znode import CreateMode

NAMES = ("a", "é")

ALICE: Identity = ("digest", "alice:x")
PRIVATE = (Acl(ALL, *ALICE),)
SHARED = (Acl(READ | CREATE, "world", "anyone"), Acl(ALL, *ALICE))
BY_ADDRESS = (Acl(READ | CREATE, "ip", "10.0.0.0/24"), Acl(WRITE, "ip", "10.9.0.0/16"))
"""Sessions of the tests come from 10.0.0.1 and from a host that is a name."""
WRITE_ONLY = (Acl(WRITE, "world", "anyone"),)


def paths(depth: int = 2) -> st.SearchStrategy[str]:
    """Paths over a small alphabet, so that operations meet: never the root."""
    names = st.sampled_from(NAMES)
    return st.lists(names, min_size=1, max_size=depth).map(lambda parts: "/" + "/".join(parts))


def any_path() -> st.SearchStrategy[str]:
    """Mostly ordinary paths; sometimes the root, a reserved one, or a sequential child."""
    odd = st.sampled_from(("/", "/zookeeper/quota", "/a/a0000000000", "/a0000000001"))
    return st.one_of(paths(), paths(), paths(), paths(), odd)


def node_data() -> st.SearchStrategy[bytes]:
    """Short data, and data around the size from which it lies apart."""
    near = st.integers(INLINE_DATA_BYTES_MAX - 1, INLINE_DATA_BYTES_MAX + 2)
    return st.one_of(st.binary(max_size=8), near.map(lambda size: b"x" * size))


def acls() -> st.SearchStrategy[tuple[Acl, ...]]:
    """Mostly open; sometimes restricted, doubled or empty."""
    doubled = (*PRIVATE, *PRIVATE)
    rare = st.sampled_from((PRIVATE, SHARED, READ_ONLY, WRITE_ONLY, BY_ADDRESS, doubled, ()))
    return st.one_of(st.just(OPEN), st.just(OPEN), st.just(OPEN), st.just(OPEN), rare)


def identities() -> st.SearchStrategy[tuple[Identity, ...] | None]:
    """Who asks: nobody in particular, alice, or rarely the super user."""
    return st.sampled_from((None, None, None, (ALICE,), (ALICE,), (SUPER,)))


def versions() -> st.SearchStrategy[int]:
    """Any, or one that may be current."""
    return st.sampled_from((-1, -1, -1, -1, 0, 1))


def creates() -> st.SearchStrategy[requests.Create]:
    """Creates of every kind of node."""
    return st.builds(
        requests.Create,
        any_path(),
        node_data(),
        acls(),
        st.sampled_from((0, 0, 0, *map(int, CreateMode))),
        st.sampled_from((0, 1, 50, 5_000)),
    )


def deletes() -> st.SearchStrategy[requests.Delete]:
    """Deletes."""
    return st.builds(requests.Delete, any_path(), versions())


def sets() -> st.SearchStrategy[requests.Set]:
    """Sets."""
    return st.builds(requests.Set, any_path(), node_data(), versions())


def set_acls() -> st.SearchStrategy[requests.SetAcl]:
    """Changes of an ACL."""
    return st.builds(requests.SetAcl, any_path(), acls(), versions())


CURRENT = -7
"""Stands for the number that makes a condition hold; the test puts it in."""


def conditions() -> st.SearchStrategy[requests.Check | requests.Compare | requests.Guard]:
    """Checks, compares and guards, many of which hold."""
    relations = st.sampled_from(("=", "=", "!=", "<", ">"))
    numbers = st.sampled_from((CURRENT, CURRENT, CURRENT, 0, 1, 2, 20))
    operands: dict[str, st.SearchStrategy[Any]] = {
        "exists": st.booleans(),
        "value": node_data(),
        "version": numbers,
        "mzxid": numbers,
        "czxid": numbers,
        "children": numbers,
    }
    compares = st.sampled_from(sorted(operands)).flatmap(
        lambda name: st.builds(
            requests.Compare, any_path(), st.just(name), relations, operands[name]
        )
    )
    return st.one_of(
        st.builds(requests.Check, any_path(), versions()),
        compares,
        st.builds(requests.Guard, any_path(), numbers),
    )


def writes() -> st.SearchStrategy[requests.Write]:
    """Single writes, creates most of all."""
    return st.one_of(creates(), creates(), creates(), sets(), deletes(), set_acls())


def multis() -> st.SearchStrategy[requests.Multi]:
    """Transactions of a few operations, or of many that have their journal row spilled."""
    operation = st.one_of(creates(), sets(), set_acls(), deletes(), conditions())
    sequential = requests.Create("/s", b"", OPEN, int(CreateMode.EPHEMERAL_SEQUENTIAL), 0)
    many = st.tuples(st.integers(7, 9).map(lambda count: [sequential] * count), operation).map(
        lambda both: [*both[0], both[1]]
    )
    short = st.lists(operation, min_size=1, max_size=4)
    return st.one_of(short, short, short, many).map(lambda found: requests.Multi(tuple(found)))
