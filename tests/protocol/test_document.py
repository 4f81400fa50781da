"""``docs/protocol.md`` says what the code does."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from coord.model import requests as rq
from coord.model.acl import OPEN
from coord.model.errors import CoordError
from coord.protocol.native import NativeCodec
from coord.protocol.native_client import OPENING, ClientCodec
from coord.protocol.native_requests import OTHERS, WRITES, decode_request
from tests.protocol.document import DOCUMENT, EXAMPLES, rendered

TEXT: Final = DOCUMENT.read_text()
_ROW: Final = re.compile(r"^\| (−?\d+) \| (\w+) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
ROWS: Final = {int(row[1].replace("−", "-")): row for row in _ROW.finditer(TEXT)}
"""Operation number → its row."""

INSIDE_MULTI: Final = {rq.CHECK, rq.COMPARE, rq.GUARD}
SAMPLES: Final[dict[str, Any]] = {
    "path": "/a",
    "data": b"x",
    "acl": [[31, "world", "anyone"]],
    "operations": [],
    "watch_id": 5,
    "session_id": 0,
    "secret": b"",
    "timeout_ms": 1_000,
    "field": "version",
    "relation": "=",
    "operand": 1,
    "token": 3,
    "scheme": "digest",
    "credential": b"alice:secret",
}
DEFAULTS: Final[dict[str, Any]] = {
    "empty": b"", "−1": -1, "0": 0, "1": 1, "true": True, "false": False, '""': "", '"/"': "/",
}  # fmt: skip


def test_generated_parts_are_in_step() -> None:
    """Tables and dumps are what the code makes now; `python -m tests.protocol.document` renews."""
    assert rendered(TEXT) == TEXT


def test_every_operation_is_described() -> None:
    """The tables name the operations that the server knows, and no others."""
    assert set(ROWS) == {*WRITES, *OTHERS, *INSIDE_MULTI}


@pytest.mark.parametrize("op", sorted(set(ROWS) - {op for op in ROWS if 210 <= op < 300}))
def test_arguments_are_as_described(op: int) -> None:
    """Names, order and defaults of the arguments are those of the decoder."""
    described = ROWS[op][3]
    names, given, defaults = [], [], {}
    for argument in described.split(", ") if described != "–" else []:
        name, is_optional, default = argument.partition("=")
        names.append(name)
        if is_optional:
            defaults[name] = default
        else:
            assert not defaults, "arguments that may be left out come last"
            given.append(SAMPLES[name])
    request: Any
    if op in INSIDE_MULTI:
        multi, _, _ = decode_request([1, rq.MULTI, 1, 0, [[op, *given]]])
        assert isinstance(multi, rq.Multi)
        (request,) = multi.operations
    else:
        numbers = [1, 0] if op in WRITES else []
        request, _, _ = decode_request([1, op, *numbers, *given])
    assert list(request._fields) == names
    for name, default in defaults.items():
        expected = DEFAULTS.get(default, OPEN if name == "acl" else None)
        assert getattr(request, name) == expected, name


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_are_understood(name: str) -> None:
    """Each frame of the document is read by the side that it is meant for."""
    frame = EXAMPLES[name].frame
    if "op: " in EXAMPLES[name].labels[1]:
        ((_, request, _, _),) = NativeCodec().feed(OPENING + frame)
        assert not isinstance(request, CoordError)
    else:
        assert len(ClientCodec().feed(frame)) == 1


def test_the_hello_is_spelled_out() -> None:
    """The document shows the opening bytes."""
    assert f"    {OPENING.hex(' ')}\n" in TEXT
