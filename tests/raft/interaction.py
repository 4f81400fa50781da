"""Commands of the interaction scripts: a cluster moved by hand, printing all that happens.

cluster SIZE [learners=4,5] [key=value …]   start over; keys are RaftConfig fields
start NODE [empty] [life=N] [term=N] [log=1,1,2]   start or restart a node on a fresh directory
restart NODE                  on what is durable
tick NODE [count=N]           one node's clock
campaign NODE                 tick it until it campaigns
propose NODE PAYLOAD…         a batch of commands
read NODE ID…                 linearizable reads
transfer NODE TO              leadership
members NODE ID…              change the configuration: 4 votes, 4~ learns, 4+ joins
link-lost NODE PEER           the connection ended
unreachable NODE PEER         messages were dropped
wake NODE                     after a stall
ready NODE                    print what the node wants done, and do it
hold NODE / persist NODE [COUNT] / release NODE   writes that take long
deliver [NODE…] / drop [NODE…]   messages under way, to these nodes or to all
settle [without=3]            deliver and do everything until nothing moves; prints only the end
compact NODE INDEX [length=N]
install NODE                  finish the snapshot that arrived
network                       messages under way
status [NODE…]                one line per node
log NODE                      the durable log
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coord.raft import (
    Incarnation,
    Index,
    LogSlice,
    Member,
    MemberRole,
    Membership,
    NodeId,
    RaftRefusal,
    Ready,
    Role,
)
from coord.raft.describe import (
    describe_membership,
    describe_message,
    describe_ready,
    describe_run,
)
from coord.raft.messages import InstallSnapshot
from tests.datadriven import Case
from tests.raft.lab import Lab, incarnation, log_of, voters


class ScriptedLab(Lab):
    """A lab in which only ``ready`` makes a node act, and which remembers what it did."""

    automatic = False

    def collect(self, node: int) -> None:
        """Nothing happens by itself."""
        if self.automatic:
            super().collect(node)


class Interaction:
    """State of one script."""

    def __init__(self) -> None:
        self.lab = ScriptedLab(1)
        self.lives: dict[int, int] = {}

    def handle(self, case: Case) -> list[str]:
        """Run one command."""
        commands: dict[str, Callable[[Case], list[str]]] = {
            name.removeprefix("do_").replace("_", "-"): getattr(self, name)
            for name in dir(self)
            if name.startswith("do_")
        }
        try:
            return commands[case.name](case)
        except RaftRefusal as refusal:
            return [f"refused: {refusal.reason}"]

    # Life cycle ----------------------------------------------------------------------------

    def do_cluster(self, case: Case) -> list[str]:
        options = dict(case.options)
        learners = tuple(map(int, filter(None, options.pop("learners", "").split(","))))
        config: dict[str, Any] = {name: int(value) for name, value in options.items()}
        size = int(case.arguments[0])
        membership = voters(*range(1, size + 1), learners=learners)
        self.lab = ScriptedLab(membership=membership, **config)
        self.lives = {}
        return [f"members [{describe_membership(membership)}]"]

    def do_start(self, case: Case) -> list[str]:
        node = int(case.arguments[0])
        life = int(case.options.get("life", "0"))
        self.lives[node] = life
        terms = [int(term) for term in case.options.get("log", "").split(",") if term]
        self.lab.start(
            node,
            term=int(case.options.get("term", "1")),
            log=log_of(*terms),
            empty="empty" in case.arguments,
            life=life,
        )
        return self._status(node)

    def do_restart(self, case: Case) -> list[str]:
        node = int(case.arguments[0])
        self.lab.restart(node)
        return self._status(node)

    # Inputs --------------------------------------------------------------------------------

    def do_tick(self, case: Case) -> list[str]:
        node = int(case.arguments[0])
        for _ in range(int(case.options.get("count", "1"))):
            self.lab[node].tick()
        return self._status(node)

    def do_campaign(self, case: Case) -> list[str]:
        node = int(case.arguments[0])
        for other, peer in self.lab.peers.items():
            if other != node:
                peer.node.woke_after_stall()
        while self.lab[node].role is Role.FOLLOWER:
            self.lab[node].tick()
        return self._status(node)

    def do_propose(self, case: Case) -> list[str]:
        node, *payloads = case.arguments
        index = self.lab[int(node)].propose([payload.encode() for payload in payloads])
        return [f"first index {index}" if index is not None else "not now"]

    def do_read(self, case: Case) -> list[str]:
        node, *ids = map(int, case.arguments)
        return [
            f"{read} {'asked' if self.lab[node].read_index(read) else 'no leader'}" for read in ids
        ]

    def do_transfer(self, case: Case) -> list[str]:
        node, target = map(int, case.arguments)
        self.lab[node].transfer(NodeId(target))
        return self._status(node)

    def do_members(self, case: Case) -> list[str]:
        node = int(case.arguments[0])
        marks = {"~": MemberRole.LEARNER, "+": MemberRole.JOINING}
        members = []
        for word in case.arguments[1:]:
            number = int(word.rstrip("~+"))
            life = Incarnation(incarnation(number) + 100 * self.lives.get(number, 0))
            members.append(Member(NodeId(number), life, marks.get(word[-1], MemberRole.VOTER)))
        index = self.lab[node].propose_membership(Membership(tuple(members)))
        return [f"index {index} [{describe_membership(self.lab[node].membership)}]"]

    def do_link_lost(self, case: Case) -> list[str]:
        node, peer = map(int, case.arguments)
        self.lab[node].link_lost(NodeId(peer))
        return []

    def do_unreachable(self, case: Case) -> list[str]:
        node, peer = map(int, case.arguments)
        self.lab[node].unreachable(NodeId(peer))
        return []

    def do_wake(self, case: Case) -> list[str]:
        node = int(case.arguments[0])
        self.lab[node].woke_after_stall()
        return self._status(node)

    # Output --------------------------------------------------------------------------------

    def do_ready(self, case: Case) -> list[str]:
        lines: list[str] = []
        for node in map(int, case.arguments):
            lines += self._ready(node, f"{node}: " if len(case.arguments) > 1 else "")
        return lines or ["nothing"]

    def _ready(self, node: int, prefix: str) -> list[str]:
        peer = self.lab.peers[node]
        self.lab.automatic = True
        before = len(peer.readies)
        self.lab.collect(node)
        self.lab.automatic = False
        lines: list[str] = []
        for number, ready in enumerate(peer.readies[before:]):
            lines += ["and"] if number else []
            lines += self._describe(ready)
        return [prefix + line for line in lines]

    @staticmethod
    def _describe(ready: Ready) -> list[str]:
        return describe_ready(ready)

    def do_hold(self, case: Case) -> list[str]:
        self.lab.hold(int(case.arguments[0]))
        return []

    def do_persist(self, case: Case) -> list[str]:
        node, *count = map(int, case.arguments)
        self.lab.persist(node, count[0] if count else None)
        return self._status(node)

    def do_release(self, case: Case) -> list[str]:
        self.lab.release(int(case.arguments[0]))
        return self._status(int(case.arguments[0]))

    # Network -------------------------------------------------------------------------------

    def _chosen(self, case: Case) -> Callable[[object], bool]:
        nodes = {int(node) for node in case.arguments}
        return lambda message: not nodes or getattr(message, "to", 0) in nodes

    def do_deliver(self, case: Case) -> list[str]:
        chosen = self._chosen(case)
        for message in self.lab.network:
            if isinstance(message, InstallSnapshot):
                message.data = bytes(message.size)
        lines = [describe_message(m) for m in self.lab.network if chosen(m)]
        self.lab.deliver(chosen)
        return lines or ["nothing"]

    def do_drop(self, case: Case) -> list[str]:
        chosen = self._chosen(case)
        lines = [describe_message(m) for m in self.lab.network if chosen(m)]
        self.lab.drop(chosen)
        return lines or ["nothing"]

    def do_network(self, _case: Case) -> list[str]:
        return [describe_message(m) for m in self.lab.network] or ["nothing"]

    def do_settle(self, case: Case) -> list[str]:
        without = [int(n) for n in case.options.get("without", "").split(",") if n]
        self.lab.automatic = True
        self.lab.settle(*without)
        self.lab.automatic = False
        return self._status(*self.lab.peers)

    # Snapshots -----------------------------------------------------------------------------

    def do_compact(self, case: Case) -> list[str]:
        node, index = map(int, case.arguments)
        self.lab.compact(node, index, length=int(case.options.get("length", "10")))
        return self._status(node)

    def do_store(self, case: Case) -> list[str]:
        """The driver stored the chunks that arrived, and installs a complete file."""
        node = int(case.arguments[0])
        peer = self.lab.peers[node]
        for chunk in peer.chunks:
            peer.node.chunk_stored(chunk.meta.checksum, chunk.offset + len(chunk.data))
            if chunk.done:
                peer.storage.install(chunk.meta)
                peer.node.snapshot_installed(chunk.meta)
        peer.chunks.clear()
        return self._status(node)

    # Looking -------------------------------------------------------------------------------

    def do_status(self, case: Case) -> list[str]:
        return self._status(*(map(int, case.arguments) if case.arguments else self.lab.peers))

    def _status(self, *nodes: int) -> list[str]:
        lines = []
        for number in nodes:
            s = self.lab[number].statistics()
            marks = f"log {s.first}..{s.last} durable {s.durable} commit {s.commit}"
            line = f"{s.id} {s.role} t{s.term} leader {s.leader} {marks} applied {s.applied}"
            lines.append(f"{line} [{describe_membership(s.membership)}]")
        return lines

    def do_progress(self, case: Case) -> list[str]:
        statistics = self.lab[int(case.arguments[0])].statistics()
        return [
            f"{p.id} {p.state} match {p.match} next {p.next} in flight {p.inflight}"
            for p in statistics.progress
        ]

    def do_log(self, case: Case) -> list[str]:
        storage = self.lab.peers[int(case.arguments[0])].storage
        runs: list[LogSlice] = []
        if storage.runs:
            runs = storage.slices(storage.first_index(), storage.last_index(), 1 << 30)
        marker = storage.marker
        head = [f"marker {marker.index}@{marker.term}"] if marker else []
        last = Index(storage.last_index())
        return [*head, *map(describe_run, runs), f"last {last}"]
