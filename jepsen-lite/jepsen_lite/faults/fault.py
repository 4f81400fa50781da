"""A fault: it strikes, proves that it took effect, and is healed."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from jepsen_lite.clusters.cluster import Ability, Cluster, Node


class NoEffectError(Exception):
    """The fault was injected and did nothing: worse than a failure, it would go unnoticed."""


class Fault(ABC):
    """One kind of fault in one run; strikes again and again.

    ``start`` and ``stop`` come in turn. ``stop`` heals, whatever ``start`` has got to, and may be
    called twice; it never leaves anything behind.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    needs: ClassVar[frozenset[Ability]]
    words: ClassVar[tuple[str, ...]] = ()
    """Targets it can be aimed at; empty: it chooses by itself."""
    stops_progress: ClassVar[bool] = False
    """While it lasts nobody can expect the service to answer."""

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        """``word``: whom it strikes; None: another of ``words`` each time."""
        self.cluster = cluster
        self.dice = dice
        self._word = word

    def word(self) -> str:
        """Whom to strike this time."""
        return self._word or self.dice.choice(self.words)

    async def take_down(self, node: Node) -> None:
        """``kill -9`` a node, and keep it down until :meth:`bring_back`."""
        node.process.kept_down_by.add(self)
        await node.process.kill()

    async def bring_back(self, node: Node) -> None:
        """Start a node that is down, unless another fault keeps it so."""
        process = node.process
        process.kept_down_by.discard(self)
        if not process.kept_down_by and not process.is_running:
            await node.start()

    @abstractmethod
    async def start(self) -> list[str]:
        """Strike; names of what was struck."""

    @abstractmethod
    async def verify(self) -> str:
        """How it was seen to have taken effect, asked for shortly before it is healed.
        Raises NoEffectError."""

    @abstractmethod
    async def stop(self) -> None:
        """Heal."""


def names(nodes: list[Node]) -> list[str]:
    """What nodes are called."""
    return [node.name for node in nodes]
