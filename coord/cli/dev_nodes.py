"""``coord dev stop`` and ``coord dev start``: one node of a cluster that runs in another shell."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from coord.cli import output
from coord.cli.dev_control import ask
from coord.cli.dev_layout import NODES_MAX, remembered_nodes
from coord.model.errors import ConfigError

ANSWER_WITHIN_S: Final = 30.0
"""A node that does not stop by itself is killed long before."""

_numbers: Final = click.argument(
    "numbers", metavar="N…", nargs=-1, required=True, type=click.IntRange(1, NODES_MAX)
)
_directory: Final = click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where that `coord dev` keeps its data.  [default: .coord]",
)
_as_json: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one node a line."
)


@click.command("stop")
@_numbers
@_directory
@_as_json
def stop_command(numbers: tuple[int, ...], directory: Path | None, as_json: bool) -> None:
    """Stop nodes N… of the `coord dev` that runs in another shell, until they are started.

    Each stops in good order, as on SIGTERM, and is not restarted by itself.
    """
    _tell("stop", numbers, directory, as_json=as_json)


@click.command("start")
@_numbers
@_directory
@_as_json
def start_command(numbers: tuple[int, ...], directory: Path | None, as_json: bool) -> None:
    """Start nodes N… of the `coord dev` that runs in another shell.

    Returns when their processes run; `coord status` says when they serve.
    """
    _tell("start", numbers, directory, as_json=as_json)


def _tell(do: str, numbers: tuple[int, ...], directory: Path | None, *, as_json: bool) -> None:
    context = click.get_current_context()
    context.find_root().meta["coord.json"] = as_json
    if directory is None:
        assert context.parent is not None
        directory = context.parent.params["directory"]
    count = remembered_nodes(directory)
    if count is None:
        raise ConfigError(f"{directory} is not the directory of a coord dev: name it with --dir")
    for number in numbers:
        if number > count:
            raise click.UsageError(f"there is no node {number}: they are 1 to {count}")
    wanted = sorted(set(numbers))
    for node in ask(directory, {"do": do, "nodes": wanted}, ANSWER_WITHIN_S):
        if as_json:
            output.json_line(node)
        else:
            click.echo(_line(node))


def _line(node: dict[str, Any]) -> str:
    state = output.styled(
        str(node["state"]), output.GOOD if node["state"] == "running" else output.DOUBTFUL
    )
    process = f", pid {node['pid']}" if node.get("pid") else ""
    return f"node {node['id']} {state}{process}"
