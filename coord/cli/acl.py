"""``coord acl``: who may do what to a node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import click

from coord.cli import acl_syntax, context, credentials, output
from coord.cli.arguments import level_option, path_argument
from coord.cli.context import Target
from coord.model.acl import ADMIN, Acl
from coord.model.errors import BadArgumentsError
from coord.model.types import ReadLevel

PASSWORD_VARIABLE: Final = "COORD_PASSWORD"  # noqa: S105 - the name of a variable


class EntryType(click.ParamType[Acl]):
    """One entry of an ACL, checked before anything is sent."""

    name = "entry"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Acl:
        """The entry, or a usage error that says what is wrong with it."""
        try:
            return acl_syntax.parse(str(value))
        except BadArgumentsError as error:
            self.fail(str(error), param, ctx)


@click.group("acl")
def acl_group() -> None:
    """Show and change who may do what to a node."""


@acl_group.command("get")
@path_argument
@level_option
@context.data_options
def get_command(target: Target, path: str, level: ReadLevel) -> None:
    """Print the ACL of the node at PATH, one entry a line, as `coord acl set` takes them."""
    entries, stat = context.call(target, lambda client: client.get_acl(path, level=level))
    if target.as_json:
        acl = [
            {"scheme": one.scheme, "id": one.id, "perms": acl_syntax.letters_of(one.perms)}
            for one in entries
        ]
        output.json_line({"path": path, "acl": acl, "stat": output.stat_fields(stat)})
        return
    for entry in entries:
        click.echo(acl_syntax.shown(entry))


@acl_group.command("set")
@path_argument
@click.argument("entries", metavar="ENTRY…", nargs=-1, required=True, type=EntryType())
@click.option(
    "--version",
    type=int,
    default=-1,
    metavar="N",
    help="Only if the ACL's version is N, as `coord stat` prints it.",
)
@context.data_options
def set_command(target: Target, path: str, entries: tuple[Acl, ...], version: int) -> None:
    r"""Replace the ACL of the node at PATH by the entries given.

    \b
    ENTRY is scheme:id:perms; perms are letters of cdrwa: create and delete children,
    read, write, admin (change the ACL).
      world:anyone:r                 everybody may read
      auth::cdrwa                    whoever I have proven to be may do everything
      digest:USER:HASH:cdrwa         a user; `coord acl digest USER` prints digest:USER:HASH
      ip:10.0.0.0/8:rw               clients of a network

    An ACL is of its node alone: it is not inherited.
    """
    stat = context.call(target, lambda client: client.set_acl(path, entries, version=version))
    if target.as_json:
        output.json_line({"path": path, "stat": output.stat_fields(stat)})
    else:
        click.echo(f"acl version {stat.aversion}")
    if not any(entry.perms & ADMIN for entry in entries):
        output.note("no entry has a (admin): only the super user can change this ACL again")


@acl_group.command("digest")
@click.argument("user")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Take the password from the first line of this file ({PASSWORD_VARIABLE} holds one too).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def digest_command(user: str, password_file: Path | None, as_json: bool) -> None:
    r"""Print digest:USER:HASH, which stands for USER and a password in an ACL.

    \b
    Example:
      coord acl set /app "$(coord acl digest alice):cdrwa" world:anyone:r

    Without a file or variable it asks for the password. Nothing is sent anywhere.
    """
    from coord_client import digest_id

    click.get_current_context().find_root().meta["coord.json"] = as_json
    found = digest_id(user, _password(user, password_file))
    if as_json:
        output.json_line({"scheme": "digest", "id": found})
    else:
        click.echo(f"digest:{found}")


def _password(user: str, file: Path | None) -> str:
    if file is not None:
        return credentials.text_of(file).partition("\n")[0].removesuffix("\r")
    given = os.environ.get(PASSWORD_VARIABLE)
    return given if given is not None else credentials.asked_password(user, confirm=True)
