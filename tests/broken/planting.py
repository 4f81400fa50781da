"""Planting a bug: some lines of a module are replaced while a ``with`` block runs.

The changed source is compiled, and the code of the functions that differ is put into the functions
that exist, so that everything already imported, types included, sees the bug and nothing else.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

Change = tuple[str, str]
"""(text, what it becomes): the text occurs once in its module."""


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Code objects of all functions and methods of a module, outermost first."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Functions, methods and property getters that a module defines."""
    for value in vars(module).values():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for attribute in vars(value).values():
                plain = attribute.fget if isinstance(attribute, property) else attribute
                plain = getattr(plain, "__func__", plain)
                if isinstance(plain, FunctionType):
                    yield plain


def source_of(module_name: str) -> tuple[str, str]:
    """(path, text) of a module."""
    path = inspect.getsourcefile(importlib.import_module(module_name))
    assert path is not None
    return path, Path(path).read_text()


def patched(source: str, old: str, new: str) -> str:
    """``source`` with one place replaced. Raises ValueError unless ``old`` occurs exactly once."""
    if source.count(old) != 1:
        raise ValueError(f"{old!r} occurs {source.count(old)} times, not once")
    return source.replace(old, new)


@contextmanager
def planted(module_name: str, old: str, new: str) -> Iterator[None]:
    """Let ``module_name`` behave as if ``old`` read ``new``."""
    with all_planted(module_name, ((old, new),)):
        yield


@contextmanager
def all_planted(module_name: str, changes: Iterable[Change]) -> Iterator[None]:
    """Let ``module_name`` behave as if all of its ``changes`` had been made."""
    module = importlib.import_module(module_name)
    path, source = source_of(module_name)
    for old, new in changes:
        source = patched(source, old, new)
    changed = compile(source, path, "exec", dont_inherit=True)
    by_name = {code.co_qualname: code for code in _codes(changed)}
    undo: list[tuple[FunctionType, CodeType]] = []
    for function in _functions(module):
        code = by_name.get(function.__code__.co_qualname)
        if code is not None and code != function.__code__:
            undo.append((function, function.__code__))
            function.__code__ = code
    assert undo, "the change touches no function"
    try:
        yield
    finally:
        for function, code in undo:
            function.__code__ = code
