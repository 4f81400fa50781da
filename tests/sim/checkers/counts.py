"""How much the tree holds, as nodes tell their operators: the reference model counts, too."""

from __future__ import annotations

from tests.sim.history import History
from tests.sim.model import Model


def check(history: History) -> list[str]:
    """Rule ``nodes``: so many nodes, and so many of them ephemeral, were there at that revision."""
    wanted = sorted(history.counts, key=lambda counted: counted.revision)
    problems: list[str] = []
    model = Model()
    for counted in wanted:
        for entry in history.log[model.index : counted.revision]:
            model.apply(entry.index, entry.kind, entry.payload)
        nodes = model.tree.nodes.values()
        held = (len(nodes), sum(bool(node.owner) for node in nodes))
        if held != (counted.nodes, counted.ephemerals):
            problems.append(f"counts/nodes: {counted}, the log makes {held[0]}, {held[1]}")
    return problems
