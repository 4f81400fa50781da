"""``coord version``."""

from __future__ import annotations

import sys

import click

import coord
from coord.cli import output


@click.command("version")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def version_command(as_json: bool) -> None:
    """Print the versions of coord and of Python."""
    python = ".".join(map(str, sys.version_info[:3]))
    if as_json:
        output.json_line({"coord": coord.__version__, "python": python})
    else:
        click.echo(f"coord {coord.__version__}, Python {python}")
