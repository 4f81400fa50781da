"""The little language of ``coord txn``."""

from __future__ import annotations

import pytest

from coord.cli import txn_syntax
from coord.model.acl import OPEN
from coord.model.errors import BadArgumentsError
from coord.model.requests import Check, Compare, Create, Delete, Guard, Operation, Set
from coord.model.znode import CreateMode


@pytest.mark.parametrize(
    ("line", "operation"),
    [
        ("check /a", Check("/a", -1)),
        ("check /a 3", Check("/a", 3)),
        ("compare /a version = 3", Compare("/a", "version", "=", 3)),
        ("compare /a exists = false", Compare("/a", "exists", "=", False)),
        ("compare /a value != 'b c'", Compare("/a", "value", "!=", b"b c")),
        ("compare /a children < 0x10", Compare("/a", "children", "<", 16)),
        ("guard /leader 4711", Guard("/leader", 4711)),
        ("create /a", Create("/a", b"", OPEN, CreateMode.PERSISTENT, 0)),
        ("create -s /a/n- x", Create("/a/n-", b"x", OPEN, CreateMode.PERSISTENT_SEQUENTIAL, 0)),
        ("set /a 'new value'", Set("/a", b"new value", -1)),
        ("set /a new 7", Set("/a", b"new", 7)),
        ("delete /a", Delete("/a", -1)),
        ("  delete /a 7  ", Delete("/a", 7)),
    ],
)
def test_line_is_read(line: str, operation: Operation) -> None:
    """Each form of each operation becomes the request it stands for."""
    assert txn_syntax.parse_line(line) == operation


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("remove /a", "an operation is one of check, compare, guard, create, set, delete"),
        ("set /a", "set PATH VALUE"),
        ("set /a b 1 2", "set PATH VALUE"),
        ("check a", "it must start with /"),
        ("check /a x", "version 'x' is not a number"),
        ("compare /a size = 1", "field 'size' is none of"),
        ("compare /a version ~ 1", "relation '~'"),
        ("compare /a exists = maybe", "true or false"),
        ("guard /a t", "token 't' is not a number"),
        ("set /a 'open", "No closing quotation"),
        ("-s", "an operation is one of"),
    ],
)
def test_wrong_line_says_what_is_wrong(line: str, reason: str) -> None:
    """A line that cannot be read is refused before anything is sent, and quoted."""
    with pytest.raises(BadArgumentsError, match=reason) as caught:
        txn_syntax.parse_line(line)

    assert repr(line.strip()) in str(caught.value)


def test_comments_and_empty_lines_are_skipped() -> None:
    """A file of operations may be laid out and explained."""
    lines = ["# swap", "", "  set /a b", "   # done"]

    assert txn_syntax.parse(lines) == [Set("/a", b"b", -1)]
