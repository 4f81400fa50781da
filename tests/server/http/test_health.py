"""Each reason why a node is not ready is named, and holds as long as its cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coord.raft.types import NO_NODE, Term
from coord.server.http.health import readiness
from tests.node.single import Single


def not_ok(single: Single) -> dict[str, str]:
    """Failed checks and what they say."""
    return {check.name: check.says for check in readiness(single.node) if not check.is_ok}


def test_a_leader_that_serves_is_ready() -> None:
    """Five conditions, in the order in which to look at them."""
    single = Single()

    assert [check.name for check in readiness(single.node)] == [
        "serving", "quorum", "caught-up", "digest", "disk",
    ]  # fmt: skip
    assert not not_ok(single)


def _drain(single: Single, _: pytest.MonkeyPatch) -> None:
    single.node.drain()


def _alarm(single: Single, _: pytest.MonkeyPatch) -> None:
    single.node.digest_alarm = True


def _full(single: Single, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(type(single.store), "writes_allowed", lambda _: False)


def _cut_off(single: Single, _: pytest.MonkeyPatch) -> None:
    single.node.gateway.set_cut_off(True)


def _leaderless(single: Single, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(type(single.node.raft), "leader", NO_NODE)


def _new_term(single: Single, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(type(single.node.raft), "term", Term(single.node.raft.term + 1))


def _behind(single: Single, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(type(single.node.raft), "commit", single.node.raft.commit + 20_000)


@pytest.mark.parametrize(
    ("cause", "name", "says"),
    [
        (_drain, "serving", "stopping"),
        (_leaderless, "quorum", "an election is under way"),
        (_cut_off, "quorum", "confirmed no session"),
        (_new_term, "caught-up", "nothing of term"),
        (_behind, "caught-up", "20000 committed entries"),
        (_alarm, "digest", "differ"),
        (_full, "disk", "make room"),
    ],
)
def test_every_reason_is_named(
    cause: Callable[[Single, pytest.MonkeyPatch], None],
    name: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One cause, one failed check, and words that say what to do."""
    single = Single()

    cause(single, monkeypatch)

    failed: dict[str, Any] = not_ok(single)
    assert list(failed) == [name]
    assert says in failed[name]
