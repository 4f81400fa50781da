"""Recipes: what services build on the tree. Each file imports the client, never the reverse.

``sequence.py`` (standing in line) and ``hold.py`` (what is granted) carry ``lock.py`` and
``election.py``; ``group.py`` stands alone. The layout is ``coord.model.recipes``, the user's guide
``docs/recipes.md``.
"""

from __future__ import annotations

from coord.model.recipes import ForeignPathError
from coord_client.recipes.election import LeaderElection
from coord_client.recipes.group import Group, GroupView, Membership
from coord_client.recipes.hold import Hold
from coord_client.recipes.lock import Holder, Lock

__all__ = [
    "ForeignPathError",
    "Group",
    "GroupView",
    "Hold",
    "Holder",
    "LeaderElection",
    "Lock",
    "Membership",
]
