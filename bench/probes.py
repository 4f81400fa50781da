"""Probes: what a closed loop of sets and gets does not show.

Each takes running servers and gives figures. Those that disturb the servers leave them as they
were: all running, one leading, all others following.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import Final

from bench.servers import Servers, ServersError, anonymous_kib, wait_until
from bench.tools import Figures, Holding, command, load, probe

CLIENTS: Final = 9
"""Writers during a failover: three on each of three nodes."""
PROGRESS_MS: Final = 50
WARMUP_S: Final = 1
"""The gap before the first write, while clients connect, is none of the leader's making."""
BEFORE_S: Final = WARMUP_S + 1.0
CALM_S: Final = 1.0
"""Writes have recovered when they have flowed for so long again."""
HEALED_WITHIN_S: Final = 60.0
SETTLE_S: Final = 3.0
NODES_A_DIRECTORY: Final = 1_000


def sessions(servers: Servers, wire: str, count: int) -> Figures:
    """Open ``count`` sessions: how fast, and what each costs all servers together while idle."""
    before_kib = anonymous_kib(servers.pids)
    with Holding(wire, servers.hosts, "sessions", "-c", str(count)) as figures:
        time.sleep(SETTLE_S)
        grown_kib = anonymous_kib(servers.pids) - before_kib
    return {**figures, "kib_per_session": grown_kib / count}


def fan_out(servers: Servers, wire: str, watchers: int, rounds: int) -> Figures:
    """One set, ``watchers`` sessions that wait for it: when the last of them knows."""
    return probe(wire, servers.hosts, "fanout", "-c", str(watchers), "-r", str(rounds))


def memory(servers: Servers, wire: str, nodes: int) -> Figures:
    """Create ``nodes`` nodes of 100 bytes: how fast, and the servers' memory with them."""
    layout = () if wire == "etcd" else ("-f", str(NODES_A_DIRECTORY), "-p", "/bench-many")
    figures = load(wire, servers.hosts, "-F", "-k", str(nodes), "-v", "100", *layout)
    time.sleep(SETTLE_S)
    return {**figures, "anonymous_mib": anonymous_kib(servers.pids) / 1024}


# --- the leader goes ----------------------------------------------------------------------------


def failover(servers: Servers, wire: str, how: signal.Signals, limit_s: float) -> Figures:
    """Kill or freeze the leader under writes: the longest time without a successful one.

    Raises ServersError if there is no single leader, or the cluster does not heal.
    """
    leader = servers.leader()
    if leader is None:
        raise ServersError("no single leader to take away")
    longest_s = int(limit_s + 2 * BEFORE_S)
    argv = command(wire, servers.hosts, "-o", "set", "-c", str(CLIENTS), "-n", "-w", str(WARMUP_S))
    argv += ["-t", str(longest_s), "-i", str(PROGRESS_MS)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as writers:
        try:
            assert writers.stderr is not None
            _watch(writers, until_s=time.monotonic() + BEFORE_S)
            servers.signal(leader, how)
            _await_calm(writers, limit_s)
        finally:
            writers.send_signal(signal.SIGTERM)
            _restore(servers, leader, how)
        said, complaints = writers.communicate()
    if not said:
        raise ServersError(f"the writers failed: {complaints}")
    figures: Figures = json.loads(said)
    wait_until(servers.is_ready, f"{servers.name} has healed", HEALED_WITHIN_S)
    return {**figures, "leader": leader}


def _watch(writers: subprocess.Popen[str], until_s: float) -> None:
    """Read progress until then."""
    assert writers.stderr is not None
    for _ in writers.stderr:
        if time.monotonic() >= until_s:
            return
    raise ServersError("the writers ended early")


def _await_calm(writers: subprocess.Popen[str], limit_s: float) -> None:
    """Return when writes have paused and flow again, or have never paused, or time is up."""
    assert writers.stderr is not None
    struck_s = time.monotonic()
    flowing_since_s, last = struck_s, -1
    for line in writers.stderr:
        now_s = time.monotonic()
        if not line.strip().isdigit():
            continue
        if int(line) == last:
            flowing_since_s = now_s
        last = int(line)
        if now_s - flowing_since_s > CALM_S or now_s - struck_s > limit_s:
            return


def _restore(servers: Servers, leader: int, how: signal.Signals) -> None:
    if how is signal.SIGSTOP:
        servers.signal(leader, signal.SIGCONT)
        return
    servers.reap(leader)
    servers.spawn(leader)
