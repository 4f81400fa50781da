"""A call passed to the leader whose answer is lost: nobody is told that it did not happen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from coord.model import requests as rq
from coord.model.errors import ConnectionLostError
from coord.node.admin import Admin
from coord.node.connection import Connection


def passing() -> tuple[Admin, list[Any]]:
    """(a follower's admin, with a call under way to the leader, what the caller was told)."""
    driver: Any = SimpleNamespace(
        is_leader=False, raft=SimpleNamespace(leader=2), post=lambda *_: None
    )
    nothing: Any = None
    admin = Admin(driver, nothing, nothing, nothing, nothing, nothing)
    told: list[Any] = []
    request = rq.Admin(rq.MEMBER_CHANGE, {"action": "remove", "id": 3})
    admin.ask_leader(cast("Connection", object()), request, told.append)
    assert not told
    return admin, told


def test_silence_of_the_leader_leaves_doubt() -> None:
    """No answer in time: it may still happen."""
    admin, told = passing()
    admin.expire()  # The call is younger than one period.
    assert not told
    admin.expire()
    doubtful(told)


def test_a_new_leader_leaves_doubt() -> None:
    """The old one may have done it."""
    admin, told = passing()
    admin.on_leadership()
    doubtful(told)


def doubtful(told: list[Any]) -> None:
    """One answer, which does not say that nothing happened."""
    (error,) = told
    assert isinstance(error, ConnectionLostError)
    assert not error.definite
