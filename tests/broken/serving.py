"""Runs the real ``coord``, or any module, with a bug planted."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

from tests.broken.mutant import Mutant


def run(mutant: Mutant, arguments: Sequence[str]) -> None:
    """``arguments`` as ``coord`` takes them (``serve …``), or ``-m MODULE …`` to run a module, such
    as a client. Ends as those do, by SystemExit. Processes that they start have no bug: plant it in
    each (``coord dev`` starts nodes; start those by hand)."""
    with mutant.plant():
        if arguments[:1] == ["-m"] and len(arguments) > 1:
            sys.argv = list(arguments[1:])
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            from coord.cli.root import root  # only this needs the command line's libraries

            root(args=list(arguments), prog_name="coord")
