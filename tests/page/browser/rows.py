"""Rows of the tree, as assistive technology finds them; a tab that nobody looks at."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def rows(page: Page) -> Locator:
    """Rows that are drawn."""
    return page.get_by_role("treeitem")


def row(page: Page, name: str) -> Locator:
    """The row of a node, by its name."""
    return page.get_by_role("treeitem", name=re.compile(rf"^{re.escape(name)}(,|$)"))


def set_hidden(page: Page, *, is_hidden: bool) -> None:
    """As when another tab is chosen, or this one again; waits until the page has taken it in."""
    page.evaluate(
        """is => {
          Object.defineProperty(document, "hidden", { value: is, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_hidden,
    )
    word = "paused" if is_hidden else "live"
    page.locator("#topbar").get_by_text(word, exact=True).wait_for()
