"""The membership as ZooKeeper's clients read it, in /zookeeper/config: a line for each server

    server.ID=host:peerport:electionport:participant;clienthost:clientport

and ``version=`` with the revision of the change, in hexadecimal. Curator replaces its servers by
these addresses, so that nothing is published unless all of them can be dialled.
"""

from __future__ import annotations

import re
from typing import Final

from coord.model import requests
from coord.model.acl import SUPER
from coord.model.errors import OK, CorruptionError
from coord.model.paths import CONFIG
from coord.raft.types import Member, MemberRole, Membership
from coord.store.run import Run
from coord.store.znode_record import Node

_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[1-9][0-9]{0,4})")
_EVERYWHERE: Final = ("0.0.0.0:", "[::]:")
_PORT_MAX: Final = 65_535
_VERSION: Final = b"version="


def publish_members(run: Run, payload: bytes) -> None:
    """A membership was applied: write the node if the list of servers differs, as an ordinary
    change of data. Its time is 0: the entry carries none. Raises CorruptionError."""
    try:
        listed = _servers(Membership.decode(payload))
    except ValueError as error:
        raise CorruptionError(f"membership {run.index} does not decode: {error}") from error
    tree = run.tree
    _, record = tree.find(CONFIG)
    before = tree.data_of(record, Node.of(record))
    if before.rpartition(_VERSION)[0] == listed:
        return
    data = listed + _VERSION + f"{run.index:x}".encode() if listed else b""
    run.enter(run.index, 0, run.log_ms, 0, [SUPER])
    tree.set(CONFIG, data, -1)
    tree.who = None
    run.keep(requests.RECONFIG, 0, 0, 0, (OK, None, ()))


def _servers(membership: Membership) -> bytes:
    """The lines of the members; empty if one advertises no address that can be dialled."""
    if not all(_can_dial(m.peer) and _can_dial(m.client) for m in membership.members):
        return b""
    return "".join(_line(member) for member in membership.members).encode()


def _line(member: Member) -> str:
    host, _, port = member.peer.rpartition(":")
    role = "participant" if member.role is MemberRole.VOTER else "observer"
    # Elections have no port of their own here, but readers refuse two that are equal.
    beside = int(port) + 1 if int(port) < _PORT_MAX else int(port) - 1
    return f"server.{member.id}={host}:{port}:{beside}:{role};{member.client}\n"


def _can_dial(address: str) -> bool:
    found = _ADDRESS.fullmatch(address)
    return (
        found is not None
        and int(found["port"]) <= _PORT_MAX
        and not address.startswith(_EVERYWHERE)
    )
