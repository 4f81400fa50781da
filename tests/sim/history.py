"""What clients asked for and what they were told: the input of every checker.

One virtual clock stamps everything, so that real-time order is exact.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple

WRITE_KINDS: Final = frozenset({"create", "delete", "set", "set_acl", "multi", "close"})
UNKNOWN_REVISION: Final = -1
FINAL_READER: Final = "final"
"""The client that reads counters and sequences when everything else has ended."""


class Outcome(Enum):
    """OK: the service answered, with a result or with a refusal decided by the log or a read.
    FAIL: it certainly did not happen and left no entry. INFO: nobody knows."""

    OK = "ok"
    FAIL = "fail"
    INFO = "info"


@dataclass(slots=True)
class Op:
    """One operation of one client.

    ``kind``: one of WRITE_KINDS (then ``seq`` ≥ 1 if it was sent) or get, exists, children, sync.
    ``args``: as in the request, in its order. ``revision``: the index the reply names, if known.
    Invariant: complete_us ≥ invoke_us once complete.
    """

    client: str
    session: int
    seq: int
    kind: str
    args: tuple[Any, ...]
    level: int = 0
    invoke_us: int = 0
    complete_us: int = -1
    outcome: Outcome = Outcome.INFO
    code: int = 0
    revision: int = 0
    body: tuple[Any, ...] = ()
    who: tuple[tuple[str, str], ...] = ()
    """(scheme, id) of what its client had proven."""
    sent_again: bool = False
    """Its place among its session's requests is that of the last time it was sent."""

    @property
    def is_write(self) -> bool:
        """It would be an entry of the log."""
        return self.kind in WRITE_KINDS

    def __str__(self) -> str:
        when = f"{self.invoke_us}–{self.complete_us if self.complete_us >= 0 else '…'} us"
        what = f"{self.kind}{self.args!r:.80}"
        told = f"{self.outcome.value} code {self.code} revision {self.revision}"
        return f"{self.client} session {self.session} seq {self.seq} {what} [{when}] {told}"


@dataclass(frozen=True, slots=True)
class Committed:
    """One entry of the committed log. ``kind``: 0 command, 1 empty, 2 membership."""

    index: int
    term: int
    kind: int
    payload: bytes


@dataclass(slots=True)
class SessionLife:
    """What a client knows of one session: evidence for the expiry rules.

    ``confirmed_us``: send time of the last heartbeat (or other request) the service confirmed.
    ``told_expired_us``: when the client was told that the session has ended, −1 if never.
    ``hold_until_us``: until when the client believed that nobody else could have what it holds.
    """

    session: int
    timeout_ms: int
    secret: bytes = b""
    """With it anybody may ask after its writes; empty where the wire has no such question."""
    confirmed_us: int = -1
    told_expired_us: int = -1
    hold_until_us: int = -1
    is_numbered: bool = True
    """Its writes carry numbers of the client's; ZooKeeper's do not."""
    gone_us: int = -1
    """When its client died for good, −1 if it has not."""
    closed_by_client: bool = False


@dataclass(slots=True)
class Repeat:
    """An answered write that was sent again under its number, and what it was told then."""

    op: Op
    code: int
    revision: int
    body: tuple[Any, ...]


class Fate(NamedTuple):
    """What a node said became of a numbered write. ``outcome``: applied (the rest is its answer),
    not applied, not yet, or unknown."""

    session: int
    seq: int
    outcome: str
    code: int
    revision: int
    body: tuple[Any, ...]


class Asked(NamedTuple):
    """A client sent a request about watches.

    ``what``: watch, list_watch or unwatch (``xid`` is the stream's); on ZooKeeper's wire get,
    exists or children (if they arm a watch), add_watch, and set_watches, whose ``armed`` are
    (table, path). ``mode``: 1 persistent, 2 recursive. ``since``: the revision after which what
    happened is wanted, −1 for none.
    """

    xid: int
    what: str
    path: str = ""
    mode: int = 1
    values: bool = False
    since: int = -1
    armed: tuple[tuple[str, str], ...] = ()


class Replied(NamedTuple):
    """The answer to ``xid`` arrived. ``complete``: False if more frames of it follow."""

    xid: int
    code: int
    revision: int
    complete: bool = True


class Pushed(NamedTuple):
    """A message of a stream arrived.

    ``changes``: (kind, path, stat, data, prev_stat, prev_data) for each.
    """

    xid: int
    revision: int
    part: int
    complete: bool
    changes: tuple[tuple[Any, ...], ...]


class Ended(NamedTuple):
    """The service ended a stream, with an error."""

    xid: int
    revision: int
    code: int


class Fired(NamedTuple):
    """A watch without a stream fired. ``revision`` −1: found when watches were set again."""

    kind: int
    path: str
    revision: int


@dataclass(slots=True)
class Transcript:
    """What one connection carried about watches, in the order its client sent and received it."""

    client: str
    items: list[Asked | Replied | Pushed | Ended | Fired] = field(default_factory=list)


@dataclass(slots=True)
class Subscription:
    """What a program heard through the client library's stream, across connections.

    ``heard``: (revision, changes as in Pushed), or (revision, None) where a listing of everything
    took the place of changes. ``established_us``: when the program was told that the service
    listens, −1 if never. ``seen``: (how many were heard, revision of a read answered then).
    """

    client: str
    path: str
    mode: int
    values: bool
    established_us: int = -1
    heard: list[tuple[int, tuple[tuple[Any, ...], ...] | None]] = field(default_factory=list)
    listings: dict[int, dict[str, tuple[bytes | None, bytes]]] = field(default_factory=dict)
    """Revision → path → (data, stat) of each listing that was heard."""
    seen: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class Holding:
    """One hold that a lock or an election granted, as its holder knows it.

    ``path``: the holder record. ``acted_us``: when the holder, having asked whether it still
    held, acted on it without further protection. ``over_us``: when it gave up or noticed, or −1.
    """

    client: str
    path: str
    token: int
    asked_us: int
    granted_us: int
    acted_us: list[int] = field(default_factory=list)
    over_us: int = -1
    was_lost: bool = False
    """It was over before its holder gave it up."""


@dataclass(slots=True)
class Sighting:
    """Somebody looked who holds: (data, token, session)."""

    client: str
    path: str
    data: bytes
    token: int
    session: int


class Counted(NamedTuple):
    """What a node said, for its operator, that its tree holds at a revision."""

    node: int
    revision: int
    nodes: int
    ephemerals: int


@dataclass(slots=True)
class History:
    """Everything one run leaves for the checkers."""

    ops: list[Op] = field(default_factory=list)
    log: list[Committed] = field(default_factory=list)
    applied_us: dict[int, int] = field(default_factory=dict)
    """When an index was first applied by any node."""
    healed_us: int = -1
    """From when on no fault was left, −1: it did not come to that."""
    over_us: int = -1
    """When the run ended."""
    final_tree: dict[str, tuple[bytes, bytes]] | None = None
    """Path → (data, stat) of all nodes when everything had converged."""
    breaches: list[str] = field(default_factory=list)
    """What clients saw that no service may do, however the log explains it."""
    sessions: dict[int, SessionLife] = field(default_factory=dict)
    repeats: list[Repeat] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    """What nodes said of writes that they were asked after."""
    transcripts: list[Transcript] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)
    clocks_within_bounds: bool = True
    """No clock of the run was further off than the contract allows."""
    holdings: list[Holding] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    counts: list[Counted] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    """Situations that clients know themselves to have been in (see ``run.SITUATIONS``)."""
    replay: object = None
    """``replay.replay_of`` keeps here what it has worked out."""

    def breach(self, rule: str, what: object) -> None:
        """A client saw what no service may do."""
        self.breaches.append(f"clients/{rule}: {what}")

    def gone(self, session: int, now_us: int) -> None:
        """The client of this session has died for good."""
        if session in self.sessions:
            self.sessions[session].gone_us = now_us
