"""Every size, count and time bound of the product, with its reason and its relations.

Relations between bounds are asserted at import, so that changing one cannot quietly break another.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# --- the tree -----------------------------------------------------------------------------------
NAME_BYTES_MAX: Final = 480
"""LMDB keys hold 511 bytes; a key is a 16-byte parent hash and the name."""
PATH_BYTES_MAX: Final = 16 * KIB
DATA_BYTES_MAX: Final = 0xFFFFF
"""ZooKeeper's jute.maxbuffer default: what its users know as one megabyte."""
INLINE_DATA_BYTES_MAX: Final = 1 * KIB
"""Larger data lies apart, so that creating a child does not rewrite its parent's megabyte."""
ACL_ENTRIES_MAX: Final = 256
TTL_MS_MAX: Final = 2**40 - 1

# --- transactions and frames --------------------------------------------------------------------
TXN_OPERATIONS_MAX: Final = 1_000
TXN_BYTES_MAX: Final = 1 * MIB
FRAME_BYTES_MAX: Final = TXN_BYTES_MAX + 256 * KIB
PEER_FRAME_BYTES_MAX: Final = 8 * MIB

# --- sessions -----------------------------------------------------------------------------------
SESSION_TIMEOUT_MS_MIN: Final = 1_000
SESSION_TIMEOUT_MS_MAX: Final = 60_000
SESSION_TIMEOUT_MS: Final = 10_000
SESSIONS_MAX: Final = 200_000
EPHEMERALS_PER_SESSION_MAX: Final = 10_000
WRITES_IN_FLIGHT_MAX: Final = 256
"""Unacknowledged write results kept per session; one more is refused."""
RESULTS_AFTER_END_MS: Final = 10 * 60 * 1_000
"""How long after its end a session's results answer *applied* or *not applied*."""
SECRET_BYTES: Final = 16
"""Same length as ZooKeeper's session password, so that both protocols can carry it."""

# --- history ------------------------------------------------------------------------------------
JOURNAL_BLOCK_ENTRIES: Final = 64
"""Entries per journal record, aligned by index, so that every replica cuts at the same place."""
SESSION_FOLD_ENTRIES: Final = 1_024
"""Session rows are written at multiples of this index; the journal covers what came after."""
DIGEST_SAMPLE_ENTRIES: Final = 4_096
DIGEST_SAMPLES_KEPT: Final = 64
HISTORY_ENTRIES_MAX: Final = 100_000
HISTORY_BYTES_MAX: Final = 256 * MIB
HISTORY_AGE_MS_MAX: Final = 7 * 24 * 3_600 * 1_000

# --- connections and queues ---------------------------------------------------------------------
CONNECTION_REQUESTS_MAX: Final = 1_024
"""Requests of one connection waiting for a reply; past it the socket is not read."""
WAITING_BYTES_MAX: Final = 4 * MIB
"""Requests of one connection that wait for their turn; past it the socket is not read."""
CONNECTION_OUTBOX_BYTES_MAX: Final = 16 * MIB
"""A reader slower than this is dropped; a native client resumes."""
NODE_WRITES_IN_FLIGHT_MAX: Final = 20_000
"""Admission: past it user writes are refused as Overloaded; session traffic still passes."""
NODE_BYTES_IN_FLIGHT_MAX: Final = 128 * MIB
"""The same for the bytes of those writes."""
REPLY_BURST_BYTES: Final = 1 * MIB
"""Replies handed to one socket before it must drain; what is asked beyond that waits."""
WATCHES_PER_CONNECTION_MAX: Final = 100_000
PAGE_CHILDREN_MAX: Final = 10_000
PINNED_LISTINGS_MAX: Final = 16
PINNED_LISTING_MS_MAX: Final = 2_000

# --- raft ---------------------------------------------------------------------------------------
TICK_MS: Final = 20
HEARTBEAT_MS: Final = 100
ELECTION_TIMEOUT_MS_MIN: Final = 400
ELECTION_TIMEOUT_MS_MAX: Final = 800
LOG_ENTRIES_KEPT_MIN: Final = 10_000
SNAPSHOT_LOG_BYTES_MIN: Final = 64 * MIB
SNAPSHOT_CHUNK_BYTES: Final = 1 * MIB
SPACE_RESERVE_BYTES: Final = 64 * MIB
MAP_BYTES: Final = 64 * 1024 * MIB
REVISION_MAX: Final = 2**53 - 1
"""JSON numbers hold it exactly."""

assert SESSION_FOLD_ENTRIES % JOURNAL_BLOCK_ENTRIES == 0
assert DIGEST_SAMPLE_ENTRIES % SESSION_FOLD_ENTRIES == 0
assert HISTORY_ENTRIES_MAX > 2 * SESSION_FOLD_ENTRIES
assert HEARTBEAT_MS * 3 <= ELECTION_TIMEOUT_MS_MIN < ELECTION_TIMEOUT_MS_MAX
assert ELECTION_TIMEOUT_MS_MAX <= SESSION_TIMEOUT_MS_MIN
assert DATA_BYTES_MAX <= TXN_BYTES_MAX < FRAME_BYTES_MAX < PEER_FRAME_BYTES_MAX
assert SNAPSHOT_CHUNK_BYTES < PEER_FRAME_BYTES_MAX
