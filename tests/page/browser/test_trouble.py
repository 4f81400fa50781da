"""A node that goes, a leader that changes, answers that are refusals: the page says so, goes on
showing what it knows, and comes back by itself.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from coord_client.sync import SyncClient
from tests.page.browser.rows import set_hidden

if TYPE_CHECKING:
    from playwright.sync_api import Route

    from tests.page.browser.conftest import OpenTab, PageCluster, Tab


def test_a_lost_node(new_tab: OpenTab, cluster: PageCluster, client: SyncClient) -> None:
    """It is said, the way to the others is shown; what was missed is there after it returns."""
    client.create("/lost", b"before")
    node = 3
    page = new_tab(errors_allowed=True).open("#/tree/lost", node=node)
    page.get_by_role("tabpanel").get_by_text("before").wait_for()
    cluster[node].kill()
    try:
        page.get_by_text(f"Node {node} has not answered since").wait_for()
        page.locator("#topbar").get_by_text("not answering").wait_for()
        assert page.get_by_text("before").is_visible()
        other = page.get_by_role("link", name="node 1")
        assert other.get_attribute("href") == cluster.url(1, "#/tree/lost")
        client.set("/lost", b"meanwhile")
        client.create("/lost/child")
    finally:
        cluster.run(node)
    page.locator("#topbar").get_by_text("live", exact=True).wait_for()
    page.get_by_role("tabpanel").get_by_text("meanwhile").wait_for()
    page.get_by_role("treeitem", name=re.compile("^lost, 1 child")).wait_for()
    assert page.get_by_text("has not answered since").count() == 0


def test_the_leader_goes(new_tab: OpenTab, cluster: PageCluster, client: SyncClient) -> None:
    """A follower's page tells who leads now; changes go on being live under the new leader."""
    client.create("/elected", b"0")
    tab = new_tab()
    page = tab.open("#/tree/elected")
    leader = int(json.loads(page.evaluate("fetch('/v1/status').then(it => it.text())"))["leader"])
    if leader == 1:
        page = tab.open("#/tree/elected", node=2)
    cluster[leader].kill()
    try:
        page.get_by_text(
            re.compile(rf"leads now, in term \d+; before it was node {leader}")
        ).wait_for()
        page.get_by_text(f"Node {leader} cannot be reached").wait_for()
        client.set("/elected", b"under the new leader")
        page.get_by_role("tabpanel").get_by_text("under the new leader").wait_for()
    finally:
        cluster.run(leader)
    page.get_by_text(f"Node {leader} cannot be reached").wait_for(state="detached")


def test_no_quorum(new_tab: OpenTab, cluster: PageCluster, client: SyncClient) -> None:
    """Nobody leads: the page says why, and what this node knows can still be read."""
    client.create("/alone", b"")
    client.create("/alone/known", b"from this node's own tree")
    page = new_tab(errors_allowed=True).open("#/tree/alone")
    for node in (2, 3):
        cluster[node].kill()
    try:
        page.get_by_text("Nobody leads: only 1 of 3 voters can be reached").wait_for()
        page.get_by_role("tree").press("ArrowRight")
        page.get_by_role("treeitem", name=re.compile("^known")).click()
        page.get_by_text("from this node's own tree").wait_for()
    finally:
        cluster.run(2, 3)
    page.locator("#topbar").get_by_text("live", exact=True).wait_for()


def test_refusals_are_shown_and_can_be_tried_again(new_tab: OpenTab, client: SyncClient) -> None:
    """503 in the node and in the list; each has its own button."""
    client.create("/busy", b"")
    client.create("/busy/child", b"at last")
    tab = new_tab(errors_allowed=True)
    busy = json.dumps({"status": 503, "detail": "the node is overloaded", "code": "overloaded"})
    refuse = {"status": 503, "content_type": "application/problem+json", "body": busy}
    tab.page.route("**/v1/nodes/busy/**", lambda route: route.fulfill(**refuse))
    tab.page.route("**/v1/children/busy?**", lambda route: route.fulfill(**refuse))
    page = tab.open("#/tree/busy")
    page.get_by_role("tree").press("ArrowRight")
    page.get_by_text("the node is overloaded Click to try again.").wait_for()
    page.unroute("**/v1/children/busy?**")
    page.get_by_text("the node is overloaded Click to try again.").click()
    page.get_by_role("treeitem", name=re.compile("^child")).click()

    page.get_by_role("alert").get_by_text("the node is overloaded").wait_for()
    page.unroute("**/v1/nodes/busy/**")
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("at last").wait_for()


def test_what_happens_before_the_stream_opens_is_not_missed(tab: Tab, client: SyncClient) -> None:
    """What was read before is read again if anything has changed since."""
    client.create("/early", b"old")
    held: list[Route] = []
    is_held = True
    page = tab.page

    def hold(route: Route) -> None:
        if is_held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/page/feed**", hold)
    page.goto(tab.cluster.url(1, "#/tree/early"))
    page.get_by_role("tabpanel").get_by_text("old").wait_for()
    client.set("/early", b"newer")
    client.create("/early/child")
    is_held = False
    for route in held:
        route.continue_()
    page.get_by_role("tabpanel").get_by_text("newer").wait_for()
    page.get_by_role("treeitem", name=re.compile("^early, 1 child")).wait_for()


def test_a_hidden_tab_holds_no_stream(new_tab: OpenTab, client: SyncClient) -> None:
    """A browser has few connections to a node; what happened meanwhile is there afterwards."""
    client.create("/hidden", b"seen")
    page = new_tab().open("#/tree/hidden")
    page.get_by_text("seen").wait_for()
    set_hidden(page, is_hidden=True)
    client.set("/hidden", b"changed while nobody looked")
    set_hidden(page, is_hidden=False)
    page.get_by_text("changed while nobody looked").wait_for()
