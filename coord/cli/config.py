"""``coord config``: the settings a node would run with, and where each comes from."""

from __future__ import annotations

from typing import Any

import click

from coord.cli import output
from coord.cli.serve import config_of, config_options


@click.group("config")
def config_group() -> None:
    """Show the settings of a node."""


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
