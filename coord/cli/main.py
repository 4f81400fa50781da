"""The entry point: checks the interpreter and the installation, then runs the command."""

from __future__ import annotations

import sys
from typing import Final, NoReturn

_EX_CONFIG: Final = 78


def main() -> None:
    """Run the command line. Refuses ``python -O``: the assertions are part of the product."""
    if sys.flags.optimize:
        _refuse("refusing to run under -O: it removes the product's assertions")
    try:
        from coord.cli.root import root
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        _refuse("the command line needs the extra 'cli': pip install 'coord[cli]'")
    root(prog_name="coord")


def _refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"coord: {reason}\n")
    sys.exit(_EX_CONFIG)
