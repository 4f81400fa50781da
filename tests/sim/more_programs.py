"""What clients of some runs do: fill subtrees up to their quotas, follow the membership as the tree
publishes it, read whatever happens to the cluster.
"""

from __future__ import annotations

import random
from typing import Final

from coord.model import requests as rq
from coord.model.znode import CreateMode
from tests.sim import programs
from tests.sim.history import Op
from tests.sim.programs import Intent, create, delete, exists, get, multi, set_data

LIMITED: Final = "/limited"
QUOTA: Final = "/zookeeper/quota"
CONFIG: Final = "/zookeeper/config"
SET_BACK: Final = 0.08
"""How often a limit, or what it needs, is changed or removed."""
LIMITS: Final = (
    b"count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=4",
    b"count=-1,bytes=-1=;byteHardLimit=60;countHardLimit=-1",
    b"count=2,bytes=30",
    b"count=2,bytes=-1=;byteHardLimit=45;countHardLimit=5",
    b"nothing",
)


class Limited:
    """Makes, writes and removes nodes of a subtree with a quota, and of one within it that has its
    own. Many writes pass a limit."""

    def __init__(self, name: str, stream: random.Random) -> None:
        self._name = name
        self._stream = stream
        self._written = 0
        self._first = [
            create(LIMITED),
            create(f"{LIMITED}/0"),
            *self._set_up(LIMITED),
            *self._set_up(f"{LIMITED}/0"),
        ]

    def _set_up(self, root: str) -> list[Intent]:
        home = QUOTA + root
        limits = create(f"{home}/zookeeper_limits", self._stream.choice(LIMITS))
        return [create(home), limits, create(f"{home}/zookeeper_stats", b"count=0,bytes=0")]

    def next(self) -> Intent:
        """First the quotas; then any write below them, and now and then another quota."""
        if self._first:
            return self._first.pop(0)
        if self._stream.random() < SET_BACK:
            return self._change()
        self._written += 1
        value = f"{self._name}/{self._written}".encode() * self._stream.randrange(3)
        path = self._path()
        choices = (
            lambda: create(path, value),
            lambda: create(path, value, CreateMode.EPHEMERAL),
            lambda: create(f"{path}-", value, CreateMode.PERSISTENT_SEQUENTIAL),
            lambda: create(path, value, CreateMode.PERSISTENT_TTL),
            lambda: set_data(path, value),
            lambda: set_data(path, value, self._stream.choice((0, 1))),
            lambda: delete(path),
            lambda: delete(path),
            lambda: self._transaction(path, value),
            lambda: get(self._node("zookeeper_stats"), self._level()),
            lambda: get(self._node("zookeeper_limits"), self._level()),
            lambda: get(path, self._level()),
        )
        return self._stream.choice(choices)()

    def _path(self) -> str:
        parent = self._stream.choice((LIMITED, f"{LIMITED}/0"))
        return f"{parent}/{self._stream.randrange(4)}"

    def _node(self, name: str) -> str:
        return f"{QUOTA}{self._stream.choice((LIMITED, f'{LIMITED}/0'))}/{name}"

    def _level(self) -> int:
        return self._stream.choice((programs.LINEARIZABLE, programs.SESSION))

    def _transaction(self, path: str, value: bytes) -> Intent:
        """The last operation decides whether all the others count."""
        last = (delete(self._path()), rq.Check(path, 0), set_data(LIMITED, value))
        return multi(create(path, value), create(self._path()), self._stream.choice(last))

    def _change(self) -> Intent:
        limits, stats = self._node("zookeeper_limits"), self._node("zookeeper_stats")
        choices = (
            set_data(limits, self._stream.choice(LIMITS)),
            set_data(limits, self._stream.choice(LIMITS)),
            delete(limits),
            delete(stats),
            create(limits, self._stream.choice(LIMITS)),
            create(stats, b"count=0,bytes=0"),
            multi(delete(limits), create(limits, LIMITS[0]), create(self._path())),
        )
        return self._stream.choice(choices)

    def answered(self, op: Op) -> None:
        """Nothing to remember."""


class Directory:
    """Follows the membership as ZooKeeper's clients do: by what the tree says of it."""

    def __init__(self, stream: random.Random) -> None:
        self._stream = stream

    def next(self) -> Intent:
        """Mostly reads; a write is refused."""
        level = self._stream.choice((programs.LINEARIZABLE, programs.SESSION))
        choices = (
            lambda: get(CONFIG, level),
            lambda: get(CONFIG, level),
            lambda: exists(CONFIG, level),
            lambda: programs.children("/zookeeper", level),
            lambda: set_data(CONFIG, b"mine"),
        )
        return self._stream.choice(choices)()

    def answered(self, op: Op) -> None:
        """Nothing to remember."""


class Reader:
    """Reads what others write, and tries to write now and then. Ends its session, rarely."""

    def __init__(self, name: str, stream: random.Random, keys: int) -> None:
        self._name = name
        self._stream = stream
        self._keys = keys
        self._written = 0

    def next(self) -> Intent:
        """Three reads of four; of the rest most are writes."""
        path = programs.register(self._stream.randrange(self._keys))
        draw = self._stream.random()
        if draw < 0.5:
            return get(path, programs.SESSION)
        if draw < 0.7:
            return programs.children(programs.SEQUENCE, programs.SESSION)
        if draw < 0.78:
            return exists(programs.TREE, programs.SESSION)
        if draw < 0.83:
            return Intent("sync", ("/",), rq.Sync("/"))
        if draw < 0.86:
            return programs.close()
        self._written += 1
        return set_data(path, f"{self._name}/{self._written}".encode())

    def answered(self, op: Op) -> None:
        """Nothing to remember."""


class Asker:
    """Asks ZooKeeper's questions that go beyond one node, of a tree that it changes itself."""

    def __init__(self, name: str, stream: random.Random) -> None:
        self._name = name
        self._stream = stream
        self._written = 0

    def next(self) -> Intent:
        """As many questions as writes and plain reads, which leave watches behind."""
        self._written += 1
        value = f"{self._name}/{self._written}".encode()
        path = f"{programs.TREE}/{self._stream.randrange(3)}"
        own = f"{programs.EPHEMERALS}/{self._name}-{self._stream.randrange(3)}"
        choices = (
            lambda: create(own, mode=CreateMode.EPHEMERAL),
            lambda: delete(own),
            lambda: create(path, value),
            lambda: set_data(path, value),
            lambda: get(path),
            lambda: exists(path),
            lambda: programs.children(path),
            lambda: _question("ephemerals", self._stream.choice(("/", programs.EPHEMERALS, own))),
            lambda: _question("descendants", self._stream.choice((programs.TREE, path))),
            lambda: _question("get_acl", path),
            lambda: _question("multi_read", (("get", path), ("children", path), ("get", own))),
        )
        return self._stream.choice(choices)()

    def answered(self, op: Op) -> None:
        """Nothing to remember."""


def _question(kind: str, about: object) -> Intent:
    """Only ZooKeeper's clients ask it: they know it by its kind."""
    return Intent(kind, (about,), rq.WhoAmI())
