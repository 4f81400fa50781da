"""What every suite shares: Hypothesis profiles, required tools, the table of skipped suites.

A test that stands on a tool says ``@pytest.mark.needs("strace")``. Without the tool it is skipped
and the session ends with a table of what to install; with ``COORD_REQUIRE=all`` (or a list such as
``COORD_REQUIRE=gcc,strace``) the missing tool is a failure instead.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile(
    "explore",
    deadline=None,
    max_examples=2_000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

INSTALLS: Final = {
    "gcc": "apt-get install gcc libc6-dev",
    "strace": "apt-get install strace",
    "curl": "apt-get install curl",
    "jq": "apt-get install jq",
    "promtool": "apt-get install prometheus",
    "systemd-analyze": "apt-get install systemd",
    "kubernetes_validate": "pip install kubernetes-validate",
    "java": "apt-get install default-jre-headless",
    "javac": "apt-get install default-jdk-headless",
    "zookeeper.jar": "apt-get install libzookeeper-java",
    "curator-recipes.jar": "apt-get install libcurator-recipes-java",
    "zookeeper.h": "apt-get install libzookeeper-mt-dev",
    "go": "apt-get install golang-go",
    "go-zookeeper": "apt-get install golang-github-samuel-go-zookeeper-dev",
    "node": "apt-get install nodejs npm",
    "node-zookeeper-client": "make node-client",
    "kazoo": "pip install kazoo",
    "aiozk": "pip install aiozk",
    "playwright": "pip install playwright",
    "chromium": "apt-get install chromium",
}
"""Every tool a suite may need, and the command that brings it."""

NODE_MODULES: Final = Path(sys.prefix) / "node_modules"
"""Where ``make node-client`` installs: beside the environment's own packages."""

_FILES: Final = {
    "zookeeper.jar": Path("/usr/share/java/zookeeper.jar"),
    "curator-recipes.jar": Path("/usr/share/java/curator-recipes.jar"),
    "zookeeper.h": Path("/usr/include/zookeeper/zookeeper.h"),
    "go-zookeeper": Path("/usr/share/gocode/src/github.com/samuel/go-zookeeper"),
    "node-zookeeper-client": NODE_MODULES / "node-zookeeper-client",
}
_PYTHON_PACKAGES: Final = frozenset({"kazoo", "aiozk", "kubernetes_validate", "playwright"})
"""What is no command: a file that the installation leaves, or a package of this interpreter."""

_PREFIX: Final = "needs "


def _is_required(tool: str) -> bool:
    wanted = os.environ.get("COORD_REQUIRE", "").replace(" ", "").split(",")
    return "all" in wanted or tool in wanted


def _is_there(tool: str) -> bool:
    if tool in _PYTHON_PACKAGES:
        return importlib.util.find_spec(tool) is not None
    return _FILES[tool].exists() if tool in _FILES else shutil.which(tool) is not None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose tool is missing, or fail it where the tool is required."""
    for marker in item.iter_markers("needs"):
        for tool in marker.args:
            assert tool in INSTALLS, f"tests/conftest.py does not know how to install {tool!r}"
            if _is_there(tool):
                continue
            reason = f"{_PREFIX}{tool}: {INSTALLS[tool]}"
            if _is_required(tool):
                pytest.fail(f"COORD_REQUIRE asks for {tool}, which is missing", pytrace=False)
            pytest.skip(reason)


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    longrepr = report.longrepr
    reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return reason.removeprefix("Skipped: ")


def pytest_unconfigure(config: pytest.Config) -> None:
    """End, after everything else, with one line per skipped suite: how many tests, why, and what
    would bring them back.
    """
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.option.collectonly:
        return  # A worker of xdist reports to the process that has the terminal.
    counts = Counter(
        (report.nodeid.split("::")[0], _skip_reason(report))
        for report in reporter.stats.get("skipped", ())
    )
    if not counts:
        reporter.write_line("no suite was skipped")
        return
    reporter.section("suites skipped")
    width = max(len(suite) for suite, _ in counts)
    for (suite, reason), count in sorted(counts.items()):
        need, _, install = reason.removeprefix(_PREFIX).partition(": ")
        what = f"{need:<10} {install}" if reason.startswith(_PREFIX) else reason
        reporter.write_line(f"{suite:<{width}}  {count:>4}  {what}")
