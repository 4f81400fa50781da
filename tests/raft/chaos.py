"""What happens to a cluster under one seed: which faults, clients and administration."""

from __future__ import annotations

import random
from collections.abc import Callable

from coord.raft import Member, MemberRole, Membership, NodeId
from tests.raft.harness import SECOND, Cluster, Faults, Process

KNOBS: dict[str, tuple[int | bool, ...]] = {
    "max_slice_bytes": (8, 100, 1 << 20),
    "max_inflight": (1, 3, 64),
    "cache_bytes": (0, 2_000, 1 << 20),
    "snapshot_chunk_bytes": (7, 50, 1 << 20),
    "max_apply_bytes": (10, 1 << 20),
    "promotion_lag": (0, 10, 1_000),
    "snapshot_retry_ticks": (5, 25),
    "pre_vote": (True, True, False),
    "check_quorum": (True, True, True, False),
}


PACES: tuple[dict[str, int], ...] = (
    {},
    {"election_ticks_min": 6, "election_ticks_max": 12, "heartbeat_ticks": 2},
    {"election_ticks_min": 3, "election_ticks_max": 6, "heartbeat_ticks": 1},
)
"""Election timeouts: the shorter, the more leaders there are in one run."""


class Chaos:
    """One run: draw what may happen, let it happen for a while, heal, and require recovery."""

    def __init__(
        self,
        seed: int,
        size: int = 3,
        *,
        membership: bool = False,
        **cluster: object,
    ) -> None:
        self.rng = random.Random(f"chaos {seed}")
        knobs = {name: self.rng.choice(values) for name, values in KNOBS.items()}
        knobs |= self.rng.choice(PACES)
        self.cluster = Cluster(seed, size, **{**knobs, **cluster})  # type: ignore[arg-type]
        self.size = size
        self.changing = membership
        self.written = 0
        self.rates: list[tuple[Callable[[], None], float]] = [
            (self._crash, 0.03),
            (self._restart, 0.06),
            (self._partition, 0.03),
            (self._usurp, 0.03),
            (self._mend, 0.03),
            (self._pause, 0.02),
            (self._resume, 0.04),
            (self._snapshot, 0.05),
            (self._save, 0.02),
            (self._transfer, 0.02),
            (self._stick, 0.01),
            *([(self._change, 0.10), (self._wipe, 0.005)] if membership else []),
        ]
        # Swarm testing: each run leaves out about half of the faults, so the rest go deep.
        self.actions = [each for each in self.rates if self.rng.random() < 0.6]
        self.faults = Faults(
            drop=self.rng.choice((0.0, 0.02, 0.15)),
            repeat=self.rng.choice((0.0, 0.1)),
            straggle=self.rng.choice((0.0, 0.02, 0.1)),
            disk=self.rng.choice(((100, 1_000), (500, 30_000), (1_000, 150_000))),
        )

    def choose(self, names: set[str]) -> None:
        """Let exactly these happen."""
        self.actions = [each for each in self.rates if each[0].__name__.lstrip("_") in names]

    def run(self, duration: int = 6 * SECOND) -> Cluster:
        """The whole run. Raises InvariantViolation."""
        cluster = self.cluster
        cluster.run(SECOND)
        cluster.faults = self.faults
        end = cluster.now + duration
        while cluster.now < end:
            cluster.run(self.rng.randint(1_000, 40_000))
            self._clients()
            for action, rate in self.actions:
                if self.rng.random() < rate:
                    action()
        cluster.recover()
        return cluster

    # Clients -------------------------------------------------------------------------------

    def _clients(self) -> None:
        rng, cluster = self.rng, self.cluster
        for process in list(cluster.processes.values()):
            if process.paused:
                continue
            if process.node.leader == process.key[0] and rng.random() < 0.7:
                batch = []
                for _ in range(rng.choice((1, 1, 3, 8))):
                    self.written += 1
                    batch.append(b"%d" % self.written)
                cluster.propose(process, batch)
            if rng.random() < 0.3:
                cluster.read(process)

    # Faults --------------------------------------------------------------------------------

    def _any(self) -> Process | None:
        candidates = list(self.cluster.processes.values())
        leader = self.cluster.leader()
        if leader is not None and self.rng.random() < 0.4:
            return leader
        return self.rng.choice(candidates) if candidates else None

    def _crash(self) -> None:
        process = self._any()
        if process is not None:
            self.cluster.crash(process.key[0])
            if self.rng.random() < 0.5:
                self.cluster.lose_links(process.key[0])

    def _restart(self) -> None:
        down = sorted({key[0] for key in self.cluster.directories} - set(self.cluster.processes))
        if down:
            self.cluster.restart(self.rng.choice(down))

    def _partition(self) -> None:
        process = self._any()
        if process is None:
            return
        way = self.rng.choice(((True, True), (True, True), (True, False), (False, True)))
        self.cluster.isolate(process.key[0], inbound=way[0], outbound=way[1])
        if self.size > 3 and self.rng.random() < 0.5:
            friend = self.rng.choice([key[0] for key in self.cluster.directories])
            self.cluster.blocked -= {(process.key[0], friend), (friend, process.key[0])}

    def _usurp(self) -> None:
        """The leader loses touch, goes on taking writes in vain, and is replaced meanwhile."""
        leader = self.cluster.leader()
        if leader is None or leader.paused:
            return
        self.cluster.isolate(leader.key[0])
        self.cluster.lose_links(leader.key[0])
        for _ in range(self.rng.randint(1, 3)):
            self.written += 1
            self.cluster.propose(leader, [b"%d in vain" % self.written] * self.rng.randint(1, 5))
        if self.changing and self.rng.random() < 0.5:
            self._change()

    def _mend(self) -> None:
        self.cluster.blocked.clear()

    def _pause(self) -> None:
        process = self._any()
        if process is not None:
            self.cluster.pause(process.key[0])

    def _resume(self) -> None:
        paused = [p for p in self.cluster.processes.values() if p.paused]
        if paused:
            self.cluster.resume(self.rng.choice(paused).key[0])

    def _snapshot(self) -> None:
        process = self._any()
        if process is not None and not process.paused:
            self.cluster.snapshot(process.key[0], self.rng.choice((0, 0, 2, 20)))

    def _save(self) -> None:
        process = self._any()
        if process is not None:
            self.cluster.save(process.key[0])

    def _stick(self) -> None:
        process = self._any()
        if process is None:
            return
        if process.disk_stuck:
            self.cluster.unstick(process.key[0])
        else:
            process.disk_stuck = True

    # Administration ------------------------------------------------------------------------

    def _transfer(self) -> None:
        leader = self.cluster.leader()
        if leader is not None and not leader.paused:
            members = [member.id for member in leader.node.membership.members]
            self.cluster.transfer(leader, self.rng.choice(members))

    def _change(self) -> None:
        leader = self.cluster.leader()
        if leader is None or leader.paused:
            return
        members = list(leader.node.membership.members)
        choice = self.rng.choice(("grow", "promote", "shrink", "demote", "repair"))
        known = set(self.cluster.directories)
        if any((m.id, m.incarnation) not in known for m in leader.node.membership.voters):
            choice = "repair"  # a lost disk must not become half of a smaller cluster
        if choice == "grow" and len(self.cluster.directories) < self.size + 2:
            used = {key[0] for key in self.cluster.directories}
            fresh = next(NodeId(n) for n in range(1, 20) if n not in used)
            self.cluster.change(leader, Membership((*members, self.cluster.add_empty(fresh))))
            return
        at = self.rng.randrange(len(members))
        member = members[at]
        if choice == "promote":
            members[at] = Member(member.id, member.incarnation, MemberRole.VOTER)
        elif choice == "demote" and len(members) > 2:
            members[at] = Member(member.id, member.incarnation, MemberRole.LEARNER)
        elif choice == "shrink" and len(members) > 2:
            del members[at]
        elif choice == "repair":
            self._repair(members)
        self.cluster.change(leader, Membership(tuple(members)))

    def _repair(self, members: list[Member]) -> None:
        """Replace a member whose directory is gone: remove, or add the new one as a learner."""
        known = {key[0]: key[1] for key in self.cluster.directories}
        for at, member in enumerate(members):
            incarnation = known.get(member.id)
            if incarnation is not None and incarnation != member.incarnation:
                if self.rng.random() < 0.5:
                    members[at] = Member(member.id, incarnation, MemberRole.JOINING)
                else:
                    del members[at]
                return
        listed = {member.id for member in members}
        for node, incarnation in known.items():
            if node not in listed:
                role = self.rng.choice((MemberRole.LEARNER, MemberRole.JOINING))
                members.append(Member(node, incarnation, role))
                return

    def _wipe(self) -> None:
        """Lose one disk, and only while every other one is fine: a minority, for ever."""
        leader = self.cluster.leader()
        if leader is None or not self.cluster.converged():
            return
        known = set(self.cluster.directories)
        members = leader.node.membership.voters
        if len(members) < 3 or any((m.id, m.incarnation) not in known for m in members):
            return
        victim = self.rng.choice(members).id
        if victim in self.cluster.processes:
            self.cluster.crash(victim)
        self.cluster.wipe(victim)
