"""Forwarder: nothing taken from a client is forgotten, whatever happens to the leader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from coord.node.forwarding import FORWARD_BYTES_MAX, Forwarder
from coord.node.peer_messages import Forward, ForwardRefused
from coord.raft.types import NO_NODE, NodeId

if TYPE_CHECKING:
    from collections.abc import Callable

PEER = NodeId(2)


class FakeRaft:
    """The two facts that the forwarder asks for."""

    def __init__(self) -> None:
        self.leader = NO_NODE
        self.term = 1


class FakeDriver:
    """Records what the forwarder does with commands."""

    def __init__(self) -> None:
        self.raft = FakeRaft()
        self.is_leader = False
        self.accepts = True
        self.proposed: list[bytes] = []
        self.posted: list[tuple[NodeId, Any]] = []

    def wake(self) -> None:
        """A flush would be scheduled."""

    def propose(self, commands: list[bytes]) -> bool:
        """Take or refuse, as told."""
        if self.accepts and self.is_leader:
            self.proposed.extend(commands)
        return self.accepts and self.is_leader

    def post(self, to: NodeId, message: object) -> None:
        """Record a message."""
        self.posted.append((to, message))


class FakeScheduler:
    """Keeps delayed calls until the test runs them."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []

    def call_later(self, _delay_ms: int, call: Callable[[], None]) -> None:
        """Keep the call."""
        self.later.append(call)

    def run(self) -> None:
        """The time has come for all."""
        calls, self.later = self.later, []
        for call in calls:
            call()


@pytest.fixture
def driver() -> FakeDriver:
    """A driver that leads nothing yet."""
    return FakeDriver()


@pytest.fixture
def scheduler() -> FakeScheduler:
    """A scheduler under the test's control."""
    return FakeScheduler()


@pytest.fixture
def forwarder(driver: FakeDriver, scheduler: FakeScheduler) -> Forwarder:
    """The forwarder under test."""
    return Forwarder(driver, scheduler)  # type: ignore[arg-type]  # fakes of what it uses


def test_the_leaders_own_commands_are_proposed_as_one_batch(
    forwarder: Forwarder, driver: FakeDriver
) -> None:
    """On the leader nothing is sent."""
    driver.is_leader = True
    for command in (b"1", b"2", b"3"):
        forwarder.forward(command)
    forwarder.flush()

    assert driver.proposed == [b"1", b"2", b"3"]
    assert driver.posted == []


def test_a_follower_sends_one_message_to_the_leader(
    forwarder: Forwarder, driver: FakeDriver
) -> None:
    """A batch is one Forward."""
    driver.raft.leader = PEER
    forwarder.forward(b"1")
    forwarder.forward(b"2")
    forwarder.flush()

    assert driver.posted == [(PEER, Forward([b"1", b"2"]))]


def test_a_large_batch_is_cut_and_keeps_its_order(forwarder: Forwarder, driver: FakeDriver) -> None:
    """No message exceeds the bound, and a command is never split."""
    driver.raft.leader = PEER
    commands = [bytes([number]) * (FORWARD_BYTES_MAX // 2) for number in range(5)]
    for command in commands:
        forwarder.forward(command)
    forwarder.flush()

    parts = [message.commands for _, message in driver.posted]
    assert [command for part in parts for command in part] == commands
    assert all(sum(map(len, part)) <= FORWARD_BYTES_MAX for part in parts)


def test_commands_without_a_leader_go_out_when_there_is_one(
    forwarder: Forwarder, driver: FakeDriver
) -> None:
    """The gateway keeps them; a resend after the election sends everything unapplied."""
    kept = [b"old", b"new"]
    forwarder.bind(lambda: kept)
    forwarder.forward(b"new")
    forwarder.flush()
    assert driver.posted == []

    driver.raft.leader = PEER
    forwarder.resend()
    forwarder.flush()

    assert driver.posted == [(PEER, Forward(kept))]


def test_a_refusal_by_the_leader_leads_to_a_later_resend(
    forwarder: Forwarder, driver: FakeDriver, scheduler: FakeScheduler
) -> None:
    """And a refusal by somebody who is not the leader any more does not."""
    driver.raft.leader = PEER
    forwarder.bind(lambda: [b"1"])
    forwarder.on_refused(NodeId(3))
    assert scheduler.later == []

    forwarder.on_refused(PEER)
    forwarder.on_refused(PEER)
    assert len(scheduler.later) == 1, "one resend, however many refusals"
    scheduler.run()
    forwarder.flush()

    assert driver.posted == [(PEER, Forward([b"1"]))]


def test_no_progress_between_two_checks_resends(forwarder: Forwarder, driver: FakeDriver) -> None:
    """A batch lost on the way goes out again; one that moves does not."""
    driver.raft.leader = PEER
    forwarder.bind(lambda: [b"1"])
    forwarder.progress += 1
    forwarder.check_progress()
    forwarder.flush()
    assert driver.posted == []

    forwarder.check_progress()
    forwarder.flush()

    assert driver.posted == [(PEER, Forward([b"1"]))]


def test_who_cannot_propose_says_so(forwarder: Forwarder, driver: FakeDriver) -> None:
    """A node that does not lead answers a Forward with its term."""
    driver.raft.term = 9
    forwarder.on_forward(PEER, Forward([b"1"]))

    assert driver.posted == [(PEER, ForwardRefused(9))]
