"""The digest, its samples, and checksums: equal on equal logs, loud on damage."""

from __future__ import annotations

import pytest

from coord.model import requests
from coord.model.acl import OPEN
from coord.model.commands import encode_write
from coord.model.errors import CorruptionError
from coord.model.limits import DIGEST_SAMPLE_ENTRIES, DIGEST_SAMPLES_KEPT
from coord.raft.types import EntryKind, Membership
from coord.store.digest import MASK, digest_of, mix64
from coord.store.memory_kv import MemoryEnvironment
from coord.store.schema import DIGESTED, Tables, open_tables, seal, unseal
from coord.store.state_machine import StateMachine
from coord.store.write_behind import WriteBehind
from tests.store.tree_fixtures import Log, contents, log, slices_of

__all__ = ["log"]


def damage(env: MemoryEnvironment, table: str, key: bytes, record: bytes) -> None:
    """Put a record into a table behind the machine's back."""
    handle = getattr(open_tables(env), table)
    with env.write() as txn:
        txn.put(key, record, db=handle)
        txn.commit()


def key_of(log: Log, path: bytes) -> bytes:
    """Key of the node at a path."""
    return next(key for key, record in contents(log.env)["nodes"].items() if path in record)


def test_the_digest_kept_up_to_date_is_the_recomputed_one(log: Log) -> None:
    """After creates, sets, deletes, sessions and large data, from the records themselves."""
    session = log.open_session()
    log.create("/a", b"x" * 2_000)
    for number in range(70):
        log.create(f"/a/{number}", session=session)
        log.set("/a", b"%d" % number)
    log.delete("/a/3")
    log.close(session)
    with log.env.read() as txn:
        assert digest_of(log.env, txn) == (log.machine.digest, log.machine.replicated_bytes)


def test_equal_states_by_other_ways_have_other_digests(log: Log) -> None:
    """The digest covers history: what happened matters, not only what is there."""
    before = log.machine.digest
    log.create("/a")
    log.delete("/a")
    assert log.machine.digest != before


def test_a_refused_request_changes_the_digest_by_its_row_only() -> None:
    """Two members that applied the same refusal agree."""
    first, second = Log(MemoryEnvironment()), Log(MemoryEnvironment())
    for one in (first, second):
        assert one.delete("/none").code
    assert first.machine.digest == second.machine.digest


def test_terms_of_the_sum_do_not_cancel() -> None:
    """mix64 is not linear: equal differences of checksums give different terms."""
    assert (mix64(5) - mix64(3)) & MASK != (mix64(9) - mix64(7)) & MASK
    assert mix64(0) == 0
    assert mix64(1) & MASK > 2**60


def test_all_tables_but_meta_are_covered() -> None:
    """A record in any of them changes the recomputed digest."""
    env = MemoryEnvironment()
    StateMachine(WriteBehind(env))
    found = set()
    for name in Tables._fields:
        damage(env, name, b"key", seal(b"key", b""))
        with env.read() as txn:
            found.add(digest_of(env, txn))
    assert len(found) == len(DIGESTED) == len(Tables._fields) - 1


def test_samples_are_taken_at_fixed_indexes() -> None:
    """Every 4,096 entries, at exactly that entry, wherever the batch ends; they survive."""
    one, other = MemoryEnvironment(), MemoryEnvironment()
    machine, cut = StateMachine(WriteBehind(one)), StateMachine(WriteBehind(other))
    payload = b"\x00" * 16
    create = requests.Create("/n", b"", OPEN, 2, 0)
    command = payload + encode_write(create, 0, 0, 0, 0, None)
    entries = [(EntryKind.NOOP, b"")] * (2 * DIGEST_SAMPLE_ENTRIES - 90)
    entries += [(EntryKind.NORMAL, command)] * 100
    machine.apply(slices_of(1, entries))
    for start in range(0, len(entries), 1_000):
        cut.apply(slices_of(start + 1, entries[start : start + 1_000]))
    assert [index for index, _ in machine.digests] == [4_096, 8_192]
    assert list(machine.digests) == list(cut.digests)
    exact = StateMachine(WriteBehind(MemoryEnvironment()))
    exact.apply(slices_of(1, entries[: 2 * DIGEST_SAMPLE_ENTRIES]))
    assert exact.digest == machine.digests[-1][1]
    cut.fold()
    assert list(StateMachine(WriteBehind(other)).digests) == list(machine.digests)


def test_the_last_samples_are_kept() -> None:
    """64 of them, in the table too."""
    env = MemoryEnvironment()
    machine = StateMachine(WriteBehind(env))
    count = (DIGEST_SAMPLES_KEPT + 2) * DIGEST_SAMPLE_ENTRIES
    machine.apply(slices_of(1, [(EntryKind.NOOP, b"")] * count))
    machine.fold()
    for found in (machine.digests, StateMachine(WriteBehind(env)).digests):
        assert len(found) == DIGEST_SAMPLES_KEPT
        assert found[0][0] == 3 * DIGEST_SAMPLE_ENTRIES


def test_a_flipped_bit_is_found_by_every_read(log: Log) -> None:
    """Reader, apply and recomputation name table and key, and say what to do."""
    log.create("/a", b"data")
    key = key_of(log, b"/a")
    record = contents(log.env)["nodes"][key]
    assert isinstance(log.engine, MemoryEnvironment)
    damage(log.engine, "nodes", key, record[:-1] + bytes([record[-1] ^ 1]))
    log.reopen()
    computed = int.from_bytes(seal(key, record[4:-1] + bytes([record[-1] ^ 1]))[:4], "big")
    message = (
        f"tree environment, table 'nodes', key {key.hex()}: checksum is {computed:08x}, "
        f"the record says {record[:4].hex()}"
    )
    for read in (
        lambda: log.reader.get("/a"),
        lambda: log.reader.stat("/a"),
        lambda: log.reader.children("/"),
        lambda: log.set("/a", b"new"),
        lambda: digest_of(log.engine, log.engine.read()),
    ):
        with pytest.raises(CorruptionError) as caught:
            read()
        assert str(caught.value) == message


@pytest.mark.parametrize("table", ["journal", "sessions", "facts", "ephemerals"])
def test_damage_in_other_tables_is_found_on_load(log: Log, table: str) -> None:
    """A machine does not start on a record that is not what was written."""
    session = log.open_session()
    log.write(requests.Create("/e", b"", OPEN, 1, 0), session)
    log.apply_all(Membership().encode(), kind=EntryKind.CONFIG)
    key, record = next(iter(contents(log.env)[table].items()))
    assert isinstance(log.engine, MemoryEnvironment)
    damage(log.engine, table, key, bytes([record[0] ^ 1]) + record[1:])

    def reads() -> None:
        log.reopen()
        log.close(session)

    with pytest.raises(CorruptionError, match=f"table '{table}', key {key.hex()}"):
        reads()


def test_a_record_under_another_key_is_damage() -> None:
    """The checksum covers the key: a swapped record is found."""
    record = seal(b"one", b"body")
    assert unseal("nodes", b"one", record) == b"body"
    with pytest.raises(CorruptionError):
        unseal("nodes", b"two", record)
    with pytest.raises(CorruptionError):
        unseal("nodes", b"one", b"\x00")
