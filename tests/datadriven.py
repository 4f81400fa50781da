"""Scripts with expected output: a command, ``----``, what it prints, a blank line.

    # a comment
    command argument key=value
    further input lines
    ----
    expected output

Run pytest with ``--rewrite`` to replace expectations by what happens now, then read the diff.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SEPARATOR = "----"


@dataclass(slots=True)
class Case:
    """One command of a script."""

    line: int
    name: str
    arguments: list[str]
    options: dict[str, str]
    body: list[str]
    expected: list[str]
    before: list[str] = field(default_factory=list)
    """Comments and blank lines in front of it, kept when rewriting."""
    source: list[str] = field(default_factory=list)
    """The command as written."""


def parse(text: str) -> tuple[list[Case], list[str]]:
    """The cases of a script, and the comments after the last one. Raises ValueError."""
    cases: list[Case] = []
    before: list[str] = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip() or line.startswith("#"):
            before.append(line)
            at += 1
            continue
        start = at
        while at < len(lines) and lines[at] != SEPARATOR:
            if not lines[at].strip():
                raise ValueError(f"line {start + 1}: a command without {SEPARATOR}")
            at += 1
        source = lines[start:at]
        at += 1
        first = at
        while at < len(lines) and lines[at].strip():
            at += 1
        words = source[0].split()
        cases.append(
            Case(
                line=start + 1,
                name=words[0],
                arguments=[word for word in words[1:] if "=" not in word],
                options=dict(word.split("=", 1) for word in words[1:] if "=" in word),
                body=source[1:],
                expected=lines[first:at],
                before=before,
                source=source,
            )
        )
        before = []
    return cases, before


def render(cases: list[Case], after: list[str], outputs: list[list[str]]) -> str:
    """The script with ``outputs`` for expectations."""
    lines: list[str] = []
    for case, output in zip(cases, outputs, strict=True):
        lines += [*case.before, *case.source, SEPARATOR, *output]
    lines += after
    return "\n".join(lines).rstrip() + "\n"


def check(path: Path, handle: Callable[[Case], list[str]], *, rewrite: bool) -> None:
    """Run a script through ``handle``; compare, or rewrite it."""
    cases, after = parse(path.read_text())
    outputs: list[list[str]] = []
    for case in cases:
        output = handle(case) or ["ok"]
        outputs.append(output)
        if not rewrite and output != case.expected:
            got, wanted = "\n".join(output), "\n".join(case.expected)
            where = f"{path.name}:{case.line}: {' '.join(case.source)}"
            raise AssertionError(f"{where}\n--- got\n{got}\n--- expected\n{wanted}")
    if rewrite:
        path.write_text(render(cases, after, outputs))
