"""What a supervisor and this process tell each other: readiness, watchdog, the parent's death."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

MICROSECONDS: Final = 1_000_000


class Notifier:
    """The protocol of sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names, if any."""

    def __init__(self, environment: Mapping[str, str], process_id: int) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name
        watched = environment.get("WATCHDOG_PID", "") in ("", str(process_id))
        interval = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s: float | None = None
        """How often the supervisor wants a sign of life: half of what it tolerates."""
        if self._address and watched and interval.isdigit() and int(interval) > 0:
            self.watchdog_s = int(interval) / MICROSECONDS / 2

    def tell(self, *lines: str) -> None:
        """Send a state such as ``READY=1``. A supervisor that is gone is not our concern."""
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.sendto("\n".join(lines).encode(), self._address)


def parent_has_ended(descriptor: int) -> bool:
    """Whether the pipe whose other end the parent holds has reached its end. Call when readable."""
    try:
        return os.read(descriptor, 1_024) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
