"""Warnings about quotas: on the leader, each subtree now and then."""

from __future__ import annotations

import pytest

from coord.node.quota_warnings import NAMED_MAX, SILENCE_MS, QuotaWarnings


class Setting:
    """A clock and a leader's role that the test moves."""

    def __init__(self) -> None:
        self.now_ms = 5
        self.leads = True
        self.warnings = QuotaWarnings(self, lambda: self.leads)

    def monotonic_ms(self) -> int:
        """The test's time."""
        return self.now_ms

    def wall_ms(self) -> int:
        """Not used."""
        raise NotImplementedError


def named(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Paths warned of since the last call."""
    found = [record.__dict__["path"] for record in caplog.records]
    caplog.clear()
    return found


def test_a_subtree_is_named_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Every excess is counted; others are named at once."""
    setting = Setting()
    setting.warnings.note({"/a": "too much"})
    setting.warnings.note({"/a": "more", "/b": "too much"})
    assert named(caplog) == ["/a", "/b"]

    setting.now_ms += SILENCE_MS - 1
    setting.warnings.note({"/a": "more"})
    assert named(caplog) == []
    setting.now_ms += 1
    setting.warnings.note({"/a": "more"})
    assert named(caplog) == ["/a"]
    assert setting.warnings.count == 5


def test_only_the_leader_says_it(caplog: pytest.LogCaptureFixture) -> None:
    """All members apply the same entries."""
    setting = Setting()
    setting.leads = False
    setting.warnings.note({"/a": "too much"})

    assert named(caplog) == []
    assert setting.warnings.count == 0


def test_what_is_remembered_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Past a thousand subtrees the rest is counted only, until some are forgotten."""
    setting = Setting()
    setting.warnings.note({f"/{n}": "too much" for n in range(NAMED_MAX + 5)})
    assert len(named(caplog)) == NAMED_MAX
    assert setting.warnings.count == NAMED_MAX + 5

    setting.now_ms += SILENCE_MS
    setting.warnings.note({"/new": "too much"})
    assert named(caplog) == ["/new"]
