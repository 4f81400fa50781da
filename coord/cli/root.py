"""The top-level group: one table of commands, each loaded when it runs; errors become exit codes.

Exit codes are listed in ``exits.py`` and in ``docs/operations.md``.
"""

from __future__ import annotations

import importlib
from typing import Any, Final, NamedTuple

import click

from coord.cli import exits
from coord.model.errors import CoordError


class Entry(NamedTuple):
    """Where a command lives and what it is for, in one line."""

    module: str
    attribute: str
    summary: str


SECTIONS: Final[dict[str, dict[str, Entry]]] = {
    "Run nodes": {
        "dev": Entry("dev", "dev_command", "Run a local cluster, supervised."),
        "serve": Entry("serve", "serve_command", "Run one node."),
        "config": Entry("config", "config_group", "Show the settings and where each comes from."),
    },
    "The tree": {
        "get": Entry("data", "get_command", "Print a node's value."),
        "set": Entry("data", "set_command", "Replace a node's value."),
        "create": Entry("data", "create_command", "Create a node."),
        "delete": Entry("data", "delete_command", "Delete a node."),
        "ls": Entry("listing", "ls_command", "List a node's children."),
        "tree": Entry("listing", "tree_command", "Draw a subtree."),
        "stat": Entry("data", "stat_command", "Print a node's metadata."),
        "watch": Entry("watch", "watch_command", "Print changes as they happen."),
        "acl": Entry("acl", "acl_group", "Show and change who may do what to a node."),
        "txn": Entry("txn", "txn_command", "Run several operations, all or none."),
        "sync": Entry("data", "sync_command", "Wait until this node has caught up."),
        "history": Entry(
            "history", "history_command", "Who changed a node, when, and what it was."
        ),
    },
    "Coordinate": {
        "elect": Entry("hold", "elect_command", "Run a command while being the leader."),
        "lock": Entry("hold", "lock_command", "Run a command while holding a lock."),
        "why-session": Entry("history", "why_session_command", "Why a session ended."),
    },
    "The cluster": {
        "status": Entry("status", "status_command", "Who is up, who leads, and what is wrong."),
        "digest": Entry("status", "digest_command", "Compare the replicas' contents."),
        "member": Entry("member", "member_group", "List and change the members."),
        "repair": Entry("repair", "repair_command", "Heal a node whose data is damaged."),
        "snapshot": Entry("status", "snapshot_command", "Take a snapshot of one node now."),
        "bench": Entry("bench", "bench_command", "Put load on a cluster and say what it took."),
        "version": Entry("version", "version_command", "Print versions."),
    },
}
COMMANDS: Final = {name: entry for section in SECTIONS.values() for name, entry in section.items()}

EXTRA_OF_MODULE: Final = {
    "aiohttp": "server",
    "click": "cli",
    "jinja2": "agent",
    "lmdb": "server",
    "prometheus_client": "server",
    "rich": "cli",
    "uvloop": "server",
}


class Root(click.Group):
    """The top-level group: lazy commands, help by section, errors turned into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one module that holds the command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        try:
            module = importlib.import_module(f"coord.cli.{entry.module}")
        except ModuleNotFoundError as error:
            raise _missing_extra(cmd_name, error) from error
        command = getattr(module, entry.attribute)
        assert isinstance(command, click.Command)
        _keep_blocks(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        width = max(map(len, COMMANDS))
        for section, entries in SECTIONS.items():
            with formatter.section(section):
                rows = [(name.ljust(width), entry.summary) for name, entry in entries.items()]
                formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the closest command when there is no such one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not close:
                raise
            text = f"{error.format_message()} Did you mean {close[0]!r}?"
            raise click.UsageError(text, ctx=ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; every error this product raises ends in its exit code."""
        try:
            return super().invoke(ctx)
        except CoordError as error:
            from coord.cli import report

            report.error(error)
            ctx.exit(exits.of_error(error))
        except KeyboardInterrupt:
            ctx.exit(exits.INTERRUPTED)
        except ModuleNotFoundError as error:
            raise _missing_extra(ctx.invoked_subcommand or "coord", error) from error


def _keep_blocks(command: click.Command) -> None:
    """Docstrings are raw: the character that marks a block not to be wrapped stands as two."""
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _keep_blocks(each)


class MissingExtraError(click.ClickException):
    """A command needs a package that an extra of the installation would bring."""

    exit_code = exits.CONFIG


def _missing_extra(command: str, error: ModuleNotFoundError) -> MissingExtraError:
    """Say which extra to install; a missing module of our own is a fault and stays one."""
    extra = EXTRA_OF_MODULE.get((error.name or "").partition(".")[0])
    if extra is None:
        raise error
    return MissingExtraError(
        f"'coord {command}' needs the extra '{extra}': pip install 'coord[{extra}]'"
    )


@click.group(
    cls=Root,
    epilog="\b\n"
    + exits.HELP
    + "\n\nCOORD_HOSTS names the nodes, as in h1:2181,h2:2181/app; COORD_AUTH or COORD_AUTH_FILE"
    " says who asks.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def root() -> None:
    """Coordinate services: elect leaders, take locks, share configuration, see who is alive."""
