"""What of a recorded file system a power loss may leave.

Every page of 4 KiB that was written since it was last synced is on the disk in any of the versions
it has had since; pages know nothing of each other. Names made, changed and removed in a directory
reach the disk in order, up to any point, and all of them with a sync of that directory; directories
know nothing of each other. A file whose name was lost is lost. File systems promise more; nothing
here relies on it.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

from tests.crash.recorder import (
    CREATED,
    DIRECTORY_MADE,
    DIRECTORY_REMOVED,
    MAPPED,
    RENAMED,
    SYNC_BEGUN,
    SYNC_ENDED,
    TRUNCATED,
    UNLINKED,
    WRITTEN,
    Record,
)

PAGE: Final = 4096
ZEROS: Final = bytes(PAGE)
_UNSEEN: Final = frozenset({"lock", "lock.mdb", "reserve"})
"""Files whose content means nothing to the next process."""


class Version(NamedTuple):
    """One content of a page; ``since`` is the number of the write that made it."""

    since: int
    content: bytes
    print: int
    """Of page number and content; zeros have 0. The prints of a file's pages are summed."""


def fingerprint(page: int, content: bytes) -> int:
    """128 bits that stand for this content at this place."""
    if content == ZEROS:
        return 0
    hashed = blake2b(content, digest_size=16, salt=page.to_bytes(16, "little"))
    return int.from_bytes(hashed.digest(), "little")


NOTHING: Final = Version(0, ZEROS, 0)


class File:
    """Pages and size of one inode. The first of several versions is the one that is durable."""

    def __init__(self, inode: int, path: str) -> None:
        self.inode = inode
        self.is_log = path.endswith("log/data.mdb") or "log.new/" in path
        self.pages: dict[int, list[Version]] = {}
        self.dirty: set[int] = set()
        self.sizes: list[tuple[int, int]] = [(0, 0)]
        """(number of the write, size); the first one is durable."""
        self.durable_print = 0

    @property
    def size(self) -> int:
        """What the process sees."""
        return self.sizes[-1][1]

    def write(self, number: int, offset: int, data: bytes) -> list[int]:
        """Returns the pages that changed."""
        end = offset + len(data)
        changed = []
        for page in range(offset // PAGE, -(-end // PAGE)):
            begin = page * PAGE
            piece = data[max(0, begin - offset) : begin + PAGE - offset]
            if len(piece) < PAGE:
                piece = self._patched(page, max(0, offset - begin), piece)
            if self._put(number, page, piece):
                changed.append(page)
        if end > self.size:
            self.sizes.append((number, end))
        return changed

    def truncate(self, number: int, length: int) -> None:
        """Cut off, or lengthen with zeros."""
        for page in [page for page in self.pages if (page + 1) * PAGE > length]:
            kept = self._last(page).content[: max(0, length - page * PAGE)]
            self._put(number, page, kept.ljust(PAGE, b"\0"))
        self.sizes.append((number, length))

    def sync(self, number: int, pages: list[int] | None = None) -> None:
        """What was written before ``number`` is durable (of ``pages``, or all of them)."""
        for page in sorted(self.dirty) if pages is None else pages:
            versions = self.pages[page]
            at = max(at for at, version in enumerate(versions) if version.since < number or not at)
            self.durable_print += versions[at].print - versions[0].print
            del versions[:at]
            if len(versions) == 1:
                self.dirty.discard(page)
        at = max(at for at, (since, _) in enumerate(self.sizes) if since < number or not at)
        del self.sizes[:at]

    def _last(self, page: int) -> Version:
        return self.pages[page][-1] if page in self.pages else NOTHING

    def _patched(self, page: int, at: int, piece: bytes) -> bytes:
        old = self._last(page).content
        return old[:at] + piece + old[at + len(piece) :]

    def _put(self, number: int, page: int, content: bytes) -> bool:
        if self._last(page).content == content:
            return False
        version = Version(number, content, fingerprint(page, content))
        self.pages.setdefault(page, [NOTHING]).append(version)
        self.dirty.add(page)
        return True


class NameChange(NamedTuple):
    """In one directory: remove ``old`` (if not empty), then let ``new`` (if not empty) be
    ``inode``."""

    number: int
    old: str
    new: str
    inode: int


class Directory:
    """Names that are durable, and changes that are not yet."""

    def __init__(self, inode: int) -> None:
        self.inode = inode
        self.durable: dict[str, int] = {}
        self.pending: list[NameChange] = []

    def names(self, changes: int | None = None) -> dict[str, int]:
        """As it is with so many of the changes; with all, as processes see it."""
        names = dict(self.durable)
        for change in self.pending[:changes]:
            names.pop(change.old, None)
            if change.new:
                names[change.new] = change.inode
        return names

    def sync(self, number: int) -> None:
        """What changed before ``number`` is durable."""
        count = sum(1 for change in self.pending if change.number < number)
        self.durable = self.names(count)
        del self.pending[:count]


class Disk:
    """The watched directory, fed with a trace."""

    def __init__(self, root_inode: int) -> None:
        self.root = Directory(root_inode)
        self.files: dict[int, File] = {}
        self.directories: dict[int, Directory] = {root_inode: self.root}
        self._number = 0
        self._syncs: dict[tuple[int, int], int] = {}
        self._written: tuple[File, list[int]] | None = None

    def feed(self, record: Record) -> bool:
        """Take in a record, a synchronous write as if it had not returned yet. True if what a
        crash may leave has changed."""
        name = record.path.rpartition("/")[2]
        if name in _UNSEEN:
            return False
        assert record.what != MAPPED, f"{record.path} is written through a mapping: unseen"
        self._number += 1
        if record.what in {SYNC_BEGUN, SYNC_ENDED}:
            return self._sync(record)
        if record.what == WRITTEN:
            file = self.files[record.inode]
            self._written = file, file.write(self._number, record.offset, record.data)
        elif record.what == TRUNCATED:
            self.files[record.inode].truncate(self._number, record.offset)
        else:
            self._name(record, name)
        return True

    def settle(self) -> None:
        """The write that was fed last was synchronous, and has returned."""
        assert self._written is not None
        file, pages = self._written
        file.sync(self._number + 1, pages)

    def _sync(self, record: Record) -> bool:
        key = (record.inode, record.thread)
        if record.what == SYNC_BEGUN:
            self._syncs[key] = self._number
            return False
        begun = self._syncs.pop(key)
        synced = self.directories.get(record.inode) or self.files[record.inode]
        synced.sync(begun)
        return True

    def _name(self, record: Record, name: str) -> None:
        parent = self._directory(record.path)
        if record.what in {CREATED, DIRECTORY_MADE}:
            if record.what == CREATED:
                self.files[record.inode] = File(record.inode, record.path)
            else:
                self.directories[record.inode] = Directory(record.inode)
            parent.pending.append(NameChange(self._number, "", name, record.inode))
        elif record.what in {UNLINKED, DIRECTORY_REMOVED}:
            parent.pending.append(NameChange(self._number, name, "", 0))
        else:
            assert record.what == RENAMED, record
            target = record.data.decode()
            assert self._directory(target) is parent, "files never move between directories"
            inode = parent.names()[name]
            new = target.rpartition("/")[2]
            parent.pending.append(NameChange(self._number, name, new, inode))

    def _directory(self, path: str) -> Directory:
        """The directory that holds ``path`` for the process."""
        directory = self.root
        for name in path.split("/")[:-1]:
            directory = self.directories[directory.names()[name]]
        return directory
