"""The page in a real Chromium, against three real nodes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from coord_client.sync import SyncClient, connect
from tests.integration.processes import HOST, Cluster, free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM: Final = "chromium"
PATIENCE_MS: Final = 60_000
"""Of the tests; a page that is well takes a small part of it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All share one cluster and one browser, and so one worker."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.needs("playwright", CHROMIUM))
            item.add_marker(pytest.mark.xdist_group("page"))
            item.add_marker(pytest.mark.timeout(300))


class PageCluster(Cluster):
    """Three nodes with HTTP ports that know each other's."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, 3)
        self.http = {n: f"{HOST}:{free_port()}" for n in self.nodes}
        self.initial = ",".join(
            f"{node.id}={node.peer}/{node.client}/{self.http[node.id]}"
            for node in self.nodes.values()
        )

    def run(self, *which: int) -> int:
        """Start nodes and wait until each is ready; the leader's id."""
        for n in which:
            self.nodes[n].start(self.initial, "--set", f"node.http={self.http[n]}")
        return int([self.nodes[n].wait_ready() for n in which][-1]["leader"])

    def url(self, node: int, place: str = "#/tree/") -> str:
        """Where a node shows something."""
        return f"http://{self.http[node]}/{place}"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageCluster]:
    """Up, with whatever tests before have left in it: each test uses a subtree of its own."""
    cluster = PageCluster(tmp_path_factory.mktemp("page"))
    cluster.run(1, 2, 3)
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def client(cluster: PageCluster) -> Iterator[SyncClient]:
    """A program that uses the cluster."""
    with connect(cluster.hosts, client_name="orders-service") as client:
        yield client


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's. Playwright's loop runs for as long as it does, and no other can meanwhile: it
    ends before the next module, whose tests may be coroutines.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which(CHROMIUM), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


class Tab:
    """A page in a profile of its own, and what it did that a page should not do."""

    def __init__(self, context: BrowserContext, cluster: PageCluster) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.cluster = cluster
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _on_console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    def open(self, place: str = "#/tree/", node: int = 1) -> Page:
        """Show a place, live."""
        self.page.goto(self.cluster.url(node, place))
        self.page.locator("#topbar").get_by_text("live", exact=True).wait_for()
        return self.page

    def foreign(self) -> list[str]:
        """Requests that did not go to a node."""
        hosts = set(self.cluster.http.values())
        return [url for url in self.asked if url.split("/")[2] not in hosts]


OpenTab = Callable[..., Tab]


@pytest.fixture
def new_tab(chromium: Browser, cluster: PageCluster) -> Iterator[OpenTab]:
    """Makes tabs. At the end none has complained, and none has asked anybody else.

    ``errors_allowed``: the test breaks something, which the browser logs.
    """
    made: list[tuple[Tab, bool]] = []

    def make(*, errors_allowed: bool = False, **options: Any) -> Tab:
        context = chromium.new_context(viewport={"width": 1200, "height": 720}, **options)
        context.set_default_timeout(PATIENCE_MS)
        made.append((Tab(context, cluster), errors_allowed))
        return made[-1][0]

    yield make
    for tab, errors_allowed in made:
        tab.context.close()
        assert not tab.foreign()
        assert errors_allowed or not tab.errors


@pytest.fixture
def tab(new_tab: OpenTab) -> Tab:
    """One tab that must stay without complaints."""
    return new_tab()
