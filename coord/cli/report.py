"""How a failed command says so: one line what happened, one line what to do."""

from __future__ import annotations

import json
from typing import Final

import click

from coord.model import errors

HINTS: Final[tuple[tuple[type[errors.CoordError], str], ...]] = (
    (errors.ConnectionLostError, "`coord status` says which nodes are reachable"),
    (errors.OperationTimeoutError, "`coord status` says who leads; --timeout waits longer"),
    (errors.NoAuthError, "`coord acl get PATH` shows who may; --auth-file proves who you are"),
    (errors.NotReadyError, "`coord status` says why this node has no leader"),
    (errors.NotLeaderError, "`coord status` says why there is no leader"),
    (errors.OverloadedError, "wait a moment and run it again: nothing was changed"),
    (errors.NoSpaceError, "free disk space or delete nodes; deletes still pass"),
    (errors.BadVersionError, "`coord stat PATH` prints the version it has now"),
    (errors.NotEmptyError, "`coord delete --recursive PATH` deletes what is below it too"),
    (errors.MembershipError, "`coord member list` shows the members as they are"),
)


def error(failure: errors.CoordError) -> None:
    """Print ``failure`` on the error stream, as JSON if the command was asked for JSON."""
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().meta.get("coord.json"):
        click.echo(json.dumps({"error": as_json(failure)}), err=True)
        return
    message = str(failure) or (type(failure).__doc__ or "").partition("\n")[0]
    click.echo(f"{click.style('coord:', fg='red')} {message}", err=True)
    hint = hint_for(failure)
    if hint:
        click.echo(f"       {hint}", err=True)


def as_json(failure: errors.CoordError) -> dict[str, object]:
    """What a program wants to know of an error."""
    return {
        "name": type(failure).__name__.removesuffix("Error"),
        "code": failure.code,
        "definite": failure.definite,
        "message": str(failure),
    }


def hint_for(failure: errors.CoordError) -> str | None:
    """What to do next, where a general answer exists."""
    return next((hint for kind, hint in HINTS if isinstance(failure, kind)), None)
