"""Questions about nodes, sessions and history, and the operator's commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from coord.model import requests as rq
from coord.model.znode import Stat
from coord_client.operations import Kind
from coord_client.values import Digest, LogRun, Members


class Admin:
    """Admin calls of a client, answered by the node it is connected to.

    A node without quorum cannot attach a session: to ask it, use ``connect(…, session=False)``.
    """

    def __init__(self, ask: Callable[..., Any], full: Callable[[str], str]) -> None:
        """``ask`` performs Admin requests; ``full`` adds the chroot."""
        self._ask = ask
        self._full = full

    async def _call(
        self,
        op: int,
        arguments: dict[str, object] | None = None,
        *,
        kind: Kind = Kind.READ,
        timeout_s: float | None = None,
    ) -> tuple[Any, ...]:
        reply = await self._ask(rq.Admin(op, arguments or {}), kind, timeout_s)
        body: tuple[Any, ...] = reply.body
        return body

    async def status(self, timeout_s: float | None = None) -> dict[str, Any]:
        """What the node says of itself: role, term, leader, revisions, members, counts."""
        (status,) = await self._call(rq.STATUS, timeout_s=timeout_s)
        return dict(status)

    async def digest(self) -> Digest:
        """The checksum of all replicated records, now and at sampled revisions."""
        revision, digest, samples = await self._call(rq.DIGEST)
        return Digest(revision, digest, {index: f"{value:016x}" for index, value in samples})

    async def members(self) -> Members:
        """Who belongs to the cluster."""
        members, is_joint, waiting = await self._call(rq.MEMBERS)
        return Members(members, is_joint, waiting)

    async def change_member(
        self, action: str, node: int, *, dry_run: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Change the membership (``action``: add, promote, remove); tolerance (before, after).

        Raises MembershipError if that is not possible now. Never repeated by the client.
        """
        arguments: dict[str, object] = {"action": action, "id": node, "dry_run": dry_run}
        before, after = await self._call(rq.MEMBER_CHANGE, arguments, kind=Kind.ONCE)
        return before, after

    async def transfer(self, to: int = 0) -> int:
        """Move the leadership to node ``to`` (0: the best one); the node it goes to."""
        (target,) = await self._call(rq.TRANSFER, {"to": to}, kind=Kind.ONCE)
        return int(target)

    async def snapshot(self, timeout_s: float | None = None) -> tuple[int, int]:
        """Take a snapshot on the node we are connected to: (revision, bytes)."""
        revision, length = await self._call(rq.SNAPSHOT, kind=Kind.ONCE, timeout_s=timeout_s)
        return revision, length

    async def sessions(self) -> list[dict[str, Any]]:
        """Open sessions, in the order they were opened."""
        found: list[dict[str, Any]] = []
        more, after = True, 0
        while more:
            page, more = await self._call(rq.SESSIONS, {"after": after})
            found += page
            more = more and bool(page)
            after = found[-1]["session"] if found else 0
        return found

    async def log_tail(self, start: int) -> AsyncIterator[LogRun]:
        """Applied log entries from index ``start`` up to the newest, as runs of one term.

        Raises CompactedError if ``start`` has been cut from the node's log.
        """
        applied = start
        while start <= applied:
            _, runs, applied = await self._call(rq.LOG_TAIL, {"from": start})
            for first, term, kind, payloads in runs:
                yield LogRun(first, term, kind, tuple(payloads))
                start = first + len(payloads)
            if not runs:
                return

    async def history(
        self, path: str, *, before: int | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """What happened to a node, newest first: revision, kind, time, session, address, value.

        ``before``: only revisions below. Paths in the records are absolute, without a chroot cut.
        """
        arguments: dict[str, object] = {"path": self._full(path), "limit": limit}
        if before is not None:
            arguments["before"] = before
        records, _ = await self._call(rq.HISTORY, arguments)
        return [
            {**record, "stat": Stat.unpack(record["stat"]) if record.get("stat") else None}
            for record in records
        ]

    async def why_session(self, session_id: int) -> dict[str, Any]:
        """An open session's particulars, or why it ended (kept for ten minutes)."""
        (story,) = await self._call(rq.WHY_SESSION, {"session": session_id})
        return dict(story)
