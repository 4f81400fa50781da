"""The layer over the tree's environment: what it shows is what was committed, folded or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.model.errors import StorageError
from coord.store import write_behind
from coord.store.kv import Environment, ReadTxn, Table
from coord.store.memory_kv import MemoryEnvironment
from coord.store.records import Records
from coord.store.schema import NO_CRC, unseal
from coord.store.write_behind import BehindTable, WriteBehind
from tests.store.tree_fixtures import FailingEnvironment

KEYS = st.sampled_from([b"a", b"ab", b"b", b"c", b"d"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.binary(max_size=3)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.sampled_from(["commit", "abort", "fold", "step", "step", "drop"])),
    ),
    max_size=30,
)


def shown(txn: ReadTxn, table: Table, *, is_lazy: bool) -> dict[bytes, bytes]:
    """Everything a reader sees, by every way of looking."""
    found = dict(txn.scan(table, b""))
    assert list(found) == sorted(found)
    assert list(txn.scan_back(table, b"")) == list(found.items())[::-1]
    assert list(txn.scan_keys(table, b"")) == list(found)
    assert txn.count(table) == len(found)
    assert dict(txn.scan(table, b"ab", b"c")) == {
        k: v for k, v in found.items() if b"ab" <= k < b"c"
    }
    for key in (b"a", b"ab", b"b", b"c", b"d"):
        assert txn.get(key, None, table) == found.get(key)
    return {key: unseal("t", key, value) if is_lazy else value for key, value in found.items()}


@pytest.fixture(scope="module")
def small_steps() -> Iterator[None]:
    """A fold of a few records takes several steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_behind, "STEP_RECORDS", 1)
        yield


@pytest.mark.parametrize("name", ["nodes", "journal"])
@pytest.mark.usefixtures("small_steps")
@given(steps=STEPS)
def test_it_shows_what_a_dict_would(name: str, steps: list[tuple[Any, ...]]) -> None:
    """Committed changes for readers, its own too for the writer, sealed wherever they lie."""
    engine = MemoryEnvironment()
    env = WriteBehind(engine)
    table = env.table(name)
    is_lazy = cast("BehindTable", table).is_lazy
    room = NO_CRC if is_lazy else b""
    committed: dict[bytes, bytes] = {}
    writing: dict[bytes, bytes] = {}
    begun: dict[bytes, bytes] = {}
    folded: dict[bytes, bytes] = {}
    txn = env.write()
    for what, *arguments in steps:
        if what == "put":
            txn.put(arguments[0], room + arguments[1], db=table)
            writing[arguments[0]] = arguments[1]
        elif what == "delete":
            assert txn.delete(arguments[0], db=table) == (arguments[0] in writing)
            writing.pop(arguments[0], None)
        elif what == "commit":
            txn.commit()
            committed, txn = dict(writing), env.write()
        elif what == "abort":
            txn.abort()
            writing, txn = dict(committed), env.write()
        elif what == "drop":
            env.drop_fold()
        elif what == "step":
            if not env.is_folding:
                env.begin_fold()
                begun = committed
            env.fold_step()
            if not env.is_folding:
                folded = begun
        else:
            env.fold()
            assert not env.has_pending
            folded = committed
        with engine.read() as stable:
            assert shown(stable, engine.table(name), is_lazy=is_lazy) == folded
        with env.read() as view:
            assert shown(view, table, is_lazy=is_lazy) == committed
        assert shown(txn, table, is_lazy=is_lazy) == writing
        if is_lazy:
            records = Records(txn, table)
            for key in (b"a", b"ab", b"b", b"c", b"d"):
                loaded = records.load(key)
                assert (None if loaded is None else loaded[4:]) == writing.get(key)
    txn.abort()
    with env.folded().read() as stable:
        assert shown(stable, engine.table(name), is_lazy=is_lazy) == committed


def test_a_fold_that_fails_may_be_tried_again() -> None:
    """Nothing has changed meanwhile: neither what is shown nor what the engine holds."""
    engine = FailingEnvironment(MemoryEnvironment())
    env = WriteBehind(cast("Environment", engine))
    table = env.table("nodes")
    with env.write() as txn:
        for key in (b"a", b"b", b"c"):
            txn.put(key, NO_CRC + key, db=table)
        txn.commit()
    for left in range(4):
        engine.left = left
        with pytest.raises(StorageError, match="disk failed"):
            env.fold()
        assert env.has_pending
        with engine.inner.read() as stable:
            assert list(stable.scan(engine.inner.table("nodes"), b"")) == []
        with env.read() as view:
            assert shown(view, table, is_lazy=True) == {b"a": b"a", b"b": b"b", b"c": b"c"}
    engine.left = None
    env.fold()
    with engine.inner.read() as stable:
        assert len(list(stable.scan(engine.inner.table("nodes"), b""))) == 3


def test_a_fold_becomes_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """By changes, each time a record changes, or by bytes."""
    monkeypatch.setattr(write_behind, "FOLD_CHANGES", 10)
    monkeypatch.setattr(write_behind, "FOLD_BYTES", 1_000)
    env = WriteBehind(MemoryEnvironment())
    table = env.table("nodes")
    for size, most in ((1, 5), (600, 2)):
        committed = 0
        while not env.is_fold_due():
            with env.write() as txn:
                txn.put(b"a", bytes(size), db=table)
                txn.commit()
            committed += 1
        assert committed == most
        env.fold()


def test_what_it_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound it forgets, and reads from the engine."""
    monkeypatch.setattr(write_behind, "CLEAN_RECORDS_MAX", 2)
    env = WriteBehind(MemoryEnvironment())
    table = env.table("nodes")
    sizes = []
    for key in (b"a", b"b", b"c", b"d"):
        with env.write() as txn:
            txn.put(key, NO_CRC + key, db=table)
            txn.commit()
        env.fold()
        sizes.append(len(cast("BehindTable", table).clean))
    assert sizes == [1, 2, 0, 1]
    with env.write() as txn:
        txn.put(b"d", NO_CRC + b"longer", db=table)
        txn.commit()
    env.fold()
    remembered = cast("BehindTable", table)
    assert remembered.clean_bytes == sum(map(len, remembered.clean.values())) == 10
    with env.read() as view:
        assert len(shown(view, table, is_lazy=True)) == 4
