"""The generated parts of ``docs/protocol.md``: tables from the code, examples from the codec.

``python -m tests.protocol.document`` rewrites them; a test fails while they are out of step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgpack

from coord.model import errors, limits
from coord.model import requests as rq
from coord.model.acl import OPEN
from coord.model.events import Change, ChangeKind, WatchEvent
from coord.model.znode import CreateMode, Stat
from coord.protocol.framing import REPLY_FRAME_BYTES_MAX
from coord.protocol.native import NativeCodec
from coord.protocol.native_client import encode_request
from coord.watch.notify import BOOKMARK_MS, PART_BYTES_MAX

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "protocol.md"
_SECTION: Final = re.compile(r"<!-- begin: ([a-z-]+) -->\n(.*?)<!-- end: \1 -->\n", re.DOTALL)

SECRET: Final = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
STAT: Final = Stat(
    czxid=40, mzxid=52, ctime_ms=1_767_225_600_000, mtime_ms=1_767_225_660_000, version=3,
    cversion=0, aversion=0, ephemeral_owner=0, data_length=2, num_children=0, pzxid=40,
)  # fmt: skip
"""The node that the examples read and write."""


class Example(NamedTuple):
    """One frame of the document, with a name for each field of its array."""

    frame: bytes
    labels: tuple[str, ...]


def _example_change() -> bytes:
    before = STAT._replace(mzxid=47, version=2).pack()
    change = Change(ChangeKind.DATA, "/a", 52, STAT.pack(), b"up", before, b"on")
    return NativeCodec.changes([WatchEvent(ChangeKind.DATA, "/a", 52, change)], with_values=True)


EXAMPLES: Final[dict[str, Example]] = {
    "example-connect": Example(
        encode_request(1, rq.Connect(0, b"", 10_000, 0, "demo")),
        ("xid", "op: connect", "session_id: a new one", "secret: none yet", "timeout_ms",
         "last_revision: nothing seen", "client: for people"),
    ),
    "example-connected": Example(
        NativeCodec.reply(
            1, 39, (39, SECRET, 1, 10_000, 0, {"node": 2, "leader": 1, "history_id": 7})
        ),
        ("xid", "success", "revision", "session_id", "secret", "generation", "timeout_ms",
         "last_seq", "info"),
    ),
    "example-create": Example(
        encode_request(2, rq.Create("/a", b"", OPEN, CreateMode.EPHEMERAL_SEQUENTIAL, 0), 1, 0),
        ("xid", "op: create", "seq", "acked", "path", "data", "acl: open",
         "mode: ephemeral sequential", "ttl_ms: none"),
    ),
    "example-set": Example(
        encode_request(3, rq.Set("/a", b"up", 2), 2, 1),
        ("xid", "op: set", "seq", "acked: the reply to 1 has come", "path", "data", "version"),
    ),
    "example-stat": Example(
        NativeCodec.reply(3, 52, (STAT.pack(),)),
        ("xid", "success", "revision", "stat"),
    ),
    "example-bad-version": Example(
        NativeCodec.error(3, 52, errors.BadVersionError("/a has version 3, not 2")),
        ("xid", "code: BadVersion", "revision", "message", "detail"),
    ),
    "example-multi": Example(
        encode_request(
            4, rq.Multi((rq.Guard("/lock", 51), rq.Set("/a", b"on", -1))), 3, 2
        ),
        ("xid", "op: multi", "seq", "acked", "operations: guard, set"),
    ),
    "example-watch": Example(
        encode_request(5, rq.Watch("/a", 1, True, (7, 51))),
        ("xid, and the watch_id", "op: watch", "path", "mode: persistent", "with_values",
         "resume: [history id, revision]"),
    ),
    "example-push": Example(
        NativeCodec.events(5, 52, 0, True, _example_change()),
        ("a stream's events", "watch_id", "revision", "part", "complete",
         "changes: [kind, path, stat, data, prev_stat, prev_data]"),
    ),
    "example-bookmark": Example(
        NativeCodec.events(5, 60, 0, True),
        ("a stream's events", "watch_id", "revision", "part", "complete", "changes: a bookmark"),
    ),
    "example-auth": Example(
        encode_request(1, rq.Auth("digest", b"alice:secret")),
        ("xid", "op: auth", "scheme", "credential"),
    ),
    "example-ping": Example(encode_request(6, rq.Ping()), ("xid", "op: ping")),
    "example-notice": Example(
        NativeCodec.notice(60, "draining", "this node is stopping"),
        ("a notice", "", "revision", "reason", "message"),
    ),
}  # fmt: skip


# --- rendering ------------------------------------------------------------------------------------


def rendered(text: str) -> str:
    """``text`` with every generated section as the code has it now."""
    parts = {
        "errors": _errors(),
        "limits": _limits(),
        **{name: _dump(example) for name, example in EXAMPLES.items()},
    }
    found = [match[1] for match in _SECTION.finditer(text)]
    assert sorted(found) == sorted(parts), "sections of the document and of this file"
    return _SECTION.sub(
        lambda match: f"<!-- begin: {match[1]} -->\n{parts[match[1]]}<!-- end: {match[1]} -->\n",
        text,
    )


def _errors() -> str:
    lines = ["| code | error | meaning |", "|---|---|---|"]
    for code, cls in sorted(errors.BY_CODE.items(), reverse=True):
        if issubclass(cls, errors.RequestError) and code != errors.RequestError.code:
            meaning = " ".join((cls.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
            lines.append(f"| {code} | {cls.__name__.removesuffix('Error')} | {meaning} |")
    return "\n".join(lines) + "\n"


def _limits() -> str:
    rows = [
        ("bytes of a request frame", limits.FRAME_BYTES_MAX),
        ("bytes of a frame from the server", REPLY_FRAME_BYTES_MAX),
        ("bytes of a node's data", limits.DATA_BYTES_MAX),
        ("bytes of a path", limits.PATH_BYTES_MAX),
        ("bytes of one name in a path", limits.NAME_BYTES_MAX),
        ("entries of an ACL", limits.ACL_ENTRIES_MAX),
        ("operations of a transaction", limits.TXN_OPERATIONS_MAX),
        ("bytes of a transaction (paths and data)", limits.TXN_BYTES_MAX),
        ("shortest session timeout, ms", limits.SESSION_TIMEOUT_MS_MIN),
        ("longest session timeout, ms", limits.SESSION_TIMEOUT_MS_MAX),
        ("unacknowledged writes of a session", limits.WRITES_IN_FLIGHT_MAX),
        ("ms that an ended session's results stay known", limits.RESULTS_AFTER_END_MS),
        ("ephemeral nodes of a session", limits.EPHEMERALS_PER_SESSION_MAX),
        ("unanswered requests of a connection before it is read no further",
         limits.CONNECTION_REQUESTS_MAX),
        ("unread bytes of a connection before it is dropped", limits.CONNECTION_OUTBOX_BYTES_MAX),
        ("watches of a connection", limits.WATCHES_PER_CONNECTION_MAX),
        ("names in a page of children", limits.PAGE_CHILDREN_MAX),
        ("ms that the pages of a listing may take", limits.PINNED_LISTING_MS_MAX),
        ("bytes of a part of a revision, but for a single larger change", PART_BYTES_MAX),
        ("ms between messages of an idle stream", BOOKMARK_MS),
    ]  # fmt: skip
    lines = ["| what | most |", "|---|---|"]
    lines += [f"| {what} | {value:,} |" for what, value in rows]
    return "\n".join(lines) + "\n"


def _dump(example: Example) -> str:
    """The frame's bytes, element by element, with what each says."""
    frame, labels = example
    lines = [_line(frame[:4], f"{len(frame) - 4} bytes follow", 0)]
    tokens = list(_tokens(frame, 4, 0))
    at = 0
    for raw, text, depth in tokens:
        label = ""
        if depth == 1:
            label = labels[at]
            at += 1
        note = f"{text}   {label}" if label else text
        lines.extend(_wrapped(raw, note, depth))
    assert at == len(labels), "one label for each field"
    return "```\n" + "\n".join(lines) + "\n```\n"


def _wrapped(raw: bytes, note: str, depth: int) -> Iterator[str]:
    for start in range(0, len(raw), 16):
        yield _line(raw[start : start + 16], note if start == 0 else "", depth)


def _line(raw: bytes, note: str, depth: int) -> str:
    return f"{'  ' * depth}{raw.hex(' ')}".ljust(54) + note if note else "  " * depth + raw.hex(" ")


_SIZED: Final = {0xC4: 1, 0xC5: 2, 0xD9: 1, 0xDA: 2}
_NUMBERS: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}


def _tokens(data: bytes, at: int, depth: int) -> Iterator[tuple[bytes, str, int]]:
    """(bytes, text, depth) of each msgpack element from ``at``; containers before their items."""
    head = data[at]
    if 0x90 <= head <= 0x9F or 0x80 <= head <= 0x8F:
        is_map = head < 0x90
        count = head & 0x0F
        yield data[at : at + 1], f"map of {count}" if is_map else f"array of {count}", depth
        at += 1
        for _ in range(count * (2 if is_map else 1)):
            yield from _tokens(data, at, depth + 1)
            at += _size(data, at)
        return
    raw = data[at : at + _size(data, at)]
    yield raw, _text(msgpack.unpackb(raw)), depth


def _size(data: bytes, at: int) -> int:
    """Bytes of the element at ``at``, containers whole."""
    head = data[at]
    if 0x80 <= head <= 0x9F:
        size = 1
        for _ in range((head & 0x0F) * (2 if head < 0x90 else 1)):
            size += _size(data, at + size)
        return size
    if 0xA0 <= head <= 0xBF:
        return 1 + (head & 0x1F)
    if head in _SIZED:
        width = _SIZED[head]
        return 1 + width + int.from_bytes(data[at + 1 : at + 1 + width], "big")
    return 1 + _NUMBERS.get(head, 0)


def _text(value: Any) -> str:
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"{len(value)} bytes" if len(value) != 1 else "1 byte"
    if isinstance(value, str):
        return f'"{value}"'
    return str(value)


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(DOCUMENT.read_text()))
