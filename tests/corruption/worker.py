"""Processes that live with a damaged directory until they end or are told to: one order a line.

Orders, as JSON: ``{"do": "open", "dir": …}`` opens it as a node does (fatal signals are remembered)
and answers what went wrong or ``{"ok": …}``; ``{"do": "live", "last": …}`` reads everything, then
writes and applies up to ``last``, folds and reads again; ``{"do": "close", "clean": …}``;
``{"do": "end"}`` ends the process without closing anything;
``{"do": "scrub", "dir": …, "generation": …}`` reads a directory that another process uses.

Answers: ``{"ok": …}``; ``{"damage": message}`` for what the product calls damage; ``{"failure":
traceback}`` for a disk that failed; ``{"astray": what}`` for nodes that were not found, or as they
were before; ``{"wrong": what}`` for any other answer that is not the truth;
``{"died": signal}``; ``{"fault": traceback}`` for anything else.
"""

from __future__ import annotations

import contextlib
import json
import os
import traceback
from pathlib import Path
from typing import Any

from coord.app.fatal_signals import remembered
from coord.model.errors import StorageError
from coord.raft.types import Index
from coord.store.lmdb_kv import damage_of
from coord.store.member_store import LOG, MemberStore
from coord.store.verify_files import verify_environment
from tests.corruption.specimen import (
    LAST,
    MORE,
    AstrayError,
    Content,
    WrongAnswerError,
    append,
    open_specimen,
    past_of,
    read_content,
    runs,
    truth_at,
)
from tests.store.log_fixtures import MEMBERS, UNLIMITED
from tests.store.store_fixtures import catch_up

ENDED = 40
NOBODY_LEFT = 41


class Inhabitant:
    """At most one open store."""

    def __init__(self) -> None:
        self._store: MemberStore | None = None
        self._exits = contextlib.ExitStack()

    def open(self, order: dict[str, Any]) -> dict[str, Any]:
        """As ``coord serve`` does before it serves."""
        directory = Path(order["dir"])
        suspicion = self._exits.enter_context(remembered(directory))
        try:
            self._store, _ = open_specimen(directory)
        except BaseException:
            self._exits.close()
            raise
        self._exits.callback(lambda: suspicion)
        store = self._store
        if store.log.last_index() < order["last"]:
            raise WrongAnswerError(f"the log ends at {store.log.last_index()}")
        return {"rebuilt": store.rebuilt_because, "generation": store.log.trust.generation}

    def live(self, order: dict[str, Any]) -> dict[str, Any]:
        """Everything that it says is true, now and after more was written."""
        store = self._opened()
        catch_up(store)
        self._compare(store)
        append(store, order["last"])
        catch_up(store)
        store.machine.fold()
        self._compare(store)
        return {}

    def close(self, order: dict[str, Any]) -> dict[str, Any]:
        """End in good order."""
        self._opened().close(clean=order["clean"])
        self._store = None
        self._exits.close()
        return {}

    def scrub(self, order: dict[str, Any]) -> dict[str, Any]:
        """Check what another process has open."""
        directory = Path(order["dir"])
        verify_environment("log", directory / LOG, live=True)
        verify_environment("tree", directory / f"tree-{order['generation']}", live=True)
        return {}

    def _opened(self) -> MemberStore:
        assert self._store is not None, "open comes first"
        return self._store

    def _compare(self, store: MemberStore) -> None:
        last = store.log.last_index()
        self._compare_log(store, last)
        digest, expected = truth_at(store.machine.applied_index)
        found: Content = read_content(store.reader())
        names = sorted(p for p in {*found, *expected} if found.get(p) != expected.get(p))
        past = past_of(store.machine.applied_index)
        wrong = [p for p in names if p in found and found[p] not in past.get(p, ())]
        if wrong:
            raise WrongAnswerError(f"the tree differs at {wrong[:3]}")
        if names:
            raise AstrayError(f"gone or as they were: {names[:3]}")
        if store.machine.digest != digest:
            raise WrongAnswerError("the digest differs")

    @staticmethod
    def _compare_log(store: MemberStore, last: int) -> None:
        first = store.log.first_index()
        expected: list[tuple[int, int, bytes]] = [
            (run.first + at, run.term, payload)
            for run in runs(2, last)
            for at, payload in enumerate(run.payloads)
        ]
        if first == 1:
            expected.insert(0, (1, 1, MEMBERS.encode()))
        expected = [entry for entry in expected if entry[0] >= first]
        found = [
            (part.first + at, part.term, payload)
            for part in store.log.slices(Index(first), Index(last), UNLIMITED)
            for at, payload in enumerate(part.payloads)
        ]
        if found != expected:
            raise WrongAnswerError(f"the log differs: {len(found)} entries of {len(expected)}")
        state = store.log.initial_state()[0]
        if (state.term, state.vote) != (expected[-1][1], 1):
            raise WrongAnswerError(f"the vote is {state}")


def answer(inhabitant: Inhabitant, order: dict[str, Any]) -> dict[str, Any]:
    """Do what is ordered."""
    try:
        done: dict[str, Any] = getattr(inhabitant, order["do"])(order)
    except AstrayError as error:
        return {"astray": str(error)}
    except WrongAnswerError as error:
        return {"wrong": str(error)}
    except Exception as error:
        damage = damage_of(error)
        if damage is not None:
            return {"damage": str(damage)}
        kind = "failure" if isinstance(error, StorageError) else "fault"
        return {kind: traceback.format_exc()}
    return {"ok": done}


def obey(inhabitant: Inhabitant) -> None:
    """Do what is ordered until told to end, or until nobody orders any more."""
    while line := _line():
        order = json.loads(line)
        if order["do"] == "end":
            os._exit(ENDED)
        _say(answer(inhabitant, order))
    os._exit(NOBODY_LEFT)


def main() -> None:
    """One child after the other obeys; what this process has imported and computed is theirs too.
    The end of each is said in its place."""
    for last in (LAST, LAST + MORE, LAST + 2 * MORE):
        truth_at(last)
        past_of(last)
    status = 0
    while status != NOBODY_LEFT:
        child = os.fork()
        if child == 0:
            obey(Inhabitant())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status < 0:
            _say({"died": -status})
        elif status == ENDED:
            _say({"ok": {}})
        elif status != NOBODY_LEFT:
            _say({"fault": f"exit status {status}"})


def _line() -> bytes:
    """A line, and not a byte more: the rest is for the next child."""
    found = b""
    while not found.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return b""
        found += byte
    return found


def _say(what: dict[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
