"""Hypothesis strategies for watches: changes of a small tree."""

from __future__ import annotations

from hypothesis import strategies as st

from coord.model.events import Change, ChangeKind

PATHS = ("/", "/a", "/a/b", "/a/b/c", "/ab", "/d")
paths = st.sampled_from(PATHS)


def change(kind: int, path: str, revision: int, data: bytes = b"") -> Change:
    """A change with the values its kind has."""
    stat = b"%068d" % revision
    if kind == ChangeKind.CREATED:
        return Change(kind, path, revision, stat, data, None, None)
    if kind == ChangeKind.DELETED:
        return Change(kind, path, revision, None, None, stat, data)
    return Change(kind, path, revision, stat, data, stat, data)


kinds = st.sampled_from([ChangeKind.CREATED, ChangeKind.DELETED, ChangeKind.DATA, ChangeKind.ACL])
changes = st.lists(st.tuples(kinds, paths, st.integers(0, 1)), max_size=6)
"""(kind, path, step of the revision)."""
