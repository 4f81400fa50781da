"""Makes plays against different servers comparable, and says what no server may do.

Zxids become their rank among those of the play, session ids the client that owned them, clocks
vanish (a node not changed since its creation still has equal times), the play's directory becomes
``~``, and what ZooKeeper leaves in no order is sorted: children, ephemerals, identities, and the
events when several ephemerals end at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.differential.jute import AclEntry, Stat
from tests.differential.player import Outcome, Play
from tests.differential.steps import CONNECTION_STEPS, ROOT, WRITES, Step, contract
from tests.differential.wire import Event, Handshake, Reply

Record = dict[str, Any]
"""One step's outcome, comparable."""

_SETS: Final = frozenset({"getChildren", "getEphemerals", "whoAmI"})
"""Operations whose whole reply is a list without an order."""
OUTSIDE: Final = "outside"
_SESSION_ENDS: Final = frozenset({"close", "expire"})


def normalised(play: Play) -> list[Record]:
    """One record per step."""
    ranks = _ranks(play)
    return [_record(outcome, play, ranks) for outcome in play.outcomes]


def _record(outcome: Outcome, play: Play, ranks: dict[int, int]) -> Record:
    reply = outcome.reply
    record: Record = {"err": None if reply is None else reply.err}
    if reply is not None:
        body = _body(outcome, reply, lambda value: _plain(value, play, ranks))
        record["body"] = contract(body, play.root)
        if outcome.step.name in WRITES | {"close"} and reply.err == 0:
            record["zxid"] = ranks.get(reply.zxid, reply.zxid)
    if outcome.handshakes:
        record["handshakes"] = [_handshake(each, play) for each in outcome.handshakes]
    is_unordered = outcome.step.name in _SESSION_ENDS
    record["before"] = _events(outcome.before, play.root, is_unordered=is_unordered)
    record["after"] = {
        session: _events(events, play.root, is_unordered=is_unordered)
        for session, events in outcome.after.items()
    }
    record["closed"] = outcome.closed
    return record


def _events(events: list[Event], root: str, *, is_unordered: bool) -> list[list[Any]]:
    plain = [[event.kind, event.state, contract(event.path, root)] for event in events]
    return sorted(plain) if is_unordered else plain


def _handshake(handshake: Handshake, play: Play) -> list[Any]:
    is_known = handshake.session_id in play.owners
    return [
        handshake.timeout_ms,
        play.owners[handshake.session_id] if is_known else handshake.session_id,
        None if is_known else handshake.password,
        len(handshake.password or b""),
        handshake.read_only,
    ]


# --- bodies -------------------------------------------------------------------------------------


def _body(outcome: Outcome, reply: Reply, plain: Callable[[Any], Any]) -> Any:
    name = outcome.step.name
    body = plain(_own(outcome.step, reply.body))
    if body == OUTSIDE:
        return body
    if name in _SETS and body is not None:
        return sorted(body)
    if name == "getChildren2" and body is not None:
        return [sorted(body[0]), body[1]]
    if name == "multiRead" and body is not None:
        return [[k, e, sorted(part) if k == 8 and part != OUTSIDE else part] for k, e, part in body]
    return body


def _plain(value: Any, play: Play, ranks: dict[int, int]) -> Any:
    match value:
        case Stat():
            return _stat(value, play, ranks)
        case [AclEntry(), *_]:
            return _acl(value)
        case [data, Stat() as stat] if data is None or isinstance(data, bytes):
            # Null data is ZooKeeper's own; elsewhere it is empty (``differences.py``).
            return [data or b"", _plain(stat, play, ranks)]
        case list():
            return [_plain(each, play, ranks) for each in value]
        case _:
            return value


def _stat(stat: Stat, play: Play, ranks: dict[int, int]) -> Record:
    fields = stat._asdict()
    del fields["ctime"], fields["mtime"]
    for name in ("czxid", "mzxid", "pzxid"):
        fields[name] = ranks.get(fields[name], fields[name])
    if stat.owner:
        fields["owner"] = play.owners.get(stat.owner, stat.owner)
    return fields


def _acl(entries: list[AclEntry]) -> list[list[Any]]:
    """In order, but for neighbouring digests of equal permissions: "auth" stands for a set."""
    plain: list[list[Any]] = []
    run: list[list[Any]] = []
    for entry in entries:
        if run and [entry.perms, entry.scheme] != run[-1][:2]:
            plain += sorted(run)
            run = []
        run.append(list(entry))
        if entry.scheme != "digest":
            plain += run
            run = []
    return plain + sorted(run)


def _own(step: Step, body: Any) -> Any:
    """A body without what lies outside the play's directory: others work there, too."""
    if body is None or step.name == "sync":
        return body
    if "operations" in step.args and len(body) == len(step.args["operations"]):
        parts = zip(step.args["operations"], body, strict=True)
        return [[*part[:2], _own(Step(0, *operation), part[2])] for operation, part in parts]
    path = step.args.get("path", ROOT)
    return body if path is None or path.startswith(ROOT) else OUTSIDE


# --- zxids --------------------------------------------------------------------------------------


def _ranks(play: Play) -> dict[int, int]:
    """Zxid → its place among those of successful writes and of Stats, from 1; 0 stays."""
    seen = {zxid for outcome in play.outcomes for zxid in _zxids(outcome)}
    return {zxid: rank for rank, zxid in enumerate(sorted(seen - {0}), 1)} | {0: 0}


def _zxids(outcome: Outcome) -> Iterator[int]:
    reply = outcome.reply
    if reply is None or reply.err:
        return
    if outcome.step.name in WRITES | {"close"}:
        yield reply.zxid
    for stat in _stats(_own(outcome.step, reply.body)):
        yield from (stat.czxid, stat.mzxid, stat.pzxid)


def _stats(value: Any) -> Iterator[Stat]:
    if isinstance(value, Stat):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _stats(each)


# --- what no server may do ------------------------------------------------------------------------


def problems(play: Play, *, events_carry_zxids: bool) -> list[str]:
    """Breaches that need no second server to be seen.

    ``events_carry_zxids``: the header of an event holds its change's zxid (3.9), not −1 (3.8).
    """
    found: list[str] = []
    newest: dict[int, int] = {}
    for number, outcome in enumerate(play.outcomes):
        where = f"step {number}, {outcome.step}"
        found += [f"{where}: {text}" for text in _times(outcome)]
        found += [f"{where}: {text}" for text in _header(outcome, newest)]
        found += [f"{where}: {text}" for text in _event_zxids(outcome, events_carry_zxids)]
        if outcome.after.get(outcome.step.session) and outcome.step.name not in CONNECTION_STEPS:
            found.append(f"{where}: events behind the reply to the session's own request")
        if outcome.reply is not None and outcome.reply.trailing and not outcome.reply.err:
            found.append(f"{where}: {len(outcome.reply.trailing)} bytes behind the reply's body")
    return found


def _times(outcome: Outcome) -> Iterator[str]:
    for stat in _stats(outcome.reply.body) if outcome.reply else ():
        if stat.mzxid < stat.czxid or (stat.mzxid == stat.czxid and stat.mtime != stat.ctime):
            yield f"times and zxids disagree in {stat}"


def _header(outcome: Outcome, newest: dict[int, int]) -> Iterator[str]:
    """A reply's zxid never goes back, and covers all that its body shows."""
    reply, session = outcome.reply, outcome.step.session
    if reply is None or reply.zxid < 0:
        return
    if outcome.step.name == "auth":
        if reply.zxid:
            yield f"the reply to auth carries zxid {reply.zxid}"
        return
    if reply.zxid < newest.get(session, 0):
        yield f"the header's zxid went back from {newest[session]} to {reply.zxid}"
    newest[session] = reply.zxid
    for stat in _stats(reply.body):
        if max(stat.czxid, stat.mzxid, stat.pzxid) > reply.zxid:
            yield f"zxid {reply.zxid} in the header of {stat}"


def _event_zxids(outcome: Outcome, events_carry_zxids: bool) -> Iterator[str]:
    events = [*outcome.before, *(event for each in outcome.after.values() for event in each)]
    name, reply = outcome.step.name, outcome.reply
    if (events and not events_carry_zxids) or name in {"setWatches", "setWatches2"}:
        expected = -1
    elif reply is not None and name in WRITES | {"close"}:
        expected = reply.zxid
    else:
        return
    for event in events:
        if event.zxid != expected:
            yield f"zxid {event.zxid}, not {expected}, in the header of {event}"
