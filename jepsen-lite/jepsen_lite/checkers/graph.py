"""A directed graph whose edges have kinds, its tangles (strongly connected parts) and cycles."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

EFFORT: Final = 20_000
"""Nodes looked at in a search for cycles, times the tangle's size."""


class Graph:
    """Members are numbers ≥ 0. Knots stand between many members and many others, so that a
    product of edges becomes a sum; the edge that leaves a knot has kind None and continues the
    one that entered it."""

    def __init__(self, members: Iterable[int]) -> None:
        self.members = set(members)
        self.edges = 0
        self._next: dict[int, dict[int, set[int | None]]] = {}
        self._knots = 0

    def knot(self) -> int:
        """A new knot."""
        self._knots -= 1
        return self._knots

    def add(self, source: int, target: int, kind: int | None) -> None:
        """An edge; none from a member to itself."""
        if source != target:
            self.edges += 1
            self._next.setdefault(source, {}).setdefault(target, set()).add(kind)

    def tangles(self) -> Iterator[set[int]]:
        """Sets of nodes that can all reach each other, of more than one node (Tarjan)."""
        number: dict[int, int] = {}
        low: dict[int, int] = {}
        stack: list[int] = []
        on_stack: set[int] = set()
        for root in self._next:
            if root in number:
                continue
            work: list[tuple[int, Iterator[int]]] = []
            self._open(root, number, low, stack, on_stack, work)
            while work:
                node, targets = work[-1]
                for target in targets:
                    if target not in number:
                        self._open(target, number, low, stack, on_stack, work)
                        break
                    if target in on_stack:
                        low[node] = min(low[node], number[target])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[node])
                    if low[node] == number[node]:
                        yield from self._cut(node, stack, on_stack)

    def _open(
        self,
        node: int,
        number: dict[int, int],
        low: dict[int, int],
        stack: list[int],
        on_stack: set[int],
        work: list[tuple[int, Iterator[int]]],
    ) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        on_stack.add(node)
        work.append((node, iter(self._next.get(node, ()))))

    @staticmethod
    def _cut(node: int, stack: list[int], on_stack: set[int]) -> Iterator[set[int]]:
        part = set()
        while True:
            member = stack.pop()
            on_stack.remove(member)
            part.add(member)
            if member == node:
                break
        if len(part) > 1:
            yield part

    def cycle(
        self, within: set[int], kinds: set[int], single: int | None
    ) -> list[tuple[int, int]] | None:
        """A short cycle through ``within`` with edges of ``kinds`` alone, and exactly one of kind
        ``single`` if that is not None: (node, kind of the edge that leaves it) for each.

        In a large tangle only some nodes are tried, so that None may mean: not easily found."""
        starts = sorted(node for node in within if node >= 0)
        for start in starts[: max(1, EFFORT // len(within))]:
            found = self._back_to(start, within, kinds, single)
            if found:
                return found
        return None

    def _back_to(
        self, start: int, within: set[int], kinds: set[int], single: int | None
    ) -> list[tuple[int, int]] | None:
        """Breadth first over (node, kind entered by, whether the single edge was taken)."""
        begin = (start, -1, False)
        came: dict[tuple[int, int, bool], tuple[tuple[int, int, bool], int]] = {}
        queue = deque([begin])
        while queue:
            state = queue.popleft()
            node, entered, taken = state
            for target, edge_kinds in self._next.get(node, {}).items():
                if target not in within:
                    continue
                for edge in edge_kinds:
                    kind = entered if edge is None else edge
                    is_single = edge is not None and edge == single
                    is_allowed = edge is None or edge in kinds or (is_single and not taken)
                    if not is_allowed:
                        continue
                    now_taken = taken or is_single
                    if target == start and (single is None or now_taken):
                        return self._unwound(came, state, kind, begin)
                    following = (target, kind, now_taken)
                    if target != start and following not in came:
                        came[following] = (state, kind)
                        queue.append(following)
        return None

    @staticmethod
    def _unwound(
        came: dict[tuple[int, int, bool], tuple[tuple[int, int, bool], int]],
        state: tuple[int, int, bool],
        kind: int,
        begin: tuple[int, int, bool],
    ) -> list[tuple[int, int]]:
        steps = [(state[0], kind)]
        while state != begin:
            state, kind = came[state]
            steps.append((state[0], kind))
        return steps[::-1]
