"""``python -m jepsen_lite.servers KEY=VALUE…``: a node, with the settings of ``coord serve``.

JEPSEN_LITE_CLOCK names the Unix socket on which its clock listens.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from coord import config as configuration
from coord.app.application import run
from coord.app.failures import exit_code_of
from coord.app.parts import Parts
from coord.model.errors import ConfigError, StorageError
from jepsen_lite.servers.clock import MovableClock
from jepsen_lite.servers.control import ClockControl

CLOCK_VARIABLE = "JEPSEN_LITE_CLOCK"


def main(arguments: list[str]) -> int:
    """Serve until told to stop. Returns the exit code."""
    pairs = (argument.partition("=") for argument in arguments)
    flags = {key: (value, key) for key, _, value in pairs}
    clock = MovableClock()
    socket_path = os.environ.get(CLOCK_VARIABLE)
    if socket_path:
        ClockControl(clock, Path(socket_path))
    try:
        return run(configuration.load(flags, os.environ, None), Parts(clock=clock))
    except (ConfigError, StorageError) as error:
        sys.stderr.write(f"jepsen-lite server: {error}\n")
        return exit_code_of(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
