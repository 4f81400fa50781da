"""What is refused before it is sent, and what is understood."""

from __future__ import annotations

import math
from typing import Any

import pytest

from coord.model.errors import BadArgumentsError, CoordError, MisuseError, TooLargeError
from coord.model.limits import DATA_BYTES_MAX, TXN_OPERATIONS_MAX
from coord_client import CreateMode
from coord_client.arguments import checked_data, checked_path, milliseconds, ttl_ms_of
from coord_client.operations import NEVER_MS
from tests.client.fake_server import FakeCluster
from tests.client.helpers import client_of
from tests.client.virtual import in_virtual_time

TTL = CreateMode.PERSISTENT_TTL


@pytest.mark.parametrize("data", [b"x", bytearray(b"x"), memoryview(b"x")])
def test_anything_like_bytes_is_data(data: Any) -> None:
    """It is sent as it is at the moment of the call."""
    assert checked_data(data) == b"x"


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (lambda: checked_data("text"), BadArgumentsError),  # type: ignore[arg-type]
        (lambda: checked_data(bytes(DATA_BYTES_MAX + 1)), TooLargeError),
        (lambda: checked_path(b"/a"), BadArgumentsError),  # type: ignore[arg-type]
        (lambda: checked_path("/a/"), BadArgumentsError),
        (lambda: ttl_ms_of(TTL, None), BadArgumentsError),
        (lambda: ttl_ms_of(TTL, 0), BadArgumentsError),
        (lambda: ttl_ms_of(TTL, 1e12), BadArgumentsError),
        (lambda: ttl_ms_of(CreateMode.EPHEMERAL, 5), BadArgumentsError),
        (lambda: milliseconds(-1), MisuseError),
        (lambda: milliseconds(math.nan), MisuseError),
    ],
)
def test_wrong_arguments_are_named(refused: Any, error: type[CoordError]) -> None:
    """They never reach the service, and the error is definite."""
    with pytest.raises(error) as refusal:
        refused()

    assert refusal.value.definite


def test_times() -> None:
    """Seconds become milliseconds, rounded up; infinity means never."""
    assert [milliseconds(each) for each in (0, 0.0001, 1.5)] == [0, 1, 1_500]
    assert milliseconds(math.inf) == NEVER_MS
    assert ttl_ms_of(TTL, 1.5) == 1_500
    assert checked_path("/q/", sequential=True) == "/q/"


@in_virtual_time
async def test_transactions_are_bounded_and_used_once(cluster: FakeCluster) -> None:
    """A thousand operations fit; a committed transaction takes no more."""
    async with client_of(cluster) as client:
        txn = client.transaction()
        for number in range(TXN_OPERATIONS_MAX):
            txn.create(f"/{number}")
        with pytest.raises(TooLargeError):
            txn.create("/one-too-many")
        assert len(await txn.commit()) == TXN_OPERATIONS_MAX
        for again in (lambda: txn.delete("/0"), txn.request):
            with pytest.raises(MisuseError, match="committed"):
                again()
