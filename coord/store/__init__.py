"""Everything durable of one node: the log, the tree that applying it makes, snapshots of the tree.

What it does: keeps entries and votes (``raft_log``, written by ``log_writer``), applies committed
commands (``state_machine`` and what it stands on: ``tree``, ``sessions``, ``journal``, ``multi``),
reads the result (``reader``), and decides what may be trusted after a crash (``store``,
``tree_keeper``, ``snapshot_store``). It does not know about the network, sockets or time: entries
carry their stamps, and long work comes back through a ``post`` that the node supplies.

A node checks what it has before it speaks: ``log_extent`` and ``commit_floor`` for the log,
``tree_facts`` for the tree. ``suspicion`` remembers damage across processes, ``check_process`` runs
the checks that may kill who makes them (``verify_files``, ``verify_snapshot``), ``quarantine`` is
what ``coord repair`` does.

Two homes, one logic: ``member_store`` opens a store on a directory with LMDB, ``memory_store`` on
a simulated disk; both stand on the seams ``kv`` and ``tree_home``. Only ``lmdb_kv``,
``directory_home``, ``member_store``, ``quarantine``, ``verify_files`` and ``verify_snapshot`` need
LMDB.

Called by ``coord.node`` (through ``store.MemberStore``) and ``coord.app``, which opens it. May
import ``coord.model`` and ``coord.raft``. Every byte on disk: ``docs/storage.md``.

Reading order: ``kv`` → ``log_records`` → ``raft_log`` → ``log_writer``; ``schema`` → ``records`` →
``tree`` → ``state_machine``; ``trust`` → ``tree_keeper`` → ``snapshot_file`` → ``snapshot_store`` →
``store``.
"""
