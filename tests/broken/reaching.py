"""Does the line that a mutant changes run where nothing fails? One that does not proves little: the
simulator would have caught whatever stood there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from difflib import SequenceMatcher
from types import CodeType, FrameType
from typing import Any

from tests.broken.mutant import Edit, Mutant
from tests.broken.planting import source_of
from tests.sim.plan import Plan
from tests.sim.run import run_plan

Place = tuple[str, int]
"""(file, line)."""


def places_of(edit: Edit) -> set[Place]:
    """The lines that an edit changes; of an insertion, the line before it."""
    path, source = source_of(edit.module)
    at = source.index(edit.old)
    first = source.count("\n", 0, at) + 1
    before = source.rfind("\n", 0, at) + 1
    margin = source[before:at]
    old, new = (margin + edit.old).splitlines(), (margin + edit.new).splitlines()
    found: set[Place] = set()
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for kind, start, stop, _, _ in matcher.get_opcodes():
        if kind == "insert":
            found.add((path, first + max(0, start - 1)))
        elif kind != "equal":
            found |= {(path, first + line) for line in range(start, stop)}
    return found


def reached(mutants: Iterable[Mutant], plan: Plan) -> set[str]:
    """Names of the mutants whose line runs in ``plan``; none of them if the run fails."""
    wanted: dict[Place, set[str]] = {}
    for mutant in mutants:
        for edit in mutant.edits:
            for place in places_of(edit):
                wanted.setdefault(place, set()).add(mutant.name)
    found: set[str] = set()
    lines = {path: {line for other, line in wanted if other == path} for path, _ in wanted}
    interesting: dict[CodeType, bool] = {}

    def holds(code: CodeType) -> bool:
        own = lines.get(code.co_filename)
        return own is not None and any(line in own for _, _, line in code.co_lines())

    def on_line(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            found.update(wanted.get((frame.f_code.co_filename, frame.f_lineno), ()))
        return on_line

    def on_call(frame: FrameType, _event: str, _argument: Any) -> Any:
        code = frame.f_code
        known = interesting.get(code)
        if known is None:
            known = interesting[code] = holds(code)
        return on_line if known else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        result = run_plan(plan)
    finally:
        sys.settrace(before)
    return found if not result.problems else set()
