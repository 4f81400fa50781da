"""Path rules, as ZooKeeper has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.model.errors import BadArgumentsError
from coord.model.limits import NAME_BYTES_MAX, PATH_BYTES_MAX
from coord.model.paths import check_path, join, name_of, parent_of, sequence_suffix

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=12
).filter(lambda name: "/" not in name and name not in {".", ".."} and not _is_forbidden(name))


def _is_forbidden(name: str) -> bool:
    return any(
        "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\uf8ff" or "\ufff0" <= char <= "\uffff"
        for char in name
    )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "start with /"),
        ("a", "start with /"),
        ("/a/", "end with /"),
        ("//", "end with /"),
        ("/a//b", "empty segment"),
        ("/a/./b", "relative"),
        ("/..", "relative"),
        ("/a\x00", "character"),
        ("/a\x1f", "character"),
        ("/a\x85", "character"),
        ("/a\ue000", "character"),
        ("/a\ufffe", "character"),
        ("/" + "n" * (NAME_BYTES_MAX + 1), "segment is longer"),
        ("/" + "é" * (NAME_BYTES_MAX // 2 + 1), "segment is longer"),
        ("/" + "/".join(["n" * 400] * (PATH_BYTES_MAX // 400 + 1)), "longer than"),
    ],
)
def test_a_broken_rule_is_named(path: str, reason: str) -> None:
    """The message says which rule, so that the caller can mend the path."""
    with pytest.raises(BadArgumentsError, match=reason):
        check_path(path)


@pytest.mark.parametrize("path", ["/", "/a", "/a/b", "/...", "/.a", "/a..", "/ü/名"])
def test_what_is_allowed_passes_twice(path: str) -> None:
    """Also the second time, when the answer is remembered."""
    check_path(path)
    check_path(path)


def test_a_sequential_create_may_name_only_the_parent() -> None:
    """The suffix makes the last segment; otherwise the trailing slash is an error."""
    check_path("/queue/", sequential=True)

    with pytest.raises(BadArgumentsError):
        check_path("/queue/")


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_parent_and_name_undo_join(names: list[str]) -> None:
    """A path is its parent and its name."""
    path = "/"
    for name in names:
        child = join(path, name)
        assert parent_of(child) == path
        assert name_of(child) == name
        path = child
    check_path(path)


def test_the_root_is_its_own_parent() -> None:
    """And has no name."""
    assert (parent_of("/"), name_of("/")) == ("/", "")


@pytest.mark.parametrize(
    ("counter", "suffix"),
    [(0, "0000000000"), (42, "0000000042"), (2**31 - 1, "2147483647"), (-5, "-000000005")],
)
def test_sequence_suffixes_have_ten_digits(counter: int, suffix: str) -> None:
    """ZooKeeper's %010d, sign included on overflow."""
    assert sequence_suffix(counter) == suffix
