"""Exit codes of the command, and which error ends in which.

Codes below 64 are ours; 64 and above follow sysexits.h. Scripts may rely on them.
"""

from __future__ import annotations

import signal
from typing import Final

from coord.model import errors

OK: Final = 0
REFUSED: Final = 1
"""The service refused: the operation certainly did not happen."""
USAGE: Final = 2
"""The command line is wrong."""
UNKNOWN: Final = 3
"""No answer came (in time): the operation may have happened."""
NO_NODE: Final = 4
"""The path does not exist; the operation certainly did not happen."""
UNAVAILABLE: Final = 69
"""No node could serve this now (unreachable, no leader, overloaded): it did not happen."""
SOFTWARE: Final = 70
"""A fault in coord itself."""
STORAGE: Final = 74
"""The data directory cannot be used."""
TEMPORARY: Final = 75
"""``elect`` and ``lock``: the hold was lost, or not obtained within ``--wait``. ``repair``: the
node is running."""
PROTOCOL: Final = 76
"""The other side does not speak the protocol."""
CONFIG: Final = 78
"""The configuration or the installation does not let the command start."""
NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127

_BY_ERROR: Final[tuple[tuple[type[errors.CoordError], int], ...]] = (
    (errors.NoNodeError, NO_NODE),
    (errors.NotReadyError, UNAVAILABLE),
    (errors.NotLeaderError, UNAVAILABLE),
    (errors.OverloadedError, UNAVAILABLE),
    (errors.NoSpaceError, UNAVAILABLE),
    (errors.ResultUnknownError, UNKNOWN),
    (errors.RequestError, REFUSED),
    (errors.ProtocolError, PROTOCOL),
    (errors.ConfigError, CONFIG),
    (errors.DirectoryInUseError, TEMPORARY),
    (errors.StorageError, STORAGE),
    (errors.MisuseError, SOFTWARE),
)

HELP: Final = """\
Exit codes: 0 done · 1 refused, nothing happened · 2 wrong usage · 3 no answer, it may have
happened · 4 no such node · 69 service unavailable, nothing happened · 75 hold lost or not
obtained · 76 not a coord server · 78 cannot start as configured · 130 interrupted."""


def of_error(error: errors.CoordError) -> int:
    """The exit code that tells a script what ``error`` means for its operation."""
    if isinstance(error, errors.ConnectionLostError | errors.OperationTimeoutError):
        return UNAVAILABLE if error.definite else UNKNOWN
    for kind, code in _BY_ERROR:
        if isinstance(error, kind):
            return code
    return SOFTWARE


def of_signal(number: int) -> int:
    """What a shell reports for a process ended by signal ``number``."""
    return 128 + number


def of_returncode(returncode: int) -> int:
    """A child's exit code as a shell would report it: 128 + n if signal n ended it."""
    return returncode if returncode >= 0 else of_signal(-returncode)


INTERRUPTED: Final = of_signal(signal.SIGINT)
