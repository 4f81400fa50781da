"""What a checker concludes: valid, invalid, or that it cannot say, and what it found.

*Unknown* stands between the other two: a run that proved nothing has not passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

FINDINGS_MAX: Final = 100
"""Findings kept of one checker: the first ones explain, the rest is counted."""


class Verdict(Enum):
    """Of a checker, or of a whole run."""

    VALID = "valid"
    UNKNOWN = "unknown"
    INVALID = "invalid"

    @property
    def exit_code(self) -> int:
        """What the command returns: 0 valid, 1 invalid, 2 is left to wrong usage, 3 unknown."""
        return {"valid": 0, "invalid": 1, "unknown": 3}[self.value]


_WORST_LAST: Final = (Verdict.VALID, Verdict.UNKNOWN, Verdict.INVALID)


def merged(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several; UNKNOWN if there are none: nothing was checked."""
    return max(verdicts, key=_WORST_LAST.index, default=Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. ``rule``: a stable name within its checker. ``sentence``: what
    happened, in words that need no knowledge of the algorithm. ``ops``: ids of the operations
    that show it, the offending one first."""

    rule: str
    sentence: str
    ops: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data for the report."""
        return {"rule": self.rule, "sentence": self.sentence, "ops": list(self.ops)}


@dataclass(slots=True)
class Judgement:
    """What one checker has to say about a history.

    ``reasons``: why it cannot say, if it cannot. ``figures``: what was counted on the way.
    """

    checker: str
    findings: list[Finding] = field(default_factory=list)
    found: int = 0
    """How many findings there were; at most FINDINGS_MAX are kept."""
    reasons: list[str] = field(default_factory=list)
    figures: dict[str, int | float] = field(default_factory=dict)

    def add(self, rule: str, sentence: str, *ops: int) -> None:
        """Something is wrong."""
        self.found += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(rule, sentence, ops))

    def cannot_say(self, reason: str) -> None:
        """Something could not be decided."""
        if reason not in self.reasons:
            self.reasons.append(reason)

    @property
    def verdict(self) -> Verdict:
        """Invalid if anything was found, whatever else could not be decided."""
        if self.found:
            return Verdict.INVALID
        return Verdict.UNKNOWN if self.reasons else Verdict.VALID

    def to_json(self) -> dict[str, Any]:
        """Plain data for the report."""
        return {
            "checker": self.checker,
            "verdict": self.verdict.value,
            "found": self.found,
            "findings": [finding.to_json() for finding in self.findings],
            "reasons": self.reasons,
            "figures": self.figures,
        }


def under(key: str | int | None) -> str:
    """The beginning of a sentence about one key; nothing if the history has only one."""
    return "" if key is None else f"key {key!r}: "
