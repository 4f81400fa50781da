"""What every command that talks to the service shares: options, connection, time limit."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from coord.cli import credentials
from coord.model.errors import CoordError, OperationTimeoutError

if TYPE_CHECKING:
    from coord_client import Client

T = TypeVar("T")

DEFAULT_HOSTS: Final = "127.0.0.1:2181"
DEFAULT_TIMEOUT_S: Final = 10.0
SESSION_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask, for how long, and how to print the answer."""

    hosts: str
    timeout_s: float
    as_json: bool
    auth: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """(scheme, credential) to prove."""


Opener = Callable[[Target], AbstractAsyncContextManager["Client"]]


def _open(target: Target) -> AbstractAsyncContextManager[Client]:
    from coord_client import connect

    return connect(
        target.hosts,
        session_timeout_s=SESSION_TIMEOUT_S,
        request_timeout_s=target.timeout_s,
        client_name="coord",
        auth=target.auth,
    )


def options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--hosts``, ``--timeout`` and ``--json``, handed over as one Target."""

    @click.option(
        "--hosts",
        envvar="COORD_HOSTS",
        default=DEFAULT_HOSTS,
        show_default=True,
        metavar="H:P,…",
        help="Nodes to ask, with an optional path that all paths are below. [COORD_HOSTS]",
    )
    @click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0, min_open=True),
        default=DEFAULT_TIMEOUT_S,
        show_default=True,
        metavar="SECONDS",
        help="Give up when a request has had no answer for so long.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, one value per line.")
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        target = Target(kwargs.pop("hosts"), kwargs.pop("timeout_s"), kwargs.pop("as_json"))
        click.get_current_context().find_root().meta["coord.json"] = target.as_json
        function(target, *args, **kwargs)

    return wrapper


def data_options(function: Callable[..., None]) -> Callable[..., None]:
    """:func:`options`, and those that say who asks: for commands on nodes that have ACLs."""

    @options
    @credentials.auth_options
    @functools.wraps(function)
    def wrapper(target: Target, *args: Any, **kwargs: Any) -> None:
        found = credentials.credentials_of(kwargs.pop("auth_file"), kwargs.pop("auth_user"))
        function(replace(target, auth=found), *args, **kwargs)

    return wrapper


def opener() -> Opener:
    """How this command reaches the service: the client library, or what a test put in its place."""
    found = click.get_current_context().find_root().obj
    return found if callable(found) else _open


def call(target: Target, body: Callable[[Client], Awaitable[T]]) -> T:
    """Connect, run ``body``, close. The client limits each request to the target's time."""
    open_client = opener()

    async def session() -> T:
        async with open_client(target) as client:
            return await body(client)

    return run(session())


async def limited(target: Target, body: Awaitable[T]) -> T:
    """Wait for ``body`` within the target's time. Raises OperationTimeoutError, not definite."""
    try:
        async with asyncio.timeout(target.timeout_s):
            return await body
    except TimeoutError as error:
        raise OperationTimeoutError(
            f"no answer from {target.hosts} within {target.timeout_s:g} s"
        ) from error


def run(body: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a fresh loop; of a group of errors, the first of ours is raised."""
    try:
        return asyncio.run(body)
    except BaseExceptionGroup as group:
        ours = group.subgroup(CoordError)
        if ours is None:
            raise
        raise _first_leaf(ours) from group


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first_leaf(first) if isinstance(first, BaseExceptionGroup) else first
