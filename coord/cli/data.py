"""Single nodes: get, set, create, delete, stat, sync."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coord.cli import context, output, waiting
from coord.cli.arguments import (
    PathType,
    file_option,
    level_option,
    path_argument,
    value_of,
    version_option,
)
from coord.cli.context import Target
from coord.model.errors import NoNodeError
from coord.model.types import ReadLevel
from coord.model.znode import CreateMode, Stat

if TYPE_CHECKING:
    from coord_client import Client


@click.command("get")
@path_argument
@level_option
@context.data_options
def get_command(target: Target, path: str, level: ReadLevel) -> None:
    """Print the value of the node at PATH, byte for byte."""
    node = context.call(target, lambda client: client.get(path, level=level))
    if target.as_json:
        output.json_line(
            {
                "path": path,
                **output.data_fields("value", node.data),
                "stat": output.stat_fields(node.stat),
            }
        )
        return
    sys.stdout.buffer.write(node.data)
    if sys.stdout.isatty() and not node.data.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


@click.command("set")
@path_argument
@click.argument("value", required=False)
@file_option
@version_option
@click.option("-c", "--create", is_flag=True, help="Create the node if it does not exist.")
@context.data_options
def set_command(
    target: Target, path: str, value: str | None, file: Path | None, version: int, create: bool
) -> None:
    """Replace the value of the node at PATH by VALUE (- reads standard input)."""
    if create and version >= 0:
        raise click.UsageError("--create writes whatever is there; it does not go with --version")
    data = value_of(value, file)

    async def write(client: Client) -> Stat:
        if create:
            return await client.put(path, data)
        return await client.set(path, data, version=version)

    stat = context.call(target, write)
    if target.as_json:
        output.json_line({"path": path, "stat": output.stat_fields(stat)})
    else:
        click.echo(f"version {stat.version} at revision {stat.mzxid}")


def _mode(*, ephemeral: bool, sequential: bool, container: bool, ttl_s: float | None) -> CreateMode:
    if sum((ephemeral, container, ttl_s is not None)) > 1:
        raise click.UsageError("--ephemeral, --container and --ttl exclude each other")
    if container and sequential:
        raise click.UsageError("a container node cannot be sequential")
    if container:
        return CreateMode.CONTAINER
    if ephemeral:
        return CreateMode.EPHEMERAL_SEQUENTIAL if sequential else CreateMode.EPHEMERAL
    if ttl_s is not None:
        return CreateMode.PERSISTENT_SEQUENTIAL_TTL if sequential else CreateMode.PERSISTENT_TTL
    return CreateMode.PERSISTENT_SEQUENTIAL if sequential else CreateMode.PERSISTENT


@click.command("create")
@click.argument("path", type=PathType(sequential=True))
@click.argument("value", required=False)
@file_option
@click.option("-s", "--sequential", is_flag=True, help="Append a growing ten-digit number.")
@click.option(
    "-e",
    "--ephemeral",
    is_flag=True,
    help="Keep the node while this command runs; delete it when it ends.",
)
@click.option("--container", is_flag=True, help="Deleted by itself after its last child.")
@click.option(
    "--ttl",
    "ttl_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Deleted by itself when childless and unmodified for so long.",
)
@click.option("-p", "--parents", is_flag=True, help="Create missing parents.")
@context.data_options
def create_command(
    target: Target,
    path: str,
    value: str | None,
    file: Path | None,
    sequential: bool,
    ephemeral: bool,
    container: bool,
    ttl_s: float | None,
    parents: bool,
) -> None:
    """Create a node at PATH with VALUE (- reads standard input) and print its path."""
    mode = _mode(ephemeral=ephemeral, sequential=sequential, container=container, ttl_s=ttl_s)
    if path.endswith("/") and not sequential:
        raise click.UsageError("PATH ends with /: add --sequential, or name the node")
    data = value_of(value, file)

    async def create(client: Client) -> None:
        created = await client.create(path, data, mode=mode, make_parents=parents, ttl_s=ttl_s)
        if target.as_json:
            output.json_line({"path": created.path, "stat": output.stat_fields(created.stat)})
        else:
            click.echo(created.path)
        if ephemeral:
            output.note("held while this command runs; end it with Ctrl-C")
            await waiting.interrupted()

    context.call(target, create)


@click.command("delete")
@path_argument
@version_option
@click.option("-r", "--recursive", is_flag=True, help="Delete what is below it too.")
@click.option("-f", "--force", is_flag=True, help="Succeed if there is no such node.")
@context.data_options
def delete_command(target: Target, path: str, version: int, recursive: bool, force: bool) -> None:
    """Delete the node at PATH."""
    if recursive and version >= 0:
        raise click.UsageError("--version names one node; it does not go with --recursive")

    async def delete(client: Client) -> bool:
        try:
            await client.delete(path, version=version, recursive=recursive)
        except NoNodeError:
            if not force:
                raise
            return False
        return True

    deleted = context.call(target, delete)
    if target.as_json:
        output.json_line({"path": path, "deleted": deleted})


def _stat_rows(path: str, stat: Stat) -> list[tuple[str, str]]:
    owner = output.session_name(stat.ephemeral_owner)
    return [
        ("path", path),
        ("version", str(stat.version)),
        ("created", f"revision {stat.czxid}, {output.moment(stat.ctime_ms)}"),
        ("modified", f"revision {stat.mzxid}, {output.moment(stat.mtime_ms)}"),
        ("children", f"{stat.num_children}, last changed at revision {stat.pzxid}"),
        ("data", f"{stat.data_length} bytes"),
        ("acl version", str(stat.aversion)),
        ("owner", f"session {owner}" if owner else "none: not ephemeral"),
    ]


@click.command("stat")
@path_argument
@level_option
@context.data_options
def stat_command(target: Target, path: str, level: ReadLevel) -> None:
    """Print the metadata of the node at PATH."""
    stat = context.call(target, lambda client: client.exists(path, level=level))
    if stat is None:
        raise NoNodeError(f"{path} does not exist")
    if target.as_json:
        output.json_line({"path": path, "stat": output.stat_fields(stat)})
        return
    for name, text in _stat_rows(path, stat):
        click.echo(f"{output.styled(f'{name:<12}', output.QUIET)} {text}")


@click.command("sync")
@click.argument("path", default="/", type=PathType())
@context.data_options
def sync_command(target: Target, path: str) -> None:
    """Wait until the node asked has applied everything acknowledged before now.

    The barrier for readers at lower levels: what any client had written when this
    command began is visible on that node when it ends.
    """

    async def barrier(client: Client) -> None:
        await client.sync(path)

    context.call(target, barrier)
    if target.as_json:
        output.json_line({"path": path, "synced": True})
