"""Check a snapshot file in a process of its own: ``python -m coord.store.verify_snapshot FILE``.

In a child, because a damaged LMDB file can abort the process that opens it, and because the checks
take seconds of Python that the node's loop must not wait for. In this order: the SHA-256 of the
file, the structure of its pages (without LMDB), then, opened read-only, the facts it was described
with and the digest recomputed from every record.

Prints one line of JSON and exits 0, or says on standard error what is wrong and exits 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from coord.model.errors import CoordError, CorruptionError, StorageError
from coord.store.lmdb_kv import open_image, structural_problems
from coord.store.snapshot_file import SnapshotFile
from coord.store.tree_facts import check_facts

_NICE = 10
"""Lower priority than the node's own: a snapshot may take longer, a commit may not."""


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
    command = [sys.executable, "-m", "coord.store.verify_snapshot", str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    except OSError as error:
        raise StorageError(f"cannot run the check of {path}: {error.strerror}") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        reason = said[-1] if said else f"the check died with status {done.returncode}"
        raise CorruptionError(reason)


def main(arguments: list[str]) -> int:
    """Entry point of the child. Returns the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m coord.store.verify_snapshot FILE\n")
        return 2
    with suppress(OSError):
        os.nice(_NICE)
    try:
        file = verify(Path(arguments[0]))
    except CoordError as error:
        sys.stderr.write(f"{error}\n")
        return 1
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
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
