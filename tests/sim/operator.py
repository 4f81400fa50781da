"""An operator at a simulated cluster: asks nodes by admin requests on the native wire, as the
command line does. Each question has a connection of its own, and an answer may never come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from coord.model import requests as rq
from coord.protocol.native_client import OPENING, ClientCodec, Reply, encode_request
from coord.sim import US_PER_S, End, Network, Process, host_name
from tests.sim.clients import PORT

PATIENCE_US: Final = 8 * US_PER_S

Answered = Callable[[Reply], None]


class Operator:
    """``answered`` and ``refused`` count what came of its requests."""

    def __init__(self, network: Network) -> None:
        self.process = Process(network.kernel, "operator")
        self.answered = 0
        self.refused = 0
        self._network = network
        self.process.start()

    def ask(self, node: int, op: int, arguments: dict[str, object], then: Answered) -> None:
        """Send one request to a node; ``then`` gets its answer if it is no refusal."""
        question = _Question(self, rq.Admin(op, arguments), then)
        name = host_name(node)
        self._network.dial(self.process, name, PORT, "operator", question.dialled)


class _Question:
    """One connection: a request and what comes back."""

    def __init__(self, operator: Operator, request: rq.Admin, then: Answered) -> None:
        self._operator = operator
        self._request = request
        self._then = then
        self._codec = ClientCodec()
        self._end: End | None = None

    def dialled(self, end: End | None, _answer: Any) -> None:
        """See Network.dial."""
        if end is None:
            return
        self._end = end
        end.handler = self
        end.write(OPENING + encode_request(1, self._request))
        process = self._operator.process
        process.kernel.schedule(PATIENCE_US, end.close, process)

    def on_item(self, item: bytes) -> None:
        """See StreamHandler."""
        for message in self._codec.feed(item):
            if isinstance(message, Reply) and self._end is not None:
                end, self._end = self._end, None
                end.close()
                if message.code:
                    self._operator.refused += 1
                else:
                    self._operator.answered += 1
                    self._then(message)

    def on_end(self) -> None:
        """See StreamHandler: no answer will come."""
