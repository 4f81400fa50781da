"""One node: its value in every form, its past, and the differences between."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import msgpack

from coord_client.sync import SyncClient

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.page.browser.conftest import Tab

MIB: Final = 1024 * 1024 - 1


def form(page: Page) -> str:
    """The form in which the value is shown."""
    return page.locator(".segments [aria-pressed=true]").inner_text()


def test_a_value_is_shown_in_the_form_that_suits_it(tab: Tab, client: SyncClient) -> None:
    """JSON, MessagePack, text, and bytes for the rest; the others can be chosen where they fit."""
    client.create("/forms")
    client.create("/forms/json", json.dumps({"replicas": 3, "<b>": None}).encode())
    client.create("/forms/packed", msgpack.packb({"port": 8080, "raw": b"\x00\xff"}))
    client.create("/forms/text", b"plain words")
    client.create("/forms/bytes", b"\xc1\xff\x00")
    client.create("/forms/none")

    page = tab.open("#/tree/forms/json")
    page.get_by_text('"replicas": 3').wait_for()
    assert form(page) == "JSON"
    page.get_by_role("button", name="Hex").click()
    page.get_by_text("7b 22 72 65").wait_for()
    assert page.get_by_role("button", name="MessagePack").is_disabled()

    page.evaluate("location.hash = '#/tree/forms/packed'")
    page.get_by_text('"$bytes": "00ff"').wait_for()
    assert form(page) == "MessagePack"

    page.evaluate("location.hash = '#/tree/forms/text'")
    page.get_by_text("plain words").wait_for()
    assert form(page) == "Text"

    page.evaluate("location.hash = '#/tree/forms/bytes'")
    page.get_by_text("c1 ff 00").wait_for()
    assert form(page) == "Hex"

    page.evaluate("location.hash = '#/tree/forms/none'")
    page.get_by_text("The value is empty.").wait_for()


def test_a_megabyte_of_bytes(tab: Tab, client: SyncClient) -> None:
    """The whole of it can be reached and downloaded; few lines of it are in the document."""
    value = bytes(number % 251 for number in range(MIB))
    client.create("/megabyte", value)
    page = tab.open("#/tree/megabyte")
    page.get_by_text("1 MiB (1,048,575 bytes)").wait_for()
    lines = page.get_by_role("region", name="Bytes in hexadecimal, 65536 lines")
    lines.evaluate("it => it.scrollTo(0, it.scrollHeight)")
    page.get_by_text("0ffff0").wait_for()
    assert page.locator(".hex-row").count() < 100

    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.path().read_bytes() == value
    assert download.value.suggested_filename == "megabyte"


def test_details_and_access_are_in_words(tab: Tab, client: SyncClient) -> None:
    """Not in ZooKeeper's abbreviations."""
    client.create("/words", b"1")
    client.set("/words", b"22")
    page = tab.open("#/tree/words?tab=details")
    page.get_by_text("2 B, version 1").wait_for()
    page.get_by_text("changed once since created").wait_for()
    page.get_by_text("stays until it is deleted").wait_for()
    with client.watch("/words"):
        page.reload()
        page.get_by_role("cell", name="orders-service").or_(
            page.get_by_text("Nobody who is connected to node 1 watches this.")
        ).wait_for()
    page.get_by_role("tab", name="Access").click()
    page.get_by_role("cell", name="everybody").wait_for()
    page.get_by_role("cell", name="everything").wait_for()


def test_any_two_revisions_can_be_compared(tab: Tab, client: SyncClient) -> None:
    """Line by line, JSON by its members; who made them and from where is beside them."""
    client.create("/past", json.dumps({"a": 1, "b": 1}).encode())
    for number in (2, 3):
        client.set("/past", json.dumps({"a": 1, "b": number}).encode())
    page = tab.open("#/tree/past?tab=history")
    page.locator(".difference li.added").get_by_text('"b": 3').wait_for()
    page.locator(".difference li.removed").get_by_text('"b": 2').wait_for()
    assert page.get_by_role("row").count() == 4
    session = page.get_by_role("link", name=re.compile(r"^session 0x[0-9a-f]+$")).first
    assert session.get_attribute("href") == f"#/sessions/{client.session_id:#x}"

    page.get_by_role("radio", name=re.compile("^Compare from")).last.check()
    page.locator(".difference li.removed").get_by_text('"b": 1').wait_for()

    client.set("/past", json.dumps({"a": 1, "b": 4}).encode())
    page.get_by_role("row").nth(4).wait_for()
    assert page.locator(".difference li.added").get_by_text('"b": 3').is_visible()


def test_the_tree_as_of_a_revision(tab: Tab, client: SyncClient) -> None:
    """All of it, as it was; the page says so, offers no change, and comes back to now."""
    client.create("/then")
    client.create("/then/gone", b"once here")
    client.set("/then/gone", b"still here")
    client.delete("/then/gone")
    client.create("/then/new")
    page = tab.open("#/tree/then/gone?tab=history")
    page.get_by_text("deleted").wait_for()
    page.get_by_role("link", name="tree as of").nth(1).click()
    page.get_by_text("This is the tree as of revision").wait_for()
    page.get_by_text("still here").wait_for()
    assert page.get_by_role("treeitem", name=re.compile("^gone")).is_visible()
    assert page.get_by_role("treeitem", name=re.compile("^new")).count() == 0
    assert page.get_by_role("button", name="Sign in to change").count() == 0

    page.get_by_role("button", name="Back to now").click()
    page.get_by_role("treeitem", name=re.compile("^new")).wait_for()
    page.get_by_text("There is no such node.").wait_for()
    tab.errors = [error for error in tab.errors if "404" not in error]
