"""Numbers of the documents, written down once more: what entries and replies say, without a look at
the product's.
"""

from __future__ import annotations

from typing import Final

CREATE, DELETE, SET, SET_ACL, CHECK, MULTI = 1, 2, 5, 7, 13, 14
COMPARE, GUARD = 200, 201
OPEN_SESSION, ATTACH_SESSION, CLOSE_SESSION, EXPIRE_SESSION = 300, 301, 302, 303
REAP_NODE, RAISE_FEATURE_LEVEL, END_ALL_SESSIONS = 304, 305, 306
MARK = 399  # of the version after this one (tests/sim/upgrade.py)

CREATED, DELETED, DATA, CHILDREN = 1, 2, 3, 4
"""Kinds of change and of event."""

OK = 0
NO_NODE, NO_AUTH, BAD_VERSION, NO_CHILDREN_FOR_EPHEMERALS = -101, -102, -103, -108
NODE_EXISTS, NOT_EMPTY, SESSION_EXPIRED, SESSION_MOVED = -110, -111, -112, -118
NOT_READ_ONLY, NO_WATCHER = -119, -121
QUOTA_EXCEEDED = -125
TRANSACTION, GUARD_FAILED, COMPARE_FAILED = -200, -201, -202
SEQUENCE_GAP, RESULT_UNKNOWN = -210, -211
NOTHING, MAY_READ, MAY_WRITE, MAY_CREATE, MAY_DELETE, MAY_ADMIN = 0, 1, 2, 4, 8, 16
"""Permissions of an ACL."""
NOT_TRIED: Final = -2
"""In a failed transaction: an operation after the one that failed."""

EPHEMERAL_MODES: Final = (1, 3)
SEQUENTIAL_MODES: Final = (2, 3, 6)
NORMAL_ENTRY: Final = 0
MEMBERSHIP_ENTRY: Final = 2
