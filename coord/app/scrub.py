"""Reads everything on disk again, now and then, in child processes: damage to what nobody asks for
would else be found on the day it is needed, when other copies may be gone.

Log and tree are checked while the node uses them (``coord.store.verify_files --live``); damage
there ends the node. A damaged snapshot is dropped, and another one taken; one that a follower could
not use is checked at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from coord.model.errors import CorruptionError, StorageError
from coord.store.check_process import command_of, judge, never_ends, patience_s
from coord.store.directory_home import SNAPSHOTS, TREE_PREFIX, snapshot_path
from coord.store.lmdb_kv import DATA_FILE
from coord.store.member_store import LOG

if TYPE_CHECKING:
    from coord.raft.types import SnapshotMeta
    from coord.store.member_store import MemberStore

log = logging.getLogger(__name__)


class Scrubber:
    """Checks one file after the other, then waits for ``interval_s``; 0: never."""

    def __init__(
        self,
        directory: Path,
        store: MemberStore,
        *,
        interval_s: float,
        on_damage: Callable[[BaseException], None],
        take_snapshot: Callable[[], object],
    ) -> None:
        self._directory = directory
        self._store = store
        self._interval_s = interval_s
        self._on_damage = on_damage
        self._take_snapshot = take_snapshot
        self._task: asyncio.Task[None] | None = None
        self._look: asyncio.Task[None] | None = None
        self._found_sound: SnapshotMeta | None = None

    def start(self) -> None:
        """Begin to wait for the first time; opening has just read everything."""
        if self._interval_s > 0:
            self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Check nothing any more; a check under way is ended."""
        for task in (self._task, self._look):
            if task is not None:
                task.cancel()

    def look_into(self, meta: SnapshotMeta) -> None:
        """A follower could not use this snapshot. If it is sound here that is the follower's
        trouble, or the network's: it is not checked for this reason again. One at a time; who is
        turned away comes again."""
        if meta != self._found_sound and (self._look is None or self._look.done()):
            self._look = asyncio.create_task(self._look_into(meta))

    async def _look_into(self, meta: SnapshotMeta) -> None:
        log.warning("a follower could not use snapshot %d: checking it", meta.index)
        try:
            if await self._is_sound(meta):
                self._found_sound = meta
                log.warning("snapshot %d is sound here: its way or the follower is not", meta.index)
        except (StorageError, OSError) as error:
            log.warning("what is on disk could not be checked: %s", error)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._check_environment("log", self._directory / LOG)
                await self._check_tree()
                await self._check_snapshots()
            except CorruptionError as error:
                self._on_damage(error)
                return
            except (StorageError, OSError) as error:
                log.warning("what is on disk could not be checked: %s", error)

    async def _check_tree(self) -> None:
        generation = self._store.log.trust.generation
        try:
            await self._check_environment("tree", self._directory / f"{TREE_PREFIX}{generation}")
        except CorruptionError:
            if self._store.log.trust.generation == generation:
                raise
            log.info("the tree was replaced while it was checked")

    async def _check_environment(self, kind: str, place: Path) -> None:
        module = "coord.store.verify_files"
        await _check(place / DATA_FILE, module, kind, str(place), "--live")

    async def _check_snapshots(self) -> None:
        for meta in self._store.snapshots.kept():
            await self._is_sound(meta)

    async def _is_sound(self, meta: SnapshotMeta) -> bool:
        """Check a snapshot, and drop it if it is damaged. Raises StorageError, OSError."""
        path = snapshot_path(self._directory / SNAPSHOTS, meta)
        try:
            await _check(path, "coord.store.verify_snapshot", str(path))
        except CorruptionError as error:
            if meta in self._store.snapshots.kept():
                log.error("a snapshot is damaged and was dropped: %s", error)
                self._store.snapshots.drop_damaged(meta)
                self._take_snapshot()
            return False
        return True


async def _check(file: Path, module: str, *arguments: str) -> None:
    """Run a check. Raises CorruptionError; StorageError and OSError if it cannot be run."""
    command, environment = command_of(module, *arguments)
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environment),
    )
    try:
        async with asyncio.timeout(patience_s(file)):
            _, said = await child.communicate()
    except TimeoutError as error:
        raise never_ends(file) from error
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
    assert child.returncode is not None, "communicate waits for the end"
    judge(file, child.returncode, said.decode("utf-8", "replace"))
