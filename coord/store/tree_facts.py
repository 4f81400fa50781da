"""What a tree environment says about itself, read inside one transaction."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Self

import msgpack

from coord.model.errors import CorruptionError
from coord.raft.types import Index, Membership, Term
from coord.store.digest import digest_of
from coord.store.kv import Environment, ReadTxn
from coord.store.schema import (
    CLUSTER,
    FORMAT_VERSION,
    MEMBERSHIP,
    SAMPLES,
    open_tables,
    unseal,
    verify,
)
from coord.store.state import load_state

FIRST_HISTORY: Final = 1
"""History id of a cluster that was never restored."""


@dataclass(frozen=True, slots=True)
class TreeFacts:
    """Everything that identifies a state of the tree."""

    layout: int
    """``FORMAT_VERSION`` of the tree environment."""
    cluster_id: bytes
    history_id: int
    index: Index
    term: Term
    membership: Membership
    """As of ``index``."""
    digest: int

    def to_list(self) -> list[Any]:
        """As msgpack can hold it."""
        return [
            self.layout,
            self.cluster_id,
            self.history_id,
            self.index,
            self.term,
            self.membership.encode(),
            self.digest,
        ]

    @classmethod
    def from_list(cls, parts: list[Any]) -> Self:
        """Inverse of ``to_list``. Raises TypeError, ValueError."""
        layout, cluster_id, history_id, index, term, membership, digest = parts
        members = Membership.decode(membership)
        return cls(layout, cluster_id, history_id, index, term, members, digest)


def read_facts(env: Environment, txn: ReadTxn) -> TreeFacts:
    """The facts of the state that ``txn`` sees. The tables must have been opened before it began.

    Raises CorruptionError, NewerFormatError.
    """
    tables = open_tables(env)
    state = load_state(txn, tables)
    if state is None:
        raise CorruptionError(f"{env.name}: table meta, state: missing; not a tree of coord")
    cluster = txn.get(CLUSTER, None, tables.facts)
    members = txn.get(MEMBERSHIP, None, tables.facts)
    cluster_id, history_id = (
        (b"", 0) if cluster is None else msgpack.unpackb(unseal("facts", CLUSTER, cluster))
    )
    membership = (
        Membership() if members is None else Membership.decode(unseal("facts", MEMBERSHIP, members))
    )
    return TreeFacts(
        FORMAT_VERSION,
        cluster_id,
        history_id,
        Index(state.applied),
        Term(state.term),
        membership,
        state.digest,
    )


def check_records(env: Environment) -> None:
    """Raise CorruptionError unless every record's checksum is right and all of them together have
    the digest and the size that the state records: a page that is an older version of itself
    holds sound records. A tree without a state has only just been made."""
    tables = open_tables(env)
    try:
        with env.read() as txn:
            state = load_state(txn, tables)
            found = digest_of(env, txn)
            samples = txn.get(SAMPLES, None, tables.meta)
    except env.damage as error:
        raise CorruptionError(f"{env.name}: {error}") from error
    if samples is not None:
        verify("meta", SAMPLES, samples)
    recorded = (state.digest, state.size) if state is not None else (0, 0)
    if found != recorded:
        raise CorruptionError(
            f"{env.name}: the records have digest {found[0]:016x} and {found[1]} bytes, recorded"
            f" are {recorded[0]:016x} and {recorded[1]}"
        )


def check_facts(env: Environment, expected: TreeFacts) -> None:
    """Raise CorruptionError unless the environment is the state ``expected`` describes: its own
    facts, and the digest recomputed from every record."""
    open_tables(env)
    with env.read() as txn:
        found = read_facts(env, txn)
        digest, _ = digest_of(env, txn)
    for name in (field.name for field in fields(TreeFacts)):
        promised, actual = getattr(expected, name), getattr(found, name)
        if promised != actual:
            raise CorruptionError(f"{env.name}: {name} is {actual!r}, described as {promised!r}")
    if digest != expected.digest:
        raise CorruptionError(
            f"{env.name}: the records have digest {digest:016x}, recorded is {expected.digest:016x}"
        )
