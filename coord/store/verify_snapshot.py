"""Check a snapshot file in a process of its own: ``python -m coord.store.verify_snapshot FILE``.

In a child, because a damaged LMDB file can abort the process that opens it, and because the checks
take seconds of Python that the node's loop must not wait for. In this order: the SHA-256 of the
file, the structure of its pages (without LMDB), then, opened read-only, the facts it was described
with and the digest recomputed from every record.

Prints one line of JSON and exits 0, or says on standard error what is wrong: 65 damage, 74 the
check could not be made.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from coord.model.errors import CorruptionError, MisuseError
from coord.store.check_process import check_in_child, run_as_check
from coord.store.lmdb_kv import open_image, structural_problems
from coord.store.snapshot_file import SnapshotFile
from coord.store.tree_facts import check_facts


def verify(path: Path) -> SnapshotFile:
    """Raise CorruptionError unless the file is a whole and consistent snapshot."""
    file = SnapshotFile(path)
    file.check_sum()
    problems = structural_problems(path)
    if problems:
        raise CorruptionError(f"{path}: {problems[0]} ({len(problems)} problems)")
    env = open_image(path)
    try:
        check_facts(env, file.facts)
    finally:
        env.close()
    return file


def verify_in_child(path: Path) -> None:
    """Run the check as a child process and wait for it. Raises CorruptionError with what it
    said, or if it died of what it found; StorageError if it could not be run."""
    check_in_child(path, __name__, str(path))


def _check(arguments: Sequence[str]) -> str:
    if len(arguments) != 1:
        raise MisuseError("usage: python -m coord.store.verify_snapshot FILE")
    file = verify(Path(arguments[0]))
    facts = file.facts
    report = {
        "index": facts.index,
        "term": facts.term,
        "digest": f"{facts.digest:016x}",
        "cluster": facts.cluster_id.hex(),
        "history": facts.history_id,
        "checksum": file.checksum.hex(),
        "length": file.length,
    }
    return json.dumps(report)


if __name__ == "__main__":
    sys.exit(run_as_check(_check, sys.argv[1:]))
