"""Argument types and options that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from coord.model import paths
from coord.model.errors import BadArgumentsError
from coord.model.types import ReadLevel

F = TypeVar("F", bound=Callable[..., Any])


class PathType(click.ParamType[str]):
    """A path of the tree, checked before anything is sent."""

    name = "path"

    def __init__(self, *, sequential: bool = False) -> None:
        self.sequential = sequential

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The path itself, or a usage error that names the rule it breaks."""
        text = str(value)
        try:
            paths.check_path(text, sequential=self.sequential)
        except BadArgumentsError as error:
            self.fail(str(error), param, ctx)
        return text


class NumberType(click.ParamType[int]):
    """A whole number, decimal or with 0x as session ids are printed."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or a usage error."""
        try:
            return int(str(value), 0)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)


PATH: Final = PathType()
NUMBER: Final = NumberType()

LEVELS: Final = {level.name.lower(): level for level in ReadLevel}


def path_argument(function: F) -> F:
    """The argument PATH."""
    return click.argument("path", type=PATH)(function)


def level_option(function: F) -> F:
    """``--level``, as a ReadLevel."""
    return click.option(
        "--level",
        type=click.Choice(list(LEVELS)),
        default="linearizable",
        show_default=True,
        callback=lambda _ctx, _param, value: LEVELS[value],
        help="What the read may miss: nothing; nothing this session saw; whatever is not here yet.",
    )(function)


def version_option(function: F) -> F:
    """``--version``: the write happens only if the node still has it."""
    return click.option(
        "--version",
        type=int,
        default=-1,
        metavar="N",
        help="Only if the node's version is N.",
    )(function)


def value_of(value: str | None, file: Path | None) -> bytes:
    """The bytes to write: an argument's, a file's, or standard input's for ``-``."""
    if file is not None:
        if value is not None:
            raise click.UsageError("give VALUE or --file, not both")
        return file.read_bytes()
    if value == "-":
        return sys.stdin.buffer.read()
    return (value or "").encode()


file_option: Final = click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take the value from this file.",
)
