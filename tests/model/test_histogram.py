"""Counting by range."""

from __future__ import annotations

import pytest

from coord.model.histogram import Histogram, quantile


def test_a_value_counts_at_the_first_bound_that_it_does_not_exceed() -> None:
    """Bounds belong to the range below them."""
    histogram = Histogram((1, 5, 10))
    for value in (0, 1, 2, 5, 10, 11, 1_000):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1, 2]
    assert histogram.total == 1_029


@pytest.mark.parametrize(
    ("counts", "share", "found"),
    [
        ([0, 0, 0], 0.5, None),
        ([1, 0, 0], 0.99, 1),
        ([99, 1, 0], 0.99, 1),
        ([98, 2, 0], 0.99, 5),
        ([0, 0, 3], 0.5, 5),
    ],
)
def test_quantiles_are_bounds(counts: list[int], share: float, found: float | None) -> None:
    """Of the share asked for."""
    assert quantile((1, 5), counts, share) == found
