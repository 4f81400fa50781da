"""The state digest: Σ mix64(crc32(key ‖ record)) mod 2⁶⁴ over all replicated records.

A sum does not depend on the order of records, so that apply can keep it up to date: the old
record's term goes out, the new one's comes in, both from checksums that are there anyway.
"""

from __future__ import annotations

from typing import Final

from coord.store.kv import Environment, ReadTxn
from coord.store.schema import DIGESTED, missing, open_tables, verify

MASK: Final = 2**64 - 1
FACTOR: Final = 0x9E3779B97F4A7C15


def mix64(crc: int) -> int:
    """Spread 32 bits over 64, modulo 2⁶⁴. Not linear: two changed checksums cannot cancel as they
    would in a sum of checksums. Two operations, because apply does it twice for each write."""
    return (crc + FACTOR) * crc


class Totals:
    """Digest and size of the replicated records while apply changes them.

    ``digest`` may be any integer equal to the digest mod 2⁶⁴; ``size`` counts key and record bytes.
    """

    __slots__ = ("digest", "size")

    def __init__(self, digest: int, size: int) -> None:
        self.digest = digest
        self.size = size


def digest_of(env: Environment, txn: ReadTxn) -> tuple[int, int]:
    """(digest, replicated bytes) recomputed from the records themselves.

    Every record is looked up as well: where pages have changed places, a walk along them finds all
    records, and a lookup does not.

    Raises CorruptionError for the first record whose checksum is wrong or that a lookup misses.
    """
    digest = size = 0
    tables = open_tables(env)
    get = txn.get
    for name in DIGESTED:
        table = getattr(tables, name)
        for key, record in txn.scan(table, b""):
            digest += mix64(verify(name, key, record))
            size += len(key) + len(record)
            if get(key, None, table) != record:
                raise missing(name, key, "in the file, where no lookup finds it")
    return digest & MASK, size
