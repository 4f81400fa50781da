"""The snapshot file: an image of the tree, then a block that describes it.

    0            the image: a compacted LMDB file, whole pages
    image        descriptor (msgpack), zeros up to a page boundary
    −48          magic "coordSN1", length of the image (u64)
    −32          SHA-256 of everything before

The description comes last and not first so that the file *is* an LMDB file: it is verified and
opened in place, without a second copy of a tree that may be large. The SHA-256 names the file in a
transfer; the same file is what a backup writes.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Any, Final

import msgpack

from coord.model.errors import CorruptionError, NewerFormatError, StorageError
from coord.raft.types import SnapshotMeta
from coord.store.tree_facts import TreeFacts

SNAPSHOT_FORMAT: Final = 1
"""Raised when an older version could not read the file."""

_MAGIC: Final = b"coordSN1"
_TAIL: Final = struct.Struct(">8sQ")
_SHA_BYTES: Final = 32
_PAGE: Final = 4096
_CHUNK_BYTES: Final = 1 << 20


def encode_descriptor(facts: TreeFacts, image_bytes: int) -> bytes:
    """The block behind an image of ``image_bytes``, without the SHA-256 that ends the file."""
    packed: bytes = msgpack.packb([SNAPSHOT_FORMAT, image_bytes, facts.to_list()])
    size = len(packed) + _TAIL.size + _SHA_BYTES
    padding = -(image_bytes + size) % _PAGE
    return packed + bytes(padding) + _TAIL.pack(_MAGIC, image_bytes)


def seal_snapshot(image: bytes, facts: TreeFacts) -> bytes:
    """A whole snapshot file as bytes, for the in-memory twin."""
    body = image + encode_descriptor(facts, len(image))
    return body + hashlib.sha256(body).digest()


class SnapshotFile:
    """An open snapshot file, read with ``pread`` so that several transfers can share it."""

    def __init__(self, path: Path) -> None:
        """Read the description; the content is not checked. Raises CorruptionError,
        NewerFormatError, StorageError."""
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        try:
            self.length = os.fstat(self._fd).st_size
            self.image_bytes, self.facts, self.checksum = self._describe()
        except BaseException:
            os.close(self._fd)
            raise

    def _describe(self) -> tuple[int, TreeFacts, bytes]:
        tail_at = self.length - _TAIL.size - _SHA_BYTES
        if tail_at < 0:
            raise CorruptionError(f"{self.path}: too short for a snapshot")
        magic, image_bytes = _TAIL.unpack(self.read(tail_at, _TAIL.size))
        if magic != _MAGIC or image_bytes > tail_at or tail_at - image_bytes > 1 << 24:
            raise CorruptionError(f"{self.path}: not a snapshot of coord, or cut short")
        block = self.read(image_bytes, tail_at - image_bytes)
        facts = _decode_descriptor(str(self.path), block, image_bytes)
        return image_bytes, facts, self.read(self.length - _SHA_BYTES, _SHA_BYTES)

    @property
    def meta(self) -> SnapshotMeta:
        """What raft says about it."""
        facts = self.facts
        return SnapshotMeta(facts.index, facts.term, facts.membership, self.checksum, self.length)

    def read(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes at ``offset``. Raises StorageError."""
        try:
            return os.pread(self._fd, size, offset)
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}") from error

    def check_sum(self) -> None:
        """Read it all and raise CorruptionError unless the SHA-256 at its end is right."""
        digest = hashlib.sha256()
        _feed(digest, self, self.length - _SHA_BYTES)
        self._compare(digest.digest())

    def copy_image(self, fd: int) -> None:
        """Write the image to ``fd``, checking the SHA-256 on the way. Raises CorruptionError,
        StorageError."""
        digest = hashlib.sha256()
        try:
            _feed(digest, self, self.image_bytes, fd)
        except OSError as error:
            raise StorageError(f"copy of {self.path}: {error.strerror}") from error
        rest = self.length - _SHA_BYTES - self.image_bytes
        digest.update(self.read(self.image_bytes, rest))
        self._compare(digest.digest())

    def _compare(self, actual: bytes) -> None:
        if actual != self.checksum:
            raise CorruptionError(
                f"{self.path}: SHA-256 is {actual.hex()}, recorded {self.checksum.hex()}"
            )

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def write_descriptor(path: Path, facts: TreeFacts) -> None:
    """Complete a file that holds an image: describe it, seal it with its SHA-256, make it
    durable. Raises StorageError."""
    try:
        with path.open("r+b") as file:
            digest = hashlib.sha256()
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
            block = encode_descriptor(facts, file.tell())
            digest.update(block)
            file.write(block + digest.digest())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def open_sealed(name: str, data: bytes) -> tuple[bytes, TreeFacts, bytes]:
    """Image, description and checksum of a snapshot held in memory. Raises CorruptionError."""
    tail_at = len(data) - _TAIL.size - _SHA_BYTES
    if tail_at < 0 or data[tail_at : tail_at + len(_MAGIC)] != _MAGIC:
        raise CorruptionError(f"{name}: not a snapshot of coord, or cut short")
    checksum = data[-_SHA_BYTES:]
    actual = hashlib.sha256(data[:-_SHA_BYTES]).digest()
    if actual != checksum:
        raise CorruptionError(f"{name}: SHA-256 is {actual.hex()}, recorded {checksum.hex()}")
    image_bytes = _TAIL.unpack_from(data, tail_at)[1]
    facts = _decode_descriptor(name, data[image_bytes:tail_at], image_bytes)
    return data[:image_bytes], facts, checksum


def _decode_descriptor(name: str, block: bytes, image_bytes: int) -> TreeFacts:
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(block), 1))
    unpacker.feed(block)
    try:
        version, described_bytes, parts = unpacker.unpack()
        if version > SNAPSHOT_FORMAT:
            raise NewerFormatError(
                f"{name}: format {version} was written by a newer version; this one reads up to"
                f" {SNAPSHOT_FORMAT}"
            )
        facts = TreeFacts.from_list(parts)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptionError(f"{name}: the description does not decode: {error}") from error
    if described_bytes != image_bytes:
        raise CorruptionError(f"{name}: the description does not fit the file")
    return facts


def _feed(digest: Any, file: SnapshotFile, end: int, fd: int | None = None) -> None:
    """Hash, and copy to ``fd`` if given, the first ``end`` bytes. Large reads, and hashing drops
    the interpreter's lock, so the loop goes on meanwhile."""
    offset = 0
    while offset < end:
        chunk = file.read(offset, min(_CHUNK_BYTES, end - offset))
        if not chunk:
            raise CorruptionError(f"{file.path}: ends at {offset}, before {end}")
        digest.update(chunk)
        offset += len(chunk)
        if fd is not None:
            view = memoryview(chunk)
            while view:
                view = view[os.write(fd, view) :]
