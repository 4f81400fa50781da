"""Sequences made by hand, one for each outcome that drawing rarely meets.

They make the table of outcomes complete in any run, however short.
"""

from __future__ import annotations

from typing import Any, Final

from tests.differential.sequences import OPEN, digest
from tests.differential.steps import ROOT, Sequence, Step

_CREATES: Final = {"create": 0, "create2": 1, "createContainer": 4, "createTTL": 5}
"""Operation → flags that it takes."""
_ANN: Final = [[31, "digest", digest("ann", "1")]]


def _node(path: str | None, flags: int = 0, acl: Any = OPEN) -> dict[str, Any]:
    return {"path": path, "data": "x", "acl": acl, "flags": flags, "ttl": 600_000}


_STAGE: Final = (
    Step(0, "create", _node("~/open")),
    Step(0, "create", _node("~/open/child")),
    Step(0, "create", _node("~/ephemeral", 1)),
    Step(0, "create", _node("~/closed", acl=_ANN)),
    Step(0, "create", _node("~/shut")),
    Step(0, "create", _node("~/shut/child")),
    Step(0, "setACL", {"path": "~/shut", "acl": _ANN, "version": 0}),
)
"""What every corner stands on: another's lists, an ephemeral, a node with a child."""


def _creation(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Every way for a create to end."""
    flags = _CREATES[name]
    return [
        (name, _node("~/open/child", flags)),
        (name, _node("~/missing/a", flags)),
        (name, _node("~/closed/a", flags)),
        (name, _node("~/ephemeral/a", flags)),
        (name, _node("~/a", flags, [[31, "nobody", ""]])),
        (name, _node("~/a", 99)),
        (name, _node(f"~/made-by-{name}", flags)),
    ]


def _change(name: str, **arguments: Any) -> list[tuple[str, dict[str, Any]]]:
    """Every way for an operation on a node and its version to end."""
    return [
        (name, {"path": path, "version": version, **arguments})
        for path, version in (
            ("~/open", 7),
            ("a", -1),
            ("~/missing", -1),
            ("~/closed" if name != "delete" else "~/shut/child", -1),
            ("~/open", -1),
            ("~/open/child", -1),
        )
    ]


_CHANGES: Final = [
    *(each for name in _CREATES for each in _creation(name)),
    *_change("setData", data="y"),
    *_change("delete"),
]


def _alone() -> Sequence:
    """Each change, and each request without its path."""
    steps = [Step(1, name, args) for name, args in [*_CHANGES, *_change("setACL", acl=OPEN)]]
    steps.append(Step(1, "setACL", {"path": "~/open", "acl": [], "version": -1}))
    steps += [Step(1, name, _node(None, flags)) for name, flags in _CREATES.items()]
    pathless = ("delete", "exists", "getData", "getACL", "getChildren", "getChildren2")
    for name in (*pathless, "getAllChildrenNumber"):
        steps.append(Step(1, name, {"path": None, "version": -1}))
    return (*_STAGE, *steps)


def _together() -> Sequence:
    """Each change as a multi's second part, between two that would succeed."""
    check = ["check", {"path": ROOT, "version": -1}]
    last = ["setData", {"path": ROOT, "data": "", "version": -1}]
    changes = [*_CHANGES, *_change("check")]
    multis = [
        Step(1, "multi", {"operations": [check, [name, args], *rest]})
        for name, args in changes
        for rest in ([last], [[name, args]])
    ]
    return (*_STAGE, *multis, Step(1, "multi", {"operations": [["getData", {"path": ROOT}]]}))


def _reads() -> Sequence:
    """Each read of what is there, is not, may not be read, and could never be."""
    names = ("exists", "getData", "getChildren", "getChildren2", "getACL", "getAllChildrenNumber")
    paths = ("~/open", "~/missing", "~/closed", "~/x\0y", "/zookeeper")
    steps = [Step(1, name, {"path": path}) for name in names for path in paths]
    parts = [[n, {"path": p}] for n in ("getData", "getChildren") for p in paths[:3]]
    together = Step(1, "multiRead", {"operations": parts})
    spoiled = Step(1, "multiRead", {"operations": [*parts, ["exists", {"path": ROOT}]]})
    return (*_STAGE, *steps, together, spoiled)


def _watches() -> Sequence:
    """Kinds of removal that match, that do not, and that do not exist."""
    steps = []
    for name in ("checkWatches", "removeWatches"):
        for kind in (1, 2, 3, 0):
            steps.append(Step(1, "getData", {"path": "~/open", "watch": True}))
            steps.append(Step(1, name, {"path": "~/open", "kind": kind}))
    steps += [Step(1, "addWatch", {"path": ROOT, "mode": mode}) for mode in (1, 2)]
    lists = {"data": ["~/open"], "exist": ["~/a"], "child": ["~/open"]}
    steps += [Step(2, name, {"zxid": 3, **lists}) for name in ("setWatches", "setWatches2")]
    return (*_STAGE, *steps, Step(0, "delete", {"path": "~/open/child", "version": 0}))


def _sessions() -> Sequence:
    """Each way for a connection or a session to end, and each question about itself."""
    questions = [Step(0, name, {}) for name in ("ping", "whoAmI", "unknown", "reattach")]
    return (
        *_STAGE,
        *questions,
        Step(0, "getEphemerals", {"prefix": "/"}),
        Step(0, "sync", {"path": ROOT}),
        Step(0, "reconfig", {"joining": "", "leaving": "", "members": "", "version": -1}),
        Step(1, "auth", {"scheme": "digest", "credential": "ann:1"}),
        Step(1, "getData", {"path": "~/closed", "watch": True}),
        Step(1, "auth", {"scheme": "nobody", "credential": ""}),
        Step(0, "reattachWrong", {}),
        Step(2, "getChildren", {"path": ROOT, "watch": True}),
        Step(0, "close", {}),
        Step(0, "reattachEnded", {}),
        Step(0, "create", _node("~/ephemeral", 1)),
        Step(0, "create", _node("~/another", 1)),
        Step(2, "addWatch", {"path": ROOT, "mode": 1}),
        Step(0, "expire", {}),
        Step(2, "getChildren2", {"path": ROOT, "watch": False}),
    )


CORNERS: Final[dict[str, Sequence]] = {
    "alone": _alone(),
    "together": _together(),
    "reads": _reads(),
    "watches": _watches(),
    "sessions": _sessions(),
}
"""Name → sequence."""
