"""Transactions: operations of which all happen, in one revision, or none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from coord.model.acl import OPEN, Acl
from coord.model.errors import MisuseError, TooLargeError
from coord.model.limits import TXN_OPERATIONS_MAX
from coord.model.requests import (
    Check,
    Compare,
    Create,
    Delete,
    Guard,
    Multi,
    Operation,
    Set,
    SetAcl,
)
from coord.model.znode import CreateMode, Stat
from coord.protocol.native_client import Reply
from coord_client.arguments import checked_data, checked_path, ttl_ms_of
from coord_client.values import Created

Result = Created | Stat | None
"""Of a create, of a set or set_acl, of anything else."""


class Operations:
    """Collects the operations of a transaction. Each method returns the collection itself."""

    def __init__(self, full: Callable[[str], str], strip: Callable[[str], str]) -> None:
        """``full`` and ``strip`` add and remove the chroot."""
        self.full = full
        self.strip = strip
        self._operations: list[Operation] = []
        self.results: list[Result] | None = None
        """One for each operation, once committed."""

    def add(self, operation: Operation) -> Self:
        """Add an operation as a value, for example a hold's guard."""
        if self.results is not None:
            raise MisuseError("this transaction has been committed")
        if len(self._operations) >= TXN_OPERATIONS_MAX:
            raise TooLargeError(f"a transaction has at most {TXN_OPERATIONS_MAX} operations")
        self._operations.append(operation._replace(path=self.full(operation.path)))
        return self

    def check(self, path: str, version: int = -1) -> Self:
        """The node exists, with this data version (−1: any)."""
        return self.add(Check(checked_path(path), version))

    def compare(self, path: str, field: str, relation: str, operand: int | bool | bytes) -> Self:
        """``field`` of the node stands in ``relation`` to ``operand``.

        field: "exists" (bool), "value" (bytes), "version", "mzxid", "czxid", "children";
        relation: "=", "!=", "<", ">". A missing node satisfies only exists = false.
        """
        return self.add(Compare(checked_path(path), field, relation, operand))

    def guard(self, path: str, token: int) -> Self:
        """The hold recorded at ``path`` is still the grant ``token`` and its session is open."""
        return self.add(Guard(checked_path(path), token))

    def create(
        self,
        path: str,
        data: bytes = b"",
        *,
        mode: CreateMode = CreateMode.PERSISTENT,
        acl: tuple[Acl, ...] = OPEN,
        ttl_s: float | None = None,
    ) -> Self:
        """Create a node; result: Created."""
        checked_path(path, sequential=mode.is_sequential)
        create = Create(path, checked_data(data), acl, mode, ttl_ms_of(mode, ttl_s))
        return self.add(create)

    def set(self, path: str, data: bytes, *, version: int = -1) -> Self:
        """Replace a node's data; result: Stat."""
        return self.add(Set(checked_path(path), checked_data(data), version))

    def set_acl(self, path: str, acl: tuple[Acl, ...], *, version: int = -1) -> Self:
        """Replace a node's ACL; result: Stat."""
        return self.add(SetAcl(checked_path(path), acl, version))

    def delete(self, path: str, *, version: int = -1) -> Self:
        """Delete a childless node; result: None."""
        return self.add(Delete(checked_path(path), version))

    def request(self) -> Multi:
        """What to send. Raises MisuseError if that was done."""
        if self.results is not None:
            raise MisuseError("this transaction has been committed")
        return Multi(tuple(self._operations))

    def committed(self, reply: Reply) -> list[Result]:
        """The results in ``reply``, which are kept."""
        self.results = [
            self._result(operation, body)
            for operation, body in zip(self._operations, reply.body, strict=True)
        ]
        return self.results

    def _result(self, operation: Operation, body: Any) -> Result:
        if isinstance(operation, Create):
            return Created(self.strip(body[1]), Stat.unpack(body[2]))
        if isinstance(operation, Set | SetAcl):
            return Stat.unpack(body[1])
        return None


class Transaction(Operations):
    """Operations and :meth:`commit`, which sends them.

    As a context manager it commits at the end of the block, unless that was done inside or the
    block raised.
    """

    def __init__(
        self,
        send: Callable[[Multi, float | None], Awaitable[Reply]],
        full: Callable[[str], str],
        strip: Callable[[str], str],
    ) -> None:
        """``send`` performs the write."""
        super().__init__(full, strip)
        self.send = send

    async def commit(self, timeout_s: float | None = None) -> list[Result]:
        """Perform all of it. Raises TransactionError if any operation refused: none happened."""
        return self.committed(await self.send(self.request(), timeout_s))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self.results is None:
            await self.commit()
