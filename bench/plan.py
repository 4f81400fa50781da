"""The order of a comparison: rounds of all systems in turn (A B C A B C …), one at a time."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bench import probes
from bench.cases import CASES, LOADS, WIRES, Case
from bench.coord_servers import Coord
from bench.peers import Etcd, ZooKeeper
from bench.servers import Servers, cpu_s
from bench.tools import Figures, load

KINDS: Final[dict[str, type[Servers]]] = {
    "zookeeper": ZooKeeper,
    "etcd": Etcd,
    "coord": Coord,
    "coord-native": Coord,
}
START_S: Final = {"zookeeper": 5.0, "etcd": 2.0, "coord": 2.0}
LIMIT_S: Final = {"failover-kill": 10.0, "failover-stop": 30.0}
FAILOVER_S: Final = {
    ("zookeeper", "failover-kill"): 8.0,
    ("zookeeper", "failover-stop"): 17.0,
    ("coord", "failover-kill"): 5.0,
    ("coord", "failover-stop"): 5.0,
}
PROBE_S: Final = {"sessions": 7.0, "fanout": 8.0, "memory": 22.0}


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done. Times in seconds."""

    rounds: int = 3
    seconds: int = 5
    warmup: int = 2
    keys: int = 10_000
    sessions: int = 5_000
    fan_out_rounds: int = 7
    nodes: int = 200_000
    kills: int = 30
    freezes: int = 30
    zookeeper_freezes: int = 12
    """ZooKeeper needs eleven seconds for each, and no floor depends on it."""

    def failovers(self, case: str, system: str) -> int:
        """Failovers of a kind in all rounds together."""
        if case == "failover-kill":
            return self.kills
        return min(self.freezes, self.zookeeper_freezes) if system == "zookeeper" else self.freezes


QUICK: Final = Scale(rounds=1, seconds=2, warmup=1, kills=3, freezes=3, zookeeper_freezes=2)


@dataclass(frozen=True, slots=True)
class Trial:
    """One measurement on running servers. ``run`` may be repeated iff ``is_repeatable``."""

    case: str
    system: str
    estimate_s: float
    run: Callable[[Servers], Figures]
    is_repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Block:
    """Trials on one start of the servers."""

    round: int
    kind: type[Servers]
    trials: tuple[Trial, ...]

    @property
    def estimate_s(self) -> float:
        """How long starting, warming up and all trials will take."""
        start_s = START_S[self.kind.name] + self.kind.warmup_s + 1
        return start_s + sum(trial.estimate_s for trial in self.trials)


def plan(scale: Scale, systems: list[str], names: list[str]) -> list[Block]:
    """All blocks in their order."""
    cases = [case for case in CASES if case.name in names]
    found = []
    for number in range(scale.rounds):
        for kind in dict.fromkeys(KINDS[system] for system in systems):
            mine = [system for system in systems if KINDS[system] is kind]
            for group in _groups(cases):
                trials = tuple(_trials(scale, number, mine, group))
                if trials:
                    found.append(Block(number, kind, trials))
    return found


def _groups(cases: list[Case]) -> list[list[Case]]:
    """Loads, probes and failovers begin on fresh servers each; so does the memory of many nodes."""
    loads = [case for case in cases if case in LOADS]
    probing = [case for case in cases if case.name in ("sessions", "fanout")]
    filling = [case for case in cases if case.name == "memory"]
    failing = [case for case in cases if case.name.startswith("failover")]
    return [loads, probing, filling, failing]


def _trials(scale: Scale, number: int, systems: list[str], cases: list[Case]) -> Iterator[Trial]:
    for case in cases:
        for system in systems:
            if system not in case.systems:
                continue
            if case in LOADS:
                yield _load_trial(scale, case, system)
            elif case.name in PROBE_S:
                yield _probe_trial(scale, case, system)
            else:
                yield from _failover_trials(scale, number, case, system)


def _load_trial(scale: Scale, case: Case, system: str) -> Trial:
    def run(servers: Servers) -> Figures:
        return measure_load(servers, WIRES[system], case.arguments, scale)

    return Trial(case.name, system, scale.seconds + scale.warmup + 0.6, run)


def measure_load(servers: Servers, wire: str, arguments: tuple[str, ...], scale: Scale) -> Figures:
    """One run of the generator on keys that exist, with what the servers' processors did.

    ``server_cpu_us`` is the time of one core that one operation cost one server.
    """
    before_s = cpu_s(servers.pids)
    times = ("-n", "-k", str(scale.keys), "-t", str(scale.seconds), "-w", str(scale.warmup))
    figures = load(wire, servers.hosts, *arguments, *times)
    used_s = cpu_s(servers.pids) - before_s
    lasted_s = scale.seconds + scale.warmup
    done = figures["ops_s"] * lasted_s
    if done and servers.pids:
        figures["server_cpu_us"] = used_s * 1e6 / done / len(servers.pids)
        figures["generator_busy"] = figures["generator_cpu_s"] / lasted_s
    return figures


def _probe_trial(scale: Scale, case: Case, system: str) -> Trial:
    wire = WIRES[system]

    def run(servers: Servers) -> Figures:
        if case.name == "sessions":
            return probes.sessions(servers, wire, scale.sessions)
        if case.name == "fanout":
            return probes.fan_out(servers, wire, scale.sessions, scale.fan_out_rounds)
        return probes.memory(servers, wire, scale.nodes)

    # A second try would find the memory of the first.
    is_repeatable = case.name == "fanout"
    return Trial(case.name, system, PROBE_S[case.name], run, is_repeatable)


def _failover_trials(scale: Scale, number: int, case: Case, system: str) -> Iterator[Trial]:
    wire, limit_s = WIRES[system], LIMIT_S[case.name]
    how = signal.SIGKILL if case.name == "failover-kill" else signal.SIGSTOP

    def run(servers: Servers) -> Figures:
        return probes.failover(servers, wire, how, limit_s)

    total = scale.failovers(case.name, system)
    share = total // scale.rounds + (number < total % scale.rounds)
    for _ in range(share):
        yield Trial(case.name, system, FAILOVER_S[system, case.name], run)
