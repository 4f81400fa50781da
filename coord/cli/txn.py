"""``coord txn``: several operations, all or none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from coord.cli import context, output, txn_syntax
from coord.cli.context import Target
from coord.model.errors import BY_CODE, BadArgumentsError, TransactionError
from coord.model.requests import Operation

if TYPE_CHECKING:
    from coord_client import Client
    from coord_client.transaction import Result


@click.command("txn")
@click.argument("operations", nargs=-1)
@context.data_options
def txn_command(target: Target, operations: tuple[str, ...]) -> None:
    r"""Run OPERATIONS as one transaction: all of them happen, or none.

    \b
    Each argument (or line of standard input, without arguments) is one of
      check PATH [VERSION]                 the node exists, with this version
      compare PATH FIELD RELATION OPERAND  FIELD: exists value version mzxid czxid children
      guard PATH TOKEN                     the fencing token still holds
      create [-s] PATH [VALUE]             -s: sequential
      set PATH VALUE [VERSION]
      delete PATH [VERSION]

    \b
    Example:
      coord txn 'guard /leader 4711' 'set /config/mode active'
    """
    try:
        parsed = txn_syntax.parse(operations or sys.stdin)
    except BadArgumentsError as error:
        raise click.UsageError(str(error)) from error
    if not parsed:
        raise click.UsageError("a transaction needs at least one operation")

    async def commit(client: Client) -> list[Result]:
        txn = client.transaction()
        for operation in parsed:
            txn.add(operation)
        return list(await txn.commit())

    try:
        results = context.call(target, commit)
    except TransactionError as error:
        _explain(target, parsed, error)
        raise
    for operation, result in zip(parsed, results, strict=True):
        _show(target, operation, result)


def _name(operation: Operation) -> str:
    return type(operation).__name__.lower()


def _show(target: Target, operation: Operation, result: Result) -> None:
    path = getattr(result, "path", operation.path)
    if target.as_json:
        output.json_line({"operation": _name(operation), "path": path})
    else:
        click.echo(f"{output.styled('ok', output.GOOD)}  {_name(operation)} {path}")


def _explain(target: Target, parsed: list[Operation], error: TransactionError) -> None:
    """Say which operation failed: the first code that is neither 0 nor "not tried"."""
    if target.as_json:
        return
    for operation, code in zip(parsed, error.results, strict=False):
        cause = BY_CODE.get(code)
        text = (cause.__doc__ or "").partition("\n")[0] if cause else "not carried out"
        mark = output.styled("failed", output.BAD) if cause else "-"
        output.note(f"{mark}  {_name(operation)} {operation.path}  {text}")
