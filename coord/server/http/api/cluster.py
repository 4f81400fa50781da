"""The cluster: who is a member and how each of them does, who leads and who led, changes of
membership after saying what they do to fault tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from aiohttp import web

from coord.model import fault_tolerance
from coord.model import requests as rq
from coord.model.errors import MembershipError
from coord.model.fault_tolerance import Effect, Seat, Strength
from coord.node.leaders import REASONS
from coord.raft.types import MemberRole
from coord.server.http.api.asked import member
from coord.server.http.api.calls import Call, Endpoint, answer
from coord.server.http.api.rights import require_operator
from coord.server.http.api.schemas import (
    COUNT,
    FLAG,
    INTEGER,
    LEADER,
    MILLISECONDS,
    REVISION,
    TEXT,
    array,
    obj,
    one_of,
    or_null,
)

LEADERS_TOLD_MAX: Final = 64
_EFFECTS: Final[dict[str, Callable[[Sequence[Seat], int], Effect]]] = {
    "add": fault_tolerance.added,
    "promote": fault_tolerance.promoted,
    "remove": fault_tolerance.removed,
    "transfer": fault_tolerance.transferred,
}


async def status(call: Call) -> web.StreamResponse:
    """What this node knows of itself."""
    return answer(call.node.statistics().as_dict())


async def cluster(call: Call) -> web.StreamResponse:
    """All members, with what those say that answered."""
    async with call.caller() as caller:
        statuses = await call.services.gathering.statuses(caller)
    node = call.node
    own = statuses[int(node.id)]
    strength = fault_tolerance.strength(_seats(call))
    return answer({
        "node": int(node.id),
        "cluster": own["cluster"],
        "leader": own["leader"] or None,
        "why_no_leader": own["why_no_leader"],
        "term": own["term"],
        "revision": own["applied"],
        "joint": own["is_joint"],
        "members": [_member(call, seat, statuses) for seat in own["members"]],
        "waiting": [{"id": int(it.id), "peer": it.peer} for it in node.keeper.candidates],
        "fault_tolerance": _strength_fields(strength),
        "digests_agree": _digests_agree(list(statuses.values())),
        "leaders": _leaders(list(statuses.values())),
    })  # fmt: skip


def _member(
    call: Call, seat: dict[str, Any], statuses: dict[int, dict[str, Any]]
) -> dict[str, Any]:
    found = next(it for it in call.node.raft.membership.members if it.id == seat["id"])
    status = statuses.get(seat["id"])
    leads = next((it for it in statuses.values() if it["role"] == "leader"), None)
    lags = {it["id"]: it["lag"] for it in leads["members"]} if leads else {}
    return {
        "id": seat["id"],
        "role": seat["role"],
        "leader": seat["is_leader"],
        "client": seat["client"],
        "peer": seat["peer"],
        "http": found.http,
        "reachable": seat["reachable"],
        "lag": lags.get(seat["id"]),
        "status": None if status is None else _own_facts(status),
    }


def _own_facts(status: dict[str, Any]) -> dict[str, Any]:
    """Without what stands elsewhere in the answer."""
    return {name: told for name, told in status.items() if name not in {"members", "leaders"}}


def _digests_agree(statuses: Sequence[dict[str, Any]]) -> bool | None:
    """Of samples of the same revision; None if no two members have told one."""
    by_revision: dict[int, set[str]] = {}
    told = 0
    for status in statuses:
        digest = status.get("digest")
        if digest:
            told += 1
            by_revision.setdefault(digest["revision"], set()).add(digest["value"])
    if any(status["digest_alarm"] for status in statuses):
        return False
    if told < 2 or len(by_revision) == told:
        return None
    return all(len(values) == 1 for values in by_revision.values())


def _leaders(statuses: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line for each term, by whoever knows most of why it began; newest first."""
    best: dict[int, dict[str, Any]] = {}
    for status in statuses:
        for told in status.get("leaders") or ():
            known = best.get(told["term"])
            if known is None or _rank(told) < _rank(known):
                best[told["term"]] = dict(told)
    return [best[term] for term in sorted(best, reverse=True)][:LEADERS_TOLD_MAX]


def _rank(told: dict[str, Any]) -> tuple[int, int]:
    reason = told["reason"]
    return (REASONS.index(reason) if reason in REASONS else len(REASONS), told["since_ms"])


def _seats(call: Call) -> list[Seat]:
    """As this node sees the others."""
    node = call.node
    return [
        Seat(
            int(it.id),
            it.role is MemberRole.VOTER,
            it.id == node.id or node.is_linked(it.id),
            it.id == node.raft.leader,
        )
        for it in node.raft.membership.members
    ]


def _strength_fields(strength: Strength) -> dict[str, Any]:
    return {
        "voters": strength.voters,
        "majority": strength.majority,
        "survives": strength.survives,
        "says": strength.describe(),
    }


async def change(call: Call) -> web.StreamResponse:
    """Change the membership or who leads; a dry run only says what that would do."""
    body = await call.json()
    action, who = member(body, "action", str), member(body, "member", int)
    dry_run, force = member(body, "dry_run", bool, False), member(body, "force", bool, False)
    effect = _effect(call, action, who)
    if not dry_run:
        require_operator(call)
        if effect.fatal and not force:
            raise MembershipError(f"{action} {who}: {effect.remarks[-1]}; force would do it")
        await _carry_out(call, action, who)
    return answer({
        "done": not dry_run,
        "fatal": effect.fatal,
        "before": _strength_fields(effect.before),
        "after": _strength_fields(effect.after),
        "remarks": list(effect.remarks),
    })  # fmt: skip


def _effect(call: Call, action: str, who: int) -> Effect:
    seats = _seats(call)
    effect_of = _EFFECTS.get(action)
    if effect_of is None:
        raise MembershipError(f"action is one of {', '.join(_EFFECTS)}")
    is_member = any(seat.id == who for seat in seats)
    if is_member is (action == "add"):
        ids = ", ".join(str(seat.id) for seat in seats)
        known = "is a member already" if is_member else "is no member"
        raise MembershipError(f"node {who} {known}; the members are {ids}")
    return effect_of(seats, who)


async def _carry_out(call: Call, action: str, who: int) -> None:
    if action == "transfer":
        request = rq.Admin(rq.TRANSFER, {"to": who})
    else:
        request = rq.Admin(rq.MEMBER_CHANGE, {"action": action, "id": who})
    async with call.caller() as caller:
        await caller.ask(request)


async def samples(call: Call) -> web.StreamResponse:
    """The last minutes, second by second."""
    return answer(call.services.samples.told())


_STRENGTH: Final = obj({"voters": COUNT, "majority": COUNT, "survives": INTEGER, "says": TEXT})
_MEMBER: Final = obj({
    "id": COUNT,
    "role": one_of("voter", "learner", "joining"),
    "leader": FLAG,
    "client": TEXT,
    "peer": TEXT,
    "http": TEXT,
    "reachable": FLAG,
    "lag": or_null(COUNT),
    "status": or_null({"type": "object"}),
})  # fmt: skip
_SAMPLE: Final = obj({
    "wall_ms": MILLISECONDS,
    "requests": COUNT,
    "replies": COUNT,
    "applied": COUNT,
    "writes": COUNT,
    "reads": COUNT,
    "latency_ms": or_null({"type": "number"}),
    "latency_p50_ms": or_null({"type": "number"}),
    "latency_p99_ms": or_null({"type": "number"}),
    "connections": COUNT,
    "in_flight": COUNT,
})  # fmt: skip

ENDPOINTS: Final = (
    Endpoint("GET", "/v1/status", status, "What this node knows of itself", {"type": "object"}),
    Endpoint(
        "GET",
        "/v1/cluster",
        cluster,
        "The members, how each does, who leads and who led",
        obj({
            "node": COUNT,
            "cluster": TEXT,
            "leader": or_null(COUNT),
            "why_no_leader": TEXT,
            "term": COUNT,
            "revision": REVISION,
            "joint": FLAG,
            "members": array(_MEMBER),
            "waiting": array(obj({"id": COUNT, "peer": TEXT})),
            "fault_tolerance": _STRENGTH,
            "digests_agree": or_null(FLAG),
            "leaders": array(LEADER),
        }),
    ),
    Endpoint(
        "POST",
        "/v1/cluster/changes",
        change,
        "Change the membership or who leads, or only say what that would do",
        obj({
            "done": FLAG,
            "fatal": FLAG,
            "before": _STRENGTH,
            "after": _STRENGTH,
            "remarks": array(TEXT),
        }),
        body=obj(
            {"action": one_of(*_EFFECTS), "member": COUNT}, {"dry_run": FLAG, "force": FLAG}
        ),
    ),
    Endpoint(
        "GET",
        "/v1/samples",
        samples,
        "What this node did in each of the last 300 seconds, oldest first",
        obj({"interval_ms": INTEGER, "samples": array(_SAMPLE)}),
    ),
)  # fmt: skip
