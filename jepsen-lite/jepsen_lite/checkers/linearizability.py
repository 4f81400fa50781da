"""Is there *any* legal order? Wing and Gong's search with Lowe's memory, key by key.

The history of a key is a linked list of calls and returns. The search lifts out a call that can
come first, and returns to an earlier choice when it meets the return of an operation that it has
not lifted. What is lifted is a bit mask relative to the oldest operation that is not, so that the
memory of visited (mask, state) pairs stays small. Worst case exponential: a limit of steps makes
the answer *unknown*. Operations that may never have happened need not be lifted.

Intervals are closed: an operation that begins at the very nanosecond at which another ends is
concurrent with it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, NamedTuple

from jepsen_lite.history import History, Op
from jepsen_lite.models import IMPOSSIBLE, MODELS, Model, Step
from jepsen_lite.verdict import Judgement, under

STEPS_MAX: Final = 500_000
"""For each key: a few seconds."""


class Stuck(NamedTuple):
    """Where the longest legal order ends: operation ``at`` was over, and in ``state`` it cannot
    have been next. ``explained``: how many operations come before it."""

    at: int
    state: Any
    explained: int


class Search:
    """One search. ``outcome``: True if there is an order, False if not, None if undecided."""

    def __init__(self, model: Model, calls: list[tuple[Op, Step]], steps_max: int) -> None:
        self.steps = 0
        self.outcome: bool | None = None
        self.stuck = Stuck(-1, model.initial, -1)
        self._calls = sorted(calls, key=lambda call: call[0].invoke_ns)
        self._required = sum(step.known for _, step in self._calls)
        self._number()
        self._link()
        self._run(model, steps_max)

    @property
    def culprit(self) -> Op:
        """The operation that the longest order cannot explain."""
        return self._calls[self.stuck.at][0]

    def _number(self) -> None:
        """Answered and unanswered operations are numbered apart: one that never happened must
        not keep the mask of the others from moving on. Of unanswered operations that are alike,
        each knows the mask of the one before it."""
        counts = [0, 0]
        alike: dict[Step, int] = {}
        self._numbers: list[int] = []
        self._alike: dict[int, int] = {}
        for at, (_, step) in enumerate(self._calls):
            number = counts[step.known]
            self._numbers.append(number)
            counts[step.known] += 1
            if not step.known:
                self._alike[at] = alike.get(step, 0)
                alike[step] = 1 << number

    def _is_worth_guessing(self, at: int, guesses: int, has_effect: bool) -> bool:
        """An unanswered operation without effect need not have happened; of those that are
        alike, the one that began first can stand for any other."""
        before = self._alike[at]
        return has_effect and guesses & before == before

    def _link(self) -> None:
        """Places 1 … 2n: call ``at`` is place ``2 at + 1``, its return the next one; 0 is the
        head, 2n + 1 the end. ``after`` and ``before`` link what is not lifted, by time."""
        events = []
        for at, (op, _) in enumerate(self._calls):
            events.append((op.invoke_ns, 0, 2 * at + 1))
            events.append((op.end_ns, 1, 2 * at + 2))
        events.sort()
        places = [0, *(place for _, _, place in events), len(events) + 1]
        self._after = [0] * len(places)
        self._before = [0] * len(places)
        for place, following in pairwise(places):
            self._after[place] = following
            self._before[following] = place

    def _run(self, model: Model, steps_max: int) -> None:
        calls, numbers, after, step_of = self._calls, self._numbers, self._after, model.step
        end = 2 * len(calls) + 1
        # How many answered operations lead without a gap, the mask of those after them, the mask
        # of the unanswered ones, the state.
        leading, window, guesses, state = 0, 0, 0, model.initial
        seen: set[tuple[int, int, int, Any]] = set()
        undo: list[tuple[int, int, int, int, Any]] = []
        left = self._required
        place = after[0]
        while left:
            if self.steps >= steps_max:
                return
            self.steps += 1
            if place & 1 and place != end:
                at = place >> 1
                step = calls[at][1]
                following = step_of(state, step)
                if following is not IMPOSSIBLE and (
                    step.known or self._is_worth_guessing(at, guesses, following != state)
                ):
                    if step.known:
                        some = window | 1 << numbers[at] - leading
                        ones = (~some & (some + 1)).bit_length() - 1
                        key = (leading + ones, some >> ones, guesses, following)
                    else:
                        key = (leading, window, guesses | 1 << numbers[at], following)
                    if key not in seen:
                        seen.add(key)
                        undo.append((place, leading, window, guesses, state))
                        leading, window, guesses, state = key
                        left -= step.known
                        self._lift(place)
                        place = after[0]
                        continue
                place = after[place]
                continue
            # A return that cannot be passed: the last choice was wrong.
            if place != end and self._required - left > self.stuck.explained:
                self.stuck = Stuck((place >> 1) - 1, state, self._required - left)
            if not undo:
                self.outcome = False
                return
            place, leading, window, guesses, state = undo.pop()
            left += calls[place >> 1][1].known
            self._put_back(place)
            place = after[place]
        self.outcome = True

    def _lift(self, call: int) -> None:
        after, before = self._after, self._before
        for place in (call, call + 1):
            after[before[place]] = after[place]
            before[after[place]] = before[place]

    def _put_back(self, call: int) -> None:
        after, before = self._after, self._before
        for place in (call + 1, call):
            after[before[place]] = place
            before[after[place]] = place


def check_model(history: History, model: Model, steps_max: int = STEPS_MAX) -> Judgement:
    """Whether each key's operations have a legal order."""
    judgement = Judgement("linearizability")
    checked = steps = 0
    for key, ops in history.by_key().items():
        calls = model.steps(ops)
        search = Search(model, calls, steps_max)
        checked += len(calls)
        steps += search.steps
        if search.outcome is None:
            judgement.cannot_say(f"{under(key)}no decision within {steps_max} steps")
        elif not search.outcome:
            culprit, stuck = search.culprit, search.stuck
            judgement.add(
                "order",
                f"{under(key)}no order of its operations is legal: {stuck.explained} of them can"
                f" be explained, then the state is {stuck.state!r:.80} and {culprit} does not fit",
                culprit.id,
            )
    judgement.figures = {"operations": checked, "steps": steps}
    return judgement


def check(history: History) -> Judgement:
    """Judge by the model that the history names."""
    return check_model(history, MODELS[history.model])
