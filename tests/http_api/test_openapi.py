"""What /v1/openapi.json says is what the API does: requests made from it, answers held against it.

Runs the same requests in every run; ``make http-api`` asks for more, at random.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final, Self

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from coord.server.http.api import waiting
from coord.server.http.api.asked import SESSION
from coord.server.http.api.openapi import document
from coord.server.http.api.routes import ENDPOINTS
from coord.server.http.doors import HttpDoor
from tests.node.single import Single

EXAMPLES: Final = int(os.environ.get("COORD_HTTP_API_EXAMPLES", "2"))
ENDLESS: Final = "/v1/watch/{path}"


def answered(_: Any, response: Any, __: Any) -> None:
    """503 says what is to be waited for; 500 would be a defect."""
    assert response.status_code != 500


CHECKS: Final = [
    answered,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]

_DESCRIBED: Final[Any] = schemathesis.openapi.from_dict(document(ENDPOINTS, "0"))
OPERATIONS: Final[list[Any]] = [
    found.ok() for found in _DESCRIBED.exclude(path=ENDLESS).get_all_operations()
]


class Served:
    """A node that runs in a thread of its own, so that a test may block."""

    def __init__(self) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self) -> None:
        single = Single()
        door = HttpDoor(single.node)
        await door.start(self._sock)
        while not self._stop.is_set():
            single.pass_ms(10)
            await asyncio.sleep(0.001)
        await door.stop()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sock.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One node for all requests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "APPLIED_S", 0.01)
        with Served() as found:
            yield found


@pytest.fixture(scope="module")
def handle(served: Served) -> str:
    """Of a session that outlives the module."""
    body = {"timeout_ms": 60_000}
    opened = requests.post(f"{served.url}/v1/sessions", json=body, timeout=30).json()
    told: str = opened["handle"]
    return told


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda it: it.label)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda it: it.value)
def test_requests_made_from_the_description(
    operation: Any, mode: GenerationMode, served: Served, handle: str
) -> None:
    """As it says or against it: the answer was announced, and is no failure of the node's."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=EXAMPLES < 10,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if SESSION in case.headers:
            case.headers[SESSION] = handle
        answer = case.call(base_url=served.url, timeout=30)
        case.validate_response(answer, checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):  # Some take nothing that could be wrong.
        ask()
