"""The number of the newest durable commit, left beside the log's data file."""

from __future__ import annotations

from pathlib import Path

from coord.store.kv import Environment
from coord.store.lmdb_kv import open_environment
from tests.store.log_fixtures import MAP_BYTES, lmdb_log_env


def reopened(env: Environment, directory: Path) -> Environment:
    """The same directory, opened by the next process."""
    env.close()
    return open_environment(directory, sync=True, map_bytes=MAP_BYTES)


def test_a_commit_that_changed_nothing_is_not_expected_to_be_found(tmp_path: Path) -> None:
    """LMDB writes no page for it, so the file opens at the commit before."""
    directory = tmp_path / "log"
    env = lmdb_log_env(directory, sync=True)
    for _ in range(2):
        with env.write() as txn:
            txn.commit()
        env = reopened(env, directory)
    meta = env.table("meta")
    with env.write() as txn:
        txn.put(b"key", b"value", db=meta)
        txn.commit()

    env = reopened(env, directory)
    meta = env.table("meta")
    with env.read() as reader:
        assert reader.get(b"key", None, meta) == b"value"
    env.close()
