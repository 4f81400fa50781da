"""Several nodes at once: ls and tree."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from coord.cli import context, output
from coord.cli.arguments import PathType, level_option
from coord.cli.context import Target
from coord.model import paths
from coord.model.errors import NoNodeError
from coord.model.types import ReadLevel
from coord.model.znode import Stat

if TYPE_CHECKING:
    from coord_client import Client, Node

READS_AT_ONCE: Final = 64
"""Requests in flight while a subtree is read: enough to hide the round trip, not a burst."""


async def _node(client: Client, path: str, level: ReadLevel) -> Node | None:
    """The node, or None if it went while the listing was read."""
    try:
        return await client.get(path, level=level)
    except NoNodeError:
        return None


async def _nodes(client: Client, found: list[str], level: ReadLevel) -> list[Node]:
    nodes: list[Node] = []
    for start in range(0, len(found), READS_AT_ONCE):
        batch = found[start : start + READS_AT_ONCE]
        read = await asyncio.gather(*(_node(client, path, level) for path in batch))
        nodes += [node for node in read if node is not None]
    return nodes


def _colour_of(stat: Stat) -> str | None:
    if stat.ephemeral_owner:
        return output.DOUBTFUL
    return "blue" if stat.num_children else None


@click.command("ls")
@click.argument("path", default="/", type=PathType())
@click.option("-l", "--long", "detailed", is_flag=True, help="With version, size, time and owner.")
@level_option
@context.data_options
def ls_command(target: Target, path: str, detailed: bool, level: ReadLevel) -> None:
    """List the children of the node at PATH, by name."""

    async def read(client: Client) -> tuple[list[str], list[Node]]:
        names = await client.children(path, level=level)
        if not detailed:
            return names, []
        return names, await _nodes(client, [paths.join(path, name) for name in names], level)

    names, nodes = context.call(target, read)
    if not detailed:
        for name in names:
            if target.as_json:
                output.json_line({"path": paths.join(path, name)})
            else:
                click.echo(name)
        return
    if target.as_json:
        for node in nodes:
            output.json_line(_as_json(node))
        return
    table = output.Table(("name", "version", "bytes", "children", "modified (UTC)", "owner"))
    for node in nodes:
        stat = node.stat
        table.add(
            output.Cell(paths.name_of(node.path), _colour_of(stat)),
            stat.version,
            stat.data_length,
            stat.num_children,
            output.moment(stat.mtime_ms),
            output.session_name(stat.ephemeral_owner),
        )
    table.show()


def _as_json(node: Node) -> dict[str, Any]:
    return {
        "path": node.path,
        **output.data_fields("value", node.data),
        "stat": output.stat_fields(node.stat),
    }


@dataclass(slots=True)
class Branch:
    """A node of the drawing; ``hidden`` counts children below the depth asked for."""

    node: Node
    children: list[Branch] = field(default_factory=list)
    hidden: int = 0


async def _grow(client: Client, root: Node, depth: int, level: ReadLevel) -> Branch:
    """Read a subtree level by level, so that each level costs a few round trips."""
    trunk = Branch(root)
    tips = [trunk]
    while tips and depth > 0:
        parents = [branch for branch in tips if branch.node.stat.num_children]
        tips = []
        for parent in parents:
            path = parent.node.path
            names = await client.children(path, level=level)
            nodes = await _nodes(client, [paths.join(path, name) for name in names], level)
            parent.children = [Branch(node) for node in nodes]
            tips += parent.children
        depth -= 1
    for branch in tips:
        branch.hidden = branch.node.stat.num_children
    return trunk


def drawing(branch: Branch, *, values: bool, indent: str = "") -> Iterator[str]:
    """The lines below ``branch``, with the usual box characters."""
    for position, child in enumerate(branch.children):
        last = position == len(branch.children) - 1
        stem, below = ("└── ", "    ") if last else ("├── ", "│   ")
        yield f"{indent}{stem}{_label(child, values=values)}"
        yield from drawing(child, values=values, indent=indent + below)


def _label(branch: Branch, *, values: bool) -> str:
    node = branch.node
    text = output.styled(paths.name_of(node.path) or node.path, _colour_of(node.stat))
    if values and node.data:
        text += output.styled(f" = {output.shown(node.data)}", output.QUIET)
    if branch.hidden:
        text += output.styled(f" (+{branch.hidden})", output.QUIET)
    return text


def _walk(branch: Branch) -> Iterator[Branch]:
    yield branch
    for child in branch.children:
        yield from _walk(child)


@click.command("tree")
@click.argument("path", default="/", type=PathType())
@click.option("-d", "--depth", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("-v", "--values", is_flag=True, help="Show each node's value.")
@level_option
@context.data_options
def tree_command(target: Target, path: str, depth: int, values: bool, level: ReadLevel) -> None:
    """Draw the subtree at PATH. It is read in many requests: not one point in time."""

    async def read(client: Client) -> Branch:
        return await _grow(client, await client.get(path, level=level), depth, level)

    trunk = context.call(target, read)
    branches = list(_walk(trunk))
    if target.as_json:
        for branch in branches:
            output.json_line(_as_json(branch.node))
        return
    click.echo(path if not values else f"{path} {output.shown(trunk.node.data)}".rstrip())
    for line in drawing(trunk, values=values):
        click.echo(line)
    click.echo(f"{len(branches) - 1} nodes")
