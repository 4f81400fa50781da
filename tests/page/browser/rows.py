"""Rows of the tree, as assistive technology finds them."""

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
