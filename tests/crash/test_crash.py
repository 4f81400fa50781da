"""Recorded members and servers after a power loss; and that the suite sees what is broken.

``python -m tests.crash --images 5200 --serve 102`` opens as many as continuous integration does.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.__main__ import fast_directory
from tests.crash.boot import AnotherBoot
from tests.crash.campaign import catch_control
from tests.crash.controls import CONTROLS
from tests.crash.recorder import build
from tests.crash.replay import Replay, record
from tests.crash.serving import record_serving, serve_images

IMAGES = 20
"""Of each workload, here."""
THEMES = (
    "founding",
    "grouped_by_a_thread",
    "truncation_inside_a_run",
    "expiry",
    "log_cuts",
    "install_over_another_history",
    "clean_restarts",
    "rebuilt_from_a_snapshot",
)
"""One workload of each kind; the command runs them all."""
SERVED = 3
SEED = 1

pytestmark = [
    pytest.mark.integration,
    pytest.mark.needs("gcc"),
    pytest.mark.timeout(240),
]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory on a fast file system."""
    with tempfile.TemporaryDirectory(prefix="coord-crash-", dir=fast_directory()) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def library(place: Path) -> Path:
    """The recorder."""
    return build(place)


@pytest.fixture(scope="module")
def boot(place: Path) -> AnotherBoot:
    """Another boot of the machine."""
    made = AnotherBoot(place)
    reason = made.why_not()
    if reason:
        assert os.environ.get("COORD_REQUIRE") != "all", f"the boot id cannot be changed: {reason}"
        pytest.skip(f"the boot id cannot be changed here: {reason}")
    return made


@pytest.mark.parametrize("name", THEMES)
def test_nothing_acknowledged_is_lost(
    name: str, place: Path, library: Path, boot: AnotherBoot
) -> None:
    """Whatever the disk holds after the crash, the store opens on it and holds what it promised."""
    record(name, place / name, library)

    findings = Replay(name, place / name, boot, IMAGES, SEED).run(lambda: None)

    assert findings.problems == []
    assert len(findings.prints) >= IMAGES // 2


@pytest.mark.parametrize("name", CONTROLS)
def test_a_broken_store_is_noticed(
    name: str, place: Path, library: Path, boot: AnotherBoot
) -> None:
    """Without one of its safeguards the store loses something, and the judge says so."""
    problems = catch_control(name, place, library, boot, SEED)

    assert problems
    assert all(": crash/" in problem for problem in problems)


def test_a_server_keeps_its_word(place: Path, library: Path, boot: AnotherBoot) -> None:
    """Started on what a crash left, it serves all that clients had been told."""
    name = "serve_restarts"
    recording, port = record_serving(name, place / name, library)

    found = list(serve_images(name, recording, port, boot, SERVED, SEED))

    assert [problem for findings in found for problem in findings.problems] == []
    assert sum(findings.opened for findings in found) >= SERVED
