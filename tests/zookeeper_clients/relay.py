"""A network between a client and the servers that a test can break: connections through it can be
dropped, and swallowed until it is mended.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from tests.integration.processes import HOST

_CHUNK_BYTES: Final = 65_536


class Relay:
    """Listens at ``address`` and hands connections to the servers in turn, so that a client whose
    connection was dropped finds itself on another one.
    """

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = deque(servers)
        self._listener = socket.create_server((HOST, 0))
        self._lock = threading.Lock()
        self._links: set[socket.socket] = set()
        self._passing = threading.Event()
        self._passing.set()
        self.address = f"{HOST}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def drop(self) -> None:
        """End the connections of this moment; new ones pass."""
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            _end(link)

    def cut(self) -> None:
        """End all connections; what is sent on new ones goes nowhere yet."""
        self._passing.clear()
        self.drop()

    def mend(self) -> None:
        """Let connections pass again, those that a client has meanwhile opened and kept as well."""
        self._passing.set()

    def close(self) -> None:
        """Stop listening and end every connection."""
        _end(self._listener)
        self._listener.close()
        self._passing.set()
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # The listener is closed.
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._passing.wait()
        server = None if _has_hung_up(client) else self._dial()
        if server is None:
            client.close()
            return
        with self._lock:
            self._links |= {client, server}
        if not self._passing.is_set():
            self.drop()
        threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
        self._pump(client, server)

    def _dial(self) -> socket.socket | None:
        for _ in range(len(self._servers)):
            host, _, port = self._servers[0].rpartition(":")
            self._servers.rotate(-1)
            with contextlib.suppress(OSError):
                return socket.create_connection((host, int(port)))
        return None

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK_BYTES):
                sink.sendall(chunk)
        _end(sink)
        with self._lock:
            self._links.discard(source)
        source.close()


def _has_hung_up(link: socket.socket) -> bool:
    """Whether the far end has closed: what it sent before must not arrive after all."""
    poll = select.poll()
    poll.register(link, select.POLLRDHUP)
    return bool(poll.poll(0))


def _end(link: socket.socket) -> None:
    """Wake whoever waits on it; a pump closes what it reads from."""
    with contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)
