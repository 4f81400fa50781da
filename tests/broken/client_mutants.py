"""Bugs of the client library: what it sends again, concludes and promises, and of its recipes."""

from __future__ import annotations

from typing import Final

from tests.broken.mutant import Edit, Mutant, one

_SESSION = "coord_client.session"
_OPERATIONS = "coord_client.operations"
_LIVENESS = "coord_client.liveness"
_WATCHES = "coord_client.watches"
_SEQUENCE = "coord_client.recipes.sequence"
_HOLD = "coord_client.recipes.hold"

RETRIES: Final = (
    one(
        "retried-under-new-number",
        (49,),
        "a write that was applied is asked for, not sent as another",
        _SESSION,
        "            if operation.seq > last_seq:\n",
        "            if operation.seq:\n",
        drill=True,
    ),
    one(
        "retried-in-next-session",
        (49,),
        "a write in flight when its session ends is not sent again",
        _SESSION,
        "                writes.append(operation)\n",
        "                operation.seq = 0\n                kept.append(operation)\n",
        "mutes",
        drill=True,
    ),
    one(
        "unknown-told-as-failed",
        (49,),
        "an outcome that nobody knows is not called a failure",
        _OPERATIONS,
        "        del error\n        self._expired(definite=False)\n",
        "        del error\n        self._expired(definite=True)\n",
        "mutes",
    ),
    one(
        "lost-write-called-failed",
        (49,),
        "a write that was sent may have happened",
        _OPERATIONS,
        "            return self.seq != 0\n",
        "            return False\n",
        "deadlines",
    ),
    one(
        "refused-writes-reordered",
        (0,),
        "writes that were refused are sent again in their order",
        _SESSION,
        "        self._queue.extendleft(reversed(self._returned))\n        self._returned = []\n\n"
        "    def _session_refused",
        "        self._queue.extendleft(self._returned)\n        self._returned = []\n\n"
        "    def _session_refused",
        "refusals",
    ),
    one(
        "old-answers-forgotten",
        (49,),
        "only what has been answered is acknowledged",
        _SESSION,
        "            acked = self.acked if operation.kind is Kind.WRITE else 0\n",
        "            acked = min(self.acked + 1, operation.seq - 1) if operation.seq else 0\n",
        "lost-answers",
    ),
)

HOLDS: Final = (
    one(
        "hold-from-any-word",
        (24,),
        "only a confirmed heartbeat prolongs a hold",
        _LIVENESS,
        "        self._quiet_ms = now_ms\n        self._probe_sent_ms = None\n",
        "        self._quiet_ms = now_ms\n        self._probe_sent_ms = None\n"
        "        if self._confirmed_ms is not None:\n"
        "            self._confirmed_ms = now_ms\n",
        "deaf-nodes",
    ),
    one(
        "lock-without-fence",
        (52,),
        "a lost hold is noticed before the next act",
        _HOLD,
        "        return not self._is_over\n",
        "        return True\n",
        "holds",
        drill=True,
    ),
    Mutant(
        "other-holder-removed",
        (50, 51),
        "a holder's record is removed by its owner alone, and the line is kept",
        (
            Edit(_SEQUENCE, "return line[position - 1] if position else None", "return None"),
            Edit(
                _SEQUENCE,
                "        await self._wait_gone(record)\n",
                "        with contextlib.suppress(CoordError):\n"
                "            await self._client.delete(record, timeout_s=math.inf)\n",
            ),
        ),
        "holds",
        drill=True,
    ),
    one(
        "orphan-stays-in-line",
        (51,),
        "who gives up leaves nothing in line",
        _SEQUENCE,
        "        self._client.clean_up(self._leave())\n",
        "        self._creating = None\n",
        "contended",
    ),
)

STREAMS: Final = (
    one(
        "watch-dropped-on-reconnect",
        (53,),
        "a stream goes on after a reconnect",
        _WATCHES,
        "            if not subscription.is_asked and not subscription.is_behind:\n",
        "            if subscription.is_asked and not subscription.is_behind:\n",
        drill=True,
    ),
    one(
        "resumed-from-now",
        (53,),
        "a stream resumes after the last revision it delivered",
        _WATCHES,
        "return Watch(self.path, self.mode, self.values, self._resume)",
        "return Watch(self.path, self.mode, self.values, None)",
        drill=True,
    ),
    one(
        "resumed-from-newest-answer",
        (53, 54),
        "a stream resumes after what it delivered, not after what other answers showed",
        _WATCHES,
        "return Watch(self.path, self.mode, self.values, self._resume)",
        "return Watch(\n"
        "            self.path,\n"
        "            self.mode,\n"
        "            self.values,\n"
        "            None if self._resume is None else self._table.position(),\n"
        "        )",
    ),
    one(
        "half-a-revision-delivered",
        (54,),
        "a revision is delivered whole or not yet",
        _WATCHES,
        "        if not push.complete:\n            return\n",
        "        if self._resume is None:\n            return\n",
    ),
)

MUTANTS: Final[tuple[Mutant, ...]] = (*RETRIES, *HOLDS, *STREAMS)
