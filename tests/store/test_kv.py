"""The key-value seam: one behaviour, two implementations, compared with a plain dict."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from coord.model.errors import CorruptionError, StorageError
from coord.store.kv import Environment, ReadTxn, Table, WriteTxn
from coord.store.lmdb_kv import DATA_FILE, create_environment, open_environment
from coord.store.memory_kv import MemoryEnvironment

MAP_BYTES = 64 * 1024 * 1024
PAGE = 4096
LEAF = 2
"""What LMDB calls a page with records."""


def make_lmdb(directory: Path) -> Environment:
    """An empty LMDB environment."""
    create_environment(directory, map_bytes=MAP_BYTES)
    return open_environment(directory, sync=False, map_bytes=MAP_BYTES)


def make_memory(directory: Path) -> Environment:
    """An empty environment in memory."""
    return MemoryEnvironment()


@pytest.fixture(params=[make_lmdb, make_memory], ids=["lmdb", "memory"])
def env(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
    """Each implementation in turn."""
    made: Environment = request.param(tmp_path / "env")
    yield made
    made.close()


def fill(env: Environment, table: Table, *keys: bytes) -> None:
    """Commit a record "=key" under each key."""
    with env.write() as txn:
        for key in keys:
            txn.put(key, b"=" + key, db=table)
        txn.commit()


def test_get_returns_what_was_put(env: Environment) -> None:
    """A committed value is found, an unknown key is None, an empty value is a value."""
    table = env.table("t")
    with env.write() as txn:
        txn.put(b"a", b"", db=table)
        txn.commit()
    with env.read() as txn:
        assert txn.get(b"a", None, table) == b""
        assert txn.get(b"b", None, table) is None


def test_reader_is_isolated_until_refreshed(env: Environment) -> None:
    """A reader keeps seeing its state while commits go on, and the newest one after refresh."""
    table = env.table("t")
    reader = env.read()
    fill(env, table, b"a")
    assert reader.get(b"a", None, table) is None
    reader = env.refresh(reader)
    assert reader.get(b"a", None, table) == b"=a"
    reader.close()


def test_writer_sees_its_changes_and_nobody_else(env: Environment) -> None:
    """Uncommitted changes are visible in their transaction only, in lookups, scans and counts."""
    table = env.table("t")
    fill(env, table, b"a", b"c")
    with env.write() as txn, env.read() as reader:
        txn.put(b"b", b"2", db=table)
        assert txn.delete(b"a", db=table)
        assert [key for key, _ in txn.scan(table, b"")] == [b"b", b"c"]
        assert [key for key, _ in reader.scan(table, b"")] == [b"a", b"c"]
        txn.put(b"d", b"", db=table)
        assert (txn.count(table), reader.count(table)) == (3, 2)


def test_abort_and_leaving_the_block_drop_changes(env: Environment) -> None:
    """Without a commit nothing stays, and the next writer may begin."""
    table = env.table("t")
    with env.write() as txn:
        txn.put(b"a", b"1", db=table)
    aborted = env.write()
    aborted.put(b"b", b"1", db=table)
    aborted.abort()
    aborted.abort()
    with env.read() as reader:
        assert reader.count(table) == 0


def test_delete_tells_whether_there_was_something(env: Environment) -> None:
    """Deleting a missing key is False and harmless."""
    table = env.table("t")
    fill(env, table, b"a")
    with env.write() as txn:
        assert txn.delete(b"a", db=table) is True
        assert txn.delete(b"a", db=table) is False
        txn.commit()


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (b"", None, [b"a", b"b", b"bb", b"d"]),
        (b"", b"a", []),
        (b"", b"", []),
        (b"b", b"d", [b"b", b"bb"]),
        (b"c", None, [b"d"]),
        (b"e", None, []),
        (b"c", b"cc", []),
        (b"a", b"z", [b"a", b"b", b"bb", b"d"]),
    ],
)
def test_scan_ranges(
    env: Environment, start: bytes, stop: bytes | None, expected: list[bytes]
) -> None:
    """A scan yields start <= key < stop ascending, a scan back the same records descending."""
    table = env.table("t")
    fill(env, table, b"a", b"b", b"bb", b"d")
    with env.read() as txn:
        assert list(txn.scan(table, start, stop)) == [(k, b"=" + k) for k in expected]
        assert [k for k, _ in txn.scan_back(table, start, stop)] == expected[::-1]
        assert list(txn.scan_keys(table, start, stop)) == expected


def test_scan_may_stop_early(env: Environment) -> None:
    """A consumer that stops leaves a transaction that still works and can be committed."""
    table = env.table("t")
    fill(env, table, b"a", b"b")
    with env.write() as txn:
        scan = txn.scan(table, b"")
        assert next(scan)[0] == b"a"
        del scan
        txn.put(b"c", b"", db=table)
        txn.commit()
    with env.read() as reader:
        assert reader.count(table) == 3


def test_scan_of_an_empty_table(env: Environment) -> None:
    """An empty table has no first and no last record."""
    table = env.table("t")
    with env.read() as txn:
        assert list(txn.scan(table, b"")) == []
        assert list(txn.scan_back(table, b"", b"z")) == []


def test_keys_below_everything_that_was_deleted(env: Environment) -> None:
    """Deleting the lowest records and adding lower ones keeps lookups and order right."""
    table = env.table("t")
    fill(env, table, *(b"%04d" % number for number in range(1_000)))
    with env.write() as txn:
        for number in range(700):
            assert txn.delete(b"%04d" % number, db=table)
        for key in (b"!", b"0", b"0001", b"0650"):
            txn.put(key, b"=" + key, db=table)
        txn.commit()
    kept = [b"%04d" % number for number in range(700, 1_000)]
    with env.read() as txn:
        assert list(txn.scan_keys(table, b"")) == [b"!", b"0", b"0001", b"0650", *kept]
        assert txn.get(b"0", None, table) == b"=0"
        assert txn.get(b"0002", None, table) is None


def test_tables_are_separate(env: Environment) -> None:
    """The same key in two tables is two records; a table opened twice is the same."""
    one, two = env.table("one"), env.table("two")
    fill(env, one, b"a")
    with env.read() as txn:
        assert txn.get(b"a", None, two) is None
        assert txn.get(b"a", None, env.table("one")) == b"=a"


def test_used_bytes_follow_the_records(env: Environment) -> None:
    """Used bytes grow with what is stored and fall when it is deleted."""
    table = env.table("t")
    before = env.used_bytes()
    with env.write() as txn:
        for number in range(64):
            txn.put(b"%d" % number, bytes(8192), db=table)
        txn.commit()
    full = env.used_bytes()
    assert full >= before + 64 * 8192
    with env.write() as txn:
        for number in range(64):
            txn.delete(b"%d" % number, db=table)
        txn.commit()
    assert env.used_bytes() < before + 8192


def test_memory_refuses_a_second_writer() -> None:
    """In one thread a second writer would wait for ever, so the memory twin calls it a fault."""
    env = MemoryEnvironment()
    with env.write(), pytest.raises(AssertionError, match="two write transactions"):
        env.write()


def test_memory_refuses_writing_under_a_scan() -> None:
    """Changing a table while a scan of it is open is a fault that LMDB would not report."""
    env = MemoryEnvironment()
    table = env.table("t")
    fill(env, table, b"a", b"b")
    with env.write() as txn:
        scan = txn.scan(table, b"")
        next(scan)
        txn.put(b"c", b"", db=table)
        with pytest.raises(AssertionError, match="scan of it was open"):
            next(scan)


def test_memory_keeps_pending_commits_in_order() -> None:
    """Un-synced commits are images that a crash may fall back to; a sync makes them durable."""
    env = MemoryEnvironment(sync=False, keep_pending=True)
    table = env.table("t")
    env.sync()
    fill(env, table, b"a")
    fill(env, table, b"b")
    durable = MemoryEnvironment.from_image(env.durable_image())
    pending = [MemoryEnvironment.from_image(image) for image in env.pending_images()]
    assert [one.read().count(table) for one in (durable, *pending)] == [0, 1, 2]
    env.sync()
    assert env.pending_images() == []
    assert MemoryEnvironment(env.durable_image()).read().count(table) == 2


def test_memory_injected_commit_fault_publishes_nothing() -> None:
    """A commit that fails raises StorageError and leaves the old state."""
    env = MemoryEnvironment()
    table = env.table("t")
    env.commit_error = OSError(5, "Input/output error")
    with pytest.raises(StorageError, match="commit failed"):
        fill(env, table, b"a")
    with env.read() as reader:
        assert reader.count(table) == 0


def test_lmdb_survives_reopening(tmp_path: Path) -> None:
    """Committed records are there after the environment is closed and opened again."""
    env = make_lmdb(tmp_path / "env")
    fill(env, env.table("t"), b"a")
    env.close()
    again = open_environment(tmp_path / "env", sync=True, map_bytes=MAP_BYTES)
    table = again.table("t")
    with again.read() as txn:
        assert txn.get(b"a", None, table) == b"=a"
    again.close()


def test_lmdb_leftovers_of_a_torn_creation_do_not_matter(tmp_path: Path) -> None:
    """A creation that died before its rename is started over."""
    (tmp_path / "env.new").mkdir()
    (tmp_path / "env.new" / DATA_FILE).write_bytes(b"half a page")
    env = make_lmdb(tmp_path / "env")
    env.close()
    assert not (tmp_path / "env.new").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "missing, though its directory exists"),
        (b"", "0 bytes are less than the two pages of an empty file"),
        (b"\x00" * 8192, "not a readable LMDB 0.9 file"),
        (b"garbage!" * 2048, "not a readable LMDB 0.9 file"),
    ],
)
def test_lmdb_damaged_file_is_not_taken_for_a_new_one(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    """A missing, empty or foreign data file in an existing directory is corruption."""
    make_lmdb(tmp_path / "env").close()
    file = tmp_path / "env" / DATA_FILE
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CorruptionError, match=message):
        open_environment(tmp_path / "env", sync=True, map_bytes=MAP_BYTES)


def leaves_of(data: bytes) -> dict[bytes, int]:
    """First key of each leaf page with numbered keys, and where it lies in the file, ascending."""
    found = {}
    for at in range(0, len(data), PAGE):
        node = at + int.from_bytes(data[at + 16 : at + 18], "little")
        key = data[node + 8 : node + 8 + len(numbered(0))]
        if data[at + 10] == LEAF and key.startswith(b"k"):
            found[key] = at
    return dict(sorted(found.items()))


def numbered(number: int) -> bytes:
    """A key so long that a page has few."""
    return b"k%03d" % number + bytes(200)


@pytest.mark.parametrize("kind", ["scan", "scan_keys", "scan_back"])
def test_lmdb_a_scan_does_not_begin_outside_its_range(tmp_path: Path, kind: str) -> None:
    """Where a range begins between two pages LMDB goes on with the neighbour, whatever that is."""
    env = make_lmdb(tmp_path / "env")
    fill(env, env.table("t"), *map(numbered, range(100)))
    env.close()
    file = tmp_path / "env" / DATA_FILE
    data = file.read_bytes()
    (_, first), (_, second), (border, third), (_, fourth), *_ = leaves_of(data).items()
    misplaced, place = (fourth, second) if kind == "scan_back" else (first, third)
    with file.open("r+b") as handle:
        handle.seek(place)
        handle.write(data[misplaced : misplaced + PAGE])
    start, stop = (b"k", border) if kind == "scan_back" else (border[:-1], None)

    again = open_environment(tmp_path / "env", sync=False, map_bytes=MAP_BYTES)
    table = again.table("t")
    with again.read() as txn:
        records = getattr(txn, kind)(table, start, stop)
        with pytest.raises(CorruptionError, match="comes behind"):
            next(records)
        records.close()
    again.close()


KEYS = st.binary(min_size=1, max_size=3)
BOUNDS = st.binary(max_size=3)


class KvMachine(RuleBasedStateMachine):
    """Both environments and a dict go through the same history, readers included."""

    factory: Callable[[Path], Environment]

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.env = type(self).factory(self.directory / "env")
        self.table = self.env.table("t")
        self.committed: dict[bytes, bytes] = {}
        self.draft: dict[bytes, bytes] = {}
        self.writer: WriteTxn | None = None
        self.readers: list[tuple[ReadTxn, dict[bytes, bytes]]] = []

    def teardown(self) -> None:
        if self.writer is not None:
            self.writer.abort()
        for reader, _ in self.readers:
            reader.close()
        self.env.close()
        shutil.rmtree(self.directory)

    @precondition(lambda self: self.writer is None)
    @rule()
    def begin(self) -> None:
        self.writer, self.draft = self.env.write(), dict(self.committed)

    @precondition(lambda self: self.writer is not None)
    @rule(keys=st.lists(KEYS, max_size=8), value=st.binary(max_size=8), repeat=st.booleans())
    def put(self, keys: list[bytes], value: bytes, repeat: bool) -> None:
        assert self.writer is not None
        numbered = [b"%s%03d" % (k, n) for k in keys for n in range(60)] if repeat else keys
        for key in numbered:
            self.writer.put(key, value, db=self.table)
            self.draft[key] = value

    @precondition(lambda self: self.writer is not None)
    @rule(start=BOUNDS, stop=BOUNDS)
    def delete_range(self, start: bytes, stop: bytes) -> None:
        assert self.writer is not None
        for key, _ in list(self.writer.scan(self.table, start, stop)):
            assert self.writer.delete(key, db=self.table)
            del self.draft[key]

    @precondition(lambda self: self.writer is not None)
    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        assert self.writer is not None
        assert self.writer.delete(key, db=self.table) == (self.draft.pop(key, None) is not None)

    @precondition(lambda self: self.writer is not None)
    @rule(keep=st.booleans())
    def finish(self, keep: bool) -> None:
        assert self.writer is not None
        if keep:
            self.writer.commit()
            self.committed = self.draft
        else:
            self.writer.abort()
        self.writer = None

    @precondition(lambda self: len(self.readers) < 4)
    @rule()
    def open_reader(self) -> None:
        self.readers.append((self.env.read(), dict(self.committed)))

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def refresh_or_close(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(self.readers) - 1))
        reader, _ = self.readers[at]
        if data.draw(st.booleans()):
            self.readers[at] = (self.env.refresh(reader), dict(self.committed))
        else:
            reader.close()
            del self.readers[at]

    @rule(start=BOUNDS, stop=st.none() | BOUNDS)
    def scans_agree(self, start: bytes, stop: bytes | None) -> None:
        views: list[tuple[ReadTxn, dict[bytes, bytes]]] = list(self.readers)
        if self.writer is not None:
            views.append((self.writer, self.draft))
        for txn, model in views:
            expected = sorted(
                (k, v) for k, v in model.items() if start <= k and (stop is None or k < stop)
            )
            assert list(txn.scan(self.table, start, stop)) == expected
            assert list(txn.scan_back(self.table, start, stop)) == expected[::-1]

    @invariant()
    def counts_agree(self) -> None:
        for reader, model in self.readers:
            assert reader.count(self.table) == len(model)
        if self.writer is not None:
            assert self.writer.count(self.table) == len(self.draft)

    @rule(key=KEYS)
    def lookups_agree(self, key: bytes) -> None:
        for reader, model in self.readers:
            assert reader.get(key, None, self.table) == model.get(key)


class LmdbMachine(KvMachine):
    factory = staticmethod(make_lmdb)


class MemoryMachine(KvMachine):
    factory = staticmethod(make_memory)


TestLmdbAgainstDict = LmdbMachine.TestCase
TestLmdbAgainstDict.settings = settings(max_examples=30, stateful_step_count=30)
TestMemoryAgainstDict = MemoryMachine.TestCase
TestMemoryAgainstDict.settings = settings(max_examples=60, stateful_step_count=40)
