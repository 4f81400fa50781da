"""Options of the Raft tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--rewrite``: see ``tests/datadriven.py``."""
    parser.addoption(
        "--rewrite",
        action="store_true",
        default=False,
        help="replace the expected output of data-driven scripts by the actual one",
    )


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    """Whether scripts are to be rewritten rather than compared."""
    return bool(request.config.getoption("--rewrite", default=False))
