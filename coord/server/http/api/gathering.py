"""What the members say of themselves, asked over the links between nodes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from coord.model import requests as rq
from coord.model.errors import CoordError, LimitError

if TYPE_CHECKING:
    from coord.node.node import Node
    from coord.raft.types import NodeId
    from coord.server.http.api.caller import Caller

ANSWER_S: Final = 1.0
FRESH_S: Final = 0.5
"""Who asks again within this time gets the same answers."""


class Gathering:
    """The newest answers, asked for once for all who want them at the same time."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._found: dict[int, dict[str, Any]] = {}
        self._found_s = -FRESH_S
        self._asking = asyncio.Lock()

    async def statuses(self, caller: Caller) -> dict[int, dict[str, Any]]:
        """``NodeStatus.as_dict`` of every member that answered, by id; this one's is its own."""
        loop = asyncio.get_running_loop()
        async with self._asking:
            if loop.time() >= self._found_s + FRESH_S:
                self._found = await self._ask_all(caller)
                self._found_s = loop.time()
            return self._found

    async def _ask_all(self, caller: Caller) -> dict[int, dict[str, Any]]:
        node = self._node
        others = [
            member.id
            for member in node.raft.membership.members
            if member.id != node.id and node.is_linked(member.id)
        ]
        answers = await asyncio.gather(*(self._ask(caller, other) for other in others))
        found = {int(node.id): node.statistics().as_dict()}
        found.update({
            int(other): told
            for other, told in zip(others, answers, strict=True)
            if told is not None
        })  # fmt: skip
        return found

    async def _ask(self, caller: Caller, member: NodeId) -> dict[str, Any] | None:
        answer: asyncio.Future[dict[str, Any] | None] = asyncio.get_running_loop().create_future()

        def done(outcome: list[Any] | CoordError) -> None:
            if not answer.done():
                answer.set_result(None if isinstance(outcome, CoordError) else outcome[0])

        try:
            self._node.admin.ask_member(caller.conn, member, rq.Admin(rq.STATUS, {}), done)
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except (LimitError, TimeoutError):
            return None
