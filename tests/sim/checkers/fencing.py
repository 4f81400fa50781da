"""Locks and leaderships: who holds, holds alone, and a token tells the grants apart.

Rules, by name: ``grant`` (a token is the revision at which the log made the holder record, for
its holder), ``order`` (who asked after another had been granted gets the greater token), ``alone``
(nobody acts on a hold that the log has given away; clocks within their bounds only), ``guard`` (a
guarded write never follows one with a greater token), ``sighting`` (who is seen to hold does),
``orphan`` (when all have left, nobody stands in line and nobody holds).
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.sim.codes import CREATED, DELETED, GUARD
from tests.sim.history import History, Holding, Outcome
from tests.sim.replay import Replay, owner_of, replay_of

PLACES_AFTER = 1 << 62


def check(history: History) -> list[str]:
    """Everything wrong with what was granted."""
    if not history.holdings and not history.sightings:
        return []
    grants = _grants(replay_of(history))
    return [
        *_check_grants(history, grants),
        *_check_order(history.holdings),
        *_check_alone(history, grants),
        *_check_guards(history),
        *_check_sightings(history, grants),
        *_check_orphans(history),
    ]


class _Grant:
    """A holder record: made at an index, removed at another."""

    def __init__(self, owner: int, data: bytes) -> None:
        self.owner = owner
        self.data = data
        self.removed = PLACES_AFTER


def _grants(replay: Replay) -> dict[tuple[str, int], _Grant]:
    """Every record named ``holder`` that the log ever made, by path and revision."""
    made: dict[tuple[str, int], _Grant] = {}
    newest: dict[str, _Grant] = {}
    for index, change in replay.changes:
        if not change.path.endswith("/holder"):
            continue
        if change.kind == CREATED:
            assert change.stat is not None
            grant = _Grant(owner_of(change.stat), change.data or b"")
            newest[change.path] = made[change.path, index] = grant
        elif change.kind == DELETED:
            newest[change.path].removed = index
    return made


def _check_grants(history: History, grants: dict[tuple[str, int], _Grant]) -> Iterator[str]:
    tokens: dict[tuple[str, int], Holding] = {}
    for holding in history.holdings:
        key = (holding.path, holding.token)
        if key not in grants:
            yield f"fencing/grant: {_name(holding)}: the log granted nothing there"
        if key in tokens:
            yield f"fencing/grant: {_name(holding)}: granted to {_name(tokens[key])}, too"
        tokens[key] = holding


def _name(holding: Holding) -> str:
    return f"{holding.client}'s hold {holding.token} of {holding.path}"


def _by_path(holdings: list[Holding]) -> dict[str, list[Holding]]:
    found: dict[str, list[Holding]] = {}
    for holding in holdings:
        found.setdefault(holding.path, []).append(holding)
    return found


def _check_order(holdings: list[Holding]) -> Iterator[str]:
    for some in _by_path(holdings).values():
        granted = sorted(some, key=lambda holding: holding.granted_us)
        greatest, at = granted[0], 0
        for holding in sorted(some, key=lambda holding: holding.asked_us):
            while granted[at].granted_us < holding.asked_us:
                greatest = max(greatest, granted[at], key=lambda one: one.token)
                at += 1
            if at and greatest.token > holding.token:
                yield f"fencing/order: {_name(holding)} was asked for after {_name(greatest)}"


def _check_alone(history: History, grants: dict[tuple[str, int], _Grant]) -> Iterator[str]:
    """A hold may be acted on until the entry that removes its record is applied anywhere.

    From then on the next contender may act, and a node may have told it so.
    """
    if not history.clocks_within_bounds:
        return
    for holding in history.holdings:
        grant = grants.get((holding.path, holding.token))
        if grant is None or not holding.acted_us:
            continue
        gone_us = history.applied_us.get(grant.removed, PLACES_AFTER)
        late = [acted_us for acted_us in holding.acted_us if acted_us > gone_us]
        if late:
            gone = f"entry {grant.removed} gave it away at {gone_us} us"
            yield f"fencing/alone: {_name(holding)} was acted on at {late[0]} us, {gone}"


def _check_guards(history: History) -> Iterator[str]:
    """Guarded writes that were accepted, in the order of their revisions."""
    accepted = [
        (op, operation[1], operation[2])
        for op in history.ops
        if op.kind == "multi" and op.outcome is Outcome.OK and op.code == 0 and op.revision > 0
        for operation in op.args[0]
        if operation[0] == GUARD
    ]
    greatest: dict[str, int] = {}
    for op, path, token in sorted(accepted, key=lambda found: found[0].revision):
        if token < greatest.get(path, 0):
            yield f"fencing/guard: {op} was accepted after token {greatest[path]}"
        greatest[path] = max(token, greatest.get(path, 0))


def _check_sightings(history: History, grants: dict[tuple[str, int], _Grant]) -> Iterator[str]:
    for seen in history.sightings:
        grant = grants.get((seen.path, seen.token))
        if grant is None or (grant.owner, grant.data) != (seen.session, seen.data):
            yield (
                f"fencing/sighting: {seen.client} saw session {seen.session} with {seen.data!r}"
                f" hold {seen.path} by {seen.token}: the log says otherwise"
            )


def _check_orphans(history: History) -> Iterator[str]:
    """Recipes' nodes in the tree at the end of a run, when every program has given up its places
    and holds, and the sessions of the dead have ended."""
    parents = {holding.path.rpartition("/")[0] for holding in history.holdings}
    for path in history.final_tree or ():
        parent, _, name = path.rpartition("/")
        if parent in parents and (name == "holder" or name.startswith("c-")):
            yield f"fencing/orphan: {path} is left, and nobody behind it"
