"""Compares the state digests that replicas took at the same index. Pure.

Equal logs applied by a deterministic machine give equal digests; a difference means damage that no
checksum caught, or a bug. The side that disagrees with a majority is wrong, the leader included.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import TYPE_CHECKING

from coord.model.limits import DIGEST_SAMPLES_KEPT

if TYPE_CHECKING:
    from collections.abc import Collection

    from coord.raft.types import NodeId


class Verdict(Enum):
    """AGREED: nothing to see, or not enough answers yet. MINORITY: this node is wrong.
    SPLIT: values differ and none has a majority; an alarm, since nobody can tell who is right."""

    AGREED = "agreed"
    MINORITY = "minority"
    SPLIT = "split"


class DigestBook:
    """What each node said about each sampled index."""

    def __init__(self, own: NodeId) -> None:
        self._own = own
        self._samples: OrderedDict[int, dict[NodeId, int]] = OrderedDict()

    def note(self, node: NodeId, index: int, digest: int, voters: Collection[NodeId]) -> Verdict:
        """Record one sample and judge its index."""
        said = self._samples.setdefault(index, {})
        said[node] = digest
        while len(self._samples) > DIGEST_SAMPLES_KEPT:
            self._samples.popitem(last=False)
        return self._judge(said, voters)

    def _judge(self, said: dict[NodeId, int], voters: Collection[NodeId]) -> Verdict:
        values = set(said.values())
        own = said.get(self._own)
        if own is None or len(values) == 1:
            return Verdict.AGREED
        majority = len(voters) // 2 + 1
        counts = {
            value: sum(said.get(voter) == value for voter in voters) for value in sorted(values)
        }
        winner = next((value for value, count in counts.items() if count >= majority), None)
        if winner is not None:
            return Verdict.AGREED if winner == own else Verdict.MINORITY
        return (
            Verdict.SPLIT
            if sum(voter in said for voter in voters) == len(voters)
            else (Verdict.AGREED)
        )
