"""Who the command is: credentials from a file, the environment or a prompt, never the command line.

Arguments of a process are there for every user of the machine to read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from coord.model.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

Credential = tuple[str, str]
"""(scheme, credential)."""

VARIABLE: Final = "COORD_AUTH"
FILE_BYTES_MAX: Final = 64 * 1_024


def auth_options(function: F) -> F:
    """Give a command ``--auth-file`` and ``--auth-user``."""
    for decorate in (
        click.option(
            "--auth-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            envvar="COORD_AUTH_FILE",
            help="Credentials, one SCHEME:CREDENTIAL a line, as digest:user:password; COORD_AUTH "
            "holds such lines itself. [COORD_AUTH_FILE]",
        ),
        click.option(
            "--auth-user",
            metavar="USER",
            help="Ask for this user's password (scheme digest).",
        ),
    ):
        function = decorate(function)
    return function


def credentials_of(
    file: Path | None, user: str | None, environment: Mapping[str, str] = os.environ
) -> tuple[Credential, ...]:
    """What the environment, ``file`` and a prompt for ``user`` give, in this order.

    Raises ConfigError that names the line, not what it holds.
    """
    found = list(_parsed(environment.get(VARIABLE, ""), VARIABLE))
    if file is not None:
        found += _parsed(text_of(file), os.fspath(file))
    if user is not None:
        found.append(("digest", f"{user}:{asked_password(user)}"))
    return tuple(dict.fromkeys(found))


def text_of(file: Path) -> str:
    """What a file of secrets holds. Raises ConfigError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise ConfigError(f"{file} has more than {FILE_BYTES_MAX} bytes")
        return data.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not text in UTF-8") from error


def asked_password(user: str, *, confirm: bool = False) -> str:
    """The password that a person types, unseen."""
    prompt = f"password of {user}"
    typed: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    return typed


def _parsed(text: str, origin: str) -> Iterator[Credential]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        scheme, colon, credential = line.strip().partition(":")
        if not scheme or not colon or (scheme == "digest" and ":" not in credential):
            raise ConfigError(
                f"{origin}, line {number}: it must be SCHEME:CREDENTIAL, as digest:user:password"
            )
        yield scheme, credential
