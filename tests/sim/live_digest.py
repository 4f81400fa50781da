"""The digest of a state machine at every index, without making it fold.

``StateMachine.digest`` folds what is in memory into the engine; a harness that asked for it would
never see a node die with anything unfolded. This one is kept up to date by looking at what each
commit changes, and computes every checksum anew: where the product has folded, the two must agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast
from zlib import crc32

from coord.raft.invariants import require
from coord.store.digest import FACTOR
from coord.store.schema import CRC_BYTES, DIGESTED

if TYPE_CHECKING:
    from coord.store.state_machine import StateMachine
    from coord.store.write_behind import BehindTable

MASK: Final = (1 << 64) - 1


class LiveDigest:
    """Watches one machine from now on. ``value`` is the digest at its applied index."""

    def __init__(self, machine: StateMachine) -> None:
        self._machine = machine
        self._env = env = machine._env
        self.value = machine.digest
        commit = env.commit

        def watched() -> None:
            self._note_changes()
            commit()

        # On this one object: the class stays as the product has it.
        env.commit = watched  # type: ignore[method-assign]

    def check(self) -> None:
        """What the product has folded must add up to the same."""
        if not self._env.has_pending:
            folded = self._machine._state.digest
            require(
                folded == self.value,
                "digest-adds-up",
                f"at {self._machine.applied_index}: {folded:x}, its records say {self.value:x}",
            )

    def _note_changes(self) -> None:
        for table in self._env._tables.values():
            if table.fresh and table.name in DIGESTED:
                self._note_table(table)

    def _note_table(self, table: BehindTable) -> None:
        engine_get: Any = self._env.engine_get
        for key, record in table.fresh.items():
            if key in table.dirty:
                old = table.dirty[key]
            else:
                old = cast("bytes | None", engine_get(key, None, table.base))
            self.value = (self.value + _term(key, record) - _term(key, old)) & MASK


def _term(key: bytes, record: bytes | None) -> int:
    """What a record adds; the layers and the engine both keep room for the checksum."""
    if record is None:
        return 0
    crc = crc32(memoryview(record)[CRC_BYTES:], crc32(key))
    return (crc + FACTOR) * crc
