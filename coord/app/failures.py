"""Why a process ends, as exit codes after sysexits.h. Scripts and supervisors may rely on them.

0 stopped on request · 65 the data belongs to another cluster or a newer version · 69 a port is
taken · 70 a fault in coord · 74 the disk failed · 75 the data directory is in use · 78 the
configuration is not valid
"""

from __future__ import annotations

from typing import Final

from coord.model.errors import (
    ConfigError,
    DirectoryInUseError,
    ForeignDataError,
    NewerFormatError,
    StorageError,
)

OK: Final = 0
DATA: Final = 65
UNAVAILABLE: Final = 69
SOFTWARE: Final = 70
STORAGE: Final = 74
IN_USE: Final = 75
CONFIG: Final = 78


class PortTakenError(ConfigError):
    """An address cannot be listened on; the message names who holds it, if that is known."""

    exit_code = UNAVAILABLE


_CODES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (PortTakenError, UNAVAILABLE),
    (ConfigError, CONFIG),
    (DirectoryInUseError, IN_USE),
    (ForeignDataError, DATA),
    (NewerFormatError, DATA),
    (StorageError, STORAGE),
    (OSError, STORAGE),
)


def exit_code_of(error: BaseException) -> int:
    """What a supervisor should make of ``error``; anything unforeseen is our own fault."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return SOFTWARE
