"""The tree: live, searchable, safe, and usable without a mouse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pytest

from coord_client.sync import SyncClient
from tests.page.browser.rows import row

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.page.browser.conftest import Tab


def test_changes_appear_as_they_happen(tab: Tab, client: SyncClient) -> None:
    """Created, changed and deleted nodes, in the rows and in the node that is shown."""
    client.create("/live")
    client.create("/live/a", b"first")
    page = tab.open("#/tree/live/a")
    page.get_by_text("first", exact=True).wait_for()

    client.set("/live/a", b"second")
    page.get_by_text("second", exact=True).wait_for()

    client.create("/live/b", b"12345")
    row(page, "b").get_by_text("5 B").wait_for()
    row(page, "live").get_by_text("2", exact=True).wait_for()

    client.delete("/live/b")
    row(page, "b").wait_for(state="detached")

    client.delete("/live/a")
    page.get_by_text("There is no such node.").wait_for()
    row(page, "a").wait_for(state="detached")


def test_search(tab: Tab, client: SyncClient) -> None:
    """Words find nodes wherever they are; Enter goes to the first; a path goes there at once."""
    client.create("/search")
    client.create("/search/needle-one", b"1")
    client.create("/search/Needle-two", b"2")
    page = tab.open()
    page.keyboard.press("Control+k")
    page.keyboard.type("needle")
    page.get_by_role("option", name="/search/Needle-two").wait_for()
    page.get_by_text("2 found").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("#/tree/search/needle-one$"))
    row(page, "needle-one").wait_for()

    page.keyboard.press("Control+k")
    page.keyboard.type("/search/Needle-two/")
    page.get_by_role("option", name="/search/Needle-two").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("#/tree/search/Needle-two$"))


NAMES: Final = (
    "<img src=x onerror=alert(1)>",
    "<b>bold",
    "&amp;",
    "%2e%2e",
    "with space?and=this#too",
    "日本語",
    "😀 party",
    "quo\"te'",
    "a\u202eb",
)


def test_names_are_text(tab: Tab, client: SyncClient) -> None:
    """Whatever a name holds, it is shown, linked, and never becomes markup."""
    client.create("/names")
    for name in NAMES:
        client.create(f"/names/{name}", name.encode())
    page = tab.open("#/tree/names")
    page.get_by_role("tree").press("ArrowRight")
    for name in NAMES:
        page.evaluate(
            "path => { location.hash = path }", f"#/tree/{'/'.join(map(quoted, ['names', name]))}"
        )
        shown = name.replace("\u202e", "⟨U+202E⟩")
        row(page, shown).wait_for()
        page.get_by_role("tabpanel").get_by_text(name, exact=True).wait_for()
    assert page.locator("#main img, .tree b, .crumbs b").count() == 0


def test_the_browser_itself_refuses_markup(tab: Tab, client: SyncClient) -> None:
    """Whatever a later version of the page may try."""
    assert client.session_id
    page = tab.open()
    for attempt in (
        "document.body.innerHTML = '<b>x</b>'",
        "document.write('<b>x</b>')",
        "document.createElement('script').text = 'alert(1)'",
    ):
        told = page.evaluate(
            f"() => {{ try {{ {attempt}; return 'done' }} catch {{ return 'no' }} }}"
        )
        assert told == "no", attempt
    assert tab.errors
    tab.errors.clear()


def quoted(name: str) -> str:
    """As encodeURIComponent has it."""
    return quote(name, safe="")


def test_everything_is_within_reach_of_the_keyboard(tab: Tab, client: SyncClient) -> None:
    """From the top of the page to a value, without a mouse; the focus is always somewhere."""
    client.create("/keys")
    client.create("/keys/one", b"the value of one")
    client.create("/keys/two", b"the value of two")
    page = tab.open()
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.get_by_role("tree").evaluate("it => it === document.activeElement")

    page.keyboard.type("keys")
    active(page, "keys")
    page.keyboard.press("ArrowRight")
    row(page, "two").wait_for()
    page.keyboard.press("ArrowRight")
    active(page, "one")
    page.keyboard.press("ArrowDown")
    active(page, "two")
    page.get_by_text("the value of two").wait_for()
    page.keyboard.press("ArrowLeft")
    active(page, "keys")
    page.keyboard.press("ArrowLeft")
    row(page, "two").wait_for(state="detached")

    seen = []
    while "Value" not in seen:
        page.keyboard.press("Tab")
        seen.append(focused(page))
    assert "Value" in seen
    page.get_by_role("tab", name="Value").focus()
    page.keyboard.press("ArrowRight")
    assert focused(page) == "Details"
    page.get_by_text("Value changed").wait_for()


def focused(page: Page) -> str:
    """What has the focus, by its name or text."""
    name = page.evaluate(
        """() => {
          const it = document.activeElement;
          if (it === document.body) return null;
          return it.getAttribute("aria-label") ?? it.textContent;
        }"""
    )
    assert name is not None, "nothing has the focus"
    return str(name)


def active(page: Page, name: str) -> None:
    """Wait until a row is the one that assistive technology is told of."""
    page.wait_for_function(
        "name => { const tree = document.querySelector('[role=tree]');"
        " const row = document.getElementById(tree.getAttribute('aria-activedescendant'));"
        " return row?.getAttribute('aria-label').split(',')[0] === name }",
        arg=name,
    )
    assert row(page, name).get_attribute("aria-selected") == "true"


@pytest.mark.parametrize("place", ["#/tree/", "#/services", "#/sessions", "#/cluster"])
def test_whatever_can_be_focused_has_a_name(tab: Tab, client: SyncClient, place: str) -> None:
    """A screen reader has words for every control."""
    assert client.session_id
    page = tab.open(place)
    page.wait_for_function("() => !document.querySelector('#main [aria-busy=true]')")
    session = tab.context.new_cdp_session(page)
    tree = session.send("Accessibility.getFullAXTree")
    nameless = [
        node["role"]["value"]
        for node in tree["nodes"]
        if not node["ignored"]
        and any(one["name"] == "focusable" for one in node.get("properties", ()))
        and not node.get("name", {}).get("value")
        and node["role"]["value"] not in {"RootWebArea", "main"}
    ]
    assert not nameless


def test_dark_and_light(tab: Tab, client: SyncClient) -> None:
    """As the system says, or as was chosen, also after a reload; text stands out in both."""
    assert client.session_id
    page = tab.open()
    page.emulate_media(color_scheme="dark")
    assert contrast(page) > 7
    dark = background(page)
    page.emulate_media(color_scheme="light")
    assert contrast(page) > 7
    assert background(page) != dark

    page.get_by_role("button", name="Colours: as the system").click()
    page.get_by_role("button", name="Colours: light").click()
    page.get_by_role("button", name="Colours: dark").wait_for()
    assert background(page) == dark
    page.reload()
    page.get_by_role("button", name="Colours: dark").wait_for()
    assert background(page) == dark


def background(page: Page) -> str:
    """Of the page."""
    return str(page.evaluate("() => getComputedStyle(document.body).backgroundColor"))


def contrast(page: Page) -> float:
    """Between text and background, as WCAG counts it."""
    return float(
        page.evaluate(
            """() => {
              const style = getComputedStyle(document.body);
              const [a, b] = [style.color, style.backgroundColor].map((text) => {
                const [r, g, b] = text.match(/[\\d.]+/g).map((part) => {
                  const c = Number(part) / 255;
                  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
              });
              return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            }"""
        )
    )


def test_motion_can_be_done_without(tab: Tab, client: SyncClient) -> None:
    """Who asks for less motion gets none."""
    assert client.session_id
    page = tab.open()
    page.emulate_media(reduced_motion="reduce")
    slow = page.evaluate(
        "() => getComputedStyle(document.documentElement).getPropertyValue('--slow')"
    )
    assert slow.strip() in {"0ms", "0s"}
