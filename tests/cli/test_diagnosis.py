"""``coord status``: from answers to what is wrong and what to do."""

from __future__ import annotations

from typing import Any

from coord.cli.ask import Answer
from coord.cli.diagnosis import Diagnosis, NodeView, diagnose

MEMBERS = [
    {"id": k, "role": "voter", "client": f"h{k}:2181", "peer": f"h{k}:2281"} for k in (1, 2, 3)
]


def _up(node: int, *, cut_off: tuple[int, ...] = (), **fields: Any) -> NodeView:
    members = [{**member, "reachable": member["id"] not in cut_off} for member in MEMBERS]
    answer = {"node": node, "term": 4, "applied": 10, "members": members, "cluster": "c", **fields}
    return NodeView.of(Answer(f"h{node}:2181", (answer,)))


def _down(node: int, why: str = "Connection refused") -> NodeView:
    return NodeView.of(Answer(f"h{node}:2181", None, why))


def _text(found: Diagnosis) -> str:
    return "\n".join([found.headline, *found.reasons, *found.advice])


def test_healthy_cluster() -> None:
    """Everyone is up and knows the leader."""
    found = diagnose([_up(k, leader=2) for k in (1, 2, 3)])

    assert found == Diagnosis(
        serving=True, healthy=True, leader=2, headline="healthy, led by node 2"
    )


def test_one_node_down() -> None:
    """The cluster serves; what is missing and how near the end is are said."""
    found = diagnose([_up(1, leader=2), _up(2, leader=2), _down(3)])

    assert found.serving
    assert not found.healthy
    assert "node 3 cannot be reached from here" in found.reasons
    assert "one more lost voter stops the cluster" in found.reasons
    assert "start node 3" in _text(found)


def test_minority_has_no_leader() -> None:
    """One node of three: who is missing, how many are needed, and that nothing is lost."""
    found = diagnose([_up(1, leader=0), _down(2), _down(3)])

    assert not found.serving
    assert found.headline == "no leader: 1 of 3 voters reachable, 2 needed"
    assert found.reasons == ("nodes 2 and 3 cannot be reached from here",)
    assert found.advice[0] == "start any 1 of nodes 2 and 3"
    assert "nothing acknowledged is lost" in _text(found)


def test_election_under_way() -> None:
    """A majority without a leader is a moment, not a fault."""
    found = diagnose([_up(1), _up(2), _down(3)])

    assert not found.serving
    assert "an election is under way" in found.headline


def test_voters_cut_off_from_each_other() -> None:
    """Nodes that clients reach and peers do not: the peer port is named."""
    found = diagnose([_up(1, cut_off=(2, 3)), _up(2, cut_off=(1,)), _up(3, cut_off=(1,))])

    assert found.headline == "no leader: the voters cannot reach each other"
    assert "node 1 has no link to nodes 2 and 3" in found.reasons
    assert "peer port" in _text(found)


def test_stale_leader_is_not_believed() -> None:
    """A node of an older term may still name a leader: the newest term decides."""
    old = _up(1, term=3, leader=1)

    assert not diagnose([old, _up(2), _up(3)]).serving
    assert diagnose([old, _up(2, leader=3), _up(3, leader=3)]).leader == 3


def test_nobody_answers() -> None:
    """Each address gets its own reason, and the way out is named."""
    found = diagnose([_down(1), _down(2, "no answer within 2 s")])

    assert found.headline == "no node answers"
    assert "h2:2181: no answer within 2 s" in found.reasons
    assert "coord dev" in _text(found)


def test_two_clusters_in_one_connect_string() -> None:
    """Nodes of different clusters are told apart instead of being added up."""
    found = diagnose([_up(1, leader=1), _up(2, leader=2, cluster="other")])

    assert not found.serving
    assert "different clusters" in found.headline


def test_cluster_that_was_never_founded() -> None:
    """Empty nodes say what they wait for."""
    waiting = "node 3 has not been heard"
    found = diagnose([_up(1, members=[], why_no_leader=waiting), _down(2)])

    assert found.headline == "the cluster has not been founded yet"
    assert f"node 1 waits: {waiting}" in found.reasons


def test_alarms_spoil_the_health() -> None:
    """A node that refuses writes or disagrees with the others is named, though all are up."""
    found = diagnose(
        [
            _up(1, leader=2, writes_allowed=False),
            _up(2, leader=2, digest_alarm=True),
            _up(3, leader=2, last_snapshot_error="disk full"),
        ]
    )

    assert found.serving
    assert not found.healthy
    assert found.headline == "serving, led by node 2, with alarms"
    assert found.reasons == (
        "node 1: it refuses writes: free disk space or the quota is used up",
        "node 2: its contents disagree with the other replicas",
        "node 3: its last snapshot failed: disk full",
    )


def test_unknown_and_missing_keys_are_harmless() -> None:
    """A node of another version may say more, or less."""
    view = NodeView.of(Answer("h:1", ({"node": 1, "novelty": [1]},)))

    assert view.id == 1
    assert view.members == ()
    assert view.alarms == ()
