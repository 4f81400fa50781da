"""Directories with very many children. Last: other views have to look through the whole tree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from coord_client.sync import SyncClient
from tests.page.browser.rows import row, rows, set_hidden

if TYPE_CHECKING:
    from tests.page.browser.conftest import Tab

MANY: Final = 100_000
BATCH: Final = 1_000


def fill(client: SyncClient, parent: str, count: int) -> None:
    """n-000000, n-000001, …"""
    client.create(parent)
    for start in range(0, count, BATCH):
        with client.transaction() as txn:
            for number in range(start, min(start + BATCH, count)):
                txn.create(f"{parent}/n-{number:06d}", b"")


def test_a_hundred_thousand_children(tab: Tab, client: SyncClient) -> None:
    """Few rows are ever drawn; the last is one key away; a change at the end is live."""
    fill(client, "/many", MANY)
    page = tab.open("#/tree/many")
    row(page, "many").get_by_text("100,000").wait_for()
    page.get_by_role("tree").press("ArrowRight")
    row(page, "n-000000").wait_for()
    assert row(page, "n-000000").get_attribute("aria-setsize") == str(MANY)
    assert rows(page).count() < 100

    page.get_by_role("tree").press("End")
    page.get_by_role("treeitem", selected=True, name=re.compile("^zookeeper")).wait_for()
    page.get_by_role("tree").press("PageUp")
    row(page, f"n-{MANY - 1:06d}").wait_for()
    assert rows(page).count() < 100

    client.set(f"/many/n-{MANY - 1:06d}", b"late")
    row(page, f"n-{MANY - 1:06d}").get_by_text("4 B").wait_for()


def test_more_changes_than_can_be_told(tab: Tab, client: SyncClient) -> None:
    """The rows in sight are read again, whether the page was there or looked away meanwhile."""
    fill(client, "/flood", 900)
    page = tab.open("#/tree/flood/n-000003")
    row(page, "n-000003").wait_for()

    flood(client, b"22")
    row(page, "n-000003").get_by_text("2 B").wait_for()
    row(page, "n-000001").get_by_text("2 B").wait_for()
    page.get_by_role("tabpanel").get_by_text("22", exact=True).wait_for()

    set_hidden(page, is_hidden=True)
    flood(client, b"333")
    set_hidden(page, is_hidden=False)
    row(page, "n-000001").get_by_text("3 B").wait_for()
    page.get_by_role("tabpanel").get_by_text("333", exact=True).wait_for()


def flood(client: SyncClient, value: bytes) -> None:
    """Change all of them at once."""
    with client.transaction() as txn:
        for number in range(900):
            txn.set(f"/flood/n-{number:06d}", value)


def test_a_path_among_many_is_found(tab: Tab, client: SyncClient) -> None:
    """By its address: the rows before it are read, and it is shown among them."""
    fill(client, "/found", 2_500)
    page = tab.open("#/tree/found/n-002222")
    row(page, "n-002222").wait_for()
    assert row(page, "n-002222").get_attribute("aria-selected") == "true"
    assert row(page, "n-002222").get_attribute("aria-posinset") == "2223"
