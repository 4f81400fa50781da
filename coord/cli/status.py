"""About nodes: status, digest, snapshot."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from coord.cli import ask, context, diagnosis, exits, output
from coord.cli.context import Target
from coord.cli.diagnosis import Diagnosis, NodeView
from coord.model import requests

PATIENCE_S = 2.0
"""How long one node may be silent before it counts as down; the whole command has --timeout."""


async def gather(target: Target, op: int) -> list[ask.Answer]:
    """Ask the nodes that were named, then those members that they name and nobody did."""
    patience = min(target.timeout_s, PATIENCE_S)
    named = ask.addresses_of(target.hosts)
    answers = await ask.answers_of(named, requests.STATUS, patience)
    views = [NodeView.of(answer) for answer in answers]
    known_ids = {view.id for view in views}
    others = [
        member.client
        for member in diagnosis.members_of(views)
        if member.id not in known_ids and member.client and member.client not in named
    ]
    if op == requests.STATUS:
        return answers + await ask.answers_of(others, op, patience)
    return await ask.answers_of([*named, *others], op, patience)


@click.command("status")
@context.options
def status_command(target: Target) -> None:
    """Say who is up, who leads, and what is wrong.

    Works against nodes without a leader. Exits with 69 when no write can succeed.
    """
    answers = context.run(gather(target, requests.STATUS))
    views = sorted(map(NodeView.of, answers), key=lambda view: view.id or sys.maxsize)
    found = diagnosis.diagnose(views)
    if target.as_json:
        output.json_line(_as_json(answers, found))
    else:
        _table(views, found).show()
        _verdict(found)
    if not found.serving:
        click.get_current_context().exit(exits.UNAVAILABLE)


def _as_json(answers: Sequence[ask.Answer], found: Diagnosis) -> dict[str, Any]:
    return {
        "serving": found.serving,
        "healthy": found.healthy,
        "leader": found.leader or None,
        "headline": found.headline,
        "reasons": list(found.reasons),
        "advice": list(found.advice),
        "nodes": [
            {"address": answer.address, "error": answer.error or None, **plain(fields_of(answer))}
            for answer in answers
        ],
    }


def fields_of(answer: ask.Answer) -> dict[str, Any]:
    """A STATUS answer's map; empty where there was no answer."""
    return dict(answer.body[0]) if answer.body else {}


def plain(value: Any) -> Any:
    """A decoded answer as JSON can hold it: bytes become hexadecimal, keys become text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _table(views: Sequence[NodeView], found: Diagnosis) -> output.Table:
    table = output.Table(
        ("node", "address", "role", "term", "applied", "sessions", "watches", "up for", "version")
    )
    for view in views:
        if not view.is_up:
            table.add("-", view.address, output.Cell(view.error, output.BAD), *[""] * 6)
            continue
        leads = view.id == found.leader
        table.add(
            view.id,
            view.address,
            output.Cell("leader" if leads else view.role, output.GOOD if leads else None),
            view.term,
            view.applied,
            view.sessions,
            view.watches,
            output.elapsed(view.uptime_ms),
            view.version,
        )
    return table


def _verdict(found: Diagnosis) -> None:
    colour = output.GOOD if found.healthy else output.DOUBTFUL if found.serving else output.BAD
    click.echo(output.styled(found.headline, colour))
    for reason in found.reasons:
        click.echo(f"  {reason}")
    for advice in found.advice:
        click.echo(f"  → {advice}")


@dataclass(frozen=True, slots=True)
class DigestView:
    """One replica's digests, in hexadecimal: by index, the newest last."""

    address: str
    applied: int
    digests: dict[int, str]

    @classmethod
    def of(cls, answer: ask.Answer) -> DigestView | None:
        """Read a DIGEST answer: applied index, digest there, samples of (index, digest)."""
        if answer.body is None:
            return None
        applied, digest, samples = answer.body[:3]
        found = {int(index): _hexadecimal(sample) for index, sample in samples}
        return cls(answer.address, int(applied), {**found, int(applied): _hexadecimal(digest)})


def _hexadecimal(digest: int | str) -> str:
    return digest if isinstance(digest, str) else f"{digest:016x}"


def compare_digests(views: Sequence[DigestView]) -> tuple[list[int], list[int]]:
    """(indexes where all that know them agree, indexes where two nodes differ), ascending."""
    seen: defaultdict[int, list[str]] = defaultdict(list)
    for view in views:
        for index, digest in view.digests.items():
            seen[index].append(digest)
    shared = {index: digests for index, digests in seen.items() if len(digests) > 1}
    agreed = sorted(index for index, digests in shared.items() if len(set(digests)) == 1)
    return agreed, sorted(shared.keys() - set(agreed))


@click.command("digest")
@context.options
def digest_command(target: Target) -> None:
    """Compare the replicas' contents by their digests. Exits with 1 if two disagree.

    Digests are compared at the indexes that more than one node still knows.
    """
    answers = context.run(gather(target, requests.DIGEST))
    views = [view for view in map(DigestView.of, answers) if view is not None]
    agreed, differing = compare_digests(views)
    if target.as_json:
        output.json_line(_digest_fields(answers, agreed, differing))
    else:
        _digest_table(answers).show()
        _digest_verdict(agreed, differing)
    if differing:
        click.get_current_context().exit(exits.REFUSED)
    if not views:
        click.get_current_context().exit(exits.UNAVAILABLE)


def _digest_fields(
    answers: Sequence[ask.Answer], agreed: Sequence[int], differing: Sequence[int]
) -> dict[str, Any]:
    nodes = []
    for answer in answers:
        view = DigestView.of(answer)
        fields = {"applied": view.applied, "digest": view.digests[view.applied]} if view else {}
        nodes.append({"address": answer.address, "error": answer.error or None, **fields})
    return {"agree": not differing, "compared_at": list(agreed), "nodes": nodes}


def _digest_table(answers: Sequence[ask.Answer]) -> output.Table:
    table = output.Table(("address", "applied", "digest"))
    for answer in answers:
        view = DigestView.of(answer)
        if view is None:
            table.add(answer.address, "", output.Cell(answer.error, output.BAD))
        else:
            table.add(view.address, view.applied, view.digests[view.applied])
    return table


def _digest_verdict(agreed: Sequence[int], differing: Sequence[int]) -> None:
    if differing:
        text = f"the replicas differ at index {differing[0]}"
        click.echo(output.styled(text, output.BAD))
    elif agreed:
        click.echo(output.styled(f"the replicas agree at index {max(agreed)}", output.GOOD))
    else:
        click.echo("no index is known to two nodes at the moment: ask again")


@click.command("snapshot")
@context.options
def snapshot_command(target: Target) -> None:
    """Take a snapshot of the first node named by --hosts, now, and verify it."""
    address = ask.addresses_of(target.hosts)[0]
    index, length, *_ = context.run(context.limited(target, ask.ask(address, requests.SNAPSHOT)))
    if target.as_json:
        output.json_line({"address": address, "index": index, "bytes": length})
    else:
        click.echo(f"{address}: snapshot at index {index}, {length} bytes, verified")
