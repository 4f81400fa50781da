"""Who has led is still known after a restart; a file that says nothing sensible says nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from coord.app.leaders_file import LEADERS_FILE, LeadersFile, remember_leaders
from coord.node.leaders import KEPT, SILENCE, START, Leadership
from coord.raft.types import NodeId, Term
from tests.node.single import Single

FIRST = Leadership(1, 3, 1_700_000_000_000, START)
SECOND = Leadership(2, 1, 1_700_000_001_000, SILENCE)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """The newest, as many as a node keeps."""
    file = LeadersFile(tmp_path)
    assert file.read() == []
    file.write([FIRST, SECOND])
    assert file.read() == [FIRST, SECOND]
    file.write([FIRST] * KEPT + [SECOND])
    assert (len(file.read()), file.read()[-1]) == (KEPT, SECOND)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"{}", b'{"a": 1}', b"[1]", b"[[1, 2]]", b"\xff", b'[{"term": 1}]',
        b"[" * 60_000,
        json.dumps([{"term": "1", "leader": 1, "since_ms": 1, "reason": ""}]).encode(),
        json.dumps([{"term": True, "leader": 1, "since_ms": 1, "reason": ""}]).encode(),
        b" " * 100_000,
    ],
)  # fmt: skip
def test_any_other_content_is_none(tmp_path: Path, content: bytes) -> None:
    """Whatever the disk or a person left there."""
    (tmp_path / LEADERS_FILE).write_bytes(content)
    assert LeadersFile(tmp_path).read() == []


def test_a_file_that_cannot_be_written_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Said in the log, and no more."""
    LeadersFile(tmp_path / "gone").write([FIRST])
    assert "cannot be written" in caplog.text


async def test_a_node_recalls_and_goes_on_writing(tmp_path: Path) -> None:
    """Terms that it has not reached are not its own past."""
    single = Single()
    book, term = single.node.leaders, int(single.node.raft.term)
    book.kept.clear()
    beyond = Leadership(term + 1, 2, FIRST.since_ms, START)
    LeadersFile(tmp_path).write([Leadership(0, 3, FIRST.since_ms, START), beyond])

    remember_leaders(single.node, tmp_path)
    assert [(it.term, it.leader) for it in book.kept] == [(0, 3)]

    for ahead in range(1, 4):
        book.changed(Term(term + ahead), NodeId(2))
    while LeadersFile(tmp_path).read() != list(book.kept):
        await asyncio.sleep(0.01)
    assert len(book.kept) == 4
