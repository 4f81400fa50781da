"""Changing things: only when signed in, with the version that was seen, and after a warning."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from coord.model.errors import NoAuthError
from coord_client.sync import SyncClient

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.page.browser.conftest import OpenTab, Tab


def sign_in(page: Page) -> None:
    """As ann."""
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("User").fill("ann")
    page.get_by_label("Password").fill("secret")
    page.keyboard.press("Enter")
    page.get_by_role("button", name=re.compile("ann")).wait_for()
    page.get_by_role("dialog").wait_for(state="detached")


def test_nothing_can_be_changed_without_signing_in(tab: Tab, client: SyncClient) -> None:
    """The page offers to sign in instead; Escape leaves everything as it was."""
    client.create("/guest", b"")
    page = tab.open("#/tree/guest")
    page.get_by_role("button", name="Sign in to change").click()
    page.get_by_role("dialog", name="Sign in").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.evaluate("() => document.activeElement.textContent") == "Sign in to change"
    for name in ("Edit", "Delete", "Create"):
        assert page.get_by_role("button", name=name, exact=True).count() == 0


def test_create_edit_and_delete(tab: Tab, client: SyncClient) -> None:
    """From signing in to signing out."""
    client.create("/edit")
    page = tab.open("#/tree/edit")
    sign_in(page)

    page.get_by_role("button", name="Create", exact=True).click()
    page.get_by_label("Name").fill("<i>made & kept")
    page.get_by_role("textbox", name="Value").fill("by hand")
    page.get_by_label("Only ann may read or change it").check()
    page.get_by_role("dialog").get_by_role("button", name="Create").click()
    page.get_by_role("tabpanel").get_by_text("by hand").wait_for()
    with pytest.raises(NoAuthError):
        client.get("/edit/<i>made & kept")

    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_role("textbox", name="Value").fill("by hand, twice")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved as version 1.").wait_for()
    page.get_by_role("tabpanel").get_by_text("by hand, twice").wait_for()

    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("with its value of 14 B, if it is still at version 1").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.wait_for_url(re.compile("#/tree/edit$"))
    assert client.exists("/edit/<i>made & kept") is None

    page.get_by_role("button", name=re.compile("ann")).click()
    page.get_by_role("button", name="Sign in to change").wait_for()


def test_a_change_of_somebody_else_is_never_overwritten_unseen(
    new_tab: OpenTab, client: SyncClient
) -> None:
    """The version that was seen is sent; who wants to replace theirs says so."""
    client.create("/conflict", b"seen")
    tab = new_tab(errors_allowed=True)
    page = tab.open("#/tree/conflict")
    sign_in(page)
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_role("textbox", name="Value").fill("mine")
    client.set("/conflict", b"theirs")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("it is at version 1 now. Nothing was written.").wait_for()
    assert client.get("/conflict").data == b"theirs"

    page.get_by_role("button", name="Replace theirs").click()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved as version 2.").wait_for()
    assert client.get("/conflict").data == b"mine"
    assert all("412" in error or "409" in error for error in tab.errors)


def test_a_deletion_says_what_will_go(tab: Tab, client: SyncClient) -> None:
    """How many nodes, which, and the path has to be typed."""
    client.create("/doomed")
    for name in ("one", "two", "three"):
        client.create(f"/doomed/{name}")
    client.create("/doomed/two/deep")
    page = tab.open("#/tree/doomed")
    sign_in(page)
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("This deletes 5 nodes").wait_for()
    page.get_by_role("dialog").get_by_text("/doomed/three").wait_for()
    page.get_by_role("dialog").get_by_text("and 1 child").wait_for()

    page.get_by_role("button", name="Delete all of it").click()
    page.get_by_text("What you typed is not the path.").wait_for()
    assert client.exists("/doomed") is not None

    page.get_by_label("Type /doomed to confirm").fill("/doomed")
    page.get_by_role("button", name="Delete all of it").click()
    page.get_by_text("Deleted 5 nodes.").wait_for()
    assert client.exists("/doomed") is None


def test_a_value_of_bytes_is_edited_as_bytes(tab: Tab, client: SyncClient) -> None:
    """What is no text never passes through one."""
    client.create("/binary", b"\xff\x00\x01")
    page = tab.open("#/tree/binary")
    sign_in(page)
    page.get_by_role("button", name="Edit", exact=True).click()
    assert page.get_by_role("textbox", name="Value").input_value() == "ff 00 01"
    page.get_by_role("textbox", name="Value").fill("ff 00 0")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("pairs of the digits").wait_for()
    page.get_by_role("textbox", name="Value").fill("ff 00 02")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved as version 1.").wait_for()
    assert client.get("/binary").data == b"\xff\x00\x02"
