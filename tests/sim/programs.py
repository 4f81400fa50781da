"""What simulated clients do. A program decides the next request and sees each answer."""

from __future__ import annotations

import random
from typing import Any, Final, NamedTuple, Protocol

from coord.model import requests as rq
from coord.model.acl import ALL, OPEN, READ, READ_ONLY, WRITE, Acl
from coord.model.znode import CreateMode, Stat
from coord.node.identity import digest_of
from tests.sim.checkers import registers
from tests.sim.codes import CREATE, SET
from tests.sim.history import Op, Outcome

ANY: Final = -1
LINEARIZABLE: Final = 0
SESSION: Final = 1
STALE: Final = 2
COUNTER: Final = "/counter"
SEQUENCE: Final = "/queue"
EPHEMERALS: Final = "/alive"
TREE: Final = "/tree"
GUARDED: Final = "/guarded"
RESTRICTED: Final = "/restricted"
TTL_MS: Final = 700
LARGE_BYTES: Final = 3_000
"""Stored apart from the node's record."""


class Intent(NamedTuple):
    """A request and how the history names it."""

    kind: str
    args: tuple[Any, ...]
    request: rq.Request
    level: int = 0


class Program(Protocol):
    """One client's behaviour."""

    def next(self) -> Intent | None:
        """The next request, or None if there is nothing to do until an answer comes."""
        ...

    def answered(self, op: Op) -> None:
        """An operation has ended, known or unknown."""
        ...


class Prover(Protocol):
    """A program whose client proves who it is, on every connection first of all."""

    credential: str
    who: tuple[tuple[str, str], ...]


def get(path: str, level: int = LINEARIZABLE) -> Intent:
    """Read a node."""
    return Intent("get", (path,), rq.Get(path, False, level), level)


def exists(path: str, level: int = LINEARIZABLE) -> Intent:
    """Read a node's Stat."""
    return Intent("exists", (path,), rq.Exists(path, False, level), level)


def page(path: str, after: str, limit: int) -> Intent:
    """List a node's children behind a name."""
    request = rq.Children(path, False, LINEARIZABLE, after, limit, 0)
    return Intent("children", (path, after, limit), request, LINEARIZABLE)


def children(path: str, level: int = LINEARIZABLE) -> Intent:
    """List a node."""
    return Intent("children", (path,), rq.Children(path, False, level, "", 0, 0), level)


def set_data(path: str, data: bytes, version: int = ANY) -> Intent:
    """Write a node."""
    return Intent("set", (path, data, version), rq.Set(path, data, version))


def create(
    path: str,
    data: bytes = b"",
    mode: CreateMode = CreateMode.PERSISTENT,
    acl: tuple[Acl, ...] = OPEN,
) -> Intent:
    """Make a node; with a time to live it has a short one."""
    ttl_ms = TTL_MS if mode.has_ttl else 0
    request = rq.Create(path, data, acl, mode, ttl_ms)
    return Intent("create", (path, data, acl, int(mode), ttl_ms), request)


def set_acl(path: str, acl: tuple[Acl, ...], version: int = ANY) -> Intent:
    """Say who may do what."""
    return Intent("set_acl", (path, acl, version), rq.SetAcl(path, acl, version))


def delete(path: str, version: int = ANY) -> Intent:
    """Remove a node."""
    return Intent("delete", (path, version), rq.Delete(path, version))


def close() -> Intent:
    """End the session."""
    return Intent("close", (), rq.Close())


def multi(*parts: Intent | rq.Operation) -> Intent:
    """All or nothing."""
    operations = tuple(p.request if isinstance(p, Intent) else p for p in parts)
    numbers = {rq.Create: 1, rq.Delete: 2, rq.Set: 5, rq.Check: 13, rq.Compare: 200, rq.Guard: 201}
    named = tuple((numbers[type(op)], *op) for op in operations)
    # An Intent's request may be any; only operations are given here.
    return Intent("multi", (named,), rq.Multi(operations))  # type: ignore[arg-type]


def setup(keys: int) -> list[Intent]:
    """What must exist before the other clients start."""
    nodes = [create(COUNTER, b"0"), create(SEQUENCE), create(EPHEMERALS), create(TREE)]
    nodes += [create(GUARDED), create(RESTRICTED)]
    return nodes + [create(register(key), b"0") for key in range(keys)]


def register(key: int) -> str:
    """Path of a register."""
    return f"{registers.PREFIX}{key}"


class Register:
    """Reads and writes of single nodes, with and without a version; values are unique."""

    def __init__(self, name: str, stream: random.Random, keys: int) -> None:
        self._name = name
        self._stream = stream
        self._keys = keys
        self._written = 0
        self._versions: dict[str, int] = {}

    def next(self) -> Intent:
        """A read half of the time, a write with a known version a quarter."""
        path = register(self._stream.randrange(self._keys))
        draw = self._stream.random()
        if draw < 0.35:
            return get(path)
        if draw < 0.5:
            return get(path, SESSION if draw < 0.45 else STALE)
        self._written += 1
        value = f"{self._name}/{self._written}".encode()
        if draw < 0.75:
            return set_data(path, value, self._versions.get(path, 0))
        return set_data(path, value)

    def answered(self, op: Op) -> None:
        """Remember the newest version seen."""
        if op.code == 0 and op.body and op.kind in ("get", "set"):
            self._versions[op.args[0]] = Stat.unpack(op.body[-1]).version


class Counter:
    """Adds one to a node by a versioned set, again and again, one at a time."""

    def __init__(self, path: str = COUNTER, limit: int | None = None) -> None:
        self.added = 0
        self._path = path
        self._limit = limit
        self._busy = False
        self._read: tuple[int, int] | None = None

    def next(self) -> Intent | None:
        """Read, then set what was read plus one."""
        if self._busy or (self._limit is not None and self.added >= self._limit):
            return None
        self._busy = True
        if self._read is None:
            return get(self._path)
        value, version = self._read
        return set_data(self._path, b"%d" % (value + 1), version)

    def answered(self, op: Op) -> None:
        """After a success the new version is known; after a refusal it must be read again."""
        self._busy = False
        if op.code != 0 or not op.body:
            self._read = None
        elif op.kind == "get":
            self._read = (int(op.body[0]), Stat.unpack(op.body[1]).version)
        else:
            self.added += 1
            self._read = (int(op.args[1]), Stat.unpack(op.body[0]).version)


class Sequence:
    """Makes sequential nodes: a create that is retried must not make two."""

    def next(self) -> Intent:
        """One more."""
        return create(f"{SEQUENCE}/n-", mode=CreateMode.PERSISTENT_SEQUENTIAL)

    def answered(self, op: Op) -> None:
        """Nothing to remember."""


class Tree:
    """Random operations on a handful of paths: every refusal and every Stat gets its turn."""

    def __init__(self, name: str, stream: random.Random) -> None:
        self._name = name
        self._stream = stream
        self._written = 0

    def _path(self) -> str:
        parent = f"{TREE}/{self._stream.randrange(3)}"
        return parent if self._stream.random() < 0.5 else f"{parent}/{self._stream.randrange(2)}"

    def next(self) -> Intent:
        """Any operation on any path."""
        self._written += 1
        value = f"{self._name}/{self._written}".encode()
        path, version = self._path(), self._stream.choice((ANY, ANY, 0, 1))
        if self._stream.random() < 0.05:
            value += bytes(LARGE_BYTES)
        choices = (
            lambda: create(path, value),
            lambda: create(path, value, self._stream.choice(tuple(CreateMode))),
            lambda: delete(path, version),
            lambda: set_data(path, value, version),
            lambda: exists(path, self._stream.choice((LINEARIZABLE, SESSION))),
            lambda: children(path, self._stream.choice((LINEARIZABLE, SESSION))),
            lambda: get(path, self._stream.choice((LINEARIZABLE, SESSION))),
            lambda: page(TREE, self._stream.choice(("", "0", "1")), 1),
            lambda: self._transaction(path, value, version),
        )
        return self._stream.choice(choices)()

    def _transaction(self, path: str, value: bytes, version: int) -> Intent:
        other = self._path()
        first = self._stream.choice(
            (
                rq.Check(path, version),
                rq.Compare(path, "exists", "=", True),
                rq.Compare(path, "version", "<", 3),
                rq.Compare(path, "children", "=", 0),
                rq.Compare(path, "value", "!=", b"none"),
                rq.Compare(path, "czxid", ">", 10),
                rq.Compare(other, "exists", "=", False),
                rq.Guard(path, self._written),
            )
        )
        return multi(first, set_data(path, value), create(other, value), delete(path))

    def answered(self, op: Op) -> None:
        """Nothing to remember."""


class Transactions:
    """Two nodes that are made, changed and removed together; little of it is refused."""

    def __init__(self, name: str, stream: random.Random) -> None:
        self._paths = tuple(f"{TREE}/{name}-{part}" for part in "ab")
        self._stream = stream
        self._written = 0
        self._are_there = False

    def next(self) -> Intent:
        """Of what is possible, as far as that is known."""
        self._written += 1
        value = b"%d" % self._written
        if not self._are_there:
            return multi(*(create(path, value) for path in self._paths))
        if self._stream.random() < 0.7:
            return multi(*(set_data(path, value) for path in self._paths))
        return multi(*(delete(path) for path in self._paths))

    def answered(self, op: Op) -> None:
        """Done or refused, it shows whether they are there."""
        if op.outcome is Outcome.OK:
            kind = op.args[0][0][0]
            self._are_there = kind == CREATE or (kind == SET and op.code == 0)


class Ephemerals:
    """Holds ephemeral nodes, looks at those of others, sometimes ends its session."""

    def __init__(self, name: str, stream: random.Random) -> None:
        self._name = name
        self._stream = stream
        self._closing = False

    def next(self) -> Intent | None:
        """Make, drop or look at ephemerals; close the session now and then."""
        if self._closing:
            return None
        path = f"{EPHEMERALS}/{self._name}-{self._stream.randrange(3)}"
        draw = self._stream.random()
        if draw < 0.4:
            return create(path, mode=CreateMode.EPHEMERAL)
        if draw < 0.6:
            return delete(path)
        if draw < 0.98:
            return children(EPHEMERALS, self._stream.choice((LINEARIZABLE, SESSION)))
        self._closing = True
        return close()

    def answered(self, op: Op) -> None:
        """After a close a new session goes on."""
        if op.kind == "close":
            self._closing = False


class Restricted:
    """Nodes that some may not read, write or administer. Its client proves ``credential``."""

    def __init__(self, name: str, stream: random.Random) -> None:
        self.credential = f"{name}:secret" if stream.random() < 0.7 else ""
        self._name = name
        self._stream = stream
        self._written = 0

    @property
    def who(self) -> tuple[tuple[str, str], ...]:
        """What the credential proves."""
        return (("digest", digest_of(self.credential)),) if self.credential else ()

    def next(self) -> Intent:
        """Any operation under any ACL."""
        path = f"{RESTRICTED}/{self._stream.randrange(3)}"
        self._written += 1
        value = f"{self._name}/{self._written}".encode()
        choices = (
            lambda: create(path, value, acl=self._acl()),
            lambda: create(f"{path}/below", value),
            lambda: set_acl(path, self._acl(), self._stream.choice((ANY, ANY, 0, 1))),
            lambda: set_data(path, value),
            lambda: set_data(path, value),
            lambda: get(path),
            lambda: get(path),
            lambda: exists(path),
            lambda: children(path),
            lambda: delete(path),
            lambda: delete(f"{path}/below"),
            lambda: multi(rq.Check(path, ANY), set_data(path, value)),
            lambda: multi(rq.Compare(path, "version", "<", 5), create(f"{path}/below")),
        )
        return self._stream.choice(choices)()

    def _acl(self) -> tuple[Acl, ...]:
        own = tuple(Acl(ALL, *identity) for identity in self.who) or OPEN
        written = (Acl(READ | WRITE, "world", "anyone"), *own)
        return self._stream.choice((OPEN, own, READ_ONLY + own, written))

    def answered(self, op: Op) -> None:
        """Nothing to remember."""
