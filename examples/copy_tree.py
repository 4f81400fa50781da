"""Copy a tree from one cluster to another, ZooKeeper or coord: python copy_tree.py SOURCE TARGET

SOURCE and TARGET are connection strings, with a path to copy only what is below it:
``zk1:2181,zk2:2181`` or ``coord1:2181/app``. Run again it brings TARGET up to date; ``--delete``
also removes there what SOURCE has no more, ``--check`` writes nothing, prints how they differ, and
exits 1 if they do.

Copied are data, ACLs and the next number of sequential children. Not copied are ephemeral nodes,
which belong to sessions, and versions, times and zxids, which a server gives. A client cannot see
which nodes are containers or have a TTL: they arrive as ordinary ones. The tree is held in memory.

Reading others' ACLs and writing under them takes the super user of each side: SOURCE_AUTH and
TARGET_AUTH in the environment, as ``digest:super:password``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, NamedTuple

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

IN_FLIGHT: Final = 500
RESERVED: Final = "/zookeeper"


class Node(NamedTuple):
    """What is copied. ``number``: of the next sequential child, which is how many it ever had."""

    data: bytes
    acl: tuple[Any, ...]
    number: int


@contextmanager
def connected(hosts: str, auth: str) -> Iterator[Any]:
    """A client, with the identity ``scheme:credential`` if there is one."""
    identities = [tuple(auth.split(":", 1))] if auth else []
    client = KazooClient(hosts, auth_data=identities, timeout=30.0)
    client.start(timeout=30.0)
    try:
        client.sync("/")
        yield client
    finally:
        client.stop()
        client.close()


def batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    """The items, a window's worth at a time."""
    rest = iter(items)
    while batch := list(islice(rest, IN_FLIGHT)):
        yield batch


def together(send: Callable[[Any], Any], items: Iterable[Any]) -> None:
    """Send a request for each item, many at a time; they take effect in this order."""
    for batch in batches(items):
        for answer in [send(item) for item in batch]:
            answer.get()


def read_tree(client: Any) -> dict[str, Node]:
    """Every node that is neither ephemeral nor the servers' own, level by level."""
    found: dict[str, Node] = {}
    level = ["/"]
    while level:
        below: list[str] = []
        for batch in batches(level):
            asked = [
                (path, client.get_async(path), client.get_acls_async(path),
                 client.get_children_async(path))
                for path in batch
            ]  # fmt: skip
            for path, data, acl, children in asked:
                try:
                    node, names = _node(data.get(), acl.get()[0]), children.get()
                except NoNodeError:
                    continue  # It was deleted while we looked: the next run sees to it.
                if node is not None:
                    found[path] = node
                    below += [f"{path.rstrip('/')}/{name}" for name in names]
        level = [path for path in below if path != RESERVED]
    return found


def _node(answer: tuple[bytes | None, Any], acl: list[Any]) -> Node | None:
    data, stat = answer
    if stat.ephemeralOwner:
        return None
    if any(entry.id.scheme == "digest" and entry.id.id.endswith(":x") for entry in acl):
        raise SystemExit("an ACL is shown without its hashes: set SOURCE_AUTH and TARGET_AUTH")
    # The cversion that clients see is twice the creations, less the children that are there.
    return Node(data or b"", tuple(acl), (stat.cversion + stat.numChildren) // 2)


def differences(source: dict[str, Node], target: dict[str, Node]) -> list[str]:
    """One line for each node that is not the same."""
    lines = [f"missing {path}" for path in sorted(source.keys() - target.keys())]
    lines += [f"only there {path}" for path in sorted(target.keys() - source.keys())]
    for path in sorted(source.keys() & target.keys()):
        ours, theirs = source[path], target[path]
        if ours.data != theirs.data:
            lines.append(f"other data {path}")
        if ours.acl != theirs.acl:
            lines.append(f"other ACL {path}")
        if ours.number > theirs.number:
            lines.append(f"lower numbers {path}")
    return lines


def copy(client: Any, source: dict[str, Node], target: dict[str, Node], *, delete: bool) -> None:
    """Make the target like the source; parents go before children, and come after them again."""
    missing = sorted(source.keys() - target.keys())
    together(lambda path: client.create_async(path, source[path].data, source[path].acl), missing)
    common = sorted(source.keys() & target.keys())
    changed = [path for path in common if source[path].data != target[path].data]
    together(lambda path: client.set_async(path, source[path].data), changed)
    guarded = [path for path in common if source[path].acl != target[path].acl]
    together(lambda path: client.set_acls_async(path, source[path].acl), guarded)
    if delete:
        surplus = sorted(target.keys() - source.keys(), reverse=True)
        together(client.delete_async, surplus)
    for path in sorted(source):
        raise_number(client, path, source[path].number)


def raise_number(client: Any, path: str, number: int) -> None:
    """Create and delete children until the next sequential one gets at least this number."""
    stat = client.exists(path)
    below = number - (stat.cversion + stat.numChildren) // 2
    scratch = f"{path.rstrip('/')}/copy-tree-scratch"
    for batch in batches(range(below)):
        transaction = client.transaction()
        for _ in batch:
            transaction.create(scratch)
            transaction.delete(scratch)
        transaction.commit()


def main() -> int:
    """Copy or check; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--check", action="store_true", help="write nothing, print differences")
    parser.add_argument("--delete", action="store_true", help="delete what the source has no more")
    asked = parser.parse_args()
    with (
        connected(asked.source, os.environ.get("SOURCE_AUTH", "")) as reader,
        connected(asked.target, os.environ.get("TARGET_AUTH", "")) as writer,
    ):
        if not asked.check:
            writer.ensure_path("/")
        source, target = read_tree(reader), read_tree(writer)
        if not asked.check:
            copy(writer, source, target, delete=asked.delete)
            target = read_tree(writer)
        left = differences(source, target)
    print(*left, f"{len(source)} nodes, {len(left)} differences", sep="\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
