"""What the machine stands at: scalars that are written with every batch, and their first value."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgpack

from coord.model.acl import READ_ONLY
from coord.model.errors import NewerFormatError
from coord.model.paths import CONFIG, QUOTA, RESERVED, ROOT
from coord.store.kv import ReadTxn
from coord.store.records import Records
from coord.store.schema import FORMAT_VERSION, STATE, PathKeys, Tables, seal, unseal
from coord.store.write_behind import WriteBehind
from coord.store.znode_record import STAMPED, pack_acl


class State(NamedTuple):
    """The state after entry ``applied``; in table ``meta``, not part of the digest.

    ``size``: key and record bytes of everything the digest covers. ``journal_size``: those of the
    journal. ``first_block``: blocks below it have been trimmed. ``oldest_ms``: log_ms of the oldest
    row, None without rows. ``ended_due``: log_ms at which the next ended session is forgotten.
    """

    format: int
    applied: int
    term: int
    log_ms: int
    digest: int
    size: int
    journal_size: int
    first_block: int
    oldest_ms: int | None
    ended_due: int | None

    def encode(self) -> bytes:
        """The record in table ``meta``."""
        packed: bytes = msgpack.packb(self)
        return seal(STATE, packed)


_NODES: Final = (
    # (path, children present from the start); ZooKeeper's cversion does not count those
    (ROOT, 1),
    (RESERVED[0], 2),
    (CONFIG, 0),
    (QUOTA, 0),
)


def load_state(txn: ReadTxn, tables: Tables) -> State | None:
    """The committed state; None in an environment nobody has initialised.

    Raises CorruptionError, NewerFormatError.
    """
    record = txn.get(STATE, None, tables.meta)
    if record is None:
        return None
    fields = msgpack.unpackb(unseal("meta", STATE, record))
    if fields[0] > FORMAT_VERSION:
        raise NewerFormatError(
            f"the tree has format {fields[0]}, this version knows {FORMAT_VERSION}: upgrade coord"
        )
    return State(*fields)


def initialise(env: WriteBehind, tables: Tables) -> State:
    """Make the empty tree: root and reserved nodes with zxid 0 and time 0, the same everywhere.

    To be folded, which gives digest and size.
    """
    with env.write() as txn:
        nodes = Records(txn, tables.nodes)
        keys = PathKeys()
        for path, children in _NODES:
            raw = path.encode()
            acl = pack_acl(READ_ONLY) if path == CONFIG else b""
            stat = STAMPED.pack(0, 0, 0, 0, 0, 0, -children, 0, 0, 0, children, 0, 0)
            key = keys.key(raw)
            shape = bytes(1) + len(acl).to_bytes(2, "big") + len(raw).to_bytes(2, "big")
            nodes.store(key, stat + shape + raw + acl)
        txn.commit()
    return State(FORMAT_VERSION, 0, 0, 0, 0, 0, 0, 0, None, None)
