"""What is past: history of a node, why a session ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from coord.cli import context, output
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
@context.options
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
@context.options
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
    for line in explain_session(session, found):
        click.echo(line)


def explain_session(session: int, found: dict[str, Any]) -> list[str]:
    """The post-mortem as sentences, then every fact that no sentence used."""
    name = output.session_name(session)
    reason = found.get("reason")
    lines = []
    if found.get("state") == "open":
        lines.append(f"session {name} is open")
    elif isinstance(reason, dict):
        lines.append(f"session {name} expired: {_silence(reason)}")
    else:
        lines.append(f"session {name} ended: {reason or 'closed by its client'}")
    told = {"state"} if isinstance(reason, dict) else {"state", "reason"}
    for key, value in found.items():
        if key not in told and value not in (None, "", [], ()):
            lines.append(f"  {str(key).replace('_', ' '):<16} {_fact(str(key), value)}")
    return lines


def _silence(reason: dict[str, Any]) -> str:
    heard = reason.get("last_heard_ms")
    if heard is None:
        return "its time ran out"
    return f"nothing was heard from its client for {output.elapsed(float(heard))}"


def _fact(key: str, value: Any) -> str:
    if key == "wall_ms" and isinstance(value, int):
        return output.moment(value)
    if key.endswith("_ms") and isinstance(value, int | float):
        return output.elapsed(float(value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_fact(str(name), item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return output.listed([plain(item) for item in value])
    return str(plain(value))
