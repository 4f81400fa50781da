"""The facade: configuration, statistics, and what a driver relies on."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace

import pytest

from coord.raft import (
    Incarnation,
    Index,
    MemoryStorage,
    NodeId,
    RaftConfig,
    RaftNode,
    Ready,
    Role,
)
from coord.raft import messages as m
from tests.raft.lab import Lab, say, voters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_inflight": 0}, "max_inflight must be positive"),
        ({"id": 0}, "id must be positive"),
        ({"heartbeat_ticks": 20}, "election_ticks_min must exceed heartbeat_ticks"),
        ({"election_ticks_max": 19}, "election_ticks_max must not be below"),
        ({"stuck_commit_ticks": 20}, "stuck_commit_ticks must exceed"),
    ],
)
def test_configurations_that_cannot_work_are_refused(change: dict[str, int], message: str) -> None:
    """Relations between settings are checked when a node is made."""
    config = replace(RaftConfig(NodeId(1), Incarnation(5)), **change)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match=message):
        RaftNode(config, MemoryStorage(), lambda _bound: 0, Index(0))


def test_a_quiet_node_has_nothing_to_do() -> None:
    """Without input there is no Ready, so a driver's loop ends."""
    lab = Lab(3)
    lab.elect(1)

    assert not any(lab[node].has_ready() for node in (1, 2, 3))


def test_readies_without_durable_parts_need_not_be_persisted() -> None:
    """Heartbeats wait for nothing."""
    lab = Lab(3)
    lab.elect(1)
    for _ in range(5):
        lab[1].tick()

    ready = lab[1].ready()

    assert len(ready.messages) == 2
    assert (ready.needs_sync, ready.must_wait) == (False, False)


def test_an_acknowledgement_alone_takes_its_turn() -> None:
    """A Ready that only acknowledges must wait for the writes before it."""
    ready = Ready(1, messages_after=[say(m.AppendAccepted, 2, 1, 2, 3)])

    assert (ready.needs_sync, ready.must_wait) == (False, True)


def test_sequence_numbers_grow() -> None:
    """Each Ready has its own number, so that reports can name it."""
    lab = Lab(3)
    lab.elect(1)

    numbers = [ready.seq for ready in lab.peers[1].readies]

    assert numbers == sorted(set(numbers))


def test_persisted_covers_every_earlier_ready() -> None:
    """One report may cover a group commit."""
    lab = Lab(1)
    lab.elect(1)
    lab.hold(1)
    for payload in (b"a", b"b", b"c"):
        lab.propose(1, payload)
    held = lab.peers[1].held

    lab[1].persisted(held[-1].seq)

    assert lab[1].durable_index == lab[1].last_index


def test_messages_to_others_are_refused() -> None:
    """A misrouted message is a bug of the transport, not input."""
    lab = Lab(3)

    with pytest.raises(AssertionError, match="somebody else"):
        lab[1].step(say(m.TimeoutNow, 2, 3, 1))


def test_statistics_are_complete_and_detached() -> None:
    """What is read once does not change under the reader."""
    lab = Lab(membership=voters(1, 2, learners=(3,)))
    lab.elect(1)
    lab.propose(1, b"a")
    before = lab[1].statistics()

    lab.settle()

    assert (before.commit, lab[1].statistics().commit) == (2, 3)
    assert before.role == "leader"
    assert [(p.id, p.is_learner, p.caught_up) for p in before.progress] == [
        (2, False, True),
        (3, True, True),
    ]


def test_tracing_names_turning_points() -> None:
    """A driver that asks for it hears of every change of role."""
    lines: list[str] = []
    lab = Lab(1)
    peer = lab.peers[1]
    node = RaftNode(peer.config, peer.storage, lambda _bound: 0, Index(0), lines.append)

    for _ in range(20):
        node.tick()

    assert node.role is Role.CANDIDATE
    assert lines == ["1 term 1 pre-candidate: pre-votes", "1 term 2 candidate: campaigns"]


def test_what_is_applied_at_start_is_not_handed_out_again() -> None:
    """A restart continues after the state machine's own index."""
    lab = Lab(1)
    lab.elect(1)
    lab.propose(1, b"a")
    lab.propose(1, b"b")
    peer = lab.peers[1]
    node = RaftNode(peer.config, peer.storage, lambda _bound: 0, Index(3))

    assert (node.applied_index, node.commit) == (3, 3)
    lab.peers[1].node = node
    lab.peers[1].applied.clear()
    lab.elect(1)
    assert lab.peers[1].applied == [b"b"]


def _python_calls(lab: Lab, payloads: list[bytes]) -> int:
    """Python functions called from proposal to commit on three nodes."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    gc.disable()  # what a collection finalises would be counted too
    sys.setprofile(count)
    try:
        lab.propose(1, *payloads)
        lab.settle()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def test_a_batch_costs_the_same_however_long_it_is() -> None:
    """Entries travel as runs: no Python code runs per entry, from proposal to apply."""
    lab = Lab(3)
    lab.elect(1)
    lab.propose(1, b"first")
    lab.settle()

    short = _python_calls(lab, [b"x"])
    long = _python_calls(lab, [b"x"] * 500)

    assert short == long
    assert all(len(peer.applied) == 502 for peer in lab.peers.values())
