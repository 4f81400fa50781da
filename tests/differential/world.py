"""What a generated sequence has probably made so far.

A guess that steers the drawing towards operations that succeed, and keeps it away from the few
that are known to differ (``differences.py``). Nothing is compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tests.differential.operations import Args
from tests.differential.steps import ROOT

SEQUENTIAL: Final = frozenset({2, 3, 6})
EPHEMERAL: Final = frozenset({1, 3})


@dataclass
class Node:
    """A node as far as the next operations care."""

    owner: int | None = None
    version: int = 0
    acl_version: int = 0
    creates: int = 0


@dataclass
class World:
    """Nodes by path, and what each session's connection watches."""

    nodes: dict[str, Node] = field(default_factory=lambda: {ROOT: Node()})
    one_shot: set[tuple[int, str]] = field(default_factory=set)
    lasting: set[tuple[int, str]] = field(default_factory=set)

    # --- questions ------------------------------------------------------------------------------

    def children(self, path: str) -> list[str]:
        """Paths one step below."""
        return [each for each in self.nodes if each.rpartition("/")[0] == path]

    def leaves(self) -> list[str]:
        """What could be deleted."""
        parents = {path.rpartition("/")[0] for path in self.nodes}
        return [path for path in self.nodes if path not in parents and path != ROOT]

    def parents(self) -> list[str]:
        """What could have children, not too deep."""
        return [p for p, node in self.nodes.items() if node.owner is None and p.count("/") < 3]

    def ephemerals(self) -> list[str]:
        """What cannot have children."""
        return [path for path, node in self.nodes.items() if node.owner is not None]

    def watched(self, session: int) -> list[str]:
        """Paths on which the session has, or had, a watch."""
        return sorted(path for owner, path in self.one_shot | self.lasting if owner == session)

    # --- changes --------------------------------------------------------------------------------

    def copied(self) -> World:
        """Another world to try changes in."""
        nodes = {path: Node(**vars(node)) for path, node in self.nodes.items()}
        return World(nodes, set(self.one_shot), set(self.lasting))

    def become(self, other: World) -> None:
        """Take over another world's nodes."""
        self.nodes = other.nodes

    def apply(self, session: int, name: str, args: Args) -> None:
        """Follow an operation that probably succeeds; do nothing if it cannot."""
        path = args.get("path")
        if name.startswith("create"):
            self._create(session, args)
        elif path not in self.nodes:
            return
        elif name == "delete" and path != ROOT and not self.children(path):
            del self.nodes[path]
        elif name == "setData" and args["version"] in {-1, self.nodes[path].version}:
            self.nodes[path].version += 1
        elif name == "setACL" and args["version"] in {-1, self.nodes[path].acl_version}:
            self.nodes[path].acl_version += 1

    def _create(self, session: int, args: Args) -> None:
        path, flags = args["path"] or "", args["flags"]
        parent = self.nodes.get(path.rpartition("/")[0])
        if parent is None or parent.owner is not None:
            return
        if flags in SEQUENTIAL:
            path += f"{parent.creates:010}"
        if path not in self.nodes:
            parent.creates += 1
            self.nodes[path] = Node(owner=session if flags in EPHEMERAL else None)

    def disconnect(self, session: int) -> None:
        """A connection's watches end with it."""
        self.one_shot = {each for each in self.one_shot if each[0] != session}
        self.lasting = {each for each in self.lasting if each[0] != session}

    def end(self, session: int) -> None:
        """A session's ephemerals end with it."""
        self.disconnect(session)
        self.nodes = {p: node for p, node in self.nodes.items() if node.owner != session}
