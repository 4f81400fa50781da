"""Legal crash images of a recording: which, in what order, and on a real directory.

At each step of the trace there are *choices*: which version of each page that is not synced, how
many of the changes in each directory. The choices that matter are those of the log and of names
(the tree is not opened after a power loss, only refused): all of their combinations are taken where
they are few, else the extremes, single losses and random ones, some of them torn at 512 bytes.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import islice, product
from math import prod
from pathlib import Path
from typing import Final, NamedTuple

from tests.crash.disk import PAGE, Directory, Disk, File, fingerprint
from tests.crash.recorder import MARKED, Recording

ALL_UP_TO: Final = 64
"""Combinations of what matters that are all taken."""
SECTOR: Final = 512
_SECTORS: Final = PAGE // SECTOR
_TORN_SHARE: Final = 0.25
_TORN_PAGES_MAX: Final = 3
_QUIET_SHARE: Final = 8
"""Of the steps in which only a tree changed, one in so many is looked at."""
_MANY: Final = 1 << 20
_UNCOUNTED: Final = "log/commits"
"""Varies freely, and decides little: images that differ in it alone count as one."""


class Image(NamedTuple):
    """Whole content of a disk. Valid until the disk is fed again."""

    names: dict[str, File | None]
    """Path to file; None: a directory."""
    pages: dict[int, dict[int, bytes]]
    """By inode: pages that are not in their durable version."""
    sizes: dict[int, int]
    """By inode, in bytes."""
    print: str
    """Equal for equal content."""
    log_print: str
    """The same without trees."""


class Step(NamedTuple):
    """A moment in the trace."""

    number: int
    marks: int
    """How many marks had been made."""
    is_quiet: bool
    """Only trees changed since the step before."""


class Pending(NamedTuple):
    """What is not durable at a step."""

    pages: list[tuple[File, int]]
    """Of the log."""
    tree_pages: list[tuple[File, int]]
    """Of everything else."""
    directories: list[Directory]

    @property
    def options(self) -> list[int]:
        """How many versions each thing that matters has."""
        versions = [len(file.pages[page]) for file, page in self.pages]
        return versions + [len(d.pending) + 1 for d in self.directories]


def steps(recording: Recording, disk: Disk) -> Iterator[Step]:
    """Feed the trace to ``disk``; yields whenever what a crash may leave has changed, after the
    marks that followed: with the most that may have been acknowledged by then."""
    marks = number = 0
    changed = quiet = False
    for record in recording.records():
        if record.what == MARKED:
            marks += 1
            continue
        if changed:
            yield Step(number, marks, quiet)
            number += 1
        changed = disk.feed(record)
        quiet = "/" in record.path.partition("tree-")[2]
        if changed and record.is_durable:
            yield Step(number, marks, quiet)
            number += 1
            disk.settle()
    if changed:
        yield Step(number, marks, quiet)


def pending_of(disk: Disk) -> Pending:
    """Everything in the disk that is not durable."""
    log: list[tuple[File, int]] = []
    rest: list[tuple[File, int]] = []
    for file in disk.files.values():
        (log if file.is_log else rest).extend((file, page) for page in sorted(file.dirty))
    return Pending(log, rest, [d for d in disk.directories.values() if d.pending])


def choices(pending: Pending, rng: random.Random) -> Iterator[tuple[int, ...]]:
    """Versions of what matters: every combination where they are few, else samples without end."""
    options = pending.options
    if prod(options) <= ALL_UP_TO:
        combinations = list(product(*map(range, options)))
        rng.shuffle(combinations)
        yield from combinations
        return
    newest = tuple(count - 1 for count in options)
    yield tuple(0 for _ in options)
    yield newest
    while True:
        at = rng.randrange(len(options))
        match rng.randrange(4):
            case 0:
                yield (*newest[:at], rng.randrange(options[at]), *newest[at + 1 :])
            case 1:
                yield tuple(newest[i] if i == at else 0 for i in range(len(options)))
            case _:
                kept = rng.choice((0.2, 0.5, 0.8))
                yield tuple(
                    rng.randrange(count) if rng.random() < kept else count - 1 for count in options
                )


def image(
    disk: Disk, pending: Pending, chosen: tuple[int, ...], rng: random.Random, *, torn: bool
) -> Image:
    """The disk with the versions ``chosen``, and random ones of what matters less."""
    count = len(pending.pages)
    pages: dict[int, dict[int, bytes]] = {}
    prints: dict[int, int] = {}

    def take(file: File, page: int, content: bytes, its_print: int) -> None:
        if content is not file.pages[page][0].content:
            pages.setdefault(file.inode, {})[page] = content
            change = its_print - file.pages[page][0].print
            prints[file.inode] = prints.get(file.inode, 0) + change

    for (file, page), at in zip(pending.pages, chosen, strict=False):
        version = file.pages[page][at]
        take(file, page, version.content, version.print)
    share = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    for file, page in pending.tree_pages:
        if rng.random() < share:
            version = rng.choice(file.pages[page][1:])
            take(file, page, version.content, version.print)
    if torn and pending.pages:
        for file, page in rng.sample(pending.pages, min(_TORN_PAGES_MAX, len(pending.pages))):
            pages.get(file.inode, {}).pop(page, None)
            content = _torn(file, page, rng)
            pages.setdefault(file.inode, {})[page] = content
        prints = {inode: _print_change(disk.files[inode], pages[inode]) for inode in pages}
    lengths = dict(zip((d.inode for d in pending.directories), chosen[count:], strict=True))
    return _named(disk, pages, prints, lengths, rng)


def whole(disk: Disk) -> Image:
    """What the next process finds when only the last one died: all that was written."""
    pages: dict[int, dict[int, bytes]] = {}
    prints: dict[int, int] = {}
    for file in disk.files.values():
        if file.dirty:
            newest = {page: file.pages[page][-1].content for page in file.dirty}
            pages[file.inode] = newest
            prints[file.inode] = _print_change(file, newest)
    lengths = {inode: len(d.pending) for inode, d in disk.directories.items()}
    return _named(disk, pages, prints, lengths, None)


def _print_change(file: File, pages: Mapping[int, bytes]) -> int:
    return sum(
        fingerprint(page, content) - file.pages[page][0].print for page, content in pages.items()
    )


def _torn(file: File, page: int, rng: random.Random) -> bytes:
    """Sectors of two neighbouring versions."""
    versions = file.pages[page]
    at = rng.randrange(1, len(versions))
    contents = versions[at - 1].content, versions[at].content
    starts = range(0, PAGE, SECTOR)
    return b"".join(contents[rng.randrange(2)][start : start + SECTOR] for start in starts)


def _named(
    disk: Disk,
    pages: dict[int, dict[int, bytes]],
    prints: dict[int, int],
    lengths: Mapping[int, int],
    rng: random.Random | None,
) -> Image:
    names: dict[str, File | None] = {}
    sizes: dict[int, int] = {}
    told: list[tuple[str, int]] = []
    waiting = [("", disk.root)]
    while waiting:
        prefix, directory = waiting.pop()
        for name, inode in directory.names(lengths.get(directory.inode, 0)).items():
            path = prefix + name
            file = names[path] = disk.files.get(inode)
            if file is None:
                waiting.append((path + "/", disk.directories[inode]))
                told.append((path, -1))
            else:
                sizes[inode] = _size(file, pages.get(inode, {}), rng)
                counted = not path.endswith(_UNCOUNTED)
                told.append((path, file.durable_print + prints.get(inode, 0) if counted else 0))
    log = [line for line in told if "tree-" not in line[0]]
    return Image(names, pages, sizes, _print(told), _print(log))


def _print(told: list[tuple[str, int]]) -> str:
    return blake2b(repr(sorted(told)).encode(), digest_size=12).hexdigest()


def _size(file: File, kept: Mapping[int, bytes], rng: random.Random | None) -> int:
    """A size the file has had since it was last synced, but not below what was kept of it."""
    at = len(file.sizes) - 1 if rng is None else rng.randrange(len(file.sizes))
    needed = max(((page + 1) * PAGE for page in kept), default=0)
    return max(file.sizes[at][1], min(needed, max(size for _, size in file.sizes)))


def materialise(image: Image, root: Path, vault: Path) -> None:
    """Put an image below ``root``, which is empty: each file under its own inode, so that whoever
    remembers a file by its inode finds it again."""
    for path, file in sorted(image.names.items()):
        place = root / path
        if file is None:
            place.mkdir()
            continue
        os.link(vault / str(file.inode), place)
        fd = os.open(place, os.O_RDWR)
        try:
            os.ftruncate(fd, 0)
            os.ftruncate(fd, image.sizes[file.inode])
            kept = image.pages.get(file.inode, {})
            for page, versions in file.pages.items():
                content = kept.get(page, versions[0].content)
                if content.count(0) != PAGE:
                    os.pwrite(fd, content, page * PAGE)
            os.ftruncate(fd, max(image.sizes[file.inode], os.fstat(fd).st_size))
        finally:
            os.close(fd)


def quotas(recording: Recording, root_inode: int, wanted: int, rng: random.Random) -> list[int]:
    """How many images to take at each step, so that they are ``wanted`` in all: all there are
    where they are few, the rest spread evenly."""
    disk = Disk(root_inode)
    possible: list[int] = []
    for step in steps(recording, disk):
        if step.is_quiet:
            possible.append(0 if rng.randrange(_QUIET_SHARE) else 1)
            continue
        count = prod(pending_of(disk).options)
        possible.append(count if count <= ALL_UP_TO else _MANY)
    if sum(map(bool, possible)) > wanted:
        chosen = set(rng.sample([at for at, count in enumerate(possible) if count], wanted))
        return [int(at in chosen) for at in range(len(possible))]
    level = 1
    while sum(min(count, level) for count in possible) < wanted and level < max(possible):
        level += 1
    return [min(count, level) for count in possible]


def sampled(disk: Disk, quota: int, rng: random.Random) -> Iterator[Image]:
    """``quota`` images of the present step, and torn ones beside some of them."""
    pending = pending_of(disk)
    for chosen in islice(choices(pending, rng), quota):
        yield image(disk, pending, chosen, rng, torn=False)
        if pending.pages and rng.random() < _TORN_SHARE:
            yield image(disk, pending, chosen, rng, torn=True)
