"""``coord serve``: run one node, from a file, the environment and flags."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from coord import config as configuration
from coord.model.errors import ConfigError, StorageError

_Command = TypeVar("_Command", bound=Callable[..., Any])

_KEY_OF: Final[dict[str, tuple[str, str]]] = {
    "node_id": ("node.id", "--id"),
    "directory": ("node.dir", "--dir"),
    "client": ("node.client", "--client"),
    "peer": ("node.peer", "--peer"),
    "advertise_client": ("node.advertise_client", "--advertise-client"),
    "advertise_peer": ("node.advertise_peer", "--advertise-peer"),
    "initial": ("cluster.initial", "--initial"),
    "dial": ("peers.dial", "--dial"),
    "insecure_peers": ("peers.insecure", "--insecure-peers"),
    "log_level": ("log.level", "--log-level"),
}
"""Parameter → (key, flag) of the settings that have a flag of their own; ``--set`` has the rest."""

_OPTIONS: Final = (
    click.option("--config", "file", type=click.Path(path_type=Path), envvar="COORD_CONFIG",
                 help="TOML file (or COORD_CONFIG)."),
    click.option("--id", "node_id", metavar="N", help="Number of this node."),
    click.option("--dir", "--data-dir", "directory", metavar="DIR", help="Data directory."),
    click.option("--client", metavar="HOST:PORT", help="Where to listen for clients."),
    click.option("--peer", metavar="HOST:PORT", help="Where to listen for other nodes."),
    click.option("--advertise-client", metavar="HOST:PORT", help="Where clients reach it."),
    click.option("--advertise-peer", metavar="HOST:PORT", help="Where other nodes reach it."),
    click.option("--initial", metavar="ID=PEER/CLIENT,…",
                 help="Founding members, the same on each."),
    click.option("--member", "members", multiple=True, metavar="ID=PEER,CLIENT[,HTTP]",
                 help="One founding member; repeat it. Another form of --initial."),
    click.option("--dial", metavar="ID=HOST:PORT,…", help="Dial these nodes elsewhere."),
    click.option("--insecure-peers", is_flag=True, default=None,
                 help="Accept unauthenticated peers off loopback."),
    click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error."),
    click.option("--json-logs", is_flag=True, default=None, help="Log JSON lines."),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
                 help="Any other setting; 'coord config keys' explains them."),
)  # fmt: skip


_EXIT_CODES: Final = """\
\b
Exit codes: 0 stopped on request · 65 the data belongs to another cluster or a newer
version · 69 a port is taken · 70 a fault in coord · 74 the disk failed · 75 the data
directory is in use · 78 the configuration is not valid"""


def config_options(command: _Command) -> _Command:
    """Add every flag that sets a value of the configuration."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def config_of(values: Mapping[str, Any]) -> configuration.Config:
    """The configuration from the values of :func:`config_options`. Raises ConfigError."""
    flags = {
        key: (values[name], flag)
        for name, (key, flag) in _KEY_OF.items()
        if values[name] is not None
    }
    if values["json_logs"]:
        flags["log.format"] = ("json", "--json-logs")
    if values["members"]:
        if "cluster.initial" in flags:
            raise ConfigError("--initial and --member both name the founding members: use one")
        listed = [member.replace(",", "/") for member in values["members"]]
        flags["cluster.initial"] = (listed, "--member")
    flags.update(flags_of_settings(values["settings"]))
    return configuration.load(flags, os.environ, values["file"])


def flags_of_settings(settings: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Flags of the configuration from KEY=VALUE texts. Raises ConfigError that names every text
    which is no such thing; what a known key's value may be is checked with all other values."""
    problems: list[str] = []
    flags: dict[str, tuple[str, str]] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            problems.append(f"--set {setting}: it must be KEY=VALUE")
        elif key not in configuration.OPTIONS:
            near = difflib.get_close_matches(key, configuration.OPTIONS, n=1)
            hint = f"did you mean {near[0]}?" if near else "`coord config keys` lists them"
            problems.append(f"--set {setting}: there is no setting {key}; {hint}")
        else:
            flags[key] = (value, "--set")
    if problems:
        raise ConfigError("\n  ".join(problems))
    return flags


@click.command(epilog=_EXIT_CODES)
@config_options
@click.option("--check", is_flag=True, help="Check the configuration and exit.")
def serve_command(*, check: bool, **values: Any) -> None:
    """Run one node until SIGTERM or SIGINT; a second signal ends it at once.

    Prints one JSON line when the node is in quorum and caught up. Logs go to stderr.
    """
    # The loop's clock starts ticking for the whole cluster here: what a node does not need to
    # start (HTTP, tables, colours) is imported elsewhere.
    from coord.app.failures import exit_code_of

    try:
        config = config_of(values)
        if check:
            click.echo("the configuration is valid")
            return
        from coord.app.application import run

        code = run(config, environment=os.environ)
    except (ConfigError, StorageError) as error:
        click.echo(f"coord serve: {error}", err=True)
        code = exit_code_of(error)
    sys.stdout.flush()
    sys.exit(code)
