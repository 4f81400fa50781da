"""``coord dev``: a local cluster of real nodes, supervised."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from coord.cli import context, dev_settings, exits, output, waiting
from coord.cli.dev_control import served
from coord.cli.dev_layout import NODES_MAX, TLS_PORT_OFFSET, Layout
from coord.cli.dev_nodes import start_command, stop_command
from coord.cli.supervisor import READY_WITHIN_S, Supervisor
from coord.model.errors import ConfigError

PORT_MAX = 65_535


@click.group("dev", invoke_without_command=True)
@click.option("--nodes", type=click.IntRange(1, NODES_MAX), default=3, show_default=True)
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".coord"),
    show_default=True,
    help="Where the data and the logs are kept from one run to the next.",
)
@click.option(
    "--port",
    type=click.IntRange(1, PORT_MAX - TLS_PORT_OFFSET - NODES_MAX),
    default=2181,
    show_default=True,
    help="Node k serves clients on PORT+k−1, peers 100 above, HTTP 200 above.",
)
@click.option("--no-restart", is_flag=True, help="Leave a node that ends as it is.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of every node; `coord config keys` explains them. Can be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines: ready, exits, restarts.")
@click.pass_context
def dev_command(
    ctx: click.Context,
    nodes: int,
    directory: Path,
    port: int,
    no_restart: bool,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run a local cluster until interrupted, and restart a node that ends after a second.

    The nodes are real `coord serve` processes on loopback, good for killing. They end
    with this command, however it ends. Running it again finds the data. From another
    shell, `coord dev stop 2` stops node 2 until `coord dev start 2`.
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options_of_run(ctx)
        return
    ctx.find_root().meta["coord.json"] = as_json
    if importlib.util.find_spec("lmdb") is None:
        raise ConfigError("'coord dev' needs the extra 'server': pip install 'coord[server]'")
    layout = Layout.of(directory, port, nodes, settings)
    dev_settings.check(layout)
    layout.prepare()
    layout.check_ports()
    was_asked = context.run(_supervise(layout, restart=not no_restart, as_json=as_json))
    if not as_json:
        output.note(f"all nodes have stopped; the data is in {directory}")
    if not was_asked:
        ctx.exit(exits.REFUSED)


dev_command.add_command(start_command)
dev_command.add_command(stop_command)


def _refuse_options_of_run(ctx: click.Context) -> None:
    """Of the options before ``stop`` or ``start``, only --dir means something to them."""
    for parameter in ctx.command.params:
        name = parameter.name or ""
        given = ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name != "directory":
            raise click.UsageError(
                f"{parameter.opts[0]} is for running a cluster, not for {ctx.invoked_subcommand!r}"
            )


async def _supervise(layout: Layout, *, restart: bool, as_json: bool) -> bool:
    """Run until all nodes have ended; whether that was asked for."""
    announced = asyncio.Event()

    def report(event: dict[str, Any]) -> None:
        if not announced.is_set():
            return  # A node that ends this early ends the command, which says why.
        if as_json:
            output.json_line(event)
        else:
            output.note(_event_line(event, restart=restart))

    supervisor = Supervisor(layout, restart=restart, report=report)
    obey = functools.partial(_obey, supervisor, announced)
    async with served(layout.directory, obey) as failure:
        if failure:
            output.note(f"`coord dev stop` and `start` will not find this cluster: {failure}")
        return await _run(supervisor, announced, as_json=as_json)


async def _obey(
    supervisor: Supervisor, announced: asyncio.Event, request: dict[str, Any]
) -> dict[str, Any]:
    """Do what another shell asks for; see ``dev_control``."""
    numbers = request["nodes"]
    if not announced.is_set():
        return {"error": "the nodes are still starting: try again in a second"}
    if not all(1 <= number <= len(supervisor.running) for number in numbers):
        return {"error": f"the nodes are 1 to {len(supervisor.running)}"}
    if request.get("do") == "stop":
        steered = await supervisor.stop_nodes(numbers)
    elif request.get("do") == "start":
        steered = await supervisor.start_nodes(numbers)
    else:
        return {"error": "only stop and start can be asked for"}
    return {
        "nodes": [
            {"id": one.node.id, "state": "running" if one.pid else "stopped", "pid": one.pid}
            for one in steered
        ]
    }


async def _run(supervisor: Supervisor, announced: asyncio.Event, *, as_json: bool) -> bool:
    with waiting.signals() as arrived:
        running = asyncio.create_task(supervisor.run())
        ready = asyncio.create_task(_announce(supervisor, announced, as_json=as_json))
        stopper = asyncio.create_task(_stop_on_signal(supervisor, arrived))
        try:
            await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
            await running
            return supervisor.is_stopping
        finally:
            supervisor.stop()
            for task in (ready, stopper):
                task.cancel()
            await asyncio.gather(running, ready, stopper, return_exceptions=True)


async def _stop_on_signal(supervisor: Supervisor, arrived: asyncio.Queue[int]) -> None:
    while True:
        await arrived.get()
        supervisor.stop()


async def _announce(supervisor: Supervisor, announced: asyncio.Event, *, as_json: bool) -> None:
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            await supervisor.wait_ready()
    except TimeoutError as error:
        raise ConfigError(
            f"no leader within {READY_WITHIN_S:g} s; the logs in {supervisor.layout.directory} "
            "say why"
        ) from error
    announced.set()
    if as_json:
        output.json_line(
            {
                "nodes": [
                    {
                        "id": one.node.id,
                        "pid": one.pid,
                        "client": one.node.client,
                        "http": one.node.http,
                    }
                    for one in supervisor.running
                ]
            }
        )
        return
    _greet(supervisor)


def _greet(supervisor: Supervisor) -> None:
    layout = supervisor.layout
    for one in supervisor.running:
        click.echo(f"node {one.node.id}  {one.node.client}  http://{one.node.http}  pid {one.pid}")
    click.echo(f"{output.styled('ready', output.GOOD)}: data in {layout.directory}. Try:\n")
    for line in lines_to_paste(layout.hosts):
        click.echo(f"  {line}")
    sys.stdout.flush()


def lines_to_paste(hosts: str) -> list[str]:
    """Three commands that work as printed, each by itself, in any shell of this directory."""
    coord = shlex.join(own_command())
    return [
        f"{coord} status --hosts {hosts}",
        f"{coord} set --create --hosts {hosts} /hello world",
        f"{coord} elect --hosts {hosts} /leader -- sh -c 'echo I lead, token $COORD_TOKEN'",
    ]


def own_command() -> list[str]:
    """How a person in this directory calls the command that runs now."""
    script = Path(sys.argv[0])
    if script.name != "coord":
        return [sys.executable, "-m", "coord"]
    found = shutil.which("coord")
    if found is not None and Path(found).resolve() == script.resolve():
        return ["coord"]
    absolute = script.absolute()
    with contextlib.suppress(ValueError):
        return [os.fspath(absolute.relative_to(Path.cwd()))]
    return [os.fspath(absolute)]


def _event_line(event: dict[str, Any], *, restart: bool) -> str:
    if event["event"] in {"restart", "start"}:
        return f"node {event['id']} {event['event']}ed, pid {event['pid']}"
    if event["event"] == "stop":
        return f"node {event['id']} stopped (pid {event['pid']}): `coord dev start {event['id']}`"
    code = int(event["code"])
    how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
    then = "; restarting it in a second" if restart else ""
    return f"node {event['id']} {how} (pid {event['pid']}){then}"
