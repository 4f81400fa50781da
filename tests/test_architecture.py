"""The shape of the code as tests: layers, sizes, banned calls, exports, docstrings, dependencies.

A rule here names what to do instead, so that a failure reads as advice.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = [
    pytest.mark.xdist_group("architecture"),  # one worker parses the sources, once
    pytest.mark.timeout(300),  # of whichever comes first, and does that
]

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDERS: Final = ("coord", "client", "jepsen-lite", "tests", "bench", "examples")
LIBRARIES: Final = ("coord", "client", "jepsen-lite")
PUBLIC_PACKAGES: Final = (
    "coord/model",
    "coord/raft",
    "coord/protocol",
    "coord/session",
    "coord/watch",
    "coord/store",
    "coord/node",
    "coord/sim",
    "client/coord_client",
    "client/coord_client/recipes",
    "jepsen-lite/jepsen_lite",
)

FILE_LINES_MAX: Final = 600
FUNCTION_LINES_MAX: Final = 70
LINE_COLUMNS_MAX: Final = 100

Function = ast.FunctionDef | ast.AsyncFunctionDef


@functools.cache
def _sources(*folders: str) -> tuple[Path, ...]:
    return tuple(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _where(path: Path, node: ast.AST | None = None) -> str:
    line = f":{node.lineno}" if isinstance(node, ast.stmt | ast.expr | ast.ExceptHandler) else ""
    return f"{path.relative_to(ROOT).as_posix()}{line}"


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` of a name or attribute chain; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else ""


def _calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call):
            yield node, _dotted(node.func)


def _none(offenders: list[str], advice: str) -> None:
    """Fail with every offender at once: nobody wants to find them one by one."""
    assert not offenders, f"{advice}:\n  " + "\n  ".join(offenders)


# --- layers -------------------------------------------------------------------------------------


def test_import_contracts() -> None:
    """Every import goes down the layers that pyproject.toml declares, new packages included."""
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as main; main()",
            "--no-cache",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([".", "client", "jepsen-lite"])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr


def _modules_after(statement: str) -> set[str]:
    program = (
        f"import asyncio, sys; old = set(sys.modules); {statement}; print(*set(sys.modules) - old)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / d) for d in (".", "client"))},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


def _foreign(modules: set[str]) -> set[str]:
    """Top-level packages among ``modules`` that are neither ours nor the standard library's."""
    roots = {name.partition(".")[0] for name in modules if "cython" not in name}
    return {name for name in roots if name not in sys.stdlib_module_names} - {
        "coord",
        "coord_client",
    }


def test_client_import_stays_light() -> None:
    """`import coord_client` adds msgpack and a bounded number of modules, and no server package.

    Modules are counted instead of milliseconds: a count does not depend on the machine.
    """
    added = _modules_after("import coord_client")

    assert _foreign(added) <= {"msgpack"}
    assert len(added) <= 90, sorted(added)


def test_command_line_starts_light() -> None:
    """The command's entry point loads click alone: no asyncio extras, rich, lmdb or aiohttp."""
    added = _modules_after("import coord.cli.main")

    assert _foreign(added) <= {"click"}
    assert not {"coord.app", "coord.config", "coord.node", "coord_client"} & added


# --- sizes --------------------------------------------------------------------------------------


def test_files_are_short() -> None:
    """No source file is longer than 600 lines."""
    offenders = [
        f"{_where(path)}: {lines} lines"
        for path in _sources(*FOLDERS)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
    ]

    _none(offenders, "two things live in each of these files; give each its own")


def test_functions_are_short() -> None:
    """No function, its docstring included, is longer than 70 lines."""
    offenders = [
        f"{_where(path, node)}: {node.name} has {length} lines"
        for path in _sources(*FOLDERS)
        for node in ast.walk(_tree(path))
        if isinstance(node, Function)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]

    _none(offenders, "keep the branching, move the leaves out")


def test_lines_are_short() -> None:
    """No line is longer than 100 columns."""
    offenders = [
        f"{_where(path)}:{number}: {len(line)} columns"
        for path in _sources(*FOLDERS)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > LINE_COLUMNS_MAX
    ]

    _none(offenders, "wrap these lines")


# --- banned -------------------------------------------------------------------------------------

BANNED_CALLS: Final = {
    "datetime.now": "take the time from the injected clock",
    "datetime.datetime.now": "take the time from the injected clock",
    "datetime.utcnow": "take the time from the injected clock",
    "datetime.today": "take the time from the injected clock",
    "date.today": "take the time from the injected clock",
    "asyncio.get_event_loop": "use asyncio.get_running_loop",
    "os.system": "use subprocess with a list",
    "pickle.loads": "use an explicit, versioned encoding",
    "eval": "parse it",
    "exec": "import it",
}


def test_no_banned_call() -> None:
    """Calls with a better replacement do not appear anywhere."""
    offenders = [
        f"{_where(path, call)}: {name}: {BANNED_CALLS[name]}"
        for path in _sources(*FOLDERS)
        for call, name in _calls(path)
        if name in BANNED_CALLS
    ]

    _none(offenders, "banned calls")


def test_tests_never_sleep() -> None:
    """A test waits for a condition or advances a clock; it never sleeps."""
    offenders = [
        f"{_where(path, call)}: {name}"
        for path in _sources("tests")
        for call, name in _calls(path)
        if name == "time.sleep"
    ]

    _none(offenders, "wait for the condition itself")


def _is_print_allowed(path: Path) -> bool:
    """Commands talk to a terminal, and a node tells its supervisor that it is ready; everything
    below them returns values or logs.
    """
    top = path.relative_to(ROOT).parts[:2]
    return top in {("coord", "cli"), ("coord", "app")} or path.name == "__main__.py"


def test_libraries_do_not_print() -> None:
    """Library code never prints."""
    offenders = [
        _where(path, call)
        for path in _sources(*LIBRARIES)
        if not _is_print_allowed(path)
        for call, name in _calls(path)
        if name == "print"
    ]

    _none(offenders, "return a value or log it")


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or _dotted(kind) in {"Exception", "BaseException"} for kind in caught)


def _swallows(handler: ast.ExceptHandler) -> bool:
    """The handler neither raises, nor calls anything, nor uses what it caught."""
    return not any(
        isinstance(node, ast.Raise | ast.Call)
        or (isinstance(node, ast.Name) and node.id == handler.name)
        for statement in handler.body
        for node in ast.walk(statement)
    )


def test_no_error_is_swallowed() -> None:
    """A failed assertion is an Exception: no handler of everything may drop one silently."""
    offenders = [
        _where(path, node)
        for path in _sources(*FOLDERS)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ExceptHandler) and _catches_everything(node) and _swallows(node)
    ]

    _none(offenders, "catch what is expected, let the rest end the process")


def test_assertions_stay_on() -> None:
    """`python -O` would remove the product's assertions, so the command refuses to start."""
    run = subprocess.run(
        [sys.executable, "-O", "-m", "coord", "version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 78
    assert "assertions" in run.stderr


# --- writing ------------------------------------------------------------------------------------


def test_every_module_says_what_it_is() -> None:
    """Each module starts with a docstring, and with postponed annotations if it has code."""
    offenders = []
    for path in _sources(*FOLDERS):
        tree = _tree(path)
        if ast.get_docstring(tree) is None:
            offenders.append(f"{_where(path)}: docstring")
        futures = [
            n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"
        ]
        if len(tree.body) > 1 and not futures:
            offenders.append(f"{_where(path)}: from __future__ import annotations")

    _none(offenders, "missing at the top of the file")


def test_every_test_says_what_it_proves() -> None:
    """Each test function has a docstring that states the behaviour."""
    offenders = [
        f"{_where(path, node)}: {node.name}"
        for path in _sources("tests")
        if path.name.startswith("test_")
        for node in ast.walk(_tree(path))
        if isinstance(node, Function)
        and node.name.startswith("test_")
        and ast.get_docstring(node) is None
    ]

    _none(offenders, "say the behaviour in one sentence")


def _text_files() -> Iterator[Path]:
    suffixes = {".py", ".md", ".toml", ".c", ".h", ".sh", ".txt", ".svg", ".yml", ".yaml"}
    for folder in (*FOLDERS, "docs", ".ci"):
        yield from (p for p in sorted((ROOT / folder).rglob("*")) if p.suffix in suffixes)
    yield from (p for p in sorted(ROOT.iterdir()) if p.suffix in suffixes or p.name == "Makefile")


# One-letter classes keep these patterns from matching themselves.
LEFTOVERS: Final = re.compile(r"\b([T]ODO|[F]IXME|[X]XX|[H]ACK)\b")
MACHINE_PATHS: Final = re.compile(r"(?<![\w.])/([w]ork|[r]oot|[h]ome/\w+|[f]arm|[U]sers)/")


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        pytest.param(LEFTOVERS, "do it or write it down in docs/", id="leftovers"),
        pytest.param(MACHINE_PATHS, "no path of one machine in the product", id="paths"),
    ],
)
def test_nothing_is_left_behind(pattern: re.Pattern[str], advice: str) -> None:
    """No unfinished-work marker and no path of somebody's machine is in the tree."""
    offenders = [
        f"{_where(path)}:{number}: {line.strip()[:80]}"
        for path in _text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]

    _none(offenders, advice)


LINK: Final = re.compile(r"\]\((?!https?:)([^)#]+)")


def test_links_lead_somewhere() -> None:
    """Every relative link of a document names a file that exists."""
    offenders = [
        f"{_where(page)}: {target}"
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests/README.md"]
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]

    _none(offenders, "write the page or mend the link")


# --- exports ------------------------------------------------------------------------------------


def _sort_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each by name: the order ruff's RUF022 keeps."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name


def _exports(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert isinstance(node.value, ast.List | ast.Tuple)
            return [str(ast.literal_eval(item)) for item in node.value.elts]
    return None


def _imported(tree: ast.Module) -> set[str]:
    return {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
        if not (alias.asname or alias.name).startswith("_")
    }


@pytest.mark.parametrize("package", PUBLIC_PACKAGES)
def test_exports_are_complete_and_sorted(package: str) -> None:
    """A package's `__all__` lists, in order, exactly the names that its `__init__` takes in."""
    path = ROOT / package / "__init__.py"
    tree = _tree(path)
    exports = _exports(tree)
    if exports is None:
        assert not _imported(tree), f"{_where(path)} takes names in and has no __all__"
        return
    defined = {
        node.name
        for node in tree.body
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_")
    }

    assert sorted(exports, key=_sort_key) == exports
    assert _imported(tree) | defined <= set(exports) | {"Final", "TYPE_CHECKING"}


# --- packaging ----------------------------------------------------------------------------------


@functools.cache
def _project() -> dict[str, object]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert isinstance(project, dict)
    return project


def _requirements() -> list[Requirement]:
    project = _project()
    base, extras = project["dependencies"], project["optional-dependencies"]
    assert isinstance(base, list)
    assert isinstance(extras, dict)
    lines = [*base, *(line for extra in extras.values() for line in extra)]
    return [req for line in lines if (req := Requirement(line)).name != "coord"]


def test_dependencies_are_bounded() -> None:
    """Every dependency names the oldest version that works and a bound above."""
    offenders = [
        str(req)
        for req in _requirements()
        if not {">=", "<"} <= {spec.operator for spec in req.specifier}
    ]

    _none(offenders, "bound these on both sides")


def test_constraints_pin_what_is_declared() -> None:
    """constraints.txt pins each declared dependency to one version within its bounds."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {
        canonicalize_name(name): version
        for name, _, version in (line.partition("==") for line in lines if "==" in line)
    }
    offenders = [
        str(req)
        for req in _requirements()
        if not req.specifier.contains(pins.get(canonicalize_name(req.name), "0"))
    ]

    _none(offenders, "pin these in constraints.txt")


def test_base_install_is_msgpack_alone() -> None:
    """Installing coord without extras brings the client and one dependency."""
    base = _project()["dependencies"]
    assert isinstance(base, list)

    assert [Requirement(line).name for line in base] == ["msgpack"]
