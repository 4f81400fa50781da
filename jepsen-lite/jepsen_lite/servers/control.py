"""How a running node is told to move its clock: JSON lines on a Unix socket.

``{"rate": 0.5}``, ``{"forward_ms": 5000}``, ``{"wall_ms": -3600000}`` or ``{}``; each is answered
by what the clock shows now. Served by a thread of its own, so that it works while the loop hangs.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

from jepsen_lite.servers.clock import MovableClock

REQUEST_BYTES_MAX = 4_096


class ClockControl:
    """Serves one clock on one socket for as long as the process lives."""

    def __init__(self, clock: MovableClock, path: Path) -> None:
        self._clock = clock
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen(4)
        threading.Thread(target=self._serve, name="clock-control", daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                connection.settimeout(2.0)
                try:
                    request = connection.recv(REQUEST_BYTES_MAX)
                    connection.sendall(json.dumps(self._answer(request)).encode() + b"\n")
                except OSError:
                    continue

    def _answer(self, request: bytes) -> dict[str, Any]:
        try:
            self._clock.move(**json.loads(request))
        except (ValueError, TypeError) as error:
            return {"error": str(error)}
        return self._clock.describe()
