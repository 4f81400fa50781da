"""Ways in which a file comes back other than it was written. Pure, and decided by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = 4096
SECTOR: Final = 512

Change = Callable[[random.Random, bytearray, Sequence[bytes]], None]
"""Damages the content of a file; given older contents of it."""


def _flip(dice: random.Random, data: bytearray, _older: Sequence[bytes]) -> None:
    """One bit, anywhere."""
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _flip_header(dice: random.Random, data: bytearray, _older: Sequence[bytes]) -> None:
    """One bit where a page says what it is and where its records lie."""
    data[_page(dice, data) + dice.randrange(48)] ^= 1 << dice.randrange(8)


def _zero(dice: random.Random, data: bytearray, _older: Sequence[bytes]) -> None:
    """A page of zeros, or a sector."""
    size = dice.choice((PAGE, SECTOR))
    at = dice.randrange(len(data) // size) * size
    data[at : at + size] = bytes(size)


def _noise(dice: random.Random, data: bytearray, _older: Sequence[bytes]) -> None:
    """A sector of somebody else's bytes."""
    at = dice.randrange(len(data) // SECTOR) * SECTOR
    data[at : at + SECTOR] = dice.randbytes(SECTOR)


def _swap(dice: random.Random, data: bytearray, _older: Sequence[bytes]) -> None:
    """Two pages in each other's place."""
    one, other = _page(dice, data), _page(dice, data)
    first, second = data[one : one + PAGE], data[other : other + PAGE]
    data[one : one + PAGE], data[other : other + PAGE] = second, first


def _misdirect(dice: random.Random, data: bytearray, _older: Sequence[bytes]) -> None:
    """A page over another one."""
    one, other = _page(dice, data), _page(dice, data)
    data[one : one + PAGE] = data[other : other + PAGE]


def _stale(dice: random.Random, data: bytearray, older: Sequence[bytes]) -> None:
    """A page as it was before: a write that the disk said it had done and had not."""
    candidates = [
        (at, version)
        for version in older
        for at in range(0, min(len(data), len(version)), PAGE)
        if version[at : at + PAGE] != data[at : at + PAGE]
    ]
    if candidates:
        at, version = dice.choice(candidates)
        data[at : at + PAGE] = version[at : at + PAGE]


def _truncate(dice: random.Random, data: bytearray, _older: Sequence[bytes]) -> None:
    """The end is missing."""
    del data[dice.randrange(len(data)) :]


KINDS: Final[dict[str, Change]] = {
    "flip": _flip,
    "flip-header": _flip_header,
    "zero": _zero,
    "noise": _noise,
    "swap": _swap,
    "misdirect": _misdirect,
    "stale": _stale,
    "truncate": _truncate,
}


def _page(dice: random.Random, data: bytearray) -> int:
    return dice.randrange(len(data) // PAGE) * PAGE


@dataclass(frozen=True, slots=True)
class Damage:
    """What happens to one file. ``file``: its path below the data directory."""

    kind: str
    file: str
    seed: int

    def strike(self, directory: Path, older: Sequence[bytes]) -> bool:
        """Change the file in place (whoever has it mapped sees it); False if it stays the same."""
        path = directory / self.file
        before = path.read_bytes()
        data = bytearray(before)
        KINDS[self.kind](random.Random(self.seed), data, older)
        if data == before:
            return False
        with path.open("r+b") as file:
            file.truncate(len(data))
            for at in range(0, len(data), SECTOR):
                if data[at : at + SECTOR] != before[at : at + SECTOR]:
                    file.seek(at)
                    file.write(data[at : at + SECTOR])
        return True

    def __str__(self) -> str:
        return f"{self.kind} of {self.file}, seed {self.seed}"
