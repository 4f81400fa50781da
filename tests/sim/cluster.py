"""A whole cluster in virtual time: members, clients, faults, and the two phases of a run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

from coord.model.types import SessionId
from coord.node.bootstrap import InitialMember
from coord.raft.invariants import require
from coord.raft.types import NodeId
from coord.sim import (
    US_PER_MS,
    US_PER_S,
    Conditions,
    DiskConditions,
    Kernel,
    Network,
    Trace,
    host_name,
)
from tests.sim import apps, programs
from tests.sim.app_client import AppClient
from tests.sim.chores import EndState, Setup
from tests.sim.clients import SimClient
from tests.sim.healing import Settled, banish, choose_core
from tests.sim.history import FINAL_READER, History
from tests.sim.invariants import Invariants
from tests.sim.library import LibraryClient
from tests.sim.member import Member
from tests.sim.more_programs import Asker, Directory, Limited, Reader
from tests.sim.nemesis import Nemesis
from tests.sim.operator import Operator
from tests.sim.plan import Plan
from tests.sim.zk_client import ZkClient
from tests.sim.zk_more import AskingClient, ReadOnlyClient

SETUP_US: Final = 30 * US_PER_S
SETUP_TIMEOUT_MS: Final = 30_000
ENOUGH_US: Final = 60 * US_PER_S
"""They go on, if need be, until the plan's number of operations has been answered."""
WRITABLE_US: Final = 8 * US_PER_S
"""Ten election timeouts: every client must have completed a write this long after healing."""
CONVERGED_US: Final = 24 * US_PER_S
"""Thirty election timeouts: all nodes at one index with one digest."""
ROOM_US: Final = 200 * US_PER_MS
"""Ten ticks: a node has seen that its disk has room."""


PAIRED: Final = frozenset({"holder", "restricted"})
"""These come in pairs: one alone contends with nobody."""
PlainClient = SimClient | LibraryClient | ZkClient
Client = PlainClient | AppClient
_CLIENTS: Final[dict[str, tuple[type[PlainClient], ...]]] = {
    "restricted": (SimClient,),
    "limited": (SimClient, LibraryClient),
    "reader": (ReadOnlyClient,),
    "asker": (AskingClient,),
}
"""Programs that not every client can carry out. ZooKeeper has one word for a quota that is used up
and for a disk that is full."""


class Stuck(AssertionError):  # noqa: N818 (names the finding)
    """Healed, and still no progress."""


class Cluster:
    """Everything of one run."""

    def __init__(self, plan: Plan, trace: Trace | None = None) -> None:
        self.plan = plan
        self.kernel = Kernel(plan.seed, trace)
        self.network = Network(self.kernel, Conditions())
        self.disks_lie = False
        self.sabotage: Callable[[Member], None] = lambda _member: None
        """Controls break a node here, when it has been built, to see that it is noticed."""
        self.history = History()
        self.disk = DiskConditions()
        self.initial = [
            InitialMember(NodeId(node), *self.addresses(node)) for node in range(1, plan.nodes + 1)
        ]
        drifts = (0, plan.drift_ppm, -plan.drift_ppm)
        machines = plan.nodes + plan.spares
        self.members = {
            node: Member(self, node, drifts[(node - 1) % len(drifts)])
            for node in range(1, machines + 1)
        }
        self.invariants = Invariants(self.history, self.members)
        self.clients: list[Client] = []
        self.final = EndState()
        self.operator = Operator(self.network)
        self.nemesis = Nemesis(self)
        for member in self.members.values():
            member.process.observer = partial(self._observe, member)

    def _observe(self, member: Member) -> None:
        if member.has_moved():
            self.invariants.check(member)
        if self.nemesis.waiting:
            self.nemesis.look()

    def addresses(self, node: int) -> tuple[str, str]:
        """What a machine says of itself for peers and for clients; the last one that belongs to no
        cluster at first says to clients what nobody can dial."""
        name, plan = host_name(node), self.plan
        if not plan.addresses:
            return name, ""
        is_last = node == plan.nodes + plan.spares and plan.spares > 0
        return f"{name}:2281", "0.0.0.0:2181" if is_last else f"{name}:2181"

    def active(self) -> list[Client]:
        """Clients that have not vanished."""
        return [client for client in self.clients if not client.vanished]

    def running(self) -> list[Member]:
        """Members whose process is up."""
        return [member for member in self.members.values() if member.node is not None]

    # --- phases ---------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Start in good weather and make the nodes that the programs use."""
        for member in self.members.values():
            member.start()
        intents = programs.setup(self.plan.keys)
        program = Setup(intents)
        wanted = len(intents)
        client = SimClient(
            self.network,
            "setup",
            self.plan.nodes,
            program,
            self.history,
            timeout_ms=SETUP_TIMEOUT_MS,
            patience_ms=self.plan.patience_ms,
        )
        client.start()
        self._until(lambda: program.done == wanted, SETUP_US, "set up")
        client.stopping = True
        client.hang_up()
        client.process.crash()

    def add_clients(self) -> None:
        """One client per program in turn."""
        plan = self.plan
        for number in range(plan.clients):
            name = f"c{number + 1}"
            kind = plan.programs[number % len(plan.programs)]
            for which in ("", "b") if kind in PAIRED else ("",):
                self.clients.append(self._made(kind, name + which, number))
        for client in self.clients:
            client.start()

    def _made(self, kind: str, name: str, number: int) -> Client:
        if kind in apps.APPS:
            return self._app_client(kind, name)
        program, plan = self._program(kind, name), self.plan
        made = self._kind_of_client(kind, number)
        return self._client(name, program, plan.depth, plan.think_ms, made=made)

    def _kind_of_client(self, kind: str, number: int) -> type[PlainClient]:
        plan = self.plan
        if kind in _CLIENTS:
            choice = _CLIENTS[kind]
            return choice[number % len(choice)]
        if plan.zookeeper_every and number % plan.zookeeper_every == plan.zookeeper_every - 1:
            return ZkClient
        if plan.library_every and number % plan.library_every == 0:
            return LibraryClient
        return SimClient

    def _client(
        self,
        name: str,
        program: programs.Program,
        depth: int,
        think_ms: int,
        *,
        made: type[PlainClient] = SimClient,
    ) -> PlainClient:
        return made(
            self.network,
            name,
            len(self.members),
            program,
            self.history,
            depth=depth,
            think_ms=think_ms,
            timeout_ms=self.plan.session_timeout_ms,
            patience_ms=self.plan.patience_ms,
        )

    def _app_client(self, kind: str, name: str) -> AppClient:
        return AppClient(
            self.network,
            name,
            len(self.members),
            apps.make(kind, self.kernel.streams.get(f"program/{name}"), self.plan.keys),
            self.history,
            think_ms=self.plan.think_ms,
            timeout_ms=self.plan.session_timeout_ms,
            patience_ms=self.plan.patience_ms,
        )

    def _program(self, kind: str, name: str) -> programs.Program:
        stream = self.kernel.streams.get(f"program/{name}")
        made: dict[str, Callable[[], programs.Program]] = {
            "register": lambda: programs.Register(name, stream, self.plan.keys),
            "counter": programs.Counter,
            "sequence": programs.Sequence,
            "tree": lambda: programs.Tree(name, stream),
            "transactions": lambda: programs.Transactions(name, stream),
            "restricted": lambda: programs.Restricted(name, stream),
            "ephemerals": lambda: programs.Ephemerals(name, stream),
            "limited": lambda: Limited(name, stream),
            "directory": lambda: Directory(stream),
            "reader": lambda: Reader(name, stream, self.plan.keys),
            "asker": lambda: Asker(name, stream),
        }
        return made[kind]()

    def suffer(self) -> None:
        """The phase with faults."""
        self.usual_weather()
        self.nemesis.start()
        self.kernel.run_until(self.kernel.now_us + self.plan.fault_ms * US_PER_MS)
        self.nemesis.stop()

    def usual_weather(self) -> None:
        """What the plan has for the phase with faults."""
        self._set_weather(self.plan.weather, self.plan.disk)

    def heal(self) -> None:
        """Undo every fault that lasts, but only for a random majority; good weather from now on."""
        self.kernel.emit("nemesis", "heal")
        self._set_weather(Conditions(), DiskConditions())
        self.network.heal_all()
        for client in self.clients:
            client.process.resume()
            client.hurry()
        core = choose_core(self)
        self._restore(core)
        if len(core) < len(self.members):
            self.invariants.reached["minority left out"] += 1
            banish(self, core)

    def _heal_rest(self) -> None:
        """The others come back."""
        self.kernel.emit("nemesis", "heal-rest")
        self.history.healed_us = self.kernel.now_us
        self.network.heal_all()
        self._restore(list(self.members))

    def _restore(self, ids: list[int]) -> None:
        for member in [self.members[node] for node in ids]:
            member.mend_disk()
            member.process.resume()
            member.start()

    def _set_weather(self, network: Conditions, disk: DiskConditions) -> None:
        self.network.conditions, self.disk = network, disk
        for member in self.running():
            if member.writer is not None:
                member.writer.conditions = disk

    def survives_without(self, one: int) -> bool:
        """Losing this node's disk now loses nothing: a majority of the voters is up without it, all
        of one mind about who votes, each with every committed entry durable."""
        last = self.committed()
        whole = [
            m
            for m in self.running()
            if m.id != one and not m.process.paused and m.holds_everything(last)
        ]
        voters = {m.voters() for m in whole}
        if len(voters) != 1:
            return False
        (voting,) = voters
        return sum(m.key in voting for m in whole) > len(voting) // 2

    def committed(self) -> int:
        """Index of the last entry that any node knows to be committed."""
        commits = [int(m.node.raft.commit) for m in self.running() if m.node is not None]
        return max([len(self.history.log), *commits])

    def recover(self) -> None:
        """After healing: progress for every client through the majority alone, then, with all nodes
        back, the end of the sessions whose clients have gone, and one state everywhere."""
        clients = self.active()
        before = {client: client.writes_done + client.reads_done for client in clients}

        def waits() -> bool:
            return any(c.writes_done + c.reads_done == before[c] for c in clients)

        # A client may have to try every machine, and each may let it wait.
        tries_us = len(self.members) * self.plan.patience_ms * US_PER_MS
        self._until(lambda: not waits(), WRITABLE_US + tries_us, "serve every client")
        settled = Settled(self)
        self._heal_rest()
        self._until(self._has_done_enough, ENOUGH_US, "do enough")
        for client in clients:
            client.stopping = True
        self._until(lambda: all(c.is_idle for c in clients), WRITABLE_US, "answer everything")
        self._until(lambda: not self._orphans(), WRITABLE_US, "end the sessions of the gone")
        reader = self._client(FINAL_READER, self.final, depth=2, think_ms=0)
        reader.start()
        self._until(lambda: self.final.is_done, WRITABLE_US, "read the end state")
        self._until(self._has_converged, CONVERGED_US, "converge")
        settled.check()
        self._check_room()
        self.history.final_tree = self._in_force()[0].tree()

    def _check_room(self) -> None:
        """Every disk has room again, so every node takes writes again: it looks at each tick, and
        the last ones came back perhaps less than a tick ago."""
        self.kernel.run_while(lambda: bool(self._refusing()), self.kernel.now_us + ROOM_US)
        refusing = self._refusing()
        require(not refusing, "full-disks-recover", f"nodes {refusing} refuse writes")

    def _refusing(self) -> list[int]:
        nodes = {member.id: member.node for member in self._in_force()}
        return [it for it, node in nodes.items() if node and not node.gateway.admission.has_space]

    def _has_done_enough(self) -> bool:
        done = sum(client.writes_done + client.reads_done for client in self.clients)
        return done >= self.plan.operations_min

    def _orphans(self) -> list[int]:
        """Open sessions of clients that have vanished, at any member."""
        gone = [client.session for client in self.clients if client.vanished]
        return [
            session
            for session in gone
            for member in self._in_force()
            if member.store is not None and member.store.machine.sessions.get(SessionId(session))
        ]

    def _in_force(self) -> list[Member]:
        """The members of the configuration in force; who was removed need not follow."""
        running = [m.node.raft for m in self.running() if m.node is not None]
        membership = max(running, key=lambda raft: raft.commit).membership
        return [self.members[member.id] for member in membership.members]

    def _has_converged(self) -> bool:
        """Every member stands at one index with one digest."""
        members = self._in_force()
        states = {
            (member.store.machine.applied_index, member.digest.value)
            for member in members
            if member.node is not None and member.store is not None
        }
        return len(states) == 1 and all(member.node is not None for member in members)

    def _until(self, reached: Callable[[], bool], within_us: int, what: str) -> None:
        deadline_us = self.kernel.now_us + within_us
        if not self.kernel.run_while(lambda: not reached(), deadline_us):
            raise Stuck(f"no cluster to {what} within {within_us // US_PER_S} s: {self.describe()}")

    def close(self) -> None:
        """The run is over: end what still runs in the clients' programs, all of them even if one
        cannot be ended."""
        with ExitStack() as ending:
            for client in self.clients:
                if isinstance(client, AppClient):
                    ending.callback(client.close)

    def describe(self) -> str:
        """One line per member, for reports."""
        parts = []
        for member in self.members.values():
            node = member.node
            if node is None:
                parts.append(f"n{member.id} down")
            else:
                raft = node.raft
                parts.append(
                    f"n{member.id} {raft.role} term {raft.term} leader {raft.leader} "
                    f"commit {raft.commit} applied {raft.applied_index} last {raft.last_index}"
                )
        parts += [f"{c.process.name} session {c.session} idle {c.is_idle}" for c in self.clients]
        return "; ".join(parts)
