"""A node's life: bind, open, found or join, serve, drain, stop.

Every way out has a code (``failures``). A fatal error ends the process on the spot, without
flushing, closing or acknowledging anything: what was acknowledged is durable, and nothing that the
process would still do is trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import coord
from coord.app import binding, fatal_signals, http_door, logs, wiring, words
from coord.app.failures import OK, SOFTWARE, exit_code_of
from coord.app.leaders_file import remember_leaders
from coord.app.parts import Parts
from coord.app.scrub import Scrubber
from coord.app.supervision import Notifier, parent_has_ended
from coord.model.errors import ConfigError, StorageError
from coord.node.bootstrap import Bootstrapper, Found, Join, Wait, hello_after
from coord.server.listener import ClientListener
from coord.store.lmdb_kv import damage_of

if TYPE_CHECKING:
    from coord.config import Config
    from coord.node.node import Node
    from coord.node.transport import PeerTransport
    from coord.store.log_writer import ThreadLogWriter
    from coord.store.member_store import MemberStore
    from coord.store.suspicion import Suspicion

STOP_WITHIN_S: Final = 4.7
"""The promise is 5 s; a disk slower than that leaves an unclean but sound directory."""
HAND_OVER_WITHIN_S: Final = 1.5
DRAIN_WITHIN_S: Final = 0.5
POLL_S: Final = 0.01
FIRST_ELECTION_WITHIN_S: Final = 0.3
SWITCH_INTERVAL_S: Final = 0.0005
"""The log's writer thread needs the interpreter for microseconds at a time; let it have it soon."""
GC_THRESHOLDS: Final = (20_000, 20, 1_000_000)
"""The oldest generation is never collected by itself: 77 ms with 200,000 watches."""
CLOSED_PER_COLLECTION: Final = 20_000
"""Connections closed between two collections of everything, so that cycles do not pile up."""
_OUT_OF_RESOURCES: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED}
)

log = logging.getLogger(__name__)


def run(
    config: Config, parts: Parts | None = None, environment: Mapping[str, str] | None = None
) -> int:
    """Run a node until it is told to stop; returns its exit code.

    Raises ConfigError or StorageError if it cannot start.
    """
    if sys.flags.optimize:
        raise ConfigError("coord does not run under -O: its assertions are part of the product")
    config = wiring.with_secrets(config)
    logs.set_up(config.node.id, config.log.format, config.log.level)
    _raise_descriptor_limit(config.limits.connections_max)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with contextlib.ExitStack() as sockets:
        client = sockets.enter_context(binding.bind(config.node.client, "client"))
        peer = sockets.enter_context(binding.bind(config.node.peer, "peer"))
        http = None
        if config.node.http:
            http = sockets.enter_context(binding.bind(config.node.http, "HTTP"))
            http_door.load()
        if config.peers.insecure:
            log.warning(
                "peers are not authenticated: whoever reaches the peer port can change data"
            )
        suspicion = sockets.enter_context(fatal_signals.remembered(config.node.dir))
        application = Application(
            config,
            parts or Parts(),
            os.environ if environment is None else environment,
            suspicion,
        )
        sockets.callback(application.has_ended)
        # Leaving the runner may wait for a name that is being resolved: the deadline covers that.
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(application.live(client, peer, http))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop if it is installed: it halves the cost of a socket."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ModuleNotFoundError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _raise_descriptor_limit(connections_max: int) -> None:
    """Allow as many descriptors as the configured connections need, or say that it cannot be."""
    import resource  # noqa: PLC0415 - POSIX only

    wanted = connections_max + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            log.warning(
                "fewer connections possible than configured",
                extra={"limits.connections_max": connections_max, "descriptors": allowed},
            )


class Application:
    """One node in one process. Its methods stand in the order in which they run."""

    def __init__(
        self,
        config: Config,
        parts: Parts,
        environment: Mapping[str, str],
        suspicion: Suspicion,
    ) -> None:
        self._config = config
        self._parts = parts
        self._suspicion = suspicion
        self._notifier = Notifier(environment, os.getpid())
        parent = environment.get("COORD_PARENT_FD", "")
        self._parent_fd = int(parent) if parent.isdigit() else None
        self._stop_asked = asyncio.Event()
        self._settled = asyncio.Event()
        """Ends the wait for a cluster."""
        self._parent_ended = False
        self._deadline = threading.Timer(STOP_WITHIN_S, self._on_stop_overdue)
        self._deadline.daemon = True
        self._closed_connections = 0

    async def live(
        self, client: socket.socket, peer: socket.socket, http: socket.socket | None = None
    ) -> int:
        """From bound sockets to the exit code. Raises ConfigError and StorageError before the node
        serves; any other error is ours and ends the process here."""
        try:
            return await self._live(client, peer, http)
        except (ConfigError, StorageError):
            raise
        except Exception as error:
            self._fatal(error)
            raise

    async def _live(
        self, client: socket.socket, peer: socket.socket, http: socket.socket | None
    ) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_loop_error)
        config = self._config
        store = wiring.open_store(config, self._parts)
        if store.rebuilt_because:
            log.warning("the tree was rebuilt", extra={"because": store.rebuilt_because})
        self._listen_for_the_end(loop)
        hello = wiring.hello_of(config, store)
        transport = wiring.make_transport(config, hello, self._parts, self._fatal)
        await _listening(transport.listen(peer), config.node.peer, "peer")
        decision = await self._found_or_join(store, transport) if store.is_empty() else None
        if self._stop_asked.is_set():
            transport.close()
            store.close(clean=True)
            return OK
        node, writer = wiring.make_node(config, store, transport, self._parts, self._fatal)
        remember_leaders(node, config.node.dir)
        if decision is not None:
            # Only now, with somebody to hear them, may the others send messages.
            transport.introduce(hello_after(hello, decision))
        node.start()
        if isinstance(decision, Found):
            self._hold_first_election(loop, node, transport, loop.time() + FIRST_ELECTION_WITHIN_S)
        listener = self._make_listener(node, transport)
        await _listening(listener.start(client), config.node.client, "client")
        log.info("serving", extra={"client": config.node.client, "version": coord.__version__})
        door = await http_door.opened(config, node, http)
        self._watch_readiness(loop, node)
        self._feed_watchdog(loop)
        scrubber = self._make_scrubber(node, store)
        scrubber.start()
        await self._stop_asked.wait()
        scrubber.stop()
        code = await self._stop(node, listener, transport, writer, store)
        await http_door.close(door)
        return code

    # --- starting ---------------------------------------------------------------------------------

    def _listen_for_the_end(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        if self._parent_fd is not None:
            loop.add_reader(self._parent_fd, self._on_parent)

    async def _found_or_join(
        self, store: MemberStore, transport: PeerTransport
    ) -> Found | Join | None:
        """Give the empty directory its cluster; None if told to stop before there was one."""
        decisions: list[Found | Join] = []

        def on_decided(decision: Found | Join) -> None:
            # Durable at once, within the hello that decided: a peer may be wiped a moment later.
            if isinstance(decision, Found):
                store.bootstrap(decision.cluster_id, decision.membership)
            else:
                store.join(decision.cluster_id)
            decisions.append(decision)
            self._settled.set()

        bootstrapper = Bootstrapper(
            transport.own, wiring.initial_members(self._config), on_decided, self._on_waiting
        )
        transport.start(bootstrapper)
        bootstrapper.start()
        await self._settled.wait()
        if not decisions:
            return None
        verb = "founded" if isinstance(decisions[0], Found) else "joining"
        log.info("%s the cluster", verb, extra={"cluster": decisions[0].cluster_id.hex()})
        return decisions[0]

    def _hold_first_election(
        self,
        loop: asyncio.AbstractEventLoop,
        node: Node,
        transport: PeerTransport,
        until_s: float,
    ) -> None:
        """Nobody leads a cluster that has just been founded, and its first founder knows it: as
        soon as it can reach a majority it need not wait for a timeout of its own."""
        voters = [member.id for member in node.raft.membership.voters]
        late = loop.time() > until_s
        if (
            node.raft.leader
            or late
            or self._stop_asked.is_set()
            or voters[0] != self._config.node.id
        ):
            return
        if 2 * (1 + len(transport.connected())) <= len(voters):
            loop.call_later(POLL_S, self._hold_first_election, loop, node, transport, until_s)
            return
        for _ in range(node.settings.raft.election_ticks_max):
            node.driver.tick()

    def _on_waiting(self, wait: Wait) -> None:
        self._notifier.tell(f"STATUS={wait.reason}")
        log.log(logging.ERROR if wait.alarm else logging.INFO, "%s", wait.reason)

    def _make_listener(self, node: Node, transport: PeerTransport) -> ClientListener:
        limits, zookeeper = self._config.limits, self._config.zookeeper
        listener = ClientListener(
            node.gateway,
            connections_max=limits.connections_max,
            per_address_max=limits.connections_per_address_max,
            before_input=transport.before_input,
            on_closed=self._on_connection_closed,
            serves_zookeeper=zookeeper.enabled,
            request_bytes_max=zookeeper.request_bytes_max,
        )
        if zookeeper.words:
            listener.words = words.make_desk(self._config, node, listener).answer
        return listener

    def _make_scrubber(self, node: Node, store: MemberStore) -> Scrubber:
        scrubber = Scrubber(
            self._config.node.dir,
            store,
            interval_s=self._config.storage.scrub_interval_ms / 1_000,
            on_damage=self._fatal,
            take_snapshot=lambda: node.housekeeping.take_snapshot(lambda _outcome: None),
        )
        node.housekeeping.on_snapshot_refused = scrubber.look_into
        return scrubber

    def _watch_readiness(self, loop: asyncio.AbstractEventLoop, node: Node) -> None:
        """Announce once that the node is in quorum and caught up: it has applied an entry of the
        term in which it knows a leader."""
        if node.raft.leader and node.store.machine.applied_term == node.raft.term:
            self._announce(node)
            _settle_memory()
        else:
            loop.call_later(POLL_S, self._watch_readiness, loop, node)

    def _announce(self, node: Node) -> None:
        line = {
            "event": "ready",
            "id": self._config.node.id,
            "pid": os.getpid(),
            "client": self._config.node.client,
            "leader": int(node.raft.leader),
        }
        with contextlib.suppress(OSError):  # Nobody may be reading, and nothing depends on it.
            print(json.dumps(line), flush=True)  # noqa: T201 - for supervisors
        self._notifier.tell("READY=1", f"STATUS=in quorum, node {node.raft.leader} leads")
        log.info("ready", extra={"leader": int(node.raft.leader), "term": int(node.raft.term)})

    def _feed_watchdog(self, loop: asyncio.AbstractEventLoop) -> None:
        """A sign of life from the loop itself: if it stands still, the supervisor acts."""
        if self._notifier.watchdog_s is not None:
            self._notifier.tell("WATCHDOG=1")
            loop.call_later(self._notifier.watchdog_s, self._feed_watchdog, loop)

    # --- while it runs ----------------------------------------------------------------------------

    def _on_connection_closed(self) -> None:
        self._closed_connections += 1
        if self._closed_connections % CLOSED_PER_COLLECTION == 0:
            gc.collect()

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stop_asked.is_set():
            log.warning("second signal: ending at once", extra={"signal": int(number)})
            self._end(128 + number)
        log.info("stopping", extra={"signal": signal.Signals(number).name})
        self._ask_to_stop()

    def _on_parent(self) -> None:
        assert self._parent_fd is not None
        if parent_has_ended(self._parent_fd):
            asyncio.get_running_loop().remove_reader(self._parent_fd)
            log.info("stopping: the parent process has ended")
            self._parent_ended = True
            self._ask_to_stop()

    def _ask_to_stop(self) -> None:
        self._stop_asked.set()
        self._settled.set()

    def _on_loop_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Whatever escaped a callback. Nothing is swallowed: an assertion that failed in the core
        means that its state is not what it should be."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES:
            log.warning("out of descriptors or memory for a connection: %s", error)
        elif error is None:
            log.error("event loop: %s", context.get("message"))
        else:
            self._fatal(error)

    def _fatal(self, error: BaseException) -> None:
        """End without acknowledging anything any more. Damage is remembered, and a fault of ours
        too, after which the state may be anything: the next start does not trust what it finds."""
        damage = damage_of(error)
        code = exit_code_of(damage or error)
        if damage is not None or code == SOFTWARE:
            self._suspicion.note(str(damage or repr(error)))
        log.critical("fatal: %s", error, exc_info=error, extra={"exit_code": code})
        self._end(code)

    def _end(self, code: int) -> None:
        logging.shutdown()
        self._parts.exit_now(code)

    # --- stopping ---------------------------------------------------------------------------------

    async def _stop(
        self,
        node: Node,
        listener: ClientListener,
        transport: PeerTransport,
        writer: ThreadLogWriter,
        store: MemberStore,
    ) -> int:
        """Leadership first, so that writes go on elsewhere while this node says goodbye."""
        self._deadline.start()
        self._notifier.tell("STOPPING=1")
        listener.stop_accepting()
        if not self._parent_ended:
            await _hand_over(node, transport)
        node.drain()
        if not await listener.wait_empty(DRAIN_WITHIN_S):
            listener.abort_all()
        node.stop()
        transport.close()
        writer.close()
        store.close(clean=True)
        log.info("stopped")
        return OK

    def has_ended(self) -> None:
        """Nothing is left to wait for."""
        self._deadline.cancel()

    def _on_stop_overdue(self) -> None:
        """On the timer's thread: the loop may be waiting for the disk."""
        log.warning("stopping takes too long: ending without a final sync")
        self._end(OK)


async def _hand_over(node: Node, transport: PeerTransport) -> None:
    """Give leadership away; gives up when nobody takes it in time, or nobody is there."""
    if not node.hand_over():
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HAND_OVER_WITHIN_S):
            # The core is pure and has no events to wait for.
            while node.driver.is_leader or not node.raft.leader:
                if not transport.connected():
                    return
                await asyncio.sleep(POLL_S)


async def _listening(start: Awaitable[None], address: str, purpose: str) -> None:
    try:
        await start
    except OSError as error:
        raise binding.explained(error, address, purpose) from error


def _settle_memory() -> None:
    """What was made for good is not looked at by the collector again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
