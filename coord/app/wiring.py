"""From the configuration to the node's parts: plain constructions, no life yet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import coord
from coord.app.parts import LoopScheduler, Parts
from coord.config.parsers import optional_digest
from coord.model.errors import ConfigError, CorruptionError
from coord.model.limits import TICK_MS
from coord.node.bootstrap import InitialMember, digest_of
from coord.node.node import Node
from coord.node.peer_hello import PROCESS_BYTES, Hello
from coord.node.roster import Roster
from coord.node.settings import NodeSettings
from coord.node.transport import PeerTransport
from coord.raft.config import RaftConfig
from coord.raft.types import HardState, NodeId
from coord.store.log_writer import ThreadLogWriter
from coord.store.member_store import StoreOptions, open_member_store
from coord.store.snapshot_store import SnapshotPolicy

if TYPE_CHECKING:
    from coord.config import Config
    from coord.store.member_store import MemberStore

FEATURE_LEVEL: Final = 1
"""Newest feature level that this version can be raised to."""


def initial_members(config: Config) -> tuple[InitialMember, ...]:
    """The founders, as ``bootstrap`` wants them."""
    return tuple(
        InitialMember(NodeId(member.id), member.peer, member.client, member.http)
        for member in config.cluster.initial
    )


def open_store(config: Config, parts: Parts) -> MemberStore:
    """The data directory. Raises StorageError, of the class that says what is wrong."""
    storage = config.storage
    options = StoreOptions(
        NodeId(config.node.id),
        parts.random_bytes,
        snapshots=SnapshotPolicy(storage.snapshot_log_bytes, storage.log_entries_kept),
        reserve_bytes=storage.reserve_bytes,
        quota_bytes=storage.quota_bytes,
        map_bytes=storage.map_bytes,
        allow_remote_file_system=storage.allow_any_filesystem,
    )
    try:
        return open_member_store(config.node.dir, options)
    except CorruptionError as error:
        hosts = ",".join(m.client for m in config.cluster.initial if m.id != config.node.id)
        raise CorruptionError(
            f"{error}\n  This node's data is damaged, so it does not start. Its peers hold the"
            " data; to join them again:"
            f" coord repair --dir {config.node.dir} --hosts {hosts or 'A_PEER'}"
        ) from error


def hello_of(config: Config, store: MemberStore) -> Hello:
    """How this node introduces itself when it starts."""
    hard_state, membership, _ = store.log.initial_state()
    # A node that was told to join and has heard nothing since is as free to be given a role as one
    # that knows no cluster: it has neither voted nor acknowledged anything.
    empty = store.is_empty() or (hard_state == HardState() and not store.log.last_index())
    return Hello(
        node_id=NodeId(config.node.id),
        incarnation=store.incarnation,
        process=os.urandom(PROCESS_BYTES),
        cluster_id=store.cluster_id or b"",
        history_id=store.machine.history_id,
        empty=empty,
        membership=membership,
        initial=digest_of(initial_members(config)),
        feature_level=FEATURE_LEVEL,
        version=coord.__version__,
        peer=config.node.advertise_peer,
        client=config.node.advertise_client,
    )


def make_transport(
    config: Config,
    hello: Hello,
    parts: Parts,
    on_fatal: Callable[[BaseException], None],
) -> PeerTransport:
    """The peer links; they know the configured members until the log names others."""
    roster = Roster(
        hello.node_id,
        {NodeId(member.id): member.peer for member in config.cluster.initial},
        {NodeId(node): address for node, address in config.peers.dial.items()},
    )
    roster.set_members(hello.membership, 0)
    return PeerTransport(hello, roster, jitter=parts.jitter, on_fatal=on_fatal)


def raft_config(config: Config, store: MemberStore) -> RaftConfig:
    """Times in ticks, rounded up."""

    def ticks(duration_ms: int) -> int:
        return -(-duration_ms // TICK_MS)

    raft = config.raft
    made = RaftConfig(
        NodeId(config.node.id),
        store.incarnation,
        election_ticks_min=ticks(raft.election_timeout_ms_min),
        election_ticks_max=ticks(raft.election_timeout_ms_max),
        heartbeat_ticks=ticks(raft.heartbeat_ms),
        stuck_commit_ticks=ticks(raft.stuck_commit_ms),
    )
    made.validate()
    return made


def once_per_turn(turn: Callable[[], float], check: Callable[[], None]) -> Callable[[], None]:
    """``check``, but not again while ``turn`` says the same.

    The loop of uvloop reads the time once per turn and hands that out for next to nothing; a read
    of the boot-time clock for each of a thousand sockets would be felt.
    """
    checked_at = -1.0

    def checked() -> None:
        nonlocal checked_at
        now = turn()
        if now != checked_at:
            checked_at = now
            check()

    return checked


def with_secrets(config: Config) -> Config:
    """The configuration with what the files it names hold. Raises ConfigError, which does not
    repeat any of it."""
    file = config.zookeeper.super_digest_file
    if not file:
        return config
    try:
        digest: str = optional_digest(Path(file).read_text(encoding="utf-8").strip())
    except OSError as error:
        raise ConfigError(f"zookeeper.super_digest_file: {file}: {error.strerror}") from error
    except ValueError:
        digest = ""
    if not digest:
        raise ConfigError(f"zookeeper.super_digest_file: {file} does not hold one USER:DIGEST")
    return replace(config, zookeeper=replace(config.zookeeper, super_digest=digest))


def settings_of(config: Config, store: MemberStore) -> NodeSettings:
    """What the node needs to know."""
    return NodeSettings(
        raft_config(config, store),
        session_timeout_ms_min=config.sessions.timeout_ms_min,
        session_timeout_ms_max=config.sessions.timeout_ms_max,
        reap_interval_ms=config.tree.reap_interval_ms,
        feature_level=FEATURE_LEVEL,
        stall_ms=config.raft.election_timeout_ms_max,
        drift_ppm=config.sessions.drift_ppm,
        version=coord.__version__,
        super_digest=config.zookeeper.super_digest,
        reconfig=config.zookeeper.reconfig,
        read_only=config.zookeeper.read_only,
    )


def make_node(
    config: Config,
    store: MemberStore,
    transport: PeerTransport,
    parts: Parts,
    on_fatal: Callable[[BaseException], None],
) -> tuple[Node, ThreadLogWriter]:
    """The member, and the thread that makes its log durable. Call on the node's loop."""
    loop = asyncio.get_running_loop()
    writer = ThreadLogWriter(store.log, loop.call_soon_threadsafe)
    store.attach(loop.call_soon_threadsafe, writer)
    node = Node(
        settings_of(config, store),
        store,
        parts.clock,
        LoopScheduler(loop),
        transport,
        writer,
        parts.random_bytes,
        parts.jitter,
        on_fatal,
    )
    transport.position = lambda: store.machine.applied_index
    transport.before_input = once_per_turn(loop.time, node.ticker.check)
    return node, writer
