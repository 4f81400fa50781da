"""``coord bench``: put load on a cluster and say what it took."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from coord.cli import context, exits, output, waiting
from coord.cli.arguments import PATH, level_option
from coord.cli.context import Opener, Target
from coord.cli.load import WORKS, Load, Outcome, Plan
from coord.model.errors import CoordError, NodeExistsError, NotEmptyError
from coord.model.limits import DATA_BYTES_MAX
from coord.model.types import ReadLevel

if TYPE_CHECKING:
    from coord_client import Client

IN_FLIGHT_MAX: Final = 16_384
REFRESH_S: Final = 0.5
BUSY_SHARE: Final = 0.9
"""Of a core: above it the generator is as likely the limit as the cluster."""
CLEAN_UP_S: Final = 120.0


@click.command("bench")
@click.argument("works", metavar="[set|get|create|mixed]…", nargs=-1, type=click.Choice(WORKS))
@click.option(
    "--connections",
    type=click.IntRange(1, 1_000),
    default=8,
    show_default=True,
    metavar="N",
    help="Sessions to open, over the nodes of --hosts.",
)
@click.option(
    "--depth",
    type=click.IntRange(1, 1_000),
    default=16,
    show_default=True,
    metavar="N",
    help="Requests in flight on each connection.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    help="For each kind of work, after half a second of warm-up.",
)
@click.option(
    "--size",
    type=click.IntRange(0, DATA_BYTES_MAX),
    default=100,
    show_default=True,
    metavar="BYTES",
    help="Of each value.",
)
@click.option(
    "--path",
    type=PATH,
    default="/coord-bench",
    show_default=True,
    help="Where to work: must not exist, or be empty.",
)
@level_option
@context.data_options
def bench_command(
    target: Target,
    works: tuple[str, ...],
    connections: int,
    depth: int,
    seconds: float,
    size: int,
    path: str,
    level: ReadLevel,
) -> None:
    """Put load on a cluster: set, get, create, and mixed (nine gets to a set); all by default.

    Works below --path and deletes what it made there. Every failed request is counted,
    none is hidden. The generator is one Python process: a cluster with cores of its own
    can do more than one generator asks for; run several, or look at the nodes' own load.
    """
    if connections * depth > IN_FLIGHT_MAX:
        raise click.UsageError(f"--connections × --depth is at most {IN_FLIGHT_MAX}")
    if path == "/":
        raise click.UsageError("--path is a node that can be deleted afterwards, not the root")
    plan = Plan(path, depth, seconds, size, level)
    open_client = context.opener()
    outcomes: list[Outcome] = []
    bench = _bench(open_client, target, connections, works or WORKS, plan, outcomes)
    code = context.run(_until_signal(bench))
    if outcomes and not target.as_json:
        _show(outcomes)
    if not code and not all(outcome.latencies.count for outcome in outcomes):
        code = exits.REFUSED
    click.get_current_context().exit(code)


async def _until_signal(work: Coroutine[Any, Any, None]) -> int:
    """Do ``work``; a signal cancels it, so that it cleans up, a second one that too.

    The exit code.
    """
    code = exits.OK
    with waiting.signals() as arrived:
        working = asyncio.create_task(work)
        while not working.done():
            asked = asyncio.create_task(arrived.get())
            await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                code = exits.of_signal(asked.result())
                working.cancel()
            else:
                asked.cancel()
        if not working.cancelled():
            working.result()
    return code


async def _bench(
    open_client: Opener,
    target: Target,
    connections: int,
    works: Sequence[str],
    plan: Plan,
    outcomes: list[Outcome],
) -> None:
    """Add an outcome for each of ``works``."""
    async with (
        _opened(open_client, target, connections) as clients,
        _workplace(clients[0], Load(clients, plan), plan.path) as load,
    ):
        await load.prepare()
        for work in works:
            outcome = Outcome(work, 0.0)
            async with _progress(target, plan, outcome):
                await load.run(work, outcome)
            outcomes.append(outcome)
            if target.as_json:
                output.json_line(_as_json(outcome, plan, connections))


@contextlib.asynccontextmanager
async def _opened(open_client: Opener, target: Target, count: int) -> AsyncIterator[list[Client]]:
    async with contextlib.AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as group:
            opening = [
                group.create_task(stack.enter_async_context(open_client(target)))
                for _ in range(count)
            ]
        yield [each.result() for each in opening]


@contextlib.asynccontextmanager
async def _workplace(client: Client, load: Load, path: str) -> AsyncIterator[Load]:
    """An empty node at ``path``; afterwards it is gone, or as empty as it was found.

    Raises NotEmptyError if something is there.
    """
    is_ours = True
    try:
        await client.create(path, b"")
    except NodeExistsError:
        found = await client.get(path, level=ReadLevel.LINEARIZABLE)
        if found.data or found.stat.num_children:
            raise NotEmptyError(
                f"{path} is not empty: name another --path, or delete it if a bench left it"
            ) from None
        is_ours = False
    try:
        yield load
    finally:
        await _clean(client, load, path, with_root=is_ours)


async def _clean(client: Client, load: Load, path: str, *, with_root: bool) -> None:
    """Delete what was made; a failure is told and does not hide what went before."""
    if sys.stderr.isatty():
        output.note(f"deleting what was made below {path}")
    try:
        async with asyncio.timeout(CLEAN_UP_S):
            await load.clean()
            if with_root:
                await client.delete(path)
    except (CoordError, TimeoutError) as error:
        why = str(error) or f"it took more than {CLEAN_UP_S:g} s"
        output.note(f"not all was deleted, `coord delete --recursive {path}` does it: {why}")


# --- what is shown ------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _progress(target: Target, plan: Plan, outcome: Outcome) -> AsyncIterator[None]:
    """One line on a terminal, renewed while the work goes on."""
    if target.as_json or not sys.stderr.isatty():
        yield
        return
    showing = asyncio.create_task(_renew(plan, outcome))
    try:
        yield
    finally:
        showing.cancel()
        click.echo("\r\x1b[K", nl=False, err=True)


async def _renew(plan: Plan, outcome: Outcome) -> None:
    while True:
        click.echo(f"\r\x1b[K{progress_line(plan, outcome)}", nl=False, err=True)
        await asyncio.sleep(REFRESH_S)


def progress_line(plan: Plan, outcome: Outcome) -> str:
    """Where the work stands."""
    if not outcome.seconds and not outcome.errors:
        return f"{outcome.work}: warming up"
    errors = f", {outcome.errors.total()} errors" if outcome.errors else ""
    return (
        f"{outcome.work}: {outcome.seconds:.1f} of {plan.seconds:g} s, {outcome.rate:,.0f} ops/s, "
        f"p99 {outcome.latencies.quantile_s(0.99) * 1e3:.2f} ms{errors}"
    )


def _as_json(outcome: Outcome, plan: Plan, connections: int) -> dict[str, Any]:
    took = outcome.latencies
    return {
        "work": outcome.work,
        "connections": connections,
        "depth": plan.depth,
        "size": plan.size,
        "seconds": plan.seconds,
        "ops": took.count,
        "ops_per_s": round(outcome.rate, 1),
        "p50_ms": round(took.quantile_s(0.5) * 1e3, 3),
        "p99_ms": round(took.quantile_s(0.99) * 1e3, 3),
        "max_ms": round(took.max_s * 1e3, 3),
        "errors": dict(outcome.errors),
        "generator_cpu": round(outcome.cpu_share, 2),
    }


def _show(outcomes: Sequence[Outcome]) -> None:
    table = output.Table(("work", "ops/s", "p50 ms", "p99 ms", "max ms", "errors"))
    for one in outcomes:
        took = one.latencies
        table.add(
            one.work,
            f"{one.rate:.0f}",
            *(f"{s * 1e3:.2f}" for s in (took.quantile_s(0.5), took.quantile_s(0.99), took.max_s)),
            output.Cell(str(one.errors.total()), output.BAD if one.errors else None),
        )
    table.show()
    for one in outcomes:
        if one.errors:
            listed = ", ".join(f"{count} {name}" for name, count in one.errors.most_common())
            output.note(f"{one.work}: {listed}; the first: {one.first_error}")
    busiest = max(one.cpu_share for one in outcomes)
    meaning = (
        "it was the limit, not the cluster"
        if busiest > BUSY_SHARE
        else "if the cluster's nodes were not busy, it was the limit all the same"
    )
    output.note(
        f"the generator, one Python process, used {busiest:.0%} of a core at most: {meaning}"
    )
