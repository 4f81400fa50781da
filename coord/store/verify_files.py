"""Check a log or a tree in a process of its own: ``python -m coord.store.verify_files log DIR``.

In this order: the structure of the pages (without LMDB), then, opened read-only, every record. Of a
log also that no entry is missing and that nothing durable has gone; of a tree that its records have
the digest that it recorded. ``--live``: another process is using the environment; a reader that is
pinned first keeps the pages of the state that is checked.

Exits 0, or says on standard error what is wrong: 65 damage, 74 the check could not be made.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from coord.model.errors import CorruptionError, MisuseError
from coord.store.check_process import check_in_child, run_as_check
from coord.store.lmdb_kv import DATA_FILE, damage_of, open_reader, structural_problems
from coord.store.raft_log import RaftLog
from coord.store.tree_facts import check_records

_CHECKS = ("log", "tree")


def verify_environment(kind: str, directory: Path, *, live: bool = False) -> None:
    """Raise CorruptionError unless the environment is whole. ``kind``: "log" or "tree"."""
    file = directory / DATA_FILE
    if not live:
        _check_structure(file)
    env = open_reader(directory, live=live)
    try:
        with env.read():
            if live:
                _check_structure(file)
            if kind == "log":
                RaftLog(env).check_vote()
            else:
                check_records(env)
    except Exception as error:
        damage = damage_of(error)
        if damage is None or damage is error:
            raise
        raise CorruptionError(f"{file}: {error}") from error
    finally:
        env.close()


def _check_structure(file: Path) -> None:
    problems = structural_problems(file)
    if problems:
        raise CorruptionError(f"{file}: {problems[0]} ({len(problems)} problems)")


def verify_environment_in_child(kind: str, directory: Path, *, live: bool = False) -> None:
    """The same in a child process. Raises CorruptionError, StorageError if it could not be
    run."""
    flags = ["--live"] if live else []
    check_in_child(directory / DATA_FILE, __name__, kind, str(directory), *flags)


def verify_log_in_child(directory: Path) -> None:
    """The check of a log that nobody uses, in a child process."""
    verify_environment_in_child("log", directory)


def _check(arguments: Sequence[str]) -> str:
    kind, directory, *flags = [*arguments, "", ""][: max(2, len(arguments))]
    if kind not in _CHECKS or flags not in ([], ["--live"]):
        raise MisuseError("usage: python -m coord.store.verify_files log|tree DIR [--live]")
    verify_environment(kind, Path(directory), live=bool(flags))
    return f"{directory}: sound"


if __name__ == "__main__":
    sys.exit(run_as_check(_check, sys.argv[1:]))
