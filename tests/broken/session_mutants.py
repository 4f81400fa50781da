"""Bugs of liveness and of the gateway: who counts as alive, what is answered when, and to whom."""

from __future__ import annotations

from typing import Final

from tests.broken.mutant import Edit, Mutant, one

_LIVENESS = "coord.node.liveness"
_EXPIRY = "coord.session.expiry"
_TRACKER = "coord.session.tracker"
_BATCHES = "coord.session.heartbeats"
_GATEWAY = "coord.node.gateway"
_READS = "coord.node.reads"
_ATTACH = "coord.node.attach"
_ADMIN = "coord.node.admin"

EXPIRY: Final = (
    Mutant(
        "deposed-leader-expires",
        (44,),
        "only who leads decides whose silence has lasted too long",
        (
            Edit(
                _LIVENESS,
                "        self._policy.deactivate()\n\n    def on_applied",
                "\n    def on_applied",
            ),
            Edit(
                _LIVENESS,
                "self._driver.accepts_proposals:\n            return\n        ends",
                "self.gateway:\n            return\n        ends",
            ),
            Edit(
                _LIVENESS,
                "        if not self._driver.propose(proposals):\n",
                "        if not self._driver.is_leader:\n"
                "            self.gateway._forwarder.commands.extend(proposals)\n"
                "        elif not self._driver.propose(proposals):\n",
            ),
        ),
        "sessions",
        drill=True,
    ),
    one(
        "follower-contact-ignored",
        (45,),
        "contact through any node keeps a session alive",
        _LIVENESS,
        "pairs = [(session, ago_ms) for session, ago_ms in message.pairs]",
        "pairs: list[tuple[int, int]] = []",
        "sessions",
        drill=True,
    ),
    one(
        "ending-session-reassured",
        (44,),
        "nobody is told alive of a session that is about to end",
        _BATCHES,
        "return [token for session, token in contact.pings if session not in refused]",
        "return [token for _, token in contact.pings]",
        "late-pings",
    ),
    one(
        "ending-session-touched",
        (44,),
        "contact of a session that is about to end is refused",
        _EXPIRY,
        "if tracker.is_handed_out(session) or not",
        "if not",
        "late-pings",
    ),
    Mutant(
        "contact-confirmed-alone",
        (24, 44),
        "contact is acknowledged by a leader that a majority still follows, and an end is proposed"
        " a grace after the deadline",
        (
            Edit(
                _LIVENESS,
                "self._unconfirmed.append(_Unconfirmed(self._rounds.join(), peer, batch, refused))",
                "self._unconfirmed.append(_Unconfirmed(0, peer, batch, refused))\n"
                "            self.on_round_confirmed()",
            ),
            Edit(
                _EXPIRY,
                "self._tracker.overdue(now_ms, self._grace_ms)",
                "self._tracker.overdue(now_ms)",
            ),
        ),
        "lonely-leaders",
    ),
    one(
        "attach-is-no-contact",
        (45,),
        "an attach starts the session's time-out anew",
        _LIVENESS,
        "if applied.kind in (commands.OPEN_SESSION, commands.ATTACH_SESSION):",
        "if applied.kind == commands.OPEN_SESSION:",
        "sessions",
    ),
    one(
        "contact-ends-watching",
        (46,),
        "a session that was heard is still watched",
        _TRACKER,
        "                self._queue(session, row)\n                continue\n",
        "                continue\n",
        "sessions",
    ),
)

ORDER: Final = (
    one(
        "local-read-as-linearizable",
        (21, 23),
        "a linearizable read asks a majority",
        _GATEWAY,
        "return bool(request.level == _LINEARIZABLE)",
        "return False",
        drill=True,
    ),
    one(
        "read-joins-started-round",
        (22, 23),
        "a read joins a round that has not begun",
        _READS,
        "return self.next_id\n",
        "return self.next_id - 1\n",
    ),
    one(
        "read-overtakes-write",
        (0,),
        "a session's read sees the session's earlier writes",
        _GATEWAY,
        "if conn.in_flight or round_id > self._rounds.confirmed:",
        "if round_id > self._rounds.confirmed:",
        "pipelines",
    ),
    one(
        "write-overtakes-read",
        (0,),
        "a session's read does not see the session's later writes",
        _GATEWAY,
        "if conn.waiting or conn.holds:",
        "if conn.holds or (conn.waiting and kind not in WRITES):",
    ),
    one(
        "answer-to-another-write",
        (47, 49),
        "an answer goes to the write it belongs to",
        _GATEWAY,
        "        if in_flight[0][0] != applied.seq:\n            return False\n",
        "",
    ),
    one(
        "connections-kept-across-install",
        (14, 47),
        "an installation sends every client to attach again",
        "coord.node.node",
        'self.gateway.end_all("draining", "this node has installed a snapshot; reconnect")',
        "self.gateway.flush()",
        "installs",
    ),
    one(
        "fate-told-too-early",
        (10, 49),
        "a write's fate is told once its session has ended here",
        _ADMIN,
        'return ["not yet", 0, 0, []]',
        'return ["not applied", 0, 0, []]',
        "fates",
    ),
    one(
        "fate-off-by-one",
        (49,),
        "a write that was applied is not called not applied",
        _ADMIN,
        'if seq > ended["last_seq"]:',
        'if seq >= ended["last_seq"]:',
        "fates",
    ),
)

MEMBERS: Final = (
    Mutant(
        "wiped-voter-votes-at-once",
        (40,),
        "a member that lost its disk learns before it votes",
        (
            Edit(
                "coord.node.replacement",
                "role = MemberRole.LEARNER if learns else MemberRole.JOINING",
                "role = MemberRole.LEARNER if learns else MemberRole.VOTER",
            ),
            Edit(
                "coord.raft.membership",
                "same = current.members.get(member.id) == member.incarnation",
                "same = member.id in current.members",
            ),
        ),
        "wipes",
    ),
    one(
        "level-of-newest-member",
        (55,),
        "the feature level is one that every member knows",
        "coord.node.features",
        "            common = min(common, level)",
        "            common = max(common, level)",
        "upgrade",
    ),
    one(
        "unknown-member-level-ignored",
        (55,),
        "the level is not raised past a member that has not announced one",
        "coord.node.features",
        "                return 0\n",
        "                continue\n",
        "half-upgrades",
    ),
)

MUTANTS: Final[tuple[Mutant, ...]] = (*EXPIRY, *ORDER, *MEMBERS)
