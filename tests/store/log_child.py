"""A process that writes a log until it is killed; says which entries are durable.

Run as ``python log_child.py DIRECTORY``. Batches of growing size, now and then a truncation of
entries that are not committed and a cut behind a pretended snapshot. Each line of output is
"last first" as acknowledged: what the log must hold at least, wherever the kill hits.
"""

from __future__ import annotations

import sys
from pathlib import Path
from queue import SimpleQueue

from coord.raft.types import HardState, Index, Term
from coord.store.log_writer import ThreadLogWriter
from coord.store.raft_log import LogWrite, RaftLog
from tests.store.log_fixtures import lmdb_log_env, run, snapshot


def payload(index: int, term: int) -> bytes:
    """Tells where it belongs; long enough that runs take overflow pages now and then."""
    return b"%d/%d " % (index, term) * (1 + index % 200)


def main() -> None:
    """Write until killed."""
    log = RaftLog(lmdb_log_env(Path(sys.argv[1]), sync=True))
    finished: SimpleQueue[BaseException | None] = SimpleQueue()
    writer = ThreadLogWriter(log, lambda call: call())
    last = term = step = 0
    while True:
        step += 1
        write = LogWrite()
        if step % 5 == 1:
            term += 1
            last = max(last - step % 7, log.first_index() - 1)
            write.hard_state = HardState(Term(term))
        count = 1 + step % 40
        write.slices = [run(last + 1, [payload(last + 1 + i, term) for i in range(count)], term)]
        last += count
        if step % 11 == 0:
            covered = last - count
            log.set_snapshot(snapshot(covered, log.term(Index(covered)) or 0))
            write.cut_before = Index(covered - 20)
        writer.submit(write, finished.put)
        error = finished.get()
        assert error is None, error
        sys.stdout.write(f"{last} {term} {log.first_index()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
