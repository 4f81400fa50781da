"""The membership, read by clients from the service's own node while an operator changes it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from coord.model.errors import CoordError, NotLeaderError
from jepsen_lite.clients.native import NativeStore, translated
from jepsen_lite.clients.store import ConflictError, InDoubtError, Store, UnavailableError
from jepsen_lite.history import Json
from jepsen_lite.recorder import Answer
from jepsen_lite.workloads.workload import Worker, Workload

CONFIG: Final = "/zookeeper/config"
IN_FORCE_WITHIN_S: Final = 10.0
LOOK_EVERY_S: Final = 0.05
OPERATOR: Final = 0
VOTERS_MIN: Final = 2
"""The operator removes nobody if fewer would stay."""
LEAVE_WITHIN: Final = 30
"""Attempts to make everybody a member again."""


class Membership(Workload):
    """One worker removes members, adds and promotes them again; all others read the list."""

    name = "membership"
    model = "membership"
    clients = ("native",)
    summary = "read the list of members while one client removes, adds and promotes them"

    async def prepare(self, store: Store) -> None:
        """The service has made everything."""

    async def step(self, worker: Worker) -> None:
        is_operator = worker.process % worker.workers == OPERATOR
        if is_operator and worker.dice.random() < 0.5:
            await self._change(worker)
        else:
            await worker.perform("read", None, None, lambda: _read(worker.store))

    async def finish(self, worker: Worker) -> None:
        await worker.perform("read", None, None, lambda: _read(worker.store))

    async def leave(self, worker: Worker) -> None:
        """All nodes are voters again, so that they can be compared."""
        if worker.process % worker.workers != OPERATOR:
            return
        for _ in range(LEAVE_WITHIN):
            if not await self._mend(worker):
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _change(self, worker: Worker) -> None:
        """Mend what is missing; if nothing is, remove somebody."""
        if await self._mend(worker) or self.nodes <= VOTERS_MIN:
            return
        await self._ask(worker, "remove", worker.dice.randint(1, self.nodes))

    async def _mend(self, worker: Worker) -> bool:
        """One step to where every node votes; whether any was left to do."""
        roles = (await _read(worker.store)).result["members"]
        for node in range(1, self.nodes + 1):
            if str(node) not in roles:
                await self._ask(worker, "add", node)
                return True
            if roles[str(node)] != "participant":
                await self._ask(worker, "promote", node)
                return True
        return False

    @staticmethod
    async def _ask(worker: Worker, action: str, node: int) -> None:
        await worker.perform(action, None, node, lambda: _until_in_force(worker, action, node))


async def _read(store: Store) -> Answer:
    found = await store.get(CONFIG)
    return Answer({"version": found.version, "members": members_of(found.data)}, found.revision)


def members_of(data: bytes) -> dict[str, Json]:
    """``server.ID=host:port:port:role;…`` by line as {id: role}; other lines say other things."""
    members: dict[str, Json] = {}
    for line in data.decode().splitlines():
        name, _, rest = line.partition("=")
        if name.startswith("server."):
            members[name.removeprefix("server.")] = rest.partition(";")[0].rpartition(":")[2]
    return members


async def _until_in_force(worker: Worker, action: str, node: int) -> Answer:
    store: Any = worker.store
    assert isinstance(store, NativeStore)
    try:
        await store.client.admin.change_member(action, node)
    except NotLeaderError as error:  # Also if the leader acted and its answer was lost.
        raise InDoubtError(str(error)) from error
    except CoordError as error:
        raise translated(error) from error
    try:
        async with asyncio.timeout(IN_FORCE_WITHIN_S):
            while not _is_in_force((await _read(store)).result["members"], action, node):
                await asyncio.sleep(LOOK_EVERY_S)
    except (TimeoutError, ConflictError, UnavailableError) as error:
        raise InDoubtError(f"{action} {node} is not in force yet: {error}") from error
    return Answer()


def _is_in_force(members: dict[str, Json], action: str, node: int) -> bool:
    role = members.get(str(node))
    return {"remove": role is None, "add": role is not None, "promote": role == "participant"}[
        action
    ]
