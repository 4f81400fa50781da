"""TTL and container nodes: whom the leader may reap, and the check when the delete is applied."""

from __future__ import annotations

from coord.model import commands
from coord.model.errors import OK, BadVersionError, NoNodeError
from coord.store.kv import ReadTxn
from coord.store.run import Run
from coord.store.schema import U64, Tables, missing, unseal, verify
from coord.store.znode_record import Node


def reapable(txn: ReadTxn, tables: Tables, log_ms: int, limit: int) -> list[tuple[str, int, int]]:
    """(path, mzxid, pzxid) of at most ``limit`` nodes that may be reaped at ``log_ms``.

    TTL nodes without children whose time since the last write is over, containers that have lost
    their last child; those due longest first.
    """
    found: list[tuple[str, int, int]] = []
    for key, record in txn.scan(tables.reap, b"", U64.pack(log_ms + 1)):
        if len(found) >= limit:
            break
        path = unseal("reap", key, record).decode()
        node_key = key[U64.size :]
        node_record = txn.get(node_key, None, tables.nodes)
        if node_record is None:
            raise missing("nodes", node_key, f"{path}, which waits to be reaped")
        verify("nodes", node_key, node_record)
        node = Node.of(node_record)
        found.append((path, node.mzxid, node.pzxid))
    return found


def apply_reap(run: Run, path: str, mzxid: int, pzxid: int) -> None:
    """Delete the node if it still is as the leader saw it and its time is over. Body: ()."""
    kind = commands.REAP_NODE
    try:
        key, record = run.tree.find(path)
    except NoNodeError as error:
        run.refuse(kind, 0, 0, 0, error)
        return
    node = Node.of(record)
    due = run.tree.due_of(record, node)
    if (node.mzxid, node.pzxid) != (mzxid, pzxid) or due is None or due > run.log_ms:
        run.refuse(kind, 0, 0, 0, BadVersionError(f"{path} has changed: it is not reaped"))
        return
    run.tree.remove(path, key, record)
    run.keep(kind, 0, 0, 0, (OK, None, ()))
    run.answer(kind, 0, 0, 0, OK, ())
