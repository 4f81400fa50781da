"""Opens the tree if it can be trusted, rebuilds it if not, replaces it by an installed snapshot.

Order, each step closing a hole: the record *dirty* is durable before the first write transaction on
a tree; *clean* only after the tree was synced. A new generation is announced (with no file) before
it is built, and named by device and inode once it is whole. So whatever a crash leaves, the next
start either finds the very file that was written under this boot, or builds another.
"""

from __future__ import annotations

from collections.abc import Callable

from coord.model.errors import CorruptionError
from coord.raft.types import Index, SnapshotMeta, Term
from coord.store.kv import Environment
from coord.store.log_records import Trust
from coord.store.raft_log import RaftLog
from coord.store.state_machine import StateMachine
from coord.store.tree_facts import FIRST_HISTORY, check_records
from coord.store.tree_home import Shelf, TreeHome
from coord.store.trust import why_untrusted
from coord.store.write_behind import WriteBehind


class TreeKeeper:
    """The open tree and its trust record.

    Invariant: while a tree is open, the durable trust record names its file and says *dirty*.
    """

    def __init__(
        self,
        home: TreeHome,
        shelf: Shelf,
        log: RaftLog,
        boot_id: str,
        make_machine: Callable[[WriteBehind], StateMachine],
        *,
        doubt: str = "",
        refuses_lost_entries: bool = True,
    ) -> None:
        """Open or rebuild. ``doubt``: why the tree is not to be opened whatever the trust record
        says. ``refuses_lost_entries``: a sound tree that has applied what the log does not hold
        proves that the log has lost it.

        Raises CorruptionError if the tree can neither be opened nor rebuilt, or by that proof;
        StorageError.
        """
        self._home = home
        self._shelf = shelf
        self._log = log
        self._boot_id = boot_id
        self._make_machine = make_machine
        self.env: WriteBehind
        self.machine: StateMachine
        self.rebuilt_because = ""
        """Why the tree was rebuilt at start; "" if it was not."""
        self._refuses_lost_entries = refuses_lost_entries
        reason = doubt or self._open_trusted()
        if reason is not None:
            self.rebuilt_because = self._rebuild(reason)
        self._adopt_cluster()
        self._home.drop_others(self.generation)

    @property
    def generation(self) -> int:
        """Number of the tree in use."""
        return self._log.trust.generation

    # --- at start -------------------------------------------------------------------------------

    def _open_trusted(self) -> str | None:
        """Open the tree of the trust record; the reason if that cannot be done."""
        trust = self._log.trust
        if trust.generation == 0:
            return "there is none yet"
        reason = why_untrusted(trust, self._home.identity(trust.generation), self._boot_id)
        if reason is not None:
            return reason
        self._log.write_trust(trust._replace(clean=False, boot_id=self._boot_id))
        engine: Environment | None = None
        env: WriteBehind | None = None
        try:
            engine = self._home.open(trust.generation)
            check_records(engine)
            env = WriteBehind(engine)
            machine = self._make_machine(env)
        except CorruptionError as error:
            if env is not None:
                env.close()
            elif engine is not None:
                engine.close()
            return f"it does not load: {error}"
        reason = self._why_beside_log(machine)
        if reason is not None:
            env.close()
            self._refuse_lost_entries(machine)
            return reason
        self.env, self.machine = env, machine
        return None

    def _refuse_lost_entries(self, machine: StateMachine) -> None:
        """Nothing is applied before it is durable, and this tree is what was applied."""
        if not self._refuses_lost_entries or machine.cluster_id != self._log.cluster_id:
            return
        lost = self._log.lost_since(Index(machine.applied_index), Term(machine.applied_term))
        if lost:
            raise CorruptionError(lost)

    def _why_beside_log(self, machine: StateMachine) -> str | None:
        """The tree must stand at a place that the log knows."""
        log, applied = self._log, Index(machine.applied_index)
        before, last = log.first_index() - 1, log.last_index()
        if not before <= applied <= last:
            return f"it has applied {applied}, and the log holds {before + 1} to {last}"
        term = log.term(applied)
        if term != machine.applied_term:
            return f"it has applied {applied} of term {machine.applied_term}, the log has {term}"
        if machine.cluster_id and machine.cluster_id != log.cluster_id:
            return "it belongs to another cluster than the log"
        return None

    def _rebuild(self, reason: str) -> str:
        """Build a new generation from the newest snapshot that fits the log, or from nothing if
        the log reaches back to its first entry; the rest is applied from the log. Returns the
        reason, with what was found on the way."""
        log = self._log
        generation = max(self.generation, self._home.newest()) + 1
        log.write_trust(self.announced(generation))
        for meta in self._shelf.kept():
            if log.term(meta.index) != meta.term:
                continue  # the log does not reach it, reaches back beyond it, or disagrees
            try:
                self._home.make_from(generation, meta)
            except CorruptionError as error:
                reason = f"{reason}; {error}"
                self._shelf.drop(meta)
                continue
            break
        else:
            if log.first_index() != 1:
                raise CorruptionError(
                    f"the tree cannot be used ({reason}), and no snapshot continues into the log,"
                    f" which starts at {log.first_index()}"
                )
            self._home.make_empty(generation)
        log.write_trust(self.completed(generation))
        self._open_built(generation)
        return reason

    def _open_built(self, generation: int) -> None:
        self.env = WriteBehind(self._home.open(generation))
        self.machine = self._make_machine(self.env)
        reason = self._why_beside_log(self.machine)
        if reason is not None:
            raise CorruptionError(f"the tree that was just built cannot be used: {reason}")

    def _adopt_cluster(self) -> None:
        """A tree that has applied nothing takes the cluster's identity from the log."""
        cluster_id = self._log.cluster_id
        if cluster_id is not None and not self.machine.cluster_id:
            self.machine.adopt_cluster(cluster_id, FIRST_HISTORY)

    # --- while running --------------------------------------------------------------------------

    def join(self, cluster_id: bytes) -> None:
        """The empty node belongs to this cluster from now on. Raises StorageError."""
        self._log.write_cluster_id(cluster_id)
        self._adopt_cluster()

    def announced(self, generation: int) -> Trust:
        """Trust record of a generation that is about to be built: nothing to open yet."""
        return Trust(False, self._boot_id, 0, 0, generation)

    def completed(self, generation: int) -> Trust:
        """Trust record of a generation that is whole on disk and about to be written."""
        file = self._home.identity(generation)
        assert file is not None, "a generation that was built has a file"
        return Trust(False, self._boot_id, file.device, file.inode, generation)

    def build(self, generation: int, meta: SnapshotMeta) -> None:
        """Make a generation from a kept snapshot; on a worker thread. Raises CorruptionError,
        StorageError."""
        self._home.make_from(generation, meta)

    def replace(self) -> Environment:
        """Open the generation that the trust record now names. Returns the old environment, to be
        closed once nobody reads it any more. Raises CorruptionError, StorageError."""
        old = self.env
        self._open_built(self.generation)
        return old

    def forget_old(self) -> None:
        """Remove the generations that were replaced."""
        self._home.drop_others(self.generation)

    def distrust(self) -> None:
        """The next start builds the tree anew, even after a clean close: the record names no
        file any more. Raises StorageError."""
        self._log.write_trust(self.announced(self.generation))

    def close(self, *, clean: bool, keep_open: bool = False) -> None:
        """``clean``: sync the tree and say so; else it is as after a kill. ``keep_open``: somebody
        still reads it (the process is about to end)."""
        if clean:
            self.machine.fold()
            self.env.sync()
            self._log.write_trust(self._log.trust._replace(clean=True))
        if not keep_open:
            self.env.close()
