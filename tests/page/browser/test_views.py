"""Sessions, services and locks, the cluster: what is shown is so, and stays so."""

from __future__ import annotations

import http.client
import json
import re
from typing import TYPE_CHECKING, Any

from coord.app.leaders_file import LEADERS_FILE
from coord_client import CreateMode
from coord_client.sync import SyncClient, connect
from tests.zookeeper_clients.lab import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.page.browser.conftest import PageCluster, Tab


def ask(
    cluster: PageCluster, method: str, path: str, session: str = "", **body: Any
) -> dict[str, Any]:
    """A change, through node 1's API."""
    connection = http.client.HTTPConnection(cluster.http[1], timeout=30)
    headers = {"Content-Type": "application/json", "Coord-Session": session}
    if not session:
        del headers["Coord-Session"]
    connection.request(method, path, json.dumps(body), headers)
    answer = connection.getresponse()
    told: dict[str, Any] = json.load(answer)
    connection.close()
    assert answer.status < 300, told
    return told


def panel(page: Page, name: str) -> Locator:
    """A panel of a view."""
    return page.locator(".panel").filter(has=page.get_by_role("heading", name=name, exact=True))


def test_a_session_and_its_end(tab: Tab, cluster: PageCluster, client: SyncClient) -> None:
    """What it owns while it is open; how it ended, and what went with it."""
    client.create("/owned")
    page = tab.open("#/sessions")
    with (
        connect(cluster[1].client, client_name="<i>batch job") as other,
        other.watch("/owned"),
    ):
        session = other.session_id
        other.create("/owned/lease", b"", mode=CreateMode.EPHEMERAL)
        panel(page, "Open").get_by_role("row").filter(has_text="<i>batch job").click()
        page.wait_for_url(re.compile(f"#/sessions/{session:#x}$"))
        panel(page, "Owns").get_by_role("link", name="/owned/lease").wait_for()
        panel(page, "Watches").get_by_role("link", name="/owned", exact=True).wait_for()
        panel(page, "Its story so far").get_by_text("opened").wait_for()
    panel(page, "Why it ended").get_by_text("closed by its client").wait_for()
    page.get_by_text("1 ephemeral node went with it").wait_for()
    panel(page, "Went with it").get_by_role("link", name="/owned/lease").wait_for()


def test_a_list_stays_where_it_was_scrolled_to(
    tab: Tab, cluster: PageCluster, client: SyncClient
) -> None:
    """It is asked for again every few seconds, while somebody reads it."""
    assert client.session_id
    for number in range(12):
        ask(cluster, "POST", "/v1/sessions", timeout_ms=60_000, client=f"reader-{number}")
    tab.page.set_viewport_size({"width": 1200, "height": 300})
    page = tab.open("#/sessions")
    listed = page.locator(".tall")
    panel(page, "Open").get_by_text("reader-11").wait_for(state="attached")
    listed.evaluate("it => it.scrollTo(0, 40)")
    ask(cluster, "POST", "/v1/sessions", timeout_ms=60_000, client="late reader")
    panel(page, "Open").get_by_text("late reader").wait_for(state="attached")
    assert listed.evaluate("it => it.scrollTop") == 40


def test_why_a_session_expired(tab: Tab, cluster: PageCluster, client: SyncClient) -> None:
    """Its silence, its timeout, and who decided."""
    assert client.session_id
    opened = ask(cluster, "POST", "/v1/sessions", timeout_ms=1_000, client="silent")
    page = tab.open(f"#/sessions/{opened['session']}")
    story = panel(page, "Why it ended")
    story.get_by_text("last heard of").wait_for()
    story.get_by_text(re.compile(r"then silence for .+ with a timeout of 1 s")).wait_for()
    story.get_by_text(re.compile(r"decided by node \d, leading then")).wait_for()
    panel(page, "Ended lately").get_by_role("row").filter(has_text="silent").first.wait_for()


def test_locks_elections_and_services(tab: Tab, cluster: PageCluster, client: SyncClient) -> None:
    """Who holds and who waits, in order; what changes is news without looking again."""
    client.create("/recipes")
    handles = [
        ask(cluster, "POST", "/v1/sessions", timeout_ms=60_000, client=f"host-{number}")["handle"]
        for number in range(3)
    ]
    for number, handle in enumerate(handles):
        ask(cluster, "POST", "/v1/locks/recipes/nightly", handle, value=f"host-{number}")
    ask(cluster, "POST", "/v1/elections/recipes/leader", handles[0], value="<b>first")
    ask(cluster, "POST", "/v1/services/recipes/web", handles[1], name="w1", value="10.0.0.1:80")

    page = tab.open("#/services")
    locks = panel(page, "Locks").get_by_role("row").filter(has_text="/recipes/nightly")
    locks.get_by_text("holds").wait_for()
    assert locks.locator("td").nth(1).inner_text().startswith("holds host-0")
    assert locks.locator(".queue li span").all_inner_texts() == ["host-1", "host-2"]
    elections = panel(page, "Elections").get_by_role("row").filter(has_text="/recipes/leader")
    assert "leads <b>first" in elections.inner_text()
    panel(page, "Services").get_by_text("w1 10.0.0.1:80").wait_for()

    ask(cluster, "DELETE", "/v1/locks/recipes/nightly", handles[0])
    locks.locator("td").nth(1).get_by_text("host-1").or_(locks.get_by_text("free")).wait_for()
    ask(cluster, "POST", "/v1/locks/recipes/nightly", handles[1], value="host-1")
    locks.locator("td").nth(1).get_by_text("host-1").wait_for()


def test_the_cluster(tab: Tab, cluster: PageCluster, client: SyncClient) -> None:
    """How it stands, node by node, and how it performs."""
    client.put("/busy-node", b"1")
    page = tab.open("#/cluster")
    page.get_by_role("heading", name=re.compile(r"Serving, led by node \d in term \d+")).wait_for()
    page.get_by_text("3 voters, majority 2: survives 1 further failure").wait_for()
    members = panel(page, "Members").get_by_role("row")
    assert members.count() == 4
    link = page.get_by_role("link", name="node 2", exact=True)
    assert link.get_attribute("href") == cluster.url(2, "#/cluster")
    panel(page, "Readiness of node 1").get_by_text("clients are served").wait_for()
    panel(page, "Leaders").get_by_role("listitem").first.wait_for()
    chart = page.get_by_role("img", name=re.compile("^Throughput a second, newest sample: reads"))
    chart.locator("path.line").first.wait_for(state="attached")


def test_who_led_before_a_restart_of_all_nodes(
    tab: Tab, cluster: PageCluster, client: SyncClient
) -> None:
    """Nobody is left who saw it, and it is told all the same."""
    assert client.session_id
    told = ask(cluster, "GET", "/v1/cluster")
    led, term = told["leader"], told["term"]
    kept = [node.directory / LEADERS_FILE for node in cluster.nodes.values()]
    wait_until(lambda: all(f'"term": {term},' in file.read_text() for file in kept), "kept")
    for node in cluster.nodes.values():
        node.kill()
    cluster.run(*cluster.nodes)
    page = tab.open("#/cluster")
    leaders = panel(page, "Leaders").get_by_role("listitem")
    leaders.filter(has_text=f"node {led} · term {term} ").wait_for()
    assert f"term {term} " not in leaders.first.inner_text()


def test_what_a_change_of_membership_would_do(
    tab: Tab, cluster: PageCluster, client: SyncClient
) -> None:
    """Before and after, in failures that are survived; nothing is changed."""
    assert client.session_id
    page = tab.open("#/cluster")
    change = panel(page, "What a change would do")
    change.get_by_role("cell", name="1 more failure").wait_for()
    change.get_by_role("cell", name="0 more failures").wait_for()
    change.get_by_text("one more failure would stop the cluster").wait_for()
    change.get_by_label("Change").select_option("add")
    change.get_by_text("it joins as a learner").wait_for()
    change.get_by_label("Change").select_option("promote")
    change.get_by_text("There is no learner").wait_for()
    assert panel(page, "Members").get_by_role("row").count() == 4
