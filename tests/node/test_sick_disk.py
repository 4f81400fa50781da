"""A node whose log is stuck, or whose tree cannot be written: it keeps nobody waiting, and ends
where nothing else is left."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from coord.model.errors import CorruptionError, StorageError
from coord.node.driver import APPLY_FAILURES_TO_END, APPLY_FAILURES_TO_LEAVE, APPLY_RETRY_MS
from tests.node.single import Peer, Single, create, put

GIVE_UP_MS = APPLY_FAILURES_TO_END * APPLY_RETRY_MS
LEAVE_MS = APPLY_FAILURES_TO_LEAVE * APPLY_RETRY_MS


def fails_with(error: Exception) -> Callable[[Any], Generator[None, None, Any]]:
    """An apply that never succeeds."""

    def apply_steps(_slices: Any) -> Generator[None, None, Any]:
        yield
        raise error

    return apply_steps


def closed_after(single: Single, client: Peer, duration_ms: int) -> bool:
    """Whether the node has hung up by then."""
    single.pass_ms(duration_ms)
    return client.link.is_closed


def fatal_after(single: Single, duration_ms: int) -> BaseException | None:
    """Why the node has ended by then."""
    single.pass_ms(duration_ms)
    return single.fatal


@pytest.fixture
def single() -> Single:
    """With a node to write to."""
    made = Single()
    made.client().call(create("/a"))
    return made


def test_clients_leave_a_node_whose_log_is_stuck(single: Single) -> None:
    """Those that are there, and those that come back; until the disk goes on."""
    client = single.client()
    single.hands.disk_works = False
    client.send(put("/a", b"1"))
    assert not closed_after(single, client, 1_900)
    assert closed_after(single, client, 400)
    assert closed_after(single, Peer(single), 300)

    single.hands.disk_works = True
    single.pass_ms(2_000)
    assert single.client().call(put("/a", b"2")).code == 0
    assert single.fatal is None


def test_a_tree_that_cannot_be_written_is_given_up(
    single: Single, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again and again; clients are sent away; after half a minute the node ends and
    its tree is built anew."""
    client = single.client()
    monkeypatch.setattr(single.store.machine, "apply_steps", fails_with(StorageError("EIO")))
    client.send(put("/a", b"1"))
    assert closed_after(single, client, LEAVE_MS + 100)
    assert fatal_after(single, GIVE_UP_MS - LEAVE_MS - 1_000) is None
    fatal = fatal_after(single, 2_000)
    assert isinstance(fatal, CorruptionError)
    assert "the tree could not be written for 30 s" in str(fatal)
    assert single.store.log.trust.inode == 0


def test_a_full_disk_is_waited_for(single: Single, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without space there is nothing wrong with the tree."""
    monkeypatch.setattr(single.store.space, "look", lambda: None)
    monkeypatch.setattr(single.store.space, "reason", "disk: full")
    monkeypatch.setattr(single.store.machine, "apply_steps", fails_with(StorageError("ENOSPC")))
    single.node.driver.propose([b""])
    single.pass_ms(3 * GIVE_UP_MS)
    assert single.fatal is None


def test_damage_in_the_tree_ends_the_node_at_once(
    single: Single, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never tried again."""
    error = CorruptionError("table 'nodes', key 00: checksum")
    client = single.client()
    monkeypatch.setattr(single.store.machine, "apply_steps", fails_with(error))
    client.send(put("/a", b"1"))
    single.run()
    assert single.fatal is error


def test_a_fold_that_meets_damage_ends_the_node(
    single: Single, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that only housekeeping asks for."""
    error = CorruptionError("page 3")

    def fold_step() -> None:
        raise error

    single.client().call(put("/a", b"1"))
    monkeypatch.setattr(single.store.machine, "fold_step", fold_step)
    single.pass_ms(2_100)
    assert single.fatal is error


def test_a_cut_of_the_log_that_fails_ends_the_node(
    single: Single, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and not with the next write: what a failed sync left is unknown."""
    error = StorageError("log: Input/output error")
    client = single.client()
    client.call(put("/a", b"1"))
    monkeypatch.setattr(single.store, "cut_limit", lambda: single.store.log.first_index() + 1)

    def submit(_write: Any, on_done: Callable[[BaseException], None]) -> None:
        on_done(error)

    monkeypatch.setattr(single.hands, "submit", submit)
    single.node.housekeeping.cut_log()
    single.run()
    assert single.fatal is error
