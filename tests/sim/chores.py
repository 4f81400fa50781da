"""What a run itself asks of its cluster: what the programs need, and what the checkers want to know
at the end.
"""

from __future__ import annotations

from tests.sim import programs
from tests.sim.history import Op, Outcome
from tests.sim.programs import Intent


class Setup:
    """Creates what the other programs use, then is done."""

    def __init__(self, intents: list[Intent]) -> None:
        self._left = intents
        self.done = 0

    def next(self) -> Intent | None:
        """The next node to make."""
        return self._left.pop(0) if self._left else None

    def answered(self, op: Op) -> None:
        """It must have been made."""
        assert (op.outcome, op.code) == (Outcome.OK, 0), f"setup: {op}"
        self.done += 1


class EndState:
    """Reads what the checkers want to know at the end."""

    def __init__(self) -> None:
        self.counter = -1
        self.sequence: list[str] | None = None
        self._left = [programs.get(programs.COUNTER), programs.children(programs.SEQUENCE)]

    def next(self) -> Intent | None:
        """The next read."""
        return self._left.pop(0) if self._left else None

    def answered(self, op: Op) -> None:
        """It must have been answered."""
        assert op.code == 0, f"final read: {op}"
        if op.kind == "get":
            self.counter = int(op.body[0])
        else:
            self.sequence = list(op.body[0])

    @property
    def is_done(self) -> bool:
        """Everything was read."""
        return self.counter >= 0 and self.sequence is not None
