"""How recipes lie in the tree, and what else may lie there: the recipes of other libraries, told
by their nodes' names.

kazoo's and Curator's recipes see only their own kind of contender, and we only ours: on one path
both would grant. So ours look at every listing they make, and refuse what is not theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from coord.model.errors import MisuseError
from coord.model.paths import SEQUENCE_WIDTH

CONTENDER: Final = "c-"
HOLDER: Final = "holder"
MARKS: Final = {kind: f"coord recipe {kind}".encode() for kind in ("lock", "election", "group")}
"""Data of a recipe's node: what kind of recipe lives there."""

_NUMBER: Final = rf"-?\d{{{SEQUENCE_WIDTH - 1},}}"
_OURS: Final = re.compile(rf"{CONTENDER}{_NUMBER}|{HOLDER}")
_KNOWN: Final = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (rf"[0-9a-f]{{32}}__r?lock__{_NUMBER}", "a lock or election of kazoo"),
        (r"[0-9a-f]{32}__party__", "a party of kazoo"),
        (rf"(_c_[0-9a-f-]{{32,36}}-)?latch-{_NUMBER}", "a leader latch of Curator"),
        (
            rf"(_c_[0-9a-f-]{{32,36}}-)?(lock-|__READ__|__WRIT__){_NUMBER}",
            "a lock of Curator or of a client like it",
        ),
        (r"_c_[0-9a-f-]{32,36}-.*", "a recipe of Curator"),
    )
)
"""How other libraries name the nodes of their recipes."""


def sequence_of(name: str) -> int:
    """The number a contender was given."""
    return int(name[-SEQUENCE_WIDTH:])


class ForeignPathError(MisuseError):
    """The path of a recipe holds something else, which the recipe could not exclude."""


def kind_of(name: str) -> str | None:
    """Whose recipe a node of this name belongs to, None if no library we know names them so."""
    return next((kind for pattern, kind in _KNOWN if pattern.fullmatch(name)), None)


def refuse_beside_line(path: str, recipe: str, names: Iterable[str]) -> None:
    """Raise ForeignPathError if a lock's or election's children are not all its own."""
    for name in names:
        if not _OURS.fullmatch(name):
            raise _refusal(path, recipe, name)


def refuse_beside_members(path: str, names: Iterable[str]) -> None:
    """Raise ForeignPathError if the members of a group are contenders of some other recipe."""
    for name in names:
        if kind_of(name):
            raise _refusal(path, "group", name)


def wrong_content(path: str, recipe: str, data: bytes, names: Iterable[str]) -> ForeignPathError:
    """Why a path whose data is not the recipe's mark cannot become its home."""
    for name in names:
        return _refusal(path, recipe, name)
    return ForeignPathError(
        f"{path} holds {data[:40]!r}, not a {recipe}: give the {recipe} a path of its own"
    )


def _refusal(path: str, recipe: str, name: str) -> ForeignPathError:
    return ForeignPathError(
        f"{path} holds {name!r}, {kind_of(name) or 'which is not ours'}: it and our {recipe} do not"
        f" exclude each other. Give each a path of its own, or move all users of {path} to one kind"
    )
