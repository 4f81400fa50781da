"""What clients asked for and what they were told: the input of every checker.

One virtual clock stamps everything, so that real-time order is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

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
    confirmed_us: int = -1
    told_expired_us: int = -1
    hold_until_us: int = -1
    closed_by_client: bool = False


@dataclass(slots=True)
class History:
    """Everything one run leaves for the checkers."""

    ops: list[Op] = field(default_factory=list)
    log: list[Committed] = field(default_factory=list)
    applied_us: dict[int, int] = field(default_factory=dict)
    """When an index was first applied by any node."""
    sessions: dict[int, SessionLife] = field(default_factory=dict)
