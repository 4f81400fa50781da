"""What is past: history of a node, why a session ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from coord.cli import context, output, post_mortem
from coord.cli.arguments import NUMBER, path_argument
from coord.cli.context import Target
from coord.cli.status import plain
from coord.model.events import ChangeKind
from coord.model.znode import Stat

if TYPE_CHECKING:
    from coord_client import Client


def _kind(value: Any) -> str:
    return ChangeKind(value).name.lower() if isinstance(value, int) else str(value)


def record_fields(record: dict[str, Any]) -> dict[str, Any]:
    """A record of history as a JSON line."""
    fields = {key: value for key, value in record.items() if key not in {"data", "stat", "kind"}}
    fields["kind"] = _kind(record.get("kind"))
    if "data" in record:
        fields |= output.data_fields("value", record["data"])
    stat = record.get("stat")
    if stat is not None:
        unpacked = Stat.unpack(stat) if isinstance(stat, bytes) else stat
        fields["stat"] = output.stat_fields(unpacked)
    return {str(key): plain(value) for key, value in fields.items()}


@click.command("history")
@path_argument
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--before", type=NUMBER, metavar="REVISION", help="Older than this revision only.")
@context.data_options
def history_command(target: Target, path: str, limit: int, before: int | None) -> None:
    """Print who changed the node at PATH, when, from where, and to what; newest first.

    History is kept for a bounded number, size and age of changes, the same on every node.
    """

    async def read(client: Client) -> list[dict[str, Any]]:
        return [dict(record) for record in await client.history(path, before=before, limit=limit)]

    records = context.call(target, read)
    if target.as_json:
        for record in records:
            output.json_line(record_fields(record))
        return
    if not records:
        click.echo(f"no change of {path} is kept")
        return
    table = output.Table(("revision", "when (UTC)", "what", "session", "from", "value"))
    for record in records:
        table.add(
            record.get("revision", ""),
            output.moment(int(record.get("wall_ms") or 0)),
            _kind(record.get("kind")),
            output.session_name(int(record.get("session") or 0)),
            record.get("address") or "",
            output.shown(record.get("data")),
        )
    table.show()


@click.command("why-session")
@click.argument("session", type=NUMBER)
@context.data_options
def why_session_command(target: Target, session: int) -> None:
    """Explain SESSION: whether it is open, and if not, why it ended and what it owned.

    What is known of an ended session is kept for ten minutes.
    """

    async def read(client: Client) -> dict[str, Any]:
        return dict(await client.why_session(session))

    found = context.call(target, read)
    if target.as_json:
        output.json_line({"session": session, **plain(found)})
        return
    for line in post_mortem.explain_session(session, found):
        click.echo(line)
