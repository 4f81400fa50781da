"""``coord elect`` and ``coord lock``: run a command while, and only while, holding."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coord.cli import context, exits, output, report, waiting
from coord.cli.arguments import path_argument
from coord.cli.children import Command
from coord.cli.context import Target
from coord.cli.holding import run_while_held
from coord.model.errors import CoordError, OperationTimeoutError

if TYPE_CHECKING:
    from coord_client import Client
    from coord_client.recipes import Hold

F = TypeVar("F", bound=Callable[..., Any])

GRACE_S = 3.0
"""Time for a command to end by itself; a session of 10 s leaves the rest for running."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to run under which hold."""

    path: str
    role: str
    argv: tuple[str, ...]
    identity: str
    wait_s: float | None
    grace_s: float
    again: bool


def default_identity() -> str:
    """How others see this process: its host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def hold_options(function: F) -> F:
    """What both commands take."""
    for decorate in (
        click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED),
        path_argument,
        click.option(
            "--identity",
            default=default_identity,
            show_default="host:pid",
            help="What others see as the holder's name.",
        ),
        click.option(
            "--wait",
            "wait_s",
            type=click.FloatRange(min=0),
            metavar="SECONDS",
            help="Give up if it is not obtained by then. Default: wait as long as it takes.",
        ),
        click.option(
            "--grace",
            "grace_s",
            type=click.FloatRange(min=0.5),
            default=GRACE_S,
            show_default=True,
            metavar="SECONDS",
            help="Send SIGTERM so long before the hold can be lost; SIGKILL follows in time.",
        ),
        click.option("--again", is_flag=True, help="After a loss, wait and run the command anew."),
    ):
        function = decorate(function)
    return function


@click.command("elect")
@hold_options
@context.data_options
def elect_command(
    target: Target,
    path: str,
    command: tuple[str, ...],
    identity: str,
    wait_s: float | None,
    grace_s: float,
    again: bool,
) -> None:
    r"""Run COMMAND while being the leader of the election at PATH.

    Waits to be elected, then runs COMMAND with COORD_ROLE=leader and the fencing token
    in COORD_TOKEN. If the leadership can no longer be certain, COMMAND gets SIGTERM and
    then SIGKILL, before another can be elected, and the exit code is 75. Otherwise the
    exit code is COMMAND's own.

    \b
    Environment of COMMAND:
      COORD_TOKEN  fencing token: grows with every leadership
      COORD_ROLE   leader
      COORD_PATH   PATH
      COORD_GUARD  record that a transaction is guarded by, as in
                   coord txn "guard $COORD_GUARD $COORD_TOKEN" 'set /jobs/state done'
      COORD_HOSTS  the nodes
    """
    _finish(target, Job(path, "leader", command, identity, wait_s, grace_s, again))


@click.command("lock")
@hold_options
@context.data_options
def lock_command(
    target: Target,
    path: str,
    command: tuple[str, ...],
    identity: str,
    wait_s: float | None,
    grace_s: float,
    again: bool,
) -> None:
    r"""Run COMMAND while holding the lock at PATH.

    Waits in line, then runs COMMAND with COORD_ROLE=holder and the fencing token in
    COORD_TOKEN. If the lock can no longer be certain, COMMAND gets SIGTERM and then
    SIGKILL, before another can get it, and the exit code is 75. Otherwise the exit code
    is COMMAND's own.

    \b
    Environment of COMMAND:
      COORD_TOKEN  fencing token: grows with every grant
      COORD_ROLE   holder
      COORD_PATH   PATH
      COORD_GUARD  record that a transaction is guarded by, as in
                   coord txn "guard $COORD_GUARD $COORD_TOKEN" 'set /jobs/state done'
      COORD_HOSTS  the nodes
    """
    _finish(target, Job(path, "holder", command, identity, wait_s, grace_s, again))


def _finish(target: Target, job: Job) -> None:
    code = context.call(target, lambda client: work(client, target, job))
    click.get_current_context().exit(code)


async def work(client: Client, target: Target, job: Job) -> int:
    """Obtain, run, release; the exit code. A signal ends the wait or reaches the command."""
    with waiting.signals() as arrived:
        while True:
            hold = await _obtain(client, job, arrived)
            if isinstance(hold, int):
                return hold
            try:
                code = await _run(hold, target, job, arrived)
            finally:
                await _release(hold, target)
            if code != exits.TEMPORARY or not job.again:
                return code


async def _obtain(client: Client, job: Job, arrived: asyncio.Queue[int]) -> Hold | int:
    """The hold, or the exit code that ends the command."""
    from coord_client.recipes import ForeignPathError, LeaderElection, Lock

    recipe: Lock
    if job.role == "leader":
        recipe = LeaderElection(client, job.path, job.identity)
    else:
        recipe = Lock(client, job.path, job.identity.encode())
    acquiring = asyncio.create_task(recipe.acquire(job.wait_s))
    asked = asyncio.create_task(arrived.get())
    both: set[asyncio.Task[Any]] = {acquiring, asked}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    if acquiring.cancelled():
        return exits.of_signal(asked.result())
    if not asked.cancelled():
        arrived.put_nowait(asked.result())  # It came with the hold: the command hears of it.
    try:
        return acquiring.result()
    except OperationTimeoutError as error:
        output.note(f"not obtained: {error}")
        return exits.TEMPORARY
    except ForeignPathError as error:
        report.error(error)
        return exits.REFUSED


def environment_of(hold: Hold, target: Target, job: Job) -> dict[str, str]:
    """What the command is told."""
    return {
        **os.environ,
        "COORD_TOKEN": str(hold.token),
        "COORD_ROLE": job.role,
        "COORD_PATH": job.path,
        "COORD_GUARD": hold.path,
        "COORD_HOSTS": target.hosts,
    }


async def _run(hold: Hold, target: Target, job: Job, arrived: asyncio.Queue[int]) -> int:
    if target.as_json:
        output.json_line({"event": "held", "path": job.path, "token": hold.token})
    try:
        command = await Command.start(job.argv, environment_of(hold, target, job))
    except FileNotFoundError:
        return _not_started(job.argv, "no such command", exits.NOT_FOUND)
    except OSError as error:
        return _not_started(job.argv, error.strerror or str(error), exits.NOT_EXECUTABLE)
    code = await run_while_held(
        command,
        lost=hold.wait_lost(),
        remaining_s=lambda: hold.remaining_s,
        signals=arrived,
        grace_s=job.grace_s,
    )
    if code == exits.TEMPORARY:
        output.note(f"the hold on {job.path} was lost or no longer certain: command ended")
    return code


def _not_started(argv: Sequence[str], reason: str, code: int) -> int:
    output.note(f"coord: {argv[0]}: {reason}")
    return code


async def _release(hold: Hold, target: Target) -> None:
    """Let the next one in at once; if nobody answers, the end of the session does it later."""
    try:
        await hold.release(target.timeout_s)
    except CoordError as error:
        output.note(f"not released, it ends with the session: {error}")
