"""ZooKeeper clients that do what few do: take a node without a quorum, ask for and take back their
watches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.differential.wire import NO_PASSWORD
from tests.sim.codes import NOT_READ_ONLY
from tests.sim.history import UNKNOWN_REVISION, Asked, Op, Outcome
from tests.sim.zk_client import ZkClient
from tests.sim.zk_watches import KINDS

if TYPE_CHECKING:
    from tests.sim.programs import Intent

MADE_UP: Final = 1 << 62
"""Set in the ids of sessions that a node without a quorum makes up."""
KEEPS: Final = 0.3
"""How many clients go on with such an id, which means nothing to anybody."""
TAKES_BACK: Final = 0.3


class ReadOnlyClient(ZkClient):
    """Reads where nothing can be written, if it comes to that; there, a write must be refused.

    A contact with such a node keeps no session alive, and nothing said there is in the log.
    """

    _is_cut_off = False
    """The node it talks to has no quorum."""

    @property
    def _is_made_up(self) -> bool:
        return bool(self.session & MADE_UP)

    def _hello(self, session: int, password: bytes, *, read_only: bool) -> bytes:
        del read_only
        self._is_cut_off = False
        if self._is_made_up and self._stream.random() >= KEEPS:
            session, password = 0, NO_PASSWORD
            self._forget_session()
        return super()._hello(session, password, read_only=True)

    def _forget_session(self) -> None:
        """Another session, the same client: what it has seen it has seen."""
        zxid = self._zxid
        self._reset_session()
        self._zxid = zxid

    def _welcomed(self, session: int, password: bytes, timeout_ms: int, *, read_only: bool) -> None:
        self._is_cut_off = read_only
        if not read_only:
            super()._welcomed(session, password, timeout_ms, read_only=False)
            return
        if not self.session and session & MADE_UP:
            self.session = session
        elif session != self.session:
            self._breach("attach", f"to {session} instead of {self.session}")
        self._password = password
        self._go_on()

    def _confirmed(self, sent_us: int) -> None:
        if not self._is_cut_off:
            super()._confirmed(sent_us)

    def _settle(self, op: Op, zxid: int, err: int, body: Any) -> None:
        if not self._is_cut_off:
            if err == NOT_READ_ONLY:
                self._breach("read-only", f"{op} was refused by a node that has a quorum")
            super()._settle(op, zxid, err, body)
            return
        if not (op.is_write or op.kind == "sync"):
            self.history.reached["read without a quorum"] += 1
            super()._settle(op, zxid, err, body)
            return
        op.code, op.revision = err, UNKNOWN_REVISION
        self._finish(op, Outcome.FAIL)
        if op.kind == "close" and not err:
            self.history.gone(self.session, self._now())
            self._forget_session()
            self.hang_up()
        elif err != NOT_READ_ONLY:
            self._breach("read-only", f"{op} was answered by a node without a quorum")


class AskingClient(ZkClient):
    """Asks whether its watches are there, and takes them back."""

    def _send(self, intent: Intent) -> None:
        super()._send(intent)
        if self._stream.random() < TAKES_BACK:
            self._ask()

    def _ask(self) -> None:
        """About a path that it watches or watched, perhaps in a way that it does not."""
        paths = self._watches.paths()
        if not paths:
            return
        path, kind = self._stream.choice(paths), self._stream.choice(tuple(KINDS))
        name = self._stream.choice(("checkWatches", "removeWatches"))
        asked = Asked(self._xid + 1, name, path, kind)
        self._request(name, {"path": path, "kind": kind}, None, asked)
