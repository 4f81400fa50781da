"""A child that opens one crash image after the other, because one of them may kill it.

    python -m tests.crash.worker PLACE [--images N] [--seed S] [--from K] [--last K] [--break NAME]

``PLACE`` holds one recording. The images are a function of recording and seed; the child says on
standard output which it is about to open and what came of it, so that its successor goes on behind
the one that killed it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.crash.controls import CONTROLS
from tests.crash.disk import Disk
from tests.crash.images import Image, materialise, quotas, sampled, steps, whole
from tests.crash.judge import judge
from tests.crash.oracle import Oracle, Promise
from tests.crash.recorder import MARKED, Recording

KILLED_SHARE: Final = 0.1
"""Images of a process that died alone, beside each image of a power loss."""
THOROUGH_EVERY: Final = 8
_ALL: Final = 1 << 30


class Case(NamedTuple):
    """An image and what to hold against it."""

    number: int
    image: Image
    promise: Promise
    boot_id: str | None
    """None: as the kernel says, which is another than when it was recorded."""


def cases(recording: Recording, oracle: Oracle, wanted: int, seed: int) -> Iterator[Case]:
    """Images in the order of the trace, about ``wanted``; none twice under one promise."""
    rng = random.Random(seed)
    root_inode = recording.root.stat().st_ino
    quota = quotas(recording, root_inode, wanted, rng)
    killed = min(1.0, KILLED_SHARE * wanted / len(quota))
    disk = Disk(root_inode)
    seen: set[tuple[str, str | None, Promise]] = set()
    for step in steps(recording, disk):
        promise = oracle.promises[step.marks]
        images: list[tuple[Image, str | None]]
        images = [(image, None) for image in sampled(disk, quota[step.number], rng)]
        if rng.random() < killed:
            images.append((whole(disk), promise.boot))
        for image, boot_id in images:
            # What was legal early and is still possible later is held against more.
            key = (image.print, boot_id, promise)
            if key not in seen:
                seen.add(key)
                yield Case(len(seen), image, promise, boot_id)


def open_images(place: Path, wanted: int, seed: int, numbers: range) -> Iterator[dict[str, Any]]:
    """Open the cases with these numbers; yields what is said before and after each."""
    recording = Recording(place)
    marks = [record.mark for record in recording.records() if record.what == MARKED]
    oracle = Oracle.of(marks)
    # On the file system of the recording: its inodes are what the node remembers.
    root = place / "image"
    for case in cases(recording, oracle, wanted, seed):
        if case.number not in numbers:
            continue
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        image = case.image
        said = {"number": case.number, "print": image.print, "log": image.log_print}
        yield {**said, "kind": "power" if case.boot_id is None else "kill"}
        materialise(image, root, recording.vault)
        thoroughly = case.number % THOROUGH_EVERY == 0
        problem = judge(root, oracle, case.promise, case.boot_id, thoroughly=thoroughly)
        yield {"number": case.number, "problem": problem}


def main() -> None:
    """Open them all."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.worker")
    parser.add_argument("place", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="first", type=int, default=1)
    parser.add_argument("--last", type=int, default=_ALL)
    parser.add_argument("--break", dest="broken", choices=sorted(CONTROLS))
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if options.broken:
            stack.enter_context(CONTROLS[options.broken].planted())
        numbers = range(options.first, options.last + 1)
        for line in open_images(options.place, options.images, options.seed, numbers):
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
