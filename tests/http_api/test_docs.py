"""docs/http.md lists the endpoints that there are."""

from __future__ import annotations

import re
from pathlib import Path

from coord.server.http.api.routes import ENDPOINTS

DOCS = Path(__file__).parents[2] / "docs" / "http.md"


def test_every_endpoint_is_documented() -> None:
    """And no other."""
    rows = re.findall(r"^\| ([A-Z]+) \| `(/v1/[^`]+)` \|", DOCS.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted((it.method, it.path) for it in ENDPOINTS)
