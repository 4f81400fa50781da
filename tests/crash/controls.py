"""The suite against a broken store: each of these must be found, or the suite proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from tests.broken.planting import planted


class Control(NamedTuple):
    """One line of the product replaced, while recording or while opening images."""

    module: str
    old: str
    new: str
    is_recorded: bool
    """Planted in the process that is recorded; else in the one that opens images."""
    workload: str
    """One that shows it."""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Break it while the block runs."""
        with planted(self.module, self.old, self.new):
            yield


CONTROLS: Final[dict[str, Control]] = {
    "log-not-synced": Control(
        "coord.store.member_store",
        "open_environment(place, sync=True,",
        "open_environment(place, sync=False,",
        is_recorded=True,
        workload="single_entries",
    ),
    "newest-page-not-synced": Control(
        "coord.store.lmdb_kv",
        "metasync=sync,",
        "metasync=False,",
        is_recorded=True,
        workload="votes",
    ),
    "tree-always-trusted": Control(
        "coord.store.trust",
        "    if trust.inode == 0:",
        "    return None\n    if trust.inode == 0:",
        is_recorded=False,
        workload="folds",
    ),
    "boot-not-compared": Control(
        "coord.store.trust",
        "    if trust.boot_id != boot_id:",
        "    if not trust.boot_id:",
        is_recorded=False,
        workload="folds",
    ),
    "snapshot-not-synced": Control(
        "coord.store.snapshot_file",
        "            os.fsync(file.fileno())\n",
        "",
        is_recorded=True,
        workload="log_cuts",
    ),
    "names-not-synced": Control(
        "coord.store.lmdb_kv",
        "    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)",
        "    return\n    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)",
        is_recorded=True,
        workload="founding",
    ),
}
