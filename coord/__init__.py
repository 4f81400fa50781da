"""A coordination service: a replicated tree of small nodes, for leaders, locks and membership.

Data goes round one way::

    client bytes → protocol (Request) → session → node.pipeline (Command) → raft (Entry)
                 → store.apply (Result, Changes) → watch (WatchEvent) → protocol → client bytes

Packages in reading order, each importing only what stands before it or beside nothing:

=============== ======================================================= =======================
package         what it holds                                           may import
=============== ======================================================= =======================
coord.model     requests, results, paths, errors, limits: pure values   nothing of coord
coord.raft      consensus, as a machine without I/O, clock or dice      nothing of coord
coord.protocol  bytes of client protocols ↔ requests, without I/O       model
coord.session   who is alive, and until when                            model
coord.watch     who wants to hear of which change                       model
coord.store     the log and the tree on LMDB, and their twin in memory  model, raft
coord.node      one running member: the Ready loop, peers, gateway      all above
coord.server    sockets that face clients                               all above
coord.config    settings from file, environment and flags               all above
coord.app       the only place that builds a node from its parts        all above
coord.sim       whole clusters in virtual time                          node and below
coord.cli       the command ``coord``                                   all above, coord_client
=============== ======================================================= =======================

The client library is the package ``coord_client``; it stands on ``coord.model`` and
``coord.protocol`` alone. ``docs/architecture.md`` draws the picture.
"""

from __future__ import annotations

__version__ = "0.1.0"
