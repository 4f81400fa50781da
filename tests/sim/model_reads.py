"""What the reference model answers to a question: plain reads, and those that ask for more than one
node.
"""

from __future__ import annotations

from typing import Any, Final

from tests.sim.codes import MAY_READ, NO_AUTH, NO_NODE, OK
from tests.sim.history import Op
from tests.sim.model_node import permits
from tests.sim.model_tree import Tree

EVERYBODY: Final = ((31, "world", "anyone"),)
Answer = tuple[int, tuple[Any, ...]]
"""(code, body)."""


def answer_to(tree: Tree, op: Op) -> Answer:
    """At the present state, to the client of ``op``."""
    if op.kind == "ephemerals":
        (prefix,) = op.args
        owned = tree.owned.get(op.session, {})
        return OK, (sorted(path for path in owned if path.startswith(prefix)),)
    if op.kind == "multi_read":
        return OK, tuple(_part(tree, kind, path, op) for kind, path in op.args[0])
    if op.kind in ("descendants", "get_acl"):
        return _of_one(tree, op)
    return tree.read(op.kind, *op.args, who=op.who)


def _part(tree: Tree, kind: str, path: str, op: Op) -> tuple[Any, ...]:
    """A list of children comes without the Stat of their parent."""
    code, body = tree.read(kind, path, who=op.who)
    return (code, *(body[:1] if kind == "children" else body))


def _of_one(tree: Tree, op: Op) -> Answer:
    (path,) = op.args
    node = tree.nodes.get(path)
    if node is None:
        return NO_NODE, ()
    if not permits(node.acl, MAY_READ, op.who):
        return NO_AUTH, ()
    if op.kind == "get_acl":
        return OK, (node.acl or EVERYBODY, node.stat())
    return OK, (sum(other.startswith(f"{path}/") for other in tree.nodes),)
