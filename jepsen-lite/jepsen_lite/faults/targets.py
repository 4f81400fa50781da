"""Whom a fault strikes, in words: one, leader, minority, majority, all."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jepsen_lite.clusters.cluster import Cluster, Node

WORDS: Final = ("one", "leader", "minority", "majority", "all")


async def choose(word: str, cluster: Cluster, dice: random.Random) -> list[Node]:
    """Nodes that the word stands for now. A cluster without a leader has one chosen by lot."""
    nodes = list(cluster.nodes)
    if word == "leader":
        leader = await cluster.leader()
        return [leader if leader is not None else dice.choice(nodes)]
    count = {
        "one": 1,
        "minority": max(1, len(nodes) - cluster.majority),
        "majority": cluster.majority,
        "all": len(nodes),
    }[word]
    return dice.sample(nodes, count)
