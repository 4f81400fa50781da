"""A node's ``Transport`` over the simulated network.

As the real one (``coord.node.transport``): a node sends on the streams it dialled and reads from
those dialled to it; both sides introduce themselves with a hello, again whenever something in it
changes; ``coord.node.roster`` judges who may talk; batches travel in the real peer codec's bytes.
Left out: duplicate identities and their probes, bounded queues, TLS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from coord.model.limits import PEER_FRAME_BYTES_MAX
from coord.node.peer_codec import HEADER, FrameSplitter, decode_body, encode_batch
from coord.node.peer_hello import Hello
from coord.node.ports import PeerHandler
from coord.node.roster import Roster, Standing
from coord.raft.types import Membership, NodeId
from coord.sim.kernel import US_PER_MS
from coord.sim.network import PPM, End, Network
from coord.sim.process import Process

PORT: Final = "peer"
REDIAL_US_MIN: Final = 10 * US_PER_MS
REDIAL_US_MAX: Final = 200 * US_PER_MS


def host_name(node_id: int) -> str:
    """The process name of a node: its address in this world."""
    return f"n{node_id}"


class SimTransport:
    """Carries one node's messages in one life of its process.

    ``position``: last applied index. ``before_input``: called ahead of any handling of what
    arrives.
    """

    def __init__(self, network: Network, process: Process, own: Hello, roster: Roster) -> None:
        self.position: Callable[[], int] = lambda: 0
        self.before_input: Callable[[], object] = lambda: None
        self._network = network
        self._process = process
        self._own = own
        self._roster = roster
        self._handler: PeerHandler | None = None
        self._outgoing: dict[int, PeerStream] = {}
        self._incoming: dict[int, PeerStream] = {}
        self._dialling: set[int] = set()
        self._closed = False
        network.listen(process, PORT, self._accept)

    # --- coord.node.ports.Transport -------------------------------------------------------------

    def start(self, handler: PeerHandler) -> None:
        """Dial, and report to ``handler``; a later call hands over to another handler, which
        hears of every live link again."""
        self._handler = handler
        self._dial_targets()
        for link in list({**self._outgoing, **self._incoming}.values()):
            self._report_up(link)

    def set_members(self, membership: Membership) -> None:
        """The membership in force: streams of strangers end, new members are dialled."""
        changed = membership != self._roster.membership
        self._roster.set_members(membership, self.position())
        self._dial_targets()
        if changed:
            self._review_links()
            self._announce()

    def send(self, to: NodeId, messages: Sequence[Any]) -> bool:
        """One batch, one item; False if there is no member's stream or the batch was dropped.

        TCP would keep order and count; Raft must not depend on that, so weather may not.
        """
        link = self._outgoing.get(int(to))
        if link is None or link.standing is not Standing.MEMBER:
            return False
        weather = self._network.conditions
        if self._happens(weather.drop_ppm):
            return False
        batch = encode_batch(messages)
        late = self._happens(weather.reorder_ppm)
        if late or self._happens(weather.duplicate_ppm):
            self._send_later(link.hello, batch)
        if not late:
            link.end.write(batch)
        return True

    def _happens(self, chance_ppm: int) -> bool:
        return chance_ppm > 0 and self._network.stream.randrange(PPM) < chance_ppm

    def _send_later(self, to: Hello, batch: bytes) -> None:
        """On whatever stream leads to the same peer by then."""

        def send() -> None:
            link = self._outgoing.get(int(to.node_id))
            if link is not None and link.hello.incarnation == to.incarnation:
                link.end.write(batch)

        delay_us = self._network.stream.randrange(self._network.conditions.late_us_max)
        self._network.kernel.schedule(delay_us, send, self._process)

    def close(self) -> None:
        """End all streams; dial no more."""
        self._closed = True
        self._network.unlisten(self._process, PORT)
        for link in (*self._outgoing.values(), *self._incoming.values()):
            link.end.close()
        self._outgoing.clear()
        self._incoming.clear()

    def introduce(self, own: Hello) -> None:
        """This node has something new to say of itself (it has a cluster now)."""
        self._own = own
        self._review_links()
        self._announce()

    @property
    def own(self) -> Hello:
        """How this node introduces itself at the moment."""
        return self._roster.introduction(self._own, self.position())

    # --- dialling -------------------------------------------------------------------------------

    def _dial_targets(self) -> None:
        targets = self._roster.targets()
        for peer in [peer for peer in self._outgoing if peer not in targets]:
            self._outgoing.pop(peer).end.close()
        if self._handler is not None:
            for peer in targets:
                self._dial(int(peer))

    def _dial(self, peer: int) -> None:
        if self._closed or peer in self._dialling or peer in self._outgoing:
            return
        address = self._roster.targets().get(NodeId(peer))
        if address is None:
            return
        self._dialling.add(peer)
        said = replace(self.own, to=NodeId(peer))
        self._network.dial(
            self._process,
            address.partition(":")[0],
            PORT,
            said,
            lambda end, hello: self._dialled(peer, end, hello, said),
        )

    def _dialled(self, peer: int, end: End | None, hello: Hello | None, said: Hello) -> None:
        if end is None or hello is None:
            self._redial(peer)
            return
        assert peer not in self._outgoing
        self.before_input()
        link = PeerStream(self, end, hello, dialled=True)
        if not self._admit(link):
            end.close()
            self._redial(peer)
            return
        self._dialling.discard(peer)
        self._outgoing[peer] = link
        now = replace(self.own, to=NodeId(peer))
        if now != said:
            end.write(now)
        self._report_up(link)

    def _redial(self, peer: int) -> None:
        self._dialling.discard(peer)
        pause_us = self._network.stream.randrange(REDIAL_US_MIN, REDIAL_US_MAX)
        self._network.kernel.schedule(pause_us, lambda: self._dial(peer), self._process)

    # --- streams --------------------------------------------------------------------------------

    def _accept(self, end: End, hello: Hello) -> Hello | None:
        self.before_input()
        link = PeerStream(self, end, hello, dialled=False)
        if self._closed or not self._admit(link):
            return None
        old = self._incoming.pop(int(hello.node_id), None)
        if old is not None:
            old.end.close()
        self._incoming[int(hello.node_id)] = link
        # What this node does on hearing of the link must not overtake its answer on it.
        self._process.call_soon(lambda: self._report_up(link))
        return replace(self.own, to=hello.node_id)

    def _admit(self, link: PeerStream) -> bool:
        if self._roster.vouch(self.own, link.hello):
            self._dial_targets()
        link.standing = self._roster.judge(self.own, link.hello).standing
        return link.standing is not Standing.REFUSED

    def _report_up(self, link: PeerStream) -> None:
        if self._handler is not None and not link.end.closed:
            self._handler.on_link_up(link.hello.node_id, link.hello.as_dict())

    def _review_links(self) -> None:
        for link in [*self._outgoing.values(), *self._incoming.values()]:
            before = link.standing
            if not self._admit(link):
                self._forget(link)
                link.end.close()
            elif link.standing is not before:
                self._report_up(link)

    def _announce(self) -> None:
        for link in [*self._outgoing.values(), *self._incoming.values()]:
            link.end.write(replace(self.own, to=link.hello.node_id))

    def _forget(self, link: PeerStream) -> bool:
        table = self._outgoing if link.dialled else self._incoming
        peer = int(link.hello.node_id)
        if table.get(peer) is not link:
            return False
        del table[peer]
        if link.dialled:
            self._redial(peer)
        return True

    # --- what streams report --------------------------------------------------------------------

    def arrived(self, link: PeerStream, item: Hello | bytes) -> None:
        """A batch, or news of the peer."""
        self.before_input()
        if isinstance(item, Hello):
            link.hello = item
            if self._admit(link):
                self._report_up(link)
            else:
                self._forget(link)
                link.end.close()
        elif link.standing is Standing.MEMBER and self._handler is not None:
            messages = _decode(item)
            kernel = self._network.kernel
            if kernel.trace.is_watched:
                for message in messages:
                    kernel.trace.note(kernel.now_us, self._process.name, repr(message)[:160])
            self._handler.on_messages(link.hello.node_id, link.hello.incarnation, messages)

    def ended(self, link: PeerStream) -> None:
        """A stream is gone. A peer that dies ends both; the one it dialled counts."""
        self.before_input()
        peer = link.hello.node_id
        known = self._forget(link)
        if (
            known
            and self._handler is not None
            and not (link.dialled and int(peer) in self._incoming)
        ):
            self._handler.on_link_lost(peer)


class PeerStream:
    """One stream to or from a peer that has introduced itself."""

    def __init__(self, transport: SimTransport, end: End, hello: Hello, *, dialled: bool) -> None:
        self.end = end
        self.hello = hello
        self.dialled = dialled
        self.standing = Standing.REFUSED
        self._transport = transport
        end.handler = self

    def on_item(self, item: Hello | bytes) -> None:
        """See StreamHandler."""
        self._transport.arrived(self, item)

    def on_end(self) -> None:
        """See StreamHandler."""
        self._transport.ended(self)


def _decode(frame: bytes) -> list[Any]:
    """Fresh objects: nothing is shared between nodes."""
    if HEADER.unpack_from(frame)[0] == len(frame) - HEADER.size:
        return _messages(memoryview(frame)[HEADER.size :])
    bodies = FrameSplitter(PEER_FRAME_BYTES_MAX).feed(frame)
    return [message for body in bodies for message in _messages(body)]


def _messages(body: memoryview) -> list[Any]:
    messages = decode_body(body)
    assert isinstance(messages, list), "control frames travel as hellos here"
    return messages
