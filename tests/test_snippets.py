"""What the documentation tells people to type exists: commands and their options, targets of the
Makefile, modules, addresses of the API, what Python programs import.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import click
import pytest

from coord.cli.root import root
from coord.server.http.api.routes import ENDPOINTS

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
NAMES: Final = [str(page.relative_to(ROOT)) for page in PAGES]
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED: Final = re.compile(r"^    (.+)$", re.MULTILINE)
_SPAN: Final = re.compile(r"`([^`\n]+)`")
_COORD: Final = re.compile(r"^(?:\$ )?(?:\.venv/bin/|docker-compose exec node1 )?coord (?=[a-z])")
_PRINTED: Final = "digest:alice:lY9baEGwXmwZENqmbVGJ3Vd1oH0="
_ENDS: Final = frozenset({"|", "&", "&&", "||", ";", ">", "<", ">>", ")"})


def blocks(page: Path, language: str) -> Iterator[str]:
    """Fenced blocks of a language."""
    for found, text in _FENCE.findall(page.read_text(encoding="utf-8")):
        if found == language:
            yield text


def lines(page: Path) -> Iterator[str]:
    """What stands in blocks that are no Python, whole commands where they are continued."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    shown = [block for language, block in _FENCE.findall(text) if language != "python"]
    for block in (*shown, "\n".join(_INDENTED.findall(_FENCE.sub("", text)))):
        yield from (line.strip() for line in block.splitlines())


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each ``coord`` that is shown as it would be typed."""
    spans = _SPAN.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    whole = [span for span in spans if re.match(r"(\.venv/bin|docker-compose exec node1 )", span)]
    for line in (*lines(page), *whole):
        if _COORD.match(line):
            yield words(_COORD.sub("", line))


def words(line: str) -> list[str]:
    """Up to what ends a command in a shell; what another command would print is made up."""
    known = re.sub(r"\$\([^)]*\)", _PRINTED, line)
    found = shlex.shlex(known, posix=True, punctuation_chars=True)
    found.whitespace_split = True
    told = list(found)
    end = next((at for at, word in enumerate(told) if word in _ENDS), len(told))
    return told[:end]


def understand(arguments: list[str]) -> None:
    """Raises click.UsageError for a command or an option that does not exist."""
    context = root.make_context("coord", arguments)
    while isinstance(context.command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_are_understood(page: Path) -> None:
    """Every option, and as many arguments as they take."""
    for arguments in commands(page):
        try:
            understand(arguments)
        except click.UsageError as error:
            parameter = getattr(error, "param", None)
            if parameter is not None and isinstance(parameter.type, click.Path):
                continue  # A file of the reader's.
            pytest.fail(f"coord {shlex.join(arguments)}: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_targets_and_modules_exist(page: Path) -> None:
    """Of ``make`` and of ``python -m``."""
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    shown = "\n".join((*lines(page), *_SPAN.findall(page.read_text(encoding="utf-8"))))
    targets = set(re.findall(r"^make ([a-z][a-z-]*)", shown, re.MULTILINE))
    assert targets <= known
    for module in re.findall(r"^python -m ([a-z_.]+)", shown, re.MULTILINE):
        assert importlib.util.find_spec(module) is not None, module


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_addresses_of_the_api_exist(page: Path) -> None:
    """In commands, and wherever else one is named."""
    paths = [re.sub(r"{path}", r".*", re.escape(it.path).replace(r"\{", "{").replace(r"\}", "}"))
             for it in ENDPOINTS]  # fmt: skip
    known = [re.compile(path.replace("{session}", "[^/]+") + "$") for path in paths]
    for found in re.findall(r"/v1/[\w{}/.~-]*[\w}/]", page.read_text(encoding="utf-8")):
        is_known = found == "/v1/openapi.json" or any(path.match(found) for path in known)
        assert is_known or found == "/v1/", found


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_programs_import_what_there_is(page: Path) -> None:
    """And are Python."""
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                module = importlib.import_module(node.module)
                missing = [it.name for it in node.names if not _has(module, it.name)]
                assert not missing, f"{node.module}: {missing}"


def _has(module: ModuleType, name: str) -> bool:
    within = f"{module.__name__}.{name}"
    return hasattr(module, name) or importlib.util.find_spec(within) is not None


def test_what_does_not_exist_is_seen() -> None:
    """The tests above can fail, and have something to look at."""
    for wrong in ("dance", "set --twice /a b", "dev --nodes", "member add"):
        with pytest.raises(click.UsageError):
            understand(wrong.split())
    assert words('set /a "b|c" | cat') == ["set", "/a", "b|c"]
    assert sum(1 for page in PAGES for _ in commands(page)) > 40
    assert sum(1 for page in PAGES for _ in blocks(page, "python")) > 5
