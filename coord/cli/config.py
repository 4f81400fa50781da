"""``coord config``: the settings a node would run with, and where each comes from."""

from __future__ import annotations

from typing import Any

import click

from coord.cli import output
from coord.cli.serve import config_of, config_options


@click.group("config")
def config_group() -> None:
    """Show the settings of a node."""


@config_group.command("keys")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one setting per line.")
def keys_command(*, as_json: bool) -> None:
    """Print every setting there is: its default, its variable, what it means.

    A setting is given in the file, by its variable, or to `coord serve` and `coord dev` as
    `--set KEY=VALUE`; secrets are not given on a command line.
    """
    from coord.config import OPTIONS

    table = output.Table(("setting", "default", "variable", "meaning"))
    for key, option in OPTIONS.items():
        default = "" if option.default is None else option.show(option.parse(option.default))
        if as_json:
            output.json_line(
                {"key": key, "default": default, "variable": option.variable, "help": option.help}
            )
        table.add(key, default, option.variable, option.help)
    if not as_json:
        table.show()


@config_group.command("show")
@config_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one setting per line.")
def show_command(*, as_json: bool, **values: Any) -> None:
    """Print every setting of a node with its value and where that comes from.

    Takes the flags of `coord serve`. Flags win over COORD_* variables, those over the
    file, that over the defaults.
    """
    from coord.config import OPTIONS, describe

    described = describe(config_of(values))
    if as_json:
        for key, value, origin in described:
            output.json_line(
                {"key": key, "value": value, "origin": origin, "variable": OPTIONS[key].variable}
            )
        return
    table = output.Table(("setting", "value", "from"))
    for key, value, origin in described:
        table.add(key, value, output.Cell(origin, output.QUIET if origin == "default" else None))
    table.show()
