"""What the service keeps below /zookeeper, by the rules of the reference model: quotas on subtrees,
and the membership as ZooKeeper's clients read it. Plain, and nothing of coord in it.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.sim.model_tree import Tree

SYSTEM: Final = "/zookeeper"
CONFIG: Final = "/zookeeper/config"
QUOTA: Final = "/zookeeper/quota"
ALWAYS: Final = ("/", SYSTEM, CONFIG, QUOTA)
"""Nobody has created them."""
READABLE: Final = ((1, "world", "anyone"),)
"""The ACL of CONFIG."""
_LIMITS: Final = "zookeeper_limits"
_STATS: Final = "zookeeper_stats"
_UNITS: Final = (("count", "countHardLimit"), ("bytes", "byteHardLimit"))
_NUMBER: Final = re.compile(rb"(\w+)=(-?\d+)")


# --- quotas -------------------------------------------------------------------------------------


def is_refused(tree: Tree, path: str, nodes: int, size: int) -> bool:
    """A hard limit stands against ``nodes`` more nodes with ``size`` more bytes at ``path``: what
    is not changed may be past its limit, what is may not, in either direction."""
    root = _limited(tree, path)
    if root is None:
        return False
    limits, stats = _numbers(tree, root, _LIMITS), _numbers(tree, root, _STATS)
    if limits is None or stats is None:
        return False
    return any(
        change and 0 <= limits.get(hard, -1) < stats.get(unit, -1) + change
        for (unit, hard), change in zip(_UNITS, (nodes, size), strict=True)
    )


def charge(tree: Tree, path: str, nodes: int, size: int) -> None:
    """The node at ``path`` came, went or holds something else."""
    if path.startswith(f"{QUOTA}/"):
        if nodes > 0 and path.endswith(f"/{_STATS}"):
            counted = path[len(QUOTA) : -len(_STATS) - 1]
            if counted:
                _write(tree, counted, *_measured(tree, counted))
        return
    root = _limited(tree, path)
    stats = None if root is None else _numbers(tree, root, _STATS)
    if root is not None and stats is not None:
        _write(tree, root, stats.get("count", -1) + nodes, stats.get("bytes", -1) + size)


def _limited(tree: Tree, path: str) -> str | None:
    """The innermost subtree with a limit that ``path`` lies in; the service's own has none."""
    if not tree.nodes[QUOTA].children:
        return None
    if path == SYSTEM or path.startswith(f"{SYSTEM}/"):
        return None
    while path:
        if f"{QUOTA}{path}/{_LIMITS}" in tree.nodes:
            return path
        path = path.rpartition("/")[0]
    return None


def _numbers(tree: Tree, root: str, name: str) -> dict[str, int] | None:
    node = tree.nodes.get(f"{QUOTA}{root}/{name}")
    if node is None:
        return None
    return {key.decode(): int(value) for key, value in _NUMBER.findall(node.data)}


def _write(tree: Tree, root: str, nodes: int, size: int) -> None:
    """The counts change without a version, a revision or an event."""
    tree.amend(f"{QUOTA}{root}/{_STATS}", f"count={nodes},bytes={size}".encode())


def _measured(tree: Tree, root: str) -> tuple[int, int]:
    inside = [
        node
        for path, node in tree.nodes.items()
        if path == root or (root in tree.nodes and path.startswith(f"{root}/"))
    ]
    return len(inside), sum(len(node.data) for node in inside)


# --- the membership -----------------------------------------------------------------------------


def published(payload: bytes) -> bytes:
    """The lines of /zookeeper/config for an entry with the membership, without the last; empty if
    a member says no address that others could dial."""
    _, count, _ = struct.unpack_from(">BHH", payload)
    at, lines = 5, []
    for _ in range(count):
        node, _, role = struct.unpack_from(">QQB", payload, at)
        at += 17
        texts = []
        for _ in range(3):
            (length,) = struct.unpack_from(">H", payload, at)
            texts.append(payload[at + 2 : at + 2 + length].decode())
            at += 2 + length
        peer, client, _ = texts
        host, _, port = peer.partition(":")
        if not port or ":" not in client or client.startswith("0.0.0.0:"):
            return b""
        part = "participant" if role == 0 else "observer"
        lines.append(f"server.{node}={host}:{port}:{int(port) + 1}:{part};{client}\n")
    return "".join(lines).encode()
