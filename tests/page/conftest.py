"""The door of a node that stands still, for what needs no browser."""

from __future__ import annotations

from tests.server.http.conftest import house

__all__ = ["house"]
