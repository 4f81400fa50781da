"""``coord watch``: changes as they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from coord.cli import context, output
from coord.cli.arguments import path_argument
from coord.cli.context import Target
from coord.model.events import ChangeKind
from coord_client.values import ListedNode, WatchBatch, WatchChange

if TYPE_CHECKING:
    from coord_client import Client

COLOURS: Final = {
    ChangeKind.CREATED: output.GOOD,
    ChangeKind.DELETED: output.BAD,
    ChangeKind.DATA: output.DOUBTFUL,
}


def change_fields(revision: int, change: WatchChange) -> dict[str, Any]:
    """One change as a JSON line."""
    fields: dict[str, Any] = {
        "revision": revision,
        "kind": change.kind.name.lower(),
        "path": change.path,
    }
    if change.stat is not None:
        fields["stat"] = output.stat_fields(change.stat)
    if change.data is not None:
        fields |= output.data_fields("value", change.data)
    if change.prev_data is not None:
        fields |= output.data_fields("previous", change.prev_data)
    return fields


def change_line(revision: int, change: WatchChange) -> str:
    """One change for people."""
    name = output.styled(f"{change.kind.name.lower():<8}", COLOURS.get(change.kind))
    values = [output.shown(change.data)] if change.data is not None else []
    if change.prev_data is not None and change.kind is ChangeKind.DATA:
        values = [output.shown(change.prev_data), "→", *values]
    return " ".join([f"{revision:>10} ", name, change.path, *values])


def _listed(node: ListedNode) -> WatchChange:
    """A node of a fresh listing, told as if it had been created just now."""
    return WatchChange(ChangeKind.CREATED, node.path, node.stat, node.data, None, None)


def changes_of(batch: WatchBatch) -> tuple[WatchChange, ...]:
    """What to print of a batch."""
    return batch.changes if batch.listing is None else tuple(map(_listed, batch.listing))


@click.command("watch")
@path_argument
@click.option("-r", "--recursive", is_flag=True, help="Everything below PATH as well.")
@click.option("--no-values", is_flag=True, help="Leave out values and previous values.")
@click.option("-n", "--count", type=click.IntRange(min=1), help="End after so many changes.")
@context.data_options
def watch_command(
    target: Target, path: str, recursive: bool, no_values: bool, count: int | None
) -> None:
    """Print changes of the node at PATH and of its list of children, until interrupted.

    No change is lost through reconnects and leader changes.
    """

    async def follow(client: Client) -> None:
        left = count
        stream = client.watch(path, recursive=recursive, values=not no_values)
        async with stream:
            async for batch in stream:
                if batch.listing is not None:
                    output.note(
                        f"changes before revision {batch.revision} are no longer kept;"
                        " what exists now follows"
                    )
                for change in changes_of(batch):
                    if target.as_json:
                        output.json_line(change_fields(batch.revision, change))
                    else:
                        click.echo(change_line(batch.revision, change))
                    left = None if left is None else left - 1
                    if left == 0:
                        return

    context.call(target, follow)
