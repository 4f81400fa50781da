"""Situations that chaos rarely reaches, arranged on purpose; each raises InvariantViolation."""

from __future__ import annotations

from coord.raft import Index, Membership, NodeId, Role
from coord.raft.invariants import require
from coord.raft.messages import AppendEntries, HeartbeatResponse, InstallSnapshot
from tests.raft.harness import SECOND, Cluster, Process


def led(cluster: Cluster) -> Process:
    """Wait for a leader that has committed an entry of its term."""
    found = cluster.run(5 * SECOND, lambda: bool(cluster.leader()) and cluster.converged())
    leader = cluster.leader()
    require(found and leader is not None, "elects-a-leader", cluster.picture())
    assert leader is not None
    return leader


def another(cluster: Cluster, leader: Process) -> NodeId:
    """A follower."""
    return min(node for node in cluster.processes if node != leader.key[0])


def returning_node(seed: int) -> None:
    """A follower is cut off, with nothing written meanwhile, and comes back, again and again: a
    healthy leader stays in office and its term does not change."""
    cluster = Cluster(seed)
    leader = led(cluster)
    term = leader.node.term
    for _ in range(20):
        cluster.isolate(another(cluster, leader))
        cluster.run(int(1.1 * SECOND))
        cluster.blocked.clear()
        cluster.run(SECOND // 5)
        require(
            leader.node.term == term and cluster.leader() is leader,
            "healthy-leader-stays",
            f"term {term} became {leader.node.term}: {cluster.picture()}",
        )


def stuck_disk(seed: int) -> None:
    """The leader's disk hangs while it keeps sending: another one leads within a few seconds."""
    cluster = Cluster(seed)
    leader = led(cluster)
    leader.disk_stuck = True
    cluster.propose(leader, [b"stuck"])
    cluster.run(5 * SECOND)
    current = cluster.leader()
    require(current is not None and current is not leader, "sick-leader-leaves", cluster.picture())


def lost_transfer(seed: int) -> None:
    """The target of a transfer is gone: the leader serves again."""
    cluster = Cluster(seed)
    leader = led(cluster)
    target = another(cluster, leader)
    cluster.crash(target)
    cluster.transfer(leader, target)
    cluster.run(2 * SECOND)
    current = cluster.leader()
    require(
        current is not None and cluster.propose(current, [b"again"]) is not None,
        "transfer-is-bounded",
        cluster.picture(),
    )


def removed_leader(seed: int) -> None:
    """The leader removes itself: it leaves, and the others go on without it."""
    cluster = Cluster(seed)
    leader = led(cluster)
    rest = tuple(m for m in leader.node.membership.members if m.id != leader.key[0])
    cluster.change(leader, Membership(rest))
    cluster.run(4 * SECOND)
    current = cluster.leader()
    require(
        current is not None and current is not leader, "removed-leader-leaves", cluster.picture()
    )


def wiped_follower(seed: int) -> None:
    """A follower loses its disk and comes back under its id, not knowing anything."""
    cluster = Cluster(seed)
    leader = led(cluster)
    cluster.propose(leader, [b"a", b"b", b"c"])
    cluster.run(SECOND)
    victim = another(cluster, leader)
    cluster.crash(victim)
    cluster.wipe(victim)
    cluster.run(2 * SECOND)


def forgetful_majority(seed: int) -> None:
    """Of the two disks that hold an entry one is wiped, the other unreachable: the third node must
    not become leader with the help of a voter that has forgotten what it acknowledged."""
    cluster = Cluster(seed)
    leader = led(cluster)
    lagging, victim = sorted(set(cluster.processes) - {leader.key[0]})
    cluster.isolate(lagging)
    cluster.propose(leader, [b"acknowledged"])
    cluster.run(SECOND // 5)
    cluster.crash(victim)
    cluster.wipe(victim)
    cluster.blocked.clear()
    cluster.isolate(leader.key[0])
    cluster.run(5 * SECOND)


def _diverged(seed: int) -> tuple[Cluster, Process, Process, Index]:
    """A former leader with entries of its own, a new one with committed ones in their place, cut
    off from each other; and the last index they share, which the former does not know to be
    committed."""
    cluster = Cluster(seed)
    old = led(cluster)
    cluster.isolate(old.key[0], outbound=False)
    cluster.propose(old, [b"shared"] * 3)
    shared = old.node.last_index
    cluster.run(SECOND // 20)
    cluster.isolate(old.key[0])
    cluster.propose(old, [b"in vain"] * 30)
    cluster.run(3 * SECOND)
    new = cluster.leader()
    assert new is not None
    assert new is not old
    cluster.propose(new, [b"committed"] * 9)
    cluster.run(SECOND)
    return cluster, old, new, shared


def short_append(seed: int) -> None:
    """A message verifies only a part of a follower's log, and names a commit index beyond it."""
    cluster, old, new, shared = _diverged(seed)
    log = new.directory.storage
    previous = Index(shared - 1)
    term = log.term(previous)
    assert term is not None
    head = (old.key[0], new.key[0], new.key[1], new.node.term)
    (run,) = log.slices(shared, shared, 1)
    message = AppendEntries(*head, previous, term, new.node.commit, run)
    cluster.hand_in(old, message)
    cluster.drain(old)
    cluster.run(SECOND)
    cluster.recover()


def _lagging(seed: int) -> tuple[Cluster, Process, Process, AppendEntries, InstallSnapshot]:
    """A follower behind the leader's cut log; the entries it lacks, delayed on their way; and the
    snapshot, in one piece."""
    cluster = Cluster(seed)
    leader = led(cluster)
    follower = cluster.processes[another(cluster, leader)]
    cluster.isolate(follower.key[0])
    previous = follower.node.last_index
    term = follower.directory.storage.term(previous)
    assert term is not None
    cluster.propose(leader, [b"a", b"b", b"c"])
    cluster.run(SECOND // 5)
    head = (follower.key[0], leader.key[0], leader.key[1], leader.node.term)
    (run,) = leader.directory.storage.slices(Index(previous + 1), leader.node.last_index, 1 << 20)
    entries = AppendEntries(*head, previous, term, leader.node.commit, run)
    meta, data = leader.machine.meta(), leader.machine.encode()
    cluster.snapshot(leader.key[0], 0)
    return cluster, leader, follower, entries, InstallSnapshot(*head, meta, 0, len(data), data)


def lagging_follower(seed: int) -> None:
    """A follower behind the leader's cut log catches up by the snapshot, and goes on."""
    cluster, leader, follower, _, _ = _lagging(seed)
    cluster.blocked.clear()
    cluster.run(SECOND)
    cluster.propose(leader, [b"d"])
    cluster.run(SECOND)
    cluster.recover()
    require(follower.node.statistics().first > 2, "replicas-agree", "no snapshot was installed")


def change_by_snapshot(seed: int) -> None:
    """A follower learns of a change of configuration from a snapshot only."""
    cluster = Cluster(seed)
    leader = led(cluster)
    follower = cluster.processes[another(cluster, leader)]
    cluster.isolate(follower.key[0])
    members = leader.node.membership.members
    learner = cluster.add_empty(NodeId(9))
    cluster.change(leader, Membership((*members, learner)))
    cluster.run(SECOND)
    cluster.snapshot(leader.key[0], 0)
    cluster.blocked.clear()
    cluster.recover()
    require(
        follower.node.membership == leader.node.membership,
        "configuration-of-snapshot",
        f"{follower.node.membership} is not {leader.node.membership}",
    )


def overtaken_snapshot(seed: int) -> None:
    """Entries that were delayed arrive right after the snapshot that stands for them."""
    cluster, _, follower, entries, snapshot = _lagging(seed)
    cluster.take_in(follower, snapshot)
    cluster.take_in(follower, entries)
    cluster.drain(follower)
    cluster.run(SECOND // 5)
    cluster.recover()


def append_while_installing(seed: int) -> None:
    """Entries that were delayed arrive while the snapshot is being installed."""
    cluster, _, follower, entries, snapshot = _lagging(seed)
    cluster.hand_in(follower, snapshot)
    cluster.drain(follower)
    cluster.hand_in(follower, entries)
    cluster.drain(follower)
    cluster.run(SECOND // 5)
    cluster.recover()


def two_snapshots(seed: int) -> None:
    """A second, newer snapshot arrives while the first is being installed, then the first again."""
    cluster, leader, follower, _, first = _lagging(seed)
    cluster.faults.disk = (1_000, 1_000)
    cluster.propose(leader, [b"d"])
    cluster.run(SECOND // 5)
    head = (follower.key[0], leader.key[0], leader.key[1], leader.node.term)
    data = leader.machine.encode()
    second = InstallSnapshot(*head, leader.machine.meta(), 0, len(data), data)
    for message in (second, first):
        cluster.hand_in(follower, message)
        cluster.drain(follower)
    cluster.run(SECOND // 5)
    cluster.recover()


def conflicting_snapshot(seed: int) -> None:
    """A snapshot arrives at a node whose log has another entry in its last one's place."""
    cluster, old, new, _ = _diverged(seed)
    head = (old.key[0], new.key[0], new.key[1], new.node.term)
    data = new.machine.encode()
    assert new.machine.index < old.node.last_index
    cluster.hand_in(old, InstallSnapshot(*head, new.machine.meta(), 0, len(data), data))
    cluster.drain(old)
    cluster.run(SECOND)
    cluster.recover()


def late_confirmation(seed: int) -> None:
    """A leader that was replaced without knowing takes a read; then an answer arrives that a
    follower gave to an earlier round."""
    cluster = Cluster(seed)
    old = led(cluster)
    other = cluster.processes[another(cluster, old)]
    cluster.isolate(old.key[0], outbound=False)
    cluster.run(SECOND // 8)
    answered = old.node.statistics().read_round
    cluster.isolate(old.key[0])
    cluster.lose_links(old.key[0])
    cluster.run(SECOND // 5)
    new = cluster.leader()
    assert new is not None
    assert new is not old
    cluster.propose(new, [b"newer"])
    cluster.run(SECOND // 20)
    assert old.node.role is Role.LEADER
    cluster.read(old)
    cluster.hand_in(old, HeartbeatResponse(old.key[0], *other.key, old.node.term, answered))
    cluster.drain(old)
    cluster.recover()


def change_in_vain(seed: int) -> None:
    """A leader cut off from the others starts a change; the entry is replaced by another one."""
    cluster = Cluster(seed)
    old = led(cluster)
    cluster.isolate(old.key[0])
    cluster.lose_links(old.key[0])
    cluster.change(old, Membership(old.node.membership.members[:2]))
    assert old.node.membership.is_joint
    cluster.run(SECOND)
    cluster.recover()
    require(len(old.node.membership.voters) == 3, "replicas-agree", str(old.node.membership))


def racing_writes(seed: int) -> None:
    """Fast clients, slow and uneven disks, and leaders that lose their links again and again, so
    that writes under way are truncated before they are done."""
    cluster = Cluster(seed, 3)
    cluster.faults.disk = (20_000, 300_000)
    cluster.run(SECOND)
    for round_number in range(25):
        for leader in cluster.leaders():
            for part in range(3):
                cluster.propose(leader, [b"%d.%d" % (round_number, part)])
        cluster.run(150_000)
        for leader in cluster.leaders()[:1]:
            cluster.isolate(leader.key[0])
            cluster.lose_links(leader.key[0])
            cluster.propose(leader, [b"lost", b"lost too", b"and this"])
        cluster.run(500_000)
        cluster.blocked.clear()
    cluster.recover()
