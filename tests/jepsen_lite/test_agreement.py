"""Checkers against trying everything: a few hundred of the histories that the command compares.

``python -m tests.jepsen_lite.agreement`` compares 50,000 of each model.
"""

from __future__ import annotations

import pytest

from tests.jepsen_lite import agreement
from tests.jepsen_lite.drawing import SUBJECTS


@pytest.mark.parametrize("name", SUBJECTS)
def test_checker_agrees_with_brute_force(name: str) -> None:
    """Legal histories are never accused; illegal ones are found, by exact checkers all of them,
    by the others most."""
    tally = agreement.Tally()
    for seed in range(200):
        agreement.compare(name, seed, tally)

    assert tally.legal > 50
    assert tally.illegal > 8
    assert tally.missed <= (0 if SUBJECTS[name].is_exact else 0.7 * tally.illegal)


@pytest.mark.parametrize("name", SUBJECTS)
def test_honest_service_is_not_accused(name: str) -> None:
    """Longer histories of a service that does what it should."""
    for seed in range(60):
        agreement.spare_honest(name, seed)
