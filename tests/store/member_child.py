"""A process that lives a member's life on its store until it is killed.

Run as ``python member_child.py DIRECTORY``: it writes, applies, takes snapshots and cuts the log,
and prints after each durable write the last index that it acknowledged.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from coord.raft.types import EntryKind, Index, LogSlice, Term
from coord.store.log_writer import ThreadLogWriter
from coord.store.member_store import open_member_store
from coord.store.raft_log import LogWrite
from coord.store.verify_snapshot import verify
from tests.store.log_fixtures import MEMBERS
from tests.store.store_fixtures import CLUSTER, OPTIONS, Loop, catch_up, entry


def main() -> None:
    """Write until killed."""
    store = open_member_store(
        Path(sys.argv[1]), replace(OPTIONS), check_snapshot=lambda path: verify(path).close()
    )
    if store.is_empty():
        store.bootstrap(CLUSTER, MEMBERS)
    loop = Loop()
    writer = ThreadLogWriter(store.log, lambda call: call())
    store.attach(loop.post, writer)
    catch_up(store)
    finished: SimpleQueue[BaseException | None] = SimpleQueue()
    for step in range(1_000_000):
        first = Index(store.log.last_index() + 1)
        payloads = [entry(first + at - 2) for at in range(1 + step % 30)]
        write = LogWrite([LogSlice(first, Term(1), EntryKind.NORMAL, payloads)])
        if step % 7 == 6:
            write.cut_before = store.cut_limit()
        writer.submit(write, finished.put)
        error = finished.get()
        assert error is None, error
        sys.stdout.write(f"{store.log.last_index()}\n")
        sys.stdout.flush()
        catch_up(store)
        if step % 5 == 4:
            store.snapshots.take(lambda _: None)
        if step % 5 == 2:
            store.wait_worker(20)
        while loop.calls:
            loop.calls.popleft()()


if __name__ == "__main__":
    main()
