"""Draws sequences of operations: mostly sensible ones, always some that must be refused.

Nodes called ``p``, and those below, may have access control lists that shut some sessions out;
elsewhere everybody may read.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st

from tests.differential.operations import Args
from tests.differential.steps import ROOT, SESSIONS, Sequence, Step
from tests.differential.world import World

STEPS_MAX: Final = 40
NODES_SOON: Final = 4
"""A sequence begins by making nodes, for the others to have something to succeed with."""
Draw = Callable[[st.SearchStrategy[Any]], Any]


def digest(user: str, password: str) -> str:
    """The id under which the scheme "digest" knows who gives this password."""
    secret = hashlib.sha1(f"{user}:{password}".encode(), usedforsecurity=False).digest()
    return f"{user}:{base64.b64encode(secret).decode()}"


# --- vocabulary ---------------------------------------------------------------------------------

NAME_MAX: Final = 469
"""Leaves room for the digits of a sequential name within coord's 480 bytes."""
_NAMES: Final = ["a", "b", "ü", "p", "n" * NAME_MAX]
_BAD_PATHS: Final = [
    "", "a", "a/b", "//", "~/", "~//a", "~/./a", "~/a/..", "~/a/", "~/x\0y", "~/x\x01y", "~/x\x7f",
    "~/none/a", "~/a/none/b", None, None, None,
]  # fmt: skip
_RESERVED: Final = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"]
_DATA: Final = ["", "x", "some data", "\x00\xff", "long" * 500, None]

OPEN: Final = [[31, "world", "anyone"]]
_ANN, _BOB = digest("ann", "1"), digest("bob", "2")
_READABLE_ACLS: Final = [
    OPEN,
    OPEN,
    [[31, "ip", "127.0.0.1"]],
    [[31, "ip", "127.0.0.0/8"], [31, "ip", "127.0.0.0/8"]],
    [[1, "world", "anyone"], [30, "ip", "127.0.0.1"]],
    [[31, "world", "anyone"], [1, "digest", _ANN]],
]
_GUARDED_ACLS: Final = [
    OPEN,
    OPEN,
    OPEN,
    [[29, "world", "anyone"]],
    [[31, "auth", ""]],
    [[31, "digest", _ANN]],
    [[31, "digest", _ANN], [31, "digest", _BOB]],
    [[1, "world", "anyone"], [31, "digest", _ANN]],
    [[30, "world", "anyone"]],
    [[16, "world", "anyone"], [15, "digest", _BOB]],
    [[15, "world", "anyone"], [16, "digest", _BOB]],
    [[31, "ip", "10.0.0.0/8"]],
    [[0, "world", "anyone"]],
    [[31, "auth", "ignored"], [1, "digest", _ANN], [1, "digest", _ANN]],
]
_BAD_ACLS: Final = [
    None, [], [[31, "world", "bob"]], [[31, "nobody", "x"]], [[31, None, "x"]], [[31, "", ""]],
    [[31, "digest", "ann"]], [[31, "digest", "ann:"]], [[31, "digest", "a:b:c"]],
    [[31, "ip", "127.0.0.1/33"]], [[31, "ip", "localhost"]], [[31, "ip", "1.2.3"]],
    [[31, "world", "anyone"], [31, "nobody", "x"]], [[31, "super", ""]],
]  # fmt: skip
_CREDENTIALS: Final = [
    ("digest", "ann:1"), ("digest", "bob:2"), ("digest", "ann:wrong"), ("digest", "carl"),
    ("ip", "127.0.0.1"), ("nobody", "x"), ("world", "anyone"),
]  # fmt: skip

_WEIGHTS: Final = {
    "create": 10, "create2": 8, "createContainer": 3, "createTTL": 3, "delete": 7, "setData": 9,
    "getData": 6, "exists": 6, "getChildren": 4, "getChildren2": 4, "getACL": 4, "setACL": 4,
    "multi": 9, "multiRead": 4, "addWatch": 4, "removeWatches": 3, "checkWatches": 2,
    "setWatches": 3, "setWatches2": 3, "getEphemerals": 2, "getAllChildrenNumber": 3, "sync": 1,
    "ping": 1, "whoAmI": 1, "auth": 3, "close": 2, "reattach": 2, "reattachWrong": 1,
    "reattachEnded": 1, "reconfig": 1, "unknown": 1,
}  # fmt: skip
_CREATES: Final = ["create", "create", "create2", "createContainer", "createTTL"]
_KINDS: Final = [name for name, weight in _WEIGHTS.items() for _ in range(weight)]


def is_guarded(path: str | None) -> bool:
    """Whether a node of this path may be closed to some sessions."""
    return "/p" in (path or "")


@st.composite
def sequences(draw: Draw, *, expiring: bool = False) -> Sequence:
    """A sequence of up to 40 steps. ``expiring``: some sessions end by silence, which takes a
    second each."""
    drawing = _Drawing(draw)
    count = draw(st.integers(1, STEPS_MAX))
    steps = [drawing.step() for _ in range(count)]
    if expiring and drawing.often(30):
        steps.append(Step(draw(st.integers(0, SESSIONS - 1)), "expire", {}))
    return tuple(steps)


class _Drawing:
    """One sequence in the making."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._world = World()

    def often(self, percent: int) -> bool:
        """True so often; shrinks to True."""
        return bool(self._draw(st.integers(0, 99)) < percent)

    def _one(self, values: list[Any]) -> Any:
        return self._draw(st.sampled_from(values))

    def step(self) -> Step:
        """The next step; the world follows it."""
        session = self._draw(st.integers(0, SESSIONS - 1))
        is_bare = len(self._world.nodes) < NODES_SOON and self.often(60)
        name = self._one(_CREATES if is_bare else _KINDS)
        args: Args = ARGUMENTS.get(name, _no_arguments)(self, session)
        if name in {"reattach", "reattachWrong"}:
            self._world.disconnect(session)
        elif name == "close":
            self._world.end(session)
        elif name != "multi":
            self._world.apply(session, name, args)
        return Step(session, name, args)

    # --- paths ----------------------------------------------------------------------------------

    def _existing(self) -> str:
        return str(self._one(list(self._world.nodes)))

    def _any_path(self, good: list[str], percent: int = 92) -> str | None:
        """One of ``good`` mostly, else any path there could be."""
        if good and self.often(percent):
            return str(self._one(good))
        if self.often(50):
            return f"{self._existing()}/{self._one(_NAMES)}"
        path: str | None = self._one(_BAD_PATHS)
        return path

    def _read_path(self) -> str | None:
        path = self._any_path([*self._world.nodes])
        return self._one(_RESERVED) if path == "" else path

    def _version(self, right: int) -> int:
        if self.often(90):
            return int(self._one([-1, right]))
        return int(self._one([right + 1, -2, 7]))

    # --- writes ---------------------------------------------------------------------------------

    def create(self, session: int) -> Args:
        flags = self._one([0, 0, 0, 1, 1, 2, 3, 4]) if self.often(94) else self._one([5, 6, 7, -1])
        return self._new_node() | {"flags": flags}

    def create_container(self, session: int) -> Args:
        # Of other flags that exist, ZooKeeper makes a container as well (``differences.py``).
        return self._new_node() | {"flags": 4 if self.often(90) else self._one([5, 9])}

    def create_ttl(self, session: int) -> Args:
        # Without a TTL mode, 3.8 does not survive a TTL of −1.
        if self.often(85):
            ttl, flags = self._one([600_000, 2**40 - 1]), self._one([5, 6])
        else:
            ttl, flags = self._one([0, 2**40, 600_000]), self._one([0, 1, 4, 5, 6, 7])
        return self._new_node() | {"flags": flags, "ttl": ttl}

    def _new_node(self) -> Args:
        path = self._new_path()
        return {"path": path, "data": self._one(_DATA), "acl": self._acl(path)}

    def _new_path(self) -> str | None:
        free = [
            path
            for parent in self._world.parents()
            for name in _NAMES
            if (path := f"{parent}/{name}") not in self._world.nodes
        ]
        if free and self.often(92):
            return str(self._one(free))
        if self._world.ephemerals() and self.often(40):
            return f"{self._one(self._world.ephemerals())}/a"
        room = [p for p in self._world.nodes if p != ROOT and len(p.rpartition("/")[2]) <= NAME_MAX]
        return self._any_path(room, 50)

    def _acl(self, path: str | None) -> list[Any] | None:
        acls = _READABLE_ACLS
        if is_guarded(path):
            acls = _GUARDED_ACLS
        chosen: list[Any] | None = self._one(acls if self.often(95) else _BAD_ACLS)
        return chosen

    def delete(self, session: int) -> Args:
        nodes = [each for each in self._world.nodes if each != ROOT]
        path = self._any_path(self._world.leaves() if self.often(80) else nodes)
        if path is not None and self.often(5):
            path = self._one(_RESERVED)
        return {"path": path, "version": self._version(self._data_version(path))}

    def _data_version(self, path: str | None) -> int:
        node = self._world.nodes.get(path or "")
        return node.version if node else 0

    def set_data(self, session: int) -> Args:
        path = self._any_path([*self._world.nodes])
        version = self._version(self._data_version(path))
        return {"path": path, "data": self._one(_DATA), "version": version}

    def set_acl(self, session: int) -> Args:
        path = self._any_path([*self._world.nodes])
        node = self._world.nodes.get(path or "")
        version = self._version(node.acl_version if node else 0)
        return {"path": path, "acl": self._acl(path), "version": version}

    def check(self, session: int) -> Args:
        path = self._any_path([*self._world.nodes])
        return {"path": path, "version": self._version(self._data_version(path))}

    def multi(self, session: int) -> Args:
        world, self._world = self._world, self._world.copied()
        kinds = ["create", "create2", "createTTL", "createContainer", "delete", "setData", "check"]
        operations = []
        for _ in range(self._draw(st.integers(0, 4))):
            name = self._one(kinds) if self.often(98) else "getData"
            args = ARGUMENTS[name](self, session)
            if name != "createTTL" and args.get("flags") in {5, 6}:
                args["flags"] = 9  # what a TTL mode without a TTL spoils differs
            if name in {"setData", "check"} and args["path"] is None:
                args["path"] = "a"  # and so does what a null path spoils
            operations.append([name, args])
            self._world.apply(session, name, args)
        changed, self._world = self._world, world
        self._world.become(changed)
        return {"operations": operations}

    # --- reads ----------------------------------------------------------------------------------

    def read(self, session: int) -> Args:
        path = self._read_path()
        watch = self.often(45) and self._arm(session, path)
        return {"path": path, "watch": watch}

    def _arm(self, session: int, path: str | None) -> bool:
        """Whether a one-shot watch may go there: 3.8 lets it replace a lasting one."""
        if path is None or (session, path) in self._world.lasting:
            return False
        self._world.one_shot.add((session, path))
        return True

    def only_path(self, session: int) -> Args:
        return {"path": self._read_path()}

    def sync(self, session: int) -> Args:
        """ZooKeeper even syncs null."""
        return {"path": self._read_path() or ROOT}

    def count(self, session: int) -> Args:
        return {"path": self._any_path([*self._world.nodes])}

    def ephemerals(self, session: int) -> Args:
        return {"prefix": self._one(["/", ROOT, f"{ROOT}/a", f"{ROOT}/nothing", "", None])}

    def multi_read(self, session: int) -> Args:
        kinds = ["getData", "getChildren"]
        reads = [
            [
                self._one(kinds) if self.often(98) else "exists",
                {"path": self._read_path(), "watch": self.often(30)},
            ]
            for _ in range(self._draw(st.integers(0, 4)))
        ]
        return {"operations": reads}

    # --- watches --------------------------------------------------------------------------------

    def add_watch(self, session: int) -> Args:
        path, mode = self._any_path([*self._world.nodes]), self._one([0, 1])
        if self.often(5):
            return {"path": path, "mode": self._one([2, -1])}
        return {"path": self._lasting(session, path) or f"{ROOT}/unwatched{session}", "mode": mode}

    def _lasting(self, session: int, path: str | None) -> str | None:
        """The path if a lasting watch may go there: 3.8 has room for one mode in each place."""
        if path is None or (session, path) in self._world.one_shot | self._world.lasting:
            return None
        self._world.lasting.add((session, path))
        return path

    def a_watch(self, session: int) -> Args:
        path = self._any_path(self._world.watched(session), 90) or f"{ROOT}/unwatched"
        is_lasting = (session, path) in self._world.lasting
        kinds = [3] if is_lasting else [1, 2, 3]
        return {"path": path, "kind": self._one(kinds) if self.often(95) else self._one([0, 6])}

    def check_watches(self, session: int) -> Args:
        """3.8 takes anybody's watch on the path for the caller's, and stumbles over an invalid path
        while anybody has a recursive watch."""
        args = self.a_watch(session)
        watched = self._world.one_shot | self._world.lasting
        others = {path for other, path in watched if other != session}
        if args["path"] in others.union(_BAD_PATHS):
            args["path"] = f"{ROOT}/unwatched"
        return args

    def set_watches(self, session: int) -> Args:
        lists = {kind: self._one_shots(session) for kind in ("data", "exist", "child")}
        return {"zxid": self._draw(st.integers(0, 6)), **lists}

    def set_watches2(self, session: int) -> Args:
        args = self.set_watches(session)
        for kind in ("persistent", "recursive"):
            wanted = self._draw(st.lists(st.sampled_from([*self._world.nodes]), max_size=2))
            args[kind] = [path for path in wanted if self._lasting(session, path)]
        return args

    def _one_shots(self, session: int) -> list[str]:
        # coord asks for READ when it re-arms, ZooKeeper does not.
        readable = [path for path in self._world.nodes if not is_guarded(path)]
        candidates = [*readable, f"{ROOT}/missing"]
        wanted = self._draw(st.lists(st.sampled_from(candidates), max_size=2, unique=True))
        return [path for path in wanted if self._arm(session, path)]

    # --- sessions -------------------------------------------------------------------------------

    def auth(self, session: int) -> Args:
        good = self.often(92)
        scheme, credential = self._one(_CREDENTIALS[:5] if good else _CREDENTIALS[5:])
        return {"scheme": scheme, "credential": credential}

    def reconfig(self, session: int) -> Args:
        return {"joining": "", "leaving": "", "members": "", "version": -1}


def _no_arguments(_drawing: _Drawing, _session: int) -> Args:
    return {}


ARGUMENTS: Final[dict[str, Callable[[_Drawing, int], Args]]] = {
    "create": _Drawing.create,
    "create2": _Drawing.create,
    "createContainer": _Drawing.create_container,
    "createTTL": _Drawing.create_ttl,
    "delete": _Drawing.delete,
    "setData": _Drawing.set_data,
    "setACL": _Drawing.set_acl,
    "check": _Drawing.check,
    "multi": _Drawing.multi,
    "getData": _Drawing.read,
    "exists": _Drawing.read,
    "getChildren": _Drawing.read,
    "getChildren2": _Drawing.read,
    "getACL": _Drawing.only_path,
    "sync": _Drawing.sync,
    "getAllChildrenNumber": _Drawing.count,
    "getEphemerals": _Drawing.ephemerals,
    "multiRead": _Drawing.multi_read,
    "addWatch": _Drawing.add_watch,
    "removeWatches": _Drawing.a_watch,
    "checkWatches": _Drawing.check_watches,
    "setWatches": _Drawing.set_watches,
    "setWatches2": _Drawing.set_watches2,
    "auth": _Drawing.auth,
    "reconfig": _Drawing.reconfig,
}
"""Operation → what draws its arguments; the others have none."""
