"""Every known difference from ZooKeeper 3.8.0: what is written, and how it shows on both sides.

Sequences are drawn so that they avoid these (``sequences.py``), or their outcomes are brought to
one form (``normal.py``). Here each is provoked on its own. A difference that has gone, on either
side, fails its test: then it leaves this table and the sequences may have it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.differential import jute
from tests.differential.player import OPEN_ACL, Play, Player, fresh_root
from tests.differential.sequences import digest
from tests.differential.steps import ROOT, Step, contract
from tests.differential.wire import Disconnected, Event, Wire

Address = tuple[str, int]


class _Untried:
    """Stands for an outcome that is not asked for."""

    def __repr__(self) -> str:
        return "UNTRIED"


UNTRIED: Final = _Untried()


class Difference(NamedTuple):
    """One rule. ``measure`` provokes it and returns what is then compared."""

    name: str
    rule: str
    measure: Callable[[Address], Any]
    zookeeper_38: Any
    coord: Any


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


def _exists_of_unreadable(address: Address) -> Any:
    steps = [_AS_ANN, Step(0, "create", _node("~/p", _ANN)), Step(1, "exists", {"path": "~/p"})]
    return _errors(address, *steps)[-1]


def _check_of_others(address: Address) -> Any:
    watch = Step(0, "getData", {"path": ROOT, "watch": True})
    return _errors(address, watch, Step(1, "checkWatches", {"path": ROOT, "kind": 2}))[1]


def _one_shot_on_lasting(address: Address) -> Any:
    lasting = Step(0, "addWatch", {"path": ROOT, "mode": 0})
    one_shot = Step(0, "getData", {"path": ROOT, "watch": True})
    return _events(address, lasting, one_shot, _set(), _set())


def _two_lasting(address: Address) -> Any:
    modes = [Step(0, "addWatch", {"path": ROOT, "mode": mode}) for mode in (0, 1)]
    return _events(address, *modes, Step(0, "create", _node("~/a")))


def _removal_by_mode(address: Address) -> Any:
    """Errors of removing a persistent watch as one-shot data, as recursive, as persistent."""
    lasting = Step(0, "addWatch", {"path": ROOT, "mode": 0})
    removals = [Step(0, "removeWatches", {"path": ROOT, "kind": kind}) for kind in (2, 5, 4)]
    return _errors(address, lasting, *removals)[1:]


def _zxid_of_event(address: Address) -> Any:
    """Whether the event's header carries the zxid of the change."""
    play = _played(address, Step(0, "getData", {"path": ROOT, "watch": True}), _set())
    reply, (event,) = play.outcomes[1].reply, play.outcomes[1].before
    assert reply is not None
    return event.zxid == reply.zxid


def _check_alone(address: Address) -> Any:
    """[error, whether the server hung up]."""
    with Wire(address) as wire:
        reply = wire.call("check", {"path": "/", "version": -1})
        return [reply.err, wire.is_hung_up()]


# --- coord differs from ZooKeeper -----------------------------------------------------------------


def _null_data(address: Address) -> Any:
    create = Step(0, "create", _node("~/a") | {"data": None})
    play = _played(address, create, Step(0, "getData", {"path": "~/a"}))
    reply = play.outcomes[1].reply
    assert reply is not None
    return reply.body[0]


def _odd_permissions(address: Address) -> Any:
    acls = [[[perms, "world", "anyone"]] for perms in (32, 63, -1)]
    return _errors(address, *(Step(0, "create", _node("~/a", acl)) for acl in acls))[0]


def _null_identity(address: Address) -> Any:
    return _errors(address, Step(0, "create", _node("~/a", [[31, "world", None]])))[0]


def _address_of_version_6(address: Address) -> Any:
    return _errors(address, Step(0, "create", _node("~/a", [[31, "ip", "::1"]])))[0]


def _auth_and_itself(address: Address) -> Any:
    """How many entries an ACL has that names the caller by "auth" and by digest."""
    acl = [[31, "auth", ""], *_ANN]
    create, ask = Step(0, "create", _node("~/a", acl)), Step(0, "getACL", {"path": "~/a"})
    reply = _played(address, _AS_ANN, create, ask).outcomes[-1].reply
    assert reply is not None
    return len(reply.body[0])


def _long_names(address: Address) -> Any:
    names = ["n" * 480, "n" * 481]
    return _errors(address, *(Step(0, "create", _node(f"~/{name}")) for name in names))


def _rearmed_unreadable(address: Address) -> Any:
    create = Step(0, "create", _node("~/p", _ANN))
    rearm = Step(1, "setWatches", {"zxid": 9, "data": ["~/p"]})
    return _events(address, _AS_ANN, create, rearm)


def _late_malformed_part(address: Address) -> Any:
    """The errors of a multi's parts, or of the multi."""
    parts = [
        ["delete", {"path": "~/missing", "version": -1}],
        ["create", _node("~/a", flags=5)],
    ]
    reply = _played(address, Step(0, "multi", {"operations": parts})).outcomes[0].reply
    assert reply is not None
    return [part[1] for part in reply.body] if reply.err == 0 else reply.err


def _null_paths(address: Address) -> Any:
    """Errors of requests that ZooKeeper serves for no path at all."""
    steps = [
        Step(0, "sync", {"path": None}),
        Step(0, "removeWatches", {"path": None, "kind": 3}),
        Step(0, "addWatch", {"path": None, "mode": 0}),
    ]
    return _errors(address, *steps)


def _null_path_in_multi(address: Address) -> Any:
    """The multi's error, and its part's."""
    part = ["setData", {"path": None, "data": "", "version": -1}]
    reply = _played(address, Step(0, "multi", {"operations": [part]})).outcomes[0].reply
    assert reply is not None
    return [reply.err, reply.body and reply.body[0][1]]


def _numbered_container(address: Address) -> Any:
    return _errors(address, Step(0, "createContainer", _node("~/a", flags=2)))[0]


def _garbled_auth(address: Address) -> Any:
    """The answer's error, None if there is none; then the connection is closed in any case."""
    with Wire(address) as wire:
        wire.send_frame(jute.integer(-4) + jute.integer(100))
        try:
            error = wire.receive("auth").err
        except Disconnected:
            return None
        assert wire.is_hung_up()
        return error


def _sasl(address: Address) -> Any:
    with Wire(address) as wire:
        return wire.call("sasl", {"token": ""}).err


def _ttl_without_mode(address: Address) -> Any:
    return _errors(address, Step(0, "createTTL", _node("~/a") | {"ttl": -1}))[0]


def _wrong_password(address: Address) -> Any:
    """Whether a live connection outlasts somebody's attempt to take its session."""
    with Wire(address) as victim:
        session_id = victim.handshake.session_id
        with Wire(address, session_id=session_id, password=b"wrong" * 3) as thief:
            assert not thief.is_valid
        with contextlib.suppress(Disconnected):
            return victim.call("ping").err == 0
    return False


def _password(address: Address) -> Any:
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


DIFFERENCES: Final = (
    Difference(
        "exists asks for READ",
        "3.9 (and 3.8.4): whether a node exists is told to those who may read it",
        _exists_of_unreadable,
        zookeeper_38=0,
        coord=-102,
    ),
    Difference(
        "a one-shot watch beside a lasting one",
        "3.9: the watches of a path keep their modes; a one-shot no longer replaces a lasting one",
        _one_shot_on_lasting,
        zookeeper_38=[[3, ROOT]],
        coord=[[3, ROOT], [3, ROOT]],
    ),
    Difference(
        "two lasting watches on one path",
        "3.9: a persistent and a recursive watch stand side by side",
        _two_lasting,
        zookeeper_38=[[1, "~/a"]],
        coord=[[1, "~/a"], [4, ROOT]],
    ),
    Difference(
        "removal by mode",
        "3.9: kinds 4 and 5 are persistent and recursive; 1 and 2 match one-shot watches only",
        _removal_by_mode,
        zookeeper_38=[0, -5, -5],
        coord=[-121, -121, 0],
    ),
    Difference(
        "checkWatches of another's watch",
        "3.9: −121 unless the caller's own connection watches there",
        _check_of_others,
        zookeeper_38=0,
        coord=-121,
    ),
    Difference(
        "the zxid of an event",
        "3.9: the header of an event carries the zxid of its change; before, −1",
        _zxid_of_event,
        zookeeper_38=False,
        coord=True,
    ),
    Difference(
        "a check outside a multi",
        "3.9: unimplemented, and closed; 3.8.0 never answers",
        _check_alone,
        zookeeper_38=UNTRIED,
        coord=[-6, True],
    ),
    Difference(
        "null data",
        "coord: a node's data is bytes; null is stored as none",
        _null_data,
        zookeeper_38=None,
        coord=b"",
    ),
    Difference(
        "permissions outside 0 to 31",
        "coord: refused; ZooKeeper keeps bits that mean nothing",
        _odd_permissions,
        zookeeper_38=0,
        coord=-114,
    ),
    Difference(
        "an ACL's null identity",
        "coord: an invalid ACL; ZooKeeper stumbles over it",
        _null_identity,
        zookeeper_38=-5,
        coord=-114,
    ),
    Difference(
        "addresses of version 6 in ACLs",
        "coord: accepted in the scheme ip",
        _address_of_version_6,
        zookeeper_38=-114,
        coord=0,
    ),
    Difference(
        "auth that names one already named",
        "coord: duplicates are removed behind the expansion of auth, not before it",
        _auth_and_itself,
        zookeeper_38=2,
        coord=1,
    ),
    Difference(
        "long names",
        "coord: a name has at most 480 bytes",
        _long_names,
        zookeeper_38=[0, 0],
        coord=[0, -8],
    ),
    Difference(
        "re-arming on what may not be read",
        "coord: setWatches tells only those who may read; ZooKeeper tells that the node exists",
        _rearmed_unreadable,
        zookeeper_38=[[3, "~/p"]],
        coord=[],
    ),
    Difference(
        "a TTL mode without a TTL behind a part of a multi that fails",
        "coord: a part that cannot be read spoils the multi (−5) wherever it stands",
        _late_malformed_part,
        zookeeper_38=[-101, -2],
        coord=-5,
    ),
    Difference(
        "null paths that do no harm",
        "coord: a request without its path cannot be read (−5)",
        _null_paths,
        zookeeper_38=[0, -121, 0],
        coord=[-5, -5, -5],
    ),
    Difference(
        "a null path in a multi",
        "coord: setData and check refuse it as they do outside (−8), in its place",
        _null_path_in_multi,
        zookeeper_38=[-5, None],
        coord=[0, -8],
    ),
    Difference(
        "createContainer with the flags of a sequential node",
        "coord: containers are not numbered",
        _numbered_container,
        zookeeper_38=0,
        coord=-8,
    ),
    Difference(
        "an auth that cannot be read",
        "coord: is answered (−5) before the connection is closed",
        _garbled_auth,
        zookeeper_38=None,
        coord=-5,
    ),
    Difference(
        "SASL",
        "coord: not spoken, and refused as such",
        _sasl,
        zookeeper_38=0,
        coord=-115,
    ),
    Difference(
        "a TTL of −1 with a mode that has none",
        "coord: bad arguments; 3.8.0 does not survive it",
        _ttl_without_mode,
        zookeeper_38=UNTRIED,
        coord=-8,
    ),
    Difference(
        "a wrong password for a live session",
        "coord: an attempt that fails does no harm",
        _wrong_password,
        zookeeper_38=False,
        coord=True,
    ),
    Difference(
        "passwords",
        "coord: random; ZooKeeper's follow from the session's id",
        _password,
        zookeeper_38=True,
        coord=False,
    ),
)
"""``sync`` is one more that no two servers can show: coord's is a barrier across the cluster."""
