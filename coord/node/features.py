"""Raises the cluster's feature level once every member can follow.

The level is replicated; it gates entry types, results and layouts that an older version would not
understand, so that a mixed cluster never writes one (rolling upgrades, design promise 11). It is
never lowered: before the level is raised, every member can be replaced by the older version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coord.model import commands

if TYPE_CHECKING:
    from coord.node.driver import Driver
    from coord.raft.types import NodeId
    from coord.store.member_store import Store


class FeatureKeeper:
    """What each member announced in its hello, and the step that follows from it."""

    def __init__(self, driver: Driver, store: Store, own_id: NodeId, own_level: int) -> None:
        self._driver = driver
        self._store = store
        self._announced: dict[NodeId, tuple[int, int]] = {}
        """(incarnation, newest level it knows) of each peer."""
        self._own = (own_id, own_level)
        self._proposed = 0

    def introduced(self, peer: NodeId, hello: dict[str, Any]) -> None:
        """A peer's hello."""
        self._announced[peer] = (hello["incarnation"], hello.get("feature_level", 0))

    def upkeep(self) -> None:
        """Called periodically; acts on the leader."""
        if not self._driver.accepts_proposals:
            self._proposed = 0
            return
        level = self._common_level()
        is_new = level > max(self._store.machine.feature_level, self._proposed)
        if is_new and self._driver.propose([commands.raise_feature_level(level)]):
            self._proposed = level

    def _common_level(self) -> int:
        """The newest level that every member of the configuration knows; 0 if one is unknown."""
        own_id, common = self._own
        membership = self._driver.raft.membership
        for member in (*membership.members, *membership.outgoing):
            if member.id == own_id:
                continue
            incarnation, level = self._announced.get(member.id, (0, 0))
            if incarnation != member.incarnation:
                return 0
            common = min(common, level)
        return common
