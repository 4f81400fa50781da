"""Opens a node's store on a crash image and compares it with what had been promised.

A finding begins with its stable name:

    crash/refused      the store does not open
    crash/identity     it came back as another member than it had said
    crash/lost         the log lacks what was reported as durable
    crash/invented     the log holds what was never written, or mixes two states
    crash/tree         the tree is not what the entries make of an empty one
    crash/snapshot     a snapshot that was reported as verified is gone
    crash/structure    pages of the log are not a sound LMDB file
    crash/afterwards   what is written after the crash does not last
    crash/died         the process that opened it was killed by what it found (by the parent)
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coord.raft.types import EntryKind, HardState, Index, LogSlice, Term
from coord.store.lmdb_kv import DATA_FILE, structural_problems
from coord.store.member_store import LOG, MemberStore, open_member_store
from coord.store.raft_log import LogWrite
from tests.crash.member import DATA, check_here, judged_options
from tests.crash.oracle import (
    LogState,
    Oracle,
    Promise,
    contents_of,
    print_of_log,
    tree_after,
)

_UNLIMITED: Final = 1 << 62


def open_store(root: Path, boot_id: str | None) -> MemberStore:
    """Open what lies there; ``boot_id`` None: as the kernel says."""
    return open_member_store(
        root / DATA,
        judged_options(),
        free_bytes=lambda: 1 << 40,
        boot_id=boot_id,
        check_snapshot=check_here,
    )


def judge(
    root: Path, oracle: Oracle, promise: Promise, boot_id: str | None, *, thoroughly: bool
) -> str | None:
    """What is wrong, or None. ``thoroughly``: look at every page of the log, and go on living."""
    try:
        store = open_store(root, boot_id)
    except Exception as error:
        return f"crash/refused: {type(error).__name__}: {error}"
    try:
        problem = _judge_open(store, oracle, promise)
        if problem is None and thoroughly:
            pages = structural_problems(root / DATA / LOG / DATA_FILE)
            problem = f"crash/structure: {pages[0]}" if pages else _live_on(store)
    except Exception as error:
        problem = f"crash/refused: {type(error).__name__}: {error}"
    finally:
        store.close(clean=thoroughly)
    if problem is None and thoroughly:
        problem = _judge_again(root, boot_id)
    return problem


def _judge_open(store: MemberStore, oracle: Oracle, promise: Promise) -> str | None:
    if promise.incarnation not in {0, store.incarnation}:
        return f"crash/identity: incarnation {store.incarnation}, told was {promise.incarnation}"
    found = print_of_log(store.log)
    state = oracle.find(found, promise)
    if state is None:
        return _why_not(store, oracle, promise, found)
    problem = _judge_tree(store, state)
    if problem is not None:
        return problem
    newest = store.snapshots.newest()
    if promise.snapshot[0] > (0 if newest is None else newest.index):
        return f"crash/snapshot: the newest is {newest}, verified was {promise.snapshot}"
    return None


def _why_not(store: MemberStore, oracle: Oracle, promise: Promise, found: bytes) -> str:
    extent = f"entries {store.log.first_index()} to {store.log.last_index()}"
    older = oracle.find(found, promise._replace(durable=0, submitted=promise.durable))
    if older is not None:
        at = oracle.states.index(older)
        return f"crash/lost: {extent}, as after write {at}; {promise.durable} were durable"
    allowed = f"{promise.durable} to {promise.submitted}"
    return f"crash/invented: {extent}, as after none of the writes {allowed}"


def _judge_tree(store: MemberStore, state: LogState) -> str | None:
    applied = store.machine.applied_index
    expected = tree_after(state.cluster, state.history)
    if applied > expected.applied:
        return f"crash/tree: has applied {applied}, the log ends at {expected.applied}"
    catch_up(store)
    if store.machine.digest != expected.digest:
        return f"crash/tree: wrong digest at {expected.applied}, from {applied} on by the log"
    if contents_of(store.tree.folded()) != expected.contents:
        return f"crash/tree: wrong records under the right digest at {expected.applied}"
    return None


def catch_up(store: MemberStore) -> None:
    """Apply everything that the log holds."""
    first, last = Index(store.machine.applied_index + 1), store.log.last_index()
    if first <= last:
        store.machine.apply(store.log.slices(first, last, _UNLIMITED))


def _live_on(store: MemberStore) -> str | None:
    """Write one more entry, as a new leader does."""
    log = store.log
    if log.cluster_id is None:
        return None
    term = Term(max(log.initial_state()[0].term, log.term(log.last_index()) or 1))
    run = LogSlice(Index(log.last_index() + 1), term, EntryKind.NOOP, [b""])
    log.write([LogWrite([run], hard_state=HardState(term))])
    catch_up(store)
    return None


def _judge_again(root: Path, boot_id: str | None) -> str | None:
    """After that clean stop the tree is trusted and stands where the log ends."""
    try:
        store = open_store(root, boot_id)
    except Exception as error:
        return f"crash/afterwards: {type(error).__name__}: {error}"
    stands, last = store.machine.applied_index, store.log.last_index()
    rebuilt = store.rebuilt_because
    store.close(clean=False)
    if rebuilt or stands != last:
        return f"crash/afterwards: applied {stands} of {last}; rebuilt: {rebuilt or 'no'}"
    return None
