"""The wires, and worlds to use them in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.behaviour.clients import Client, LocalClient
from tests.behaviour.wires import WIRES
from tests.node.single import Single

NewClient = Callable[[], Client]


@pytest.fixture(params=sorted(WIRES))
def wire(request: pytest.FixtureRequest) -> str:
    """Each test runs through each wire."""
    return str(request.param)


@pytest.fixture
def single() -> Single:
    """A fresh node that leads itself, moved by hand."""
    return Single()


@pytest.fixture
def connect(single: Single, wire: str) -> NewClient:
    """Makes connections that have said nothing yet."""
    return lambda: LocalClient(single, wire)


@pytest.fixture
def new(connect: NewClient) -> NewClient:
    """Makes clients with a session of their own."""

    def make() -> Client:
        client = connect()
        assert client.open().session > 0
        return client

    return make


@pytest.fixture
def client(new: NewClient) -> Client:
    """A client with a session."""
    return new()
