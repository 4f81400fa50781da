"""Plays a sequence against one server, one operation at a time, and writes down what happened.

After each step every connection waits for a ``sync``: what the step set off anywhere has arrived
by then, and belongs to it. A connection that the server closed is replaced when its session is
next needed.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.differential.operations import Args
from tests.differential.servers import SUPER_PASSWORD, SUPER_USER
from tests.differential.steps import CONNECTION_STEPS, SESSIONS, WRITES, Sequence, Step, expand
from tests.differential.wire import Disconnected, Event, Handshake, Reply, Wire

TIMEOUT_MS: Final = 30_000
"""Of sessions: none of them ends by itself during a sequence."""
EXPIRING_MS: Final = 1_000
"""Of a session that shall: the least that both servers allow."""
LAST_ANSWERS_MAX: Final = 1_000
"""To one whose connection is about to be closed. Beyond them it was not going to be."""
WRONG_PASSWORD: Final = b"not this password"[:16]
OPEN_ACL: Final = [[31, "world", "anyone"]]

_roots = itertools.count(1)


class Outcome(NamedTuple):
    """What one step did.

    ``reply`` is None where the connection ended without one; ``handshakes`` are those of steps
    that concern the connection; ``before`` are the session's own events ahead of its reply, and
    ``after`` everybody's behind it, by session; ``closed`` are the sessions that were hung up on.
    """

    step: Step
    reply: Reply | None
    handshakes: list[Handshake]
    before: list[Event]
    after: dict[int, list[Event]]
    closed: list[int]


@dataclass
class Play:
    """Everything seen: outcomes in order, and what the session ids of this play stand for."""

    root: str
    outcomes: list[Outcome] = field(default_factory=list)
    owners: dict[int, str] = field(default_factory=dict)


class Player:
    """One server's side. ``checks_read_of_exists``: a server older than 3.9 does not ask for READ
    when a client asks whether a node exists; the play answers as 3.9 would."""

    def __init__(self, address: tuple[str, int], *, checks_read_of_exists: bool = True) -> None:
        self.address = address
        self._checks_read_of_exists = checks_read_of_exists
        self._admin: Wire | None = None

    def play(self, sequence: Sequence, root: str) -> Play:
        """Play a sequence under a fresh ``root``, and leave nothing of it behind."""
        admin = self._administrator()
        created = admin.call("create", {"path": root, "data": "", "acl": OPEN_ACL, "flags": 0})
        assert created.err == 0, f"cannot create {root}: {created.err}"
        stage = _Stage(self, Play(root))
        try:
            for step in sequence:
                stage.act(step)
        finally:
            stage.clear()
            self._remove(root)
        return stage.play

    def connect(self, *, timeout_ms: int = TIMEOUT_MS, like: Handshake | None = None) -> Wire:
        """A new connection: of a new session, or of the one that ``like`` was given."""
        if like is None:
            return Wire(self.address, timeout_ms=timeout_ms)
        password = like.password or b""
        session = like.session_id
        return Wire(self.address, timeout_ms=timeout_ms, session_id=session, password=password)

    def asks_read_first(self, wire: Wire, name: str, args: Args) -> Reply | None:
        """The refusal that 3.9 would give to ``exists``, where this server gives none."""
        if self._checks_read_of_exists or name != "exists":
            return None
        refused = wire.call("getData", {"path": args["path"]})
        return refused if refused.err == -102 else None

    def wait_until_gone(self, path: str) -> None:
        """Wait until a node is deleted, by being told."""
        admin = self._administrator()
        if admin.call("exists", {"path": path, "watch": True}).err == 0:
            assert admin.wait_for_event().path == path

    def close(self) -> None:
        """Let go of the server."""
        if self._admin is not None:
            self._admin.drop()
            self._admin = None

    def _administrator(self) -> Wire:
        if self._admin is not None:
            try:
                self._admin.call("ping")
            except Disconnected:
                self._admin = None
        if self._admin is None:
            self._admin = self.connect()
            credential = f"{SUPER_USER}:{SUPER_PASSWORD}"
            self._admin.call("auth", {"scheme": "digest", "credential": credential})
        return self._admin

    def _remove(self, path: str) -> None:
        admin = self._administrator()
        for name in admin.call("getChildren", {"path": path}).body or []:
            self._remove(f"{path}/{name}")
        admin.call("delete", {"path": path, "version": -1})


class _Stage:
    """The sessions of one play."""

    def __init__(self, player: Player, play: Play) -> None:
        self.play = play
        self._player = player
        self._wires: dict[int, Wire] = {}
        self._sessions: dict[int, Handshake] = {}
        self._ended: dict[int, Handshake] = {}
        self._generations = [itertools.count() for _ in range(SESSIONS)]
        self._write_zxids: list[int] = []

    # --- sessions -------------------------------------------------------------------------------

    def _wire(self, session: int) -> Wire:
        """The session's connection; a new one, and a new session, where there is none."""
        if session not in self._wires:
            known = self._sessions.get(session)
            wire = self._player.connect(like=known)
            if not wire.is_valid:
                wire.drop()
                wire = self._player.connect()
            if wire.handshake.session_id not in self.play.owners:
                owner = f"s{session}.{next(self._generations[session])}"
                self.play.owners[wire.handshake.session_id] = owner
            self._wires[session] = wire
            self._sessions[session] = wire.handshake
        return self._wires[session]

    def _drop(self, session: int) -> None:
        wire = self._wires.pop(session, None)
        if wire is not None:
            wire.drop()

    def _end(self, session: int) -> None:
        self._drop(session)
        self._ended[session] = self._sessions.pop(session)

    def clear(self) -> None:
        """End all sessions."""
        for session in sorted(self._sessions):
            with contextlib.suppress(Disconnected):
                self._wire(session).call("close")
            self._drop(session)

    # --- steps ----------------------------------------------------------------------------------

    def act(self, step: Step) -> None:
        """Do one step and note its outcome."""
        self._wire(step.session)
        if step.name in CONNECTION_STEPS:
            reply, before, handshakes = None, list[Event](), self._reconnect(step)
        else:
            (reply, before), handshakes = self._ask(step), list[Handshake]()
        after, closed = self._settle(step.session if step.name == "unknown" else None)
        outcome = Outcome(step, reply, handshakes, before, after, closed)
        if step.name == "close" and reply is not None and reply.err == 0:
            self._end(step.session)
        if reply is not None and reply.err == 0 and step.name in WRITES:
            self._write_zxids.append(reply.zxid)
        self.play.outcomes.append(outcome)

    def _ask(self, step: Step) -> tuple[Reply | None, list[Event]]:
        wire = self._wire(step.session)
        args = expand(step.args, self.play.root)
        if "zxid" in args:
            args["zxid"] = self._write_zxid(args["zxid"])
        try:
            reply = self._player.asks_read_first(wire, step.name, args)
            reply = reply or wire.call(step.name, args)
        except Disconnected:
            reply = None
        return reply, wire.take_events()

    def _write_zxid(self, age: int) -> int:
        """The zxid of the play's last successful write but ``age``; 0 before the first."""
        return self._write_zxids[-1 - age] if age < len(self._write_zxids) else 0

    def _settle(self, hung_up: int | None) -> tuple[dict[int, list[Event]], list[int]]:
        """Wait until each connection has got all there is; events, and sessions hung up on.

        ``hung_up``: who will be. The busy ZooKeeper answers a few requests more before it does.
        """
        after: dict[int, list[Event]] = {}
        closed: list[int] = []
        for session, wire in sorted(self._wires.items()):
            try:
                for _ in range(LAST_ANSWERS_MAX if session == hung_up else 1):
                    wire.call("sync", {"path": "/"})
            except Disconnected:
                closed.append(session)
            if events := wire.take_events():
                after[session] = events
        for session in closed:
            self._drop(session)
        return after, closed

    def _reconnect(self, step: Step) -> list[Handshake]:
        session = step.session
        known = self._sessions[session]
        match step.name:
            case "reattachEnded":
                return self._tried(self._ended.get(session))
            case "reattachWrong":
                wrong = self._tried(known._replace(password=WRONG_PASSWORD))
                self._drop(session)
                return [*wrong, self._wire(session).handshake]
            case "expire":
                return self._expired(session)
            case _:
                self._drop(session)
                return [self._wire(session).handshake]

    def _tried(self, like: Handshake | None) -> list[Handshake]:
        """What the server says to an attempt with these credentials."""
        if like is None:
            return []
        with self._player.connect(like=like) as wire:
            return [wire.handshake]

    def _expired(self, session: int) -> list[Handshake]:
        """Take the session up with a short timeout, and leave it."""
        marker = f"/expiring-{next(_roots)}"
        known = self._sessions[session]
        self._drop(session)
        wire = self._player.connect(timeout_ms=EXPIRING_MS, like=known)
        made = wire.call("create", {"path": marker, "data": "", "acl": OPEN_ACL, "flags": 1})
        assert made.err == 0
        wire.drop()
        self._player.wait_until_gone(marker)
        self._ended[session] = self._sessions.pop(session)
        return self._tried(known)


def fresh_root() -> str:
    """A directory's path that no play has had."""
    return f"/d{next(_roots):07}"
