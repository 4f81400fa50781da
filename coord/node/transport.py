"""Peer links over TCP: who is connected to whom, and the sending of batches.

One task per peer dials and redials; everything else happens in protocol callbacks. Nothing here
waits for a slow peer: a batch that does not fit the peer's queue is dropped, and Raft repairs that
by probing. Identity rules are in ``roster`` (who may talk) and ``peer_hello`` (how one introduces
oneself); this module keeps the table of links.

TLS: pass contexts as ``server_ssl`` and ``client_ssl``. Without them peers are not authenticated,
which ``coord.app`` allows on loopback only, or by an explicit flag.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from coord.node.peer_hello import Hello
from coord.node.peer_link import PeerLink
from coord.node.roster import Roster, Standing

if TYPE_CHECKING:
    import socket
    import ssl

    from coord.node.ports import PeerHandler
    from coord.raft.types import Membership, NodeId

DIAL_DELAY_MS_MIN: Final = 20
DIAL_DELAY_MS_MAX: Final = 2_000
DIAL_TIMEOUT_S: Final = 1.0
HELLO_TIMEOUT_S: Final = 2.0
PROBE_TIMEOUT_S: Final = 0.3
"""A process that does not answer a probe within this time may be succeeded by another with the
same identity."""
STRANGERS_MAX: Final = 64
"""Accepted connections that have not introduced themselves yet."""

log = logging.getLogger(__name__)


def dial_delay_ms(attempt: int, jitter: Callable[[int], int]) -> int:
    """Pause before dial number ``attempt`` (from 0) after a failure: 20 ms, doubling, to 2 s.

    The upper half of each step is random (``jitter(n)`` in [0, n)), so that nodes that lost each
    other at one moment do not redial in step.
    """
    assert attempt >= 0
    step = min(DIAL_DELAY_MS_MAX, DIAL_DELAY_MS_MIN << min(attempt, 16))
    return step - jitter(step // 2)


def split_address(address: str) -> tuple[str, int]:
    """("host", port) of "host:port" or "[v6]:port". Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError(f"{address!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


class _Dialler:
    """The standing wish to be connected to one peer."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.hurry = asyncio.Event()
        """Set when the peer has just shown that it is there."""
        self.last_error = ""


class PeerTransport:
    """Implements ``ports.Transport`` over asyncio.

    ``own``: how this node introduces itself; ``position``: its last applied index; ``jitter(n)``:
    random integer in [0, n); ``before_input``: called ahead of any handling of received bytes;
    ``on_fatal``: called with an exception that must end the process.
    """

    def __init__(
        self,
        own: Hello,
        roster: Roster,
        *,
        jitter: Callable[[int], int],
        on_fatal: Callable[[BaseException], None],
        before_input: Callable[[], None] = lambda: None,
        server_ssl: ssl.SSLContext | None = None,
        client_ssl: ssl.SSLContext | None = None,
    ) -> None:
        self.position: Callable[[], int] = lambda: 0
        self.before_input = before_input
        self._own = own
        self._roster = roster
        self._jitter = jitter
        self._on_fatal = on_fatal
        self._server_ssl = server_ssl
        self._client_ssl = client_ssl
        self._handler: PeerHandler | None = None
        self._server: asyncio.Server | None = None
        self._diallers: dict[NodeId, _Dialler] = {}
        self._outgoing: dict[NodeId, PeerLink] = {}
        self._incoming: dict[NodeId, PeerLink] = {}
        """Invariant: a link in either table has been accepted and is not known to be dead."""
        self._strangers: dict[PeerLink, asyncio.TimerHandle] = {}
        self._probed: dict[PeerLink, tuple[PeerLink, Hello, asyncio.TimerHandle]] = {}
        """Old link → (its would-be successor, the successor's hello, the old one's deadline)."""
        self._refusals: dict[NodeId, str] = {}
        """Why a peer was refused last."""
        self._closing = False
        self.duplicates = 0
        """Refused second connections with a live identity: always somebody's mistake."""

    # --- ports.Transport --------------------------------------------------------------------------

    async def listen(self, sock: socket.socket) -> None:
        """Accept peers on a bound socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: PeerLink(self), sock=sock, ssl=self._server_ssl
        )

    def start(self, handler: PeerHandler) -> None:
        """Dial, and report to ``handler``; a later call hands over to another handler, which
        hears of every live link again."""
        self._handler = handler
        self._dial_targets()
        for peer, link in {**self._outgoing, **self._incoming}.items():
            assert link.hello is not None
            handler.on_link_up(peer, link.hello.as_dict())

    def set_members(self, membership: Membership) -> None:
        """The membership in force: links to strangers end, new members are dialled."""
        changed = membership != self._roster.membership
        self._roster.set_members(membership, self.position())
        self._dial_targets()
        if changed:
            self._review_links()
            self._announce()

    def send(self, to: NodeId, messages: Sequence[Any]) -> bool:
        """Queue a batch as one frame; False if it was dropped (no member's link, queue full)."""
        link = self._outgoing.get(to)
        return link is not None and link.send_batch(messages)

    def close(self) -> None:
        """Stop accepting and dialling; end all links, flushing what is queued."""
        self._closing = True
        if self._server is not None:
            self._server.close()
        for dialler in self._diallers.values():
            if dialler.task is not None:
                dialler.task.cancel()
        self._diallers.clear()
        for _, _, deadline in self._probed.values():
            deadline.cancel()
        self._probed.clear()
        for link, deadline in self._strangers.items():
            deadline.cancel()
            link.abort("shutting down")
        self._strangers.clear()
        for link in [*self._outgoing.values(), *self._incoming.values()]:
            link.close("shutting down")

    def introduce(self, own: Hello) -> None:
        """This node has something new to say of itself (it has a cluster now)."""
        assert own.node_id == self._own.node_id
        self._own = own
        self._review_links()
        self._announce()

    @property
    def own(self) -> Hello:
        """How this node introduces itself at the moment."""
        return self._roster.introduction(self._own, self.position())

    def connected(self) -> tuple[NodeId, ...]:
        """Members that batches can be sent to now, sorted."""
        return tuple(
            sorted(
                peer
                for peer, link in self._outgoing.items()
                if link.standing is Standing.MEMBER and link.is_open
            )
        )

    def last_errors(self) -> dict[NodeId, str]:
        """Why the peers that are not connected are not, as far as known."""
        return {
            peer: dialler.last_error
            for peer, dialler in self._diallers.items()
            if peer not in self._outgoing and dialler.last_error
        }

    # --- dialling ---------------------------------------------------------------------------------

    def _dial_targets(self) -> None:
        if self._handler is None or self._closing:
            return
        targets = self._roster.targets()
        for peer in targets.keys() - self._diallers.keys():
            dialler = self._diallers[peer] = _Dialler()
            dialler.task = asyncio.ensure_future(self._keep_dialled(peer, dialler))
            dialler.task.add_done_callback(self._on_dialler_done)
        for peer in self._diallers.keys() - targets.keys():
            gone = self._diallers.pop(peer)
            if gone.task is not None:
                gone.task.cancel()
            if peer in self._outgoing:
                self._outgoing[peer].close("no longer a member")

    def _on_dialler_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fatal(error)

    async def _keep_dialled(self, peer: NodeId, dialler: _Dialler) -> None:
        attempt = 0
        while True:
            if await self._dial_once(peer, dialler):
                attempt = 0
            delay_ms = dial_delay_ms(attempt, self._jitter)
            attempt += 1
            dialler.hurry.clear()
            try:
                async with asyncio.timeout(delay_ms / 1_000):
                    await dialler.hurry.wait()
                    attempt = 0
            except TimeoutError:
                pass

    async def _dial_once(self, peer: NodeId, dialler: _Dialler) -> bool:
        """Dial, stay while the link lives; True if the peer had accepted it. The address is read
        and its name resolved anew each time: both may have changed."""
        loop = asyncio.get_running_loop()
        try:
            host, port = split_address(self._roster.targets()[peer])
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                _, link = await loop.create_connection(
                    lambda: PeerLink(self, peer), host, port, ssl=self._client_ssl
                )
        except (OSError, ValueError, KeyError) as error:
            dialler.last_error = str(error) or type(error).__name__
            return False
        await link.closed
        return link.hello is not None

    # --- LinkOwner --------------------------------------------------------------------------------

    def on_connected(self, link: PeerLink) -> None:
        """Introduce ourselves if we dialled; give the other side a moment to do so."""
        if self._closing or len(self._strangers) >= STRANGERS_MAX:
            link.abort("too many connections without a hello")
            return
        loop = asyncio.get_running_loop()
        self._strangers[link] = loop.call_later(HELLO_TIMEOUT_S, link.abort, "no hello in time")
        if link.dialled:
            link.tell(replace(self.own, to=link.dialled))

    def on_hello(self, link: PeerLink, hello: Hello) -> None:
        """Decide what the peer may do."""
        if link.hello is not None:
            self._on_news(link, hello)
            return
        if self._closing:
            return
        if link.dialled and hello.node_id != link.dialled:
            link.close(f"dialled node {link.dialled}, reached node {hello.node_id}")
            return
        own = self.own
        self._roster.vouch(own, hello)
        verdict = self._roster.judge(own, hello)
        if verdict.standing is Standing.REFUSED:
            self._note_refusal(link, hello.node_id, verdict.reason)
            link.refuse(verdict.reason)
        elif link.dialled:
            self._admit(link, hello, self._outgoing)
        else:
            self._admit_unless_taken(link, hello)

    def _note_refusal(self, link: PeerLink, peer: NodeId, reason: str) -> None:
        """Once per peer and reason: it will come back every two seconds."""
        if self._refusals.get(peer) == reason:
            return
        if len(self._refusals) >= STRANGERS_MAX:
            self._refusals.clear()
        self._refusals[peer] = reason
        log.warning("peer refused", extra={"peer": peer, "at": link.address, "reason": reason})

    def _admit_unless_taken(self, link: PeerLink, hello: Hello) -> None:
        """Let an incoming link in unless its identity is live on another one.

        The same process may reconnect. Another process is let in only if the first no longer
        answers: two live ones mean a copied data directory (design, section 4).
        """
        old = self._incoming.get(hello.node_id)
        if old is None or old.hello is None or not old.is_open:
            self._admit(link, hello, self._incoming)
        elif old.hello.process == hello.process:
            self._incoming.pop(hello.node_id)
            old.close("superseded by a new connection")
            self._admit(link, hello, self._incoming)
        elif old in self._probed:
            link.refuse(f"another connection of node {hello.node_id} is being examined")
        else:
            deadline = asyncio.get_running_loop().call_later(
                PROBE_TIMEOUT_S, self._on_probe_unanswered, old
            )
            self._probed[old] = (link, hello, deadline)
            old.send_control({"probe": 1})

    def on_alive(self, link: PeerLink) -> None:
        """The first connection lives: refuse the second, and say so loudly."""
        if link not in self._probed:
            return
        second, hello, deadline = self._probed.pop(link)
        deadline.cancel()
        self.duplicates += 1
        log.error(
            "two live processes claim one identity: was a data directory copied?",
            extra={"peer": hello.node_id, "first": link.address, "second": second.address},
        )
        second.refuse(f"node {hello.node_id} is already connected from {link.address}")

    def _on_probe_unanswered(self, old: PeerLink) -> None:
        old.abort("no answer to a probe; succeeded by a new connection")

    def _admit(self, link: PeerLink, hello: Hello, table: dict[NodeId, PeerLink]) -> None:
        peer = hello.node_id
        own = self.own
        verdict = self._roster.judge(own, hello)
        if verdict.standing is Standing.REFUSED:
            link.refuse(verdict.reason)
            return
        timer = self._strangers.pop(link, None)
        if timer is not None:
            timer.cancel()
        link.accept(hello, verdict.standing)
        table[peer] = link
        self._refusals.pop(peer, None)
        # On a link that was dialled this repeats what has become news since, if anything has.
        link.tell(replace(own, to=peer))
        self._dial_targets()
        dialler = self._diallers.get(peer)
        if dialler is not None:
            dialler.last_error = ""
            if not link.dialled:
                dialler.hurry.set()
        log.debug(
            "peer link up",
            extra={"peer": peer, "dialled": bool(link.dialled), "standing": link.standing.value},
        )
        self._report_up(link)

    def _on_news(self, link: PeerLink, hello: Hello) -> None:
        assert link.hello is not None
        known = link.hello
        if (hello.node_id, hello.process) != (known.node_id, known.process):
            link.abort("the peer changed its identity on a live link")
            return
        if self._roster.vouch(self.own, hello):
            self._dial_targets()
        link.hello = hello
        self._review(link, report_always=True)

    def on_refused(self, link: PeerLink, reason: str) -> None:
        """Keep the reason for ``status``; it is the operator who must act."""
        dialler = self._diallers.get(link.dialled)
        if dialler is not None:
            if dialler.last_error != reason:
                log.warning("refused by peer", extra={"peer": link.dialled, "reason": reason})
            dialler.last_error = reason
        link.close(f"refused by the peer: {reason}")

    def on_batch(self, link: PeerLink, messages: list[Any]) -> None:
        """Messages of a member."""
        assert link.hello is not None
        if self._handler is not None:
            self._handler.on_messages(link.hello.node_id, link.hello.incarnation, messages)

    def on_closed(self, link: PeerLink, reason: str) -> None:
        """Forget the link; report a lost peer."""
        timer = self._strangers.pop(link, None)
        if timer is not None:
            timer.cancel()
        if link.hello is None:
            return
        peer = link.hello.node_id
        table, other = self._incoming, self._outgoing
        if link.dialled:
            table, other = other, table
        successor = self._probed.pop(link, None)
        if table.get(peer) is not link:
            return
        del table[peer]
        log.debug("peer link down", extra={"peer": peer, "reason": reason})
        # A peer that dies ends both links; the one it dialled is what this node hears it on.
        if (not link.dialled or peer not in other) and self._handler and not self._closing:
            self._handler.on_link_lost(peer)
        if successor is not None:
            second, hello, deadline = successor
            deadline.cancel()
            if second.is_open:
                self._admit_unless_taken(second, hello)

    # --- review -----------------------------------------------------------------------------------

    def _review_links(self) -> None:
        links = [*self._outgoing.values(), *self._incoming.values()]
        # What a peer showed earlier may count only now that this node has joined its cluster.
        own = self.own
        for link in links:
            assert link.hello is not None
            self._roster.vouch(own, link.hello)
        self._dial_targets()
        for link in links:
            self._review(link)

    def _review(self, link: PeerLink, *, report_always: bool = False) -> None:
        """Judge an accepted peer again, because it or the membership has changed."""
        assert link.hello is not None
        verdict = self._roster.judge(self.own, link.hello)
        if verdict.standing is Standing.REFUSED:
            link.refuse(verdict.reason)
            return
        changed = link.standing is not verdict.standing
        link.standing = verdict.standing
        if changed or report_always:
            self._report_up(link)

    def _report_up(self, link: PeerLink) -> None:
        assert link.hello is not None
        if self._handler is not None:
            self._handler.on_link_up(link.hello.node_id, link.hello.as_dict())

    def _announce(self) -> None:
        """Tell everybody connected what has changed here."""
        own = self.own
        for link in [*self._outgoing.values(), *self._incoming.values()]:
            assert link.hello is not None
            link.tell(replace(own, to=link.hello.node_id))
