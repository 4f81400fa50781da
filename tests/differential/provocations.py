"""Provokes, one at a time, what is known to differ between servers (``differences.py``).

Each function takes a server's address and returns what is then compared with what is written.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

from tests.differential import jute
from tests.differential.player import OPEN_ACL, Play, Player, fresh_root
from tests.differential.sequences import digest
from tests.differential.steps import ROOT, Step, contract
from tests.differential.wire import Disconnected, Event, Wire

Address = tuple[str, int]


def _node(path: str, acl: list[list[Any]] | None = None, flags: int = 0) -> dict[str, Any]:
    return {"path": path, "data": "", "acl": OPEN_ACL if acl is None else acl, "flags": flags}


def _set(path: str = ROOT) -> Step:
    return Step(0, "setData", {"path": path, "data": "x", "version": -1})


def _played(address: Address, *steps: Step) -> Play:
    player = Player(address)
    try:
        return player.play(steps, fresh_root())
    finally:
        player.close()


def _errors(address: Address, *steps: Step) -> list[int | None]:
    outcomes = _played(address, *steps).outcomes
    return [None if outcome.reply is None else outcome.reply.err for outcome in outcomes]


def _events(address: Address, *steps: Step) -> list[list[Any]]:
    """All events of a play as [kind, path], in order."""
    play = _played(address, *steps)
    found: list[Event] = []
    for outcome in play.outcomes:
        found += outcome.before
        found += [event for events in outcome.after.values() for event in events]
    return [[event.kind, contract(event.path, play.root)] for event in found]


# --- 3.9 differs from 3.8 -------------------------------------------------------------------------

_ANN: Final = [[31, "digest", digest("ann", "1")]]
_AS_ANN: Final = Step(0, "auth", {"scheme": "digest", "credential": "ann:1"})


def exists_of_unreadable(address: Address) -> Any:
    """The error of asking whether a node exists that the asker may not read."""
    steps = [_AS_ANN, Step(0, "create", _node("~/p", _ANN)), Step(1, "exists", {"path": "~/p"})]
    return _errors(address, *steps)[-1]


def check_of_others(address: Address) -> Any:
    """The error of checking for a watch that only another session has."""
    watch = Step(0, "getData", {"path": ROOT, "watch": True})
    return _errors(address, watch, Step(1, "checkWatches", {"path": ROOT, "kind": 2}))[1]


def one_shot_on_lasting(address: Address) -> Any:
    """Events of two changes under a persistent watch and a later one-shot one."""
    lasting = Step(0, "addWatch", {"path": ROOT, "mode": 0})
    one_shot = Step(0, "getData", {"path": ROOT, "watch": True})
    return _events(address, lasting, one_shot, _set(), _set())


def two_lasting(address: Address) -> Any:
    """Events of a child's creation under a persistent and a later recursive watch."""
    modes = [Step(0, "addWatch", {"path": ROOT, "mode": mode}) for mode in (0, 1)]
    return _events(address, *modes, Step(0, "create", _node("~/a")))


def removal_by_mode(address: Address) -> Any:
    """Errors of removing a persistent watch as one-shot data, as recursive, as persistent."""
    lasting = Step(0, "addWatch", {"path": ROOT, "mode": 0})
    removals = [Step(0, "removeWatches", {"path": ROOT, "kind": kind}) for kind in (2, 5, 4)]
    return _errors(address, lasting, *removals)[1:]


def zxid_of_event(address: Address) -> Any:
    """Whether the event's header carries the zxid of the change."""
    play = _played(address, Step(0, "getData", {"path": ROOT, "watch": True}), _set())
    reply, (event,) = play.outcomes[1].reply, play.outcomes[1].before
    assert reply is not None
    return event.zxid == reply.zxid


def check_alone(address: Address) -> Any:
    """[error, whether the server hung up]."""
    with Wire(address) as wire:
        reply = wire.call("check", {"path": "/", "version": -1})
        return [reply.err, wire.is_hung_up()]


# --- coord differs from ZooKeeper -----------------------------------------------------------------


def null_data(address: Address) -> Any:
    """What a node made with null data holds."""
    create = Step(0, "create", _node("~/a") | {"data": None})
    play = _played(address, create, Step(0, "getData", {"path": "~/a"}))
    reply = play.outcomes[1].reply
    assert reply is not None
    return reply.body[0]


def odd_permissions(address: Address) -> Any:
    """The errors of permissions beyond the five that exist."""
    acls = [[[perms, "world", "anyone"]] for perms in (32, 63, -1)]
    return _errors(
        address, *(Step(0, "create", _node(f"~/{i}", acl)) for i, acl in enumerate(acls))
    )


def null_identity(address: Address) -> Any:
    """The error of an ACL for nobody's id."""
    return _errors(address, Step(0, "create", _node("~/a", [[31, "world", None]])))[0]


def address_of_version_6(address: Address) -> Any:
    """The error of an ACL for an IPv6 address."""
    return _errors(address, Step(0, "create", _node("~/a", [[31, "ip", "::1"]])))[0]


def auth_and_itself(address: Address) -> Any:
    """How many entries an ACL has that names the caller by "auth" and by digest."""
    acl = [[31, "auth", ""], *_ANN]
    create, ask = Step(0, "create", _node("~/a", acl)), Step(0, "getACL", {"path": "~/a"})
    reply = _played(address, _AS_ANN, create, ask).outcomes[-1].reply
    assert reply is not None
    return len(reply.body[0])


def long_names(address: Address) -> Any:
    """The errors of a name of 480 bytes and of one more."""
    names = ["n" * 480, "n" * 481]
    return _errors(address, *(Step(0, "create", _node(f"~/{name}")) for name in names))


def rearmed_unreadable(address: Address) -> Any:
    """Events of re-arming a watch on a changed node that the watcher may not read."""
    create = Step(0, "create", _node("~/p", _ANN))
    rearm = Step(1, "setWatches", {"zxid": 9, "data": ["~/p"]})
    return _events(address, _AS_ANN, create, rearm)


def late_malformed_part(address: Address) -> Any:
    """The errors of a multi's parts, or of the multi."""
    parts = [
        ["delete", {"path": "~/missing", "version": -1}],
        ["create", _node("~/a", flags=5)],
    ]
    reply = _played(address, Step(0, "multi", {"operations": parts})).outcomes[0].reply
    assert reply is not None
    return [part[1] for part in reply.body] if reply.err == 0 else reply.err


def null_paths(address: Address) -> Any:
    """Errors of requests that ZooKeeper serves for no path at all."""
    steps = [
        Step(0, "sync", {"path": None}),
        Step(0, "removeWatches", {"path": None, "kind": 3}),
        Step(0, "addWatch", {"path": None, "mode": 0}),
    ]
    return _errors(address, *steps)


def null_path_in_multi(address: Address) -> Any:
    """The multi's error, and its part's."""
    part = ["setData", {"path": None, "data": "", "version": -1}]
    reply = _played(address, Step(0, "multi", {"operations": [part]})).outcomes[0].reply
    assert reply is not None
    return [reply.err, reply.body and reply.body[0][1]]


def container_with_flags(address: Address) -> Any:
    """Whether createContainer with the flags of an ephemeral makes one."""
    create = Step(0, "createContainer", _node("~/a", flags=1))
    reply = _played(address, create).outcomes[0].reply
    assert reply is not None
    return reply.body[1].owner != 0


def garbled_auth(address: Address) -> Any:
    """The answer's error, None if there is none; then the connection is closed in any case."""
    with Wire(address) as wire:
        wire.send_frame(jute.integer(-4) + jute.integer(100))
        try:
            error = wire.receive("auth").err
        except Disconnected:
            return None
        assert wire.is_hung_up()
        return error


def sasl(address: Address) -> Any:
    """The error of a SASL request."""
    with Wire(address) as wire:
        return wire.call("sasl", {"token": ""}).err


def ttl_without_mode(address: Address) -> Any:
    """The error of a TTL of −1 with the flags of a plain node."""
    return _errors(address, Step(0, "createTTL", _node("~/a") | {"ttl": -1}))[0]


def wrong_password(address: Address) -> Any:
    """Whether a live connection outlasts somebody's attempt to take its session."""
    with Wire(address) as victim:
        session_id = victim.handshake.session_id
        with Wire(address, session_id=session_id, password=b"wrong" * 3) as thief:
            assert not thief.is_valid
        with contextlib.suppress(Disconnected):
            return victim.call("ping").err == 0
    return False


def password(address: Address) -> Any:
    """Whether who knows a session's id, which every Stat of its ephemerals shows, can derive its
    password."""
    with Wire(address) as wire:
        handshake = wire.handshake
    return handshake.password == derived_password(handshake.session_id)


def derived_password(session_id: int) -> bytes:
    """The 16 bytes that ZooKeeper's servers compute: Java's linear congruential generator."""
    multiplier, mask = 0x5DEECE66D, (1 << 48) - 1
    state = ((session_id ^ 0xB3415C00) ^ multiplier) & mask
    password = b""
    for _ in range(4):
        state = (state * multiplier + 0xB) & mask
        password += (state >> 16 & 0xFFFFFFFF).to_bytes(4, "little")
    return password
