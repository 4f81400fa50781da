"""Makes things go wrong, as the plan says, and undoes each after a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from coord.sim import US_PER_MS, host_name

if TYPE_CHECKING:
    from tests.sim.cluster import Cluster

SHORTEST_MS = 30
CLIENTS_LEFT_MIN = 2


class Nemesis:
    """Injects faults from ``start`` to ``stop``; ``done`` counts them by kind."""

    def __init__(self, cluster: Cluster) -> None:
        self.done: dict[str, int] = {}
        self._cluster = cluster
        self._plan = cluster.plan
        self._kernel = cluster.kernel
        self._stream = cluster.kernel.streams.get("faults")
        self._active = False
        self._table: dict[str, Callable[[], None]] = {
            "kill": lambda: self._kill([self._any()], power=False),
            "kill-all": lambda: self._kill(self._all(), power=False),
            "power": lambda: self._kill([self._any()], power=True),
            "power-all": lambda: self._kill(self._all(), power=True),
            "pause": self._pause,
            "isolate": self._isolate,
            "one-way": self._one_way,
            "halves": self._halves,
            "leader": lambda: self._kill(self._leaders(), power=False),
            "break": self._break,
            "stall": self._stall,
            "clients": self._clients,
            "vanish": self._vanish,
            "transfer": self._transfer,
            "wipe": self._wipe,
        }

    def start(self) -> None:
        """Begin; the first fault comes after a while."""
        self._active = True
        if self._plan.faults:
            self._wait()
        if self._plan.snapshot_ms:
            self._take_snapshots()

    def stop(self) -> None:
        """No new faults. Those that last are undone by ``Cluster.heal``."""
        self._active = False

    def _take_snapshots(self) -> None:
        """Everywhere, again and again: what the older of two covers is cut from the log, and who
        lags behind that needs one."""
        for member in self._cluster.running():
            if member.node is not None:
                member.node.housekeeping.take_snapshot(lambda _outcome: None)
        if self._active:
            self._kernel.schedule(self._plan.snapshot_ms * US_PER_MS, self._take_snapshots)

    def _wait(self) -> None:
        calm_us = self._stream.randrange(2 * self._plan.calm_ms * US_PER_MS) + 1
        self._kernel.schedule(calm_us, self._strike)

    def _strike(self) -> None:
        if not self._active:
            return
        kind = self._stream.choice(self._plan.faults)
        self.done[kind] = self.done.get(kind, 0) + 1
        self._kernel.emit("nemesis", kind)
        self._table[kind]()
        self._wait()

    # --- whom -----------------------------------------------------------------------------------

    def _all(self) -> list[int]:
        return sorted(self._cluster.members)

    def _any(self) -> int:
        return self._stream.choice(self._all())

    def _leaders(self) -> list[int]:
        """Whoever believes to lead, else anybody."""
        return [m.id for m in self._cluster.running() if m.leads] or [self._any()]

    def _length_us(self) -> int:
        longest_ms = max(SHORTEST_MS + 1, self._plan.fault_length_ms)
        return self._stream.randrange(SHORTEST_MS, longest_ms) * US_PER_MS

    # --- what -----------------------------------------------------------------------------------

    def _kill(self, ids: list[int], *, power: bool) -> None:
        for node in ids:
            member = self._cluster.members[node]
            member.process.crash(power=power)
            self._kernel.schedule(self._length_us(), member.start)

    def _pause(self) -> None:
        process = self._cluster.members[self._any()].process
        process.pause()
        self._kernel.schedule(self._length_us(), process.resume)

    def _cut(self, pairs: list[tuple[str, str]]) -> None:
        network = self._cluster.network

        def heal() -> None:
            for frm, to in pairs:
                network.heal(frm, to)

        for frm, to in pairs:
            network.cut(frm, to)
        self._kernel.schedule(self._length_us(), heal)

    def _isolate(self) -> None:
        """One node, often the leader, from all others; its clients can still reach it."""
        one = self._stream.choice([*self._leaders(), self._any()])
        others = [node for node in self._all() if node != one]
        self._cut(_both_ways([one], others))

    def _one_way(self) -> None:
        """One node hears nobody, or nobody hears it."""
        one = self._any()
        pairs = _both_ways([one], [node for node in self._all() if node != one])
        first = self._stream.randrange(2)
        self._cut(pairs[first::2])

    def _halves(self) -> None:
        ids = self._all()
        self._stream.shuffle(ids)
        middle = len(ids) // 2
        self._cut(_both_ways(ids[:middle], ids[middle:]))

    def _break(self) -> None:
        """Reset all streams between two nodes."""
        one, two = self._stream.sample(self._all(), 2)
        self._cluster.network.break_streams(host_name(one), host_name(two))

    def _stall(self) -> None:
        """One disk answers nothing for a while."""
        member = self._cluster.members[self._any()]
        if member.writer is not None:
            member.writer.stalled_until_us = self._kernel.now_us + self._length_us()

    def _transfer(self) -> None:
        """A leader is asked to hand over."""
        node = self._cluster.members[self._leaders()[0]].node
        if node is not None and not node.raft.transferee:
            node.hand_over()

    def _wipe(self) -> None:
        """One node loses its disk, if the others are well enough for it to be nobody's loss."""
        one = self._any()
        if self._cluster.survives_without(one):
            self._cluster.members[one].wipe()
            self._kernel.schedule(self._length_us(), self._cluster.members[one].start)

    def _vanish(self) -> None:
        """A client dies for good, if two are left to go on."""
        left = self._cluster.active()
        if len(left) > CLIENTS_LEFT_MIN:
            self._stream.choice(left).vanish()

    def _clients(self) -> None:
        """One client loses its connection, is cut off, or stands still past its time-out."""
        client = self._stream.choice(self._cluster.active())
        draw = self._stream.randrange(3)
        if draw == 0:
            client.hang_up()
        elif draw == 1:
            client.process.pause()
            long_us = 4 * self._plan.session_timeout_ms * US_PER_MS
            self._kernel.schedule(self._stream.randrange(long_us), client.process.resume)
        else:
            nodes = [host_name(node) for node in self._all()]
            self._cut([(client.process.name, node) for node in nodes])


def _both_ways(some: list[int], others: list[int]) -> list[tuple[str, str]]:
    """Pairs in alternating direction."""
    pairs = []
    for one in some:
        for two in others:
            pairs.append((host_name(one), host_name(two)))
            pairs.append((host_name(two), host_name(one)))
    return pairs
