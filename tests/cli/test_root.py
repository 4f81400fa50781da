"""The top-level command: help, names, missing extras, errors."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
from click.testing import CliRunner

from coord.cli import exits
from coord.cli.root import COMMANDS, EXTRA_OF_MODULE, SECTIONS, root


def test_help_lists_every_command() -> None:
    """`coord --help` names each command once, in its section, and the exit codes."""
    shown = CliRunner().invoke(root, ["--help"])

    assert shown.exit_code == 0
    for section, entries in SECTIONS.items():
        assert section in shown.output
        for name, entry in entries.items():
            assert name in shown.output
            assert entry.summary in shown.output
    assert "69 service unavailable" in shown.output


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "serve"])
def test_each_command_explains_itself(name: str) -> None:
    """Every command of the table exists, under its name, and has help for all its options."""
    command = root.get_command(click.Context(root), name)
    assert command is not None
    shown = CliRunner().invoke(root, [name, "--help"])

    assert command.name == name
    assert shown.exit_code == 0, shown.output
    assert command.help
    assert "\\b" not in shown.output


def test_blocks_of_a_help_text_keep_their_lines() -> None:
    """What is laid out in columns is shown as it was written."""
    txn = CliRunner().invoke(root, ["txn", "--help"]).output
    acl = CliRunner().invoke(root, ["acl", "set", "--help"]).output

    assert "\n    create [-s] PATH [VALUE]             -s: sequential\n" in txn
    assert "\n    world:anyone:r                 everybody may read\n" in acl


def test_help_of_root_imports_no_command() -> None:
    """Listing the commands costs no import of theirs."""
    for name in [name for name in sys.modules if name == "coord.cli.txn"]:
        del sys.modules[name]
    CliRunner().invoke(root, ["--help"])

    assert "coord.cli.txn" not in sys.modules


def test_unknown_command_suggests_one() -> None:
    """A typing error is answered with the closest name, as a usage error."""
    shown = CliRunner().invoke(root, ["statsu"])

    assert shown.exit_code == exits.USAGE
    assert "Did you mean 'status'?" in shown.output


@pytest.mark.parametrize(("module", "extra"), EXTRA_OF_MODULE.items())
def test_missing_extra_is_named(module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command whose dependency is not installed says which extra brings it."""

    def missing(_name: str) -> NoReturn:
        raise ModuleNotFoundError(f"No module named {module!r}", name=f"{module}.sub")

    monkeypatch.setattr(importlib, "import_module", missing)
    shown = CliRunner().invoke(root, ["serve"])

    assert shown.exit_code == exits.CONFIG
    assert f"'coord serve' needs the extra '{extra}': pip install 'coord[{extra}]'" in shown.output


def test_missing_module_of_ours_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only packages of extras are explained away; a broken installation shows itself."""

    def missing(_name: str) -> NoReturn:
        raise ModuleNotFoundError("No module named 'coord.gone'", name="coord.gone")

    monkeypatch.setattr(importlib, "import_module", missing)
    shown = CliRunner().invoke(root, ["get", "/a"])

    assert isinstance(shown.exception, ModuleNotFoundError)


def test_extras_are_those_of_the_distribution() -> None:
    """The table of extras agrees with pyproject.toml."""
    tomllib = importlib.import_module("tomllib")
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    declared: dict[str, Any] = tomllib.loads(text)["project"]["optional-dependencies"]
    for module, extra in EXTRA_OF_MODULE.items():
        names = [line.lower().replace("-", "_") for line in declared[extra]]
        assert any(name.startswith(module) for name in names), module


def test_path_is_checked_before_anything_is_sent() -> None:
    """A malformed path is a usage error that names the rule."""
    shown = CliRunner().invoke(root, ["get", "a//b"])

    assert shown.exit_code == exits.USAGE
    assert "it must start with /" in shown.output


def test_unreachable_service_is_unavailable() -> None:
    """Nobody listens: exit 69, one line why, one line what to do; as JSON on request."""
    options = ["--hosts", "127.0.0.1:1", "--timeout", "0.2"]
    shown = CliRunner().invoke(root, ["status", *options])
    as_json = CliRunner().invoke(root, ["status", "--json", *options])

    assert shown.exit_code == exits.UNAVAILABLE
    assert "no node answers" in shown.output
    assert "Connection refused" in shown.output
    assert json.loads(as_json.output)["serving"] is False


def test_version_needs_no_service() -> None:
    """`coord version` prints the version of the package."""
    shown = CliRunner().invoke(root, ["version", "--json"])

    assert json.loads(shown.output)["coord"] == importlib.import_module("coord").__version__
