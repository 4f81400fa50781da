"""The watches a ZooKeeper client believes to have: what it sets again on a new connection."""

from __future__ import annotations

from typing import Final

from tests.sim.codes import CHILDREN, CREATED, DATA, DELETED, NO_NODE
from tests.sim.history import Asked, Fired

ONE_SHOT = ("data", "exist", "child")
STANDING = {1: "persistent", 2: "recursive"}
DISARMED_BY = {
    CREATED: ("data", "exist"),
    DELETED: ("data", "exist", "child"),
    DATA: ("data", "exist"),
    CHILDREN: ("child",),
}
"""Kind of event → tables in which it disarms its path, as in ZooKeeper's own client."""
KINDS: Final = {
    1: ("child",),
    2: ("data", "exist"),
    3: (*ONE_SHOT, *STANDING.values()),
    4: ("persistent",),
    5: ("recursive",),
}
"""Kind of watch, as one asks for it or takes it back → tables."""


class ArmedWatches:
    """Tables of paths. They outlive connections, not sessions."""

    def __init__(self) -> None:
        names = (*ONE_SHOT, *STANDING.values())
        self._tables: dict[str, dict[str, None]] = {name: {} for name in names}

    def __bool__(self) -> bool:
        return any(self._tables.values())

    def paths(self) -> list[str]:
        """Everything that is watched in any way."""
        return list(dict.fromkeys(path for table in self._tables.values() for path in table))

    def answered(self, asked: Asked, code: int) -> None:
        """The answer to a request that arms, or disarms."""
        if asked.what == "removeWatches" and not code:
            for name in KINDS[asked.mode]:
                self._tables[name].pop(asked.path, None)
            return
        table = table_of(asked, code)
        if table is not None:
            self._tables[table][asked.path] = None

    def fired(self, event: Fired) -> None:
        """What fires once is disarmed."""
        for table in DISARMED_BY.get(event.kind, ()):
            self._tables[table].pop(event.path, None)

    def again(self, xid: int, zxid: int) -> Asked:
        """The request that sets all of them again; one-shot watches that fire are disarmed by
        their events, as ever."""
        armed = tuple((name, path) for name, table in self._tables.items() for path in table)
        return Asked(xid, "set_watches", since=zxid, armed=armed)


def table_of(asked: Asked, code: int) -> str | None:
    """Which watch the answer ``code`` to a request has armed."""
    if asked.what == "add_watch":
        return None if code else STANDING[asked.mode]
    if asked.what == "exists" and code == NO_NODE:
        return "exist"
    if code:
        return None
    return {"get": "data", "exists": "data", "children": "child"}.get(asked.what)
