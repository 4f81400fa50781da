"""``coord member``: list and change the members, after saying what that does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from coord.cli import ask, context, diagnosis, output, status
from coord.cli.context import Target
from coord.cli.diagnosis import NodeView
from coord.model import fault_tolerance, requests
from coord.model.errors import ConnectionLostError, MembershipError, NotReadyError
from coord.model.fault_tolerance import Effect, Seat

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what it does to fault tolerance; change nothing."
)
force_option = click.option("--force", is_flag=True, help="Do it even if the cluster would stop.")


@click.group("member")
def member_group() -> None:
    """List and change the members of the cluster."""


def _views(target: Target) -> list[NodeView]:
    views = [NodeView.of(answer) for answer in context.run(status.gather(target, requests.STATUS))]
    if not diagnosis.members_of(views):
        found = diagnosis.diagnose(views)
        raise NotReadyError(": ".join([found.headline, *found.reasons[:1]]))
    return views


def seats_of(views: Sequence[NodeView]) -> list[Seat]:
    """The members with what the answers say about each."""
    by_id = {view.id: view for view in views if view.is_up}
    leader = diagnosis.diagnose(views).leader
    return [
        Seat(member.id, member.voter, member.id in by_id, member.id == leader)
        for member in diagnosis.members_of(views)
    ]


@member_group.command("list")
@context.options
def list_command(target: Target) -> None:
    """List the members and say how many failures they survive."""
    views = _views(target)
    by_id = {view.id: view for view in views if view.is_up}
    seats = {seat.id: seat for seat in seats_of(views)}
    strength = fault_tolerance.strength(list(seats.values()))
    table = output.Table(("node", "role", "client", "peer", "state", "applied"))
    for member in diagnosis.members_of(views):
        seat, view = seats[member.id], by_id.get(member.id)
        role = "voter" if member.voter else "learner"
        if target.as_json:
            output.json_line(
                {
                    "id": member.id,
                    "role": role,
                    "client": member.client,
                    "peer": member.peer,
                    "up": view is not None,
                    "leader": seat.leader,
                    "applied": view.applied if view else None,
                }
            )
            continue
        state = output.Cell("up", output.GOOD) if view else output.Cell("not reachable", output.BAD)
        leads = " (leader)" if seat.leader else ""
        applied = view.applied if view else ""
        table.add(member.id, role + leads, member.client, member.peer, state, applied)
    waiting = _waiting(target)
    if target.as_json:
        for one in waiting:
            output.json_line({"id": one["id"], "role": "waiting", "peer": one.get("peer", "")})
        return
    for one in waiting:
        table.add(one["id"], "none", "", one.get("peer", ""), "waits to be added", "")
    table.show()
    click.echo(strength.describe())


def _waiting(target: Target) -> list[dict[str, Any]]:
    """Nodes that have introduced themselves to a member and belong to nobody yet."""
    answers = context.run(status.gather(target, requests.MEMBERS))
    found = {one["id"]: one for a in answers if a.body and len(a.body) > 2 for one in a.body[2]}
    return [found[node] for node in sorted(found)]


def _known(seats: Sequence[Seat], member: int) -> Seat:
    found = next((seat for seat in seats if seat.id == member), None)
    if found is None:
        ids = output.listed([seat.id for seat in seats])
        raise click.UsageError(f"there is no member {member}; the members are {ids}")
    return found


def _show_effect(effect: Effect, what: str) -> None:
    output.note(f"now:   {effect.before.describe()}")
    output.note(f"after: {effect.after.describe()}")
    for remark in effect.remarks:
        output.note(f"  {what}: {remark}")


def _carry_out(
    target: Target,
    effect: Effect,
    what: str,
    request: tuple[int, dict[str, Any]],
    *,
    dry_run: bool,
    force: bool,
) -> None:
    """Show the effect, refuse what would stop the cluster, then ask the nodes in turn."""
    if not target.as_json:
        _show_effect(effect, what)
    if dry_run:
        if target.as_json:
            output.json_line(_effect_fields(effect, done=False))
        return
    if effect.fatal and not force:
        raise MembershipError(f"{what}: {effect.remarks[-1]}")
    context.run(_send(target, *request))
    if target.as_json:
        output.json_line(_effect_fields(effect, done=True))
    else:
        click.echo(f"{what}: {output.styled('done', output.GOOD)}")


def _effect_fields(effect: Effect, *, done: bool) -> dict[str, Any]:
    return {
        "done": done,
        "fatal": effect.fatal,
        "before": {"voters": effect.before.voters, "survives": effect.before.survives},
        "after": {"voters": effect.after.voters, "survives": effect.after.survives},
        "remarks": list(effect.remarks),
    }


async def _send(target: Target, op: int, arguments: dict[str, Any]) -> None:
    """Ask one node after the other until one could be reached; its answer counts."""
    *others, last = ask.addresses_of(target.hosts)
    for address in others:
        try:
            await context.limited(target, ask.ask(address, op, arguments))
        except ConnectionLostError as error:
            if not error.definite:
                raise
        else:
            return
    await context.limited(target, ask.ask(last, op, arguments))


def _change(
    target: Target,
    member: int,
    verb: str,
    effect_of: Callable[[Sequence[Seat], int], Effect],
    *,
    dry_run: bool,
    force: bool,
) -> None:
    seats = seats_of(_views(target))
    _known(seats, member)
    effect = effect_of(seats, member)
    request = (requests.MEMBER_CHANGE, {"action": verb, "id": member})
    _carry_out(target, effect, f"{verb} {member}", request, dry_run=dry_run, force=force)


@member_group.command("add")
@click.argument("member", type=click.IntRange(min=1))
@dry_run_option
@context.options
def add_command(target: Target, member: int, dry_run: bool) -> None:
    """Add the node MEMBER as a learner; `promote` makes it a voter when it has caught up.

    Start it first, with an empty directory and this cluster's peer addresses: `member
    list` then shows it as waiting.
    """
    seats = seats_of(_views(target))
    if any(seat.id == member for seat in seats):
        raise click.UsageError(f"{member} is a member already")
    effect = fault_tolerance.added(seats, member)
    request = (requests.MEMBER_CHANGE, {"action": "add", "id": member})
    _carry_out(target, effect, f"add {member}", request, dry_run=dry_run, force=False)


@member_group.command("promote")
@click.argument("member", type=click.IntRange(min=1))
@dry_run_option
@force_option
@context.options
def promote_command(target: Target, member: int, dry_run: bool, force: bool) -> None:
    """Make the learner MEMBER a voter."""
    effect_of = fault_tolerance.promoted
    _change(target, member, "promote", effect_of, dry_run=dry_run, force=force)


@member_group.command("remove")
@click.argument("member", type=click.IntRange(min=1))
@dry_run_option
@force_option
@context.options
def remove_command(target: Target, member: int, dry_run: bool, force: bool) -> None:
    """Take MEMBER out of the cluster."""
    effect_of = fault_tolerance.removed
    _change(target, member, "remove", effect_of, dry_run=dry_run, force=force)


@member_group.command("transfer")
@click.argument("member", type=click.IntRange(min=1))
@dry_run_option
@context.options
def transfer_command(target: Target, member: int, dry_run: bool) -> None:
    """Hand leadership to MEMBER."""
    seats = seats_of(_views(target))
    _known(seats, member)
    effect = fault_tolerance.transferred(seats, member)
    request = (requests.TRANSFER, {"to": member})
    _carry_out(target, effect, f"transfer to {member}", request, dry_run=dry_run, force=False)
