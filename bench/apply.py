"""What applying one write costs a node, without network, log or clients.

    python -m bench.apply                              sets of 100 bytes over 1,000 nodes
    python -m bench.apply --what create --batch 200    creates, 200 to a batch

Prints processor time for each write. Equal digests show that two builds did the same.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import tempfile
from pathlib import Path
from typing import Final

from coord.model import commands, requests
from coord.model.acl import OPEN
from coord.model.limits import MIB
from coord.raft.types import EntryKind, Index, LogSlice, Term
from coord.store.lmdb_kv import create_environment, open_environment
from coord.store.state_machine import StateMachine
from coord.store.write_behind import WriteBehind

SESSIONS: Final = 16
STAMP: Final = commands.STAMP.pack(1, 1)
DATA: Final = b"x" * 100


class Bench:
    """A tree, sessions that write in turn, and the log they make."""

    def __init__(self, directory: Path) -> None:
        create_environment(directory, map_bytes=4_096 * MIB)
        engine = open_environment(directory, sync=False, map_bytes=4_096 * MIB)
        self.machine = StateMachine(WriteBehind(engine))
        opened = [
            commands.open_session(10_000, bytes(32), "127.0.0.1:1", "bench")
            for _ in range(SESSIONS)
        ]
        slice_ = LogSlice(Index(1), Term(1), EntryKind.NORMAL, [STAMP + one for one in opened])
        self.seqs = {applied.session: 0 for applied in self.machine.apply([slice_]).results}
        self._turn = 0
        self._drawn = random.Random(1)

    def batch(self, options: argparse.Namespace, number: int) -> list[bytes]:
        """Entries of one batch."""
        if options.what == "set":
            paths = [f"/b/k{self._drawn.randrange(options.keys)}" for _ in range(options.batch)]
            return [self.command(requests.Set(path, DATA, -1)) for path in paths]
        paths = [f"/b/c{number}-{place}" for place in range(options.batch)]
        return [self.command(requests.Create(path, DATA, OPEN, 0, 0)) for path in paths]

    def command(self, request: requests.Write) -> bytes:
        """The next session's next write, as an entry."""
        session = list(self.seqs)[self._turn % SESSIONS]
        self._turn += 1
        self.seqs[session] += 1
        seq = self.seqs[session]
        return STAMP + commands.encode_write(request, session, 1, seq, seq - 1, None)

    def apply(self, payloads: list[bytes]) -> None:
        """One batch, and the fold that may then be due."""
        first = Index(self.machine.applied_index + 1)
        self.machine.apply([LogSlice(first, Term(1), EntryKind.NORMAL, payloads)])
        if self.machine.must_fold:
            self.machine.fold()


def main() -> None:
    """Parse, prepare, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--what", choices=("set", "create"), default="set")
    parser.add_argument("--batch", type=int, default=36)
    parser.add_argument("--batches", type=int, default=500)
    parser.add_argument("--keys", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coord-apply-") as folder:
        bench = Bench(Path(folder) / "tree")
        bench.apply([bench.command(requests.Create("/b", b"", OPEN, 0, 0))])
        for key in range(options.keys):
            bench.apply([bench.command(requests.Create(f"/b/k{key}", DATA, OPEN, 0, 0))])
        batches = [bench.batch(options, number) for number in range(options.batches)]
        gc.collect()
        gc.freeze()
        before = resource.getrusage(resource.RUSAGE_SELF)
        for payloads in batches:
            bench.apply(payloads)
        after = resource.getrusage(resource.RUSAGE_SELF)
        writes = options.batch * options.batches
        user = (after.ru_utime - before.ru_utime) / writes * 1e6
        system = (after.ru_stime - before.ru_stime) / writes * 1e6
        print(
            f"{options.what}, batches of {options.batch}: {user + system:.2f} us"
            f" (user {user:.2f}, kernel {system:.2f}), digest {bench.machine.digest:016x}"
        )


if __name__ == "__main__":
    main()
