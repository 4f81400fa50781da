"""The files of the page: which there are, how they are sent, and that nothing else is."""

from __future__ import annotations

import re

import pytest

from coord.server.http import page
from tests.server.http.conftest import House

FILES = page.load()
IMPORT = re.compile(r'^(?:import .*|\} )from "(.+)";$', re.MULTILINE)


async def test_the_page_is_at_the_root(house: House) -> None:
    """With a policy that lets nothing in but its own files."""
    async with house.client.get(house.url("/")) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        policy = answer.headers["Content-Security-Policy"]
        assert "coord" in await answer.text()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("css/base.css", "text/css"),
        ("js/main.js", "text/javascript"),
        ("icon.svg", "image/svg+xml"),
    ],
)
async def test_every_file_has_its_type(house: House, name: str, content_type: str) -> None:
    """The browser is told not to guess."""
    async with house.client.get(house.url(f"/page/{name}")) as answer:
        assert (answer.status, answer.content_type, answer.charset) == (200, content_type, "utf-8")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert await answer.read() == FILES[name].body


async def test_a_copy_that_still_holds_is_not_sent_again(house: House) -> None:
    """304 for the tag that the file has, the file for any other."""
    url = house.url("/page/js/main.js")
    async with house.client.get(url) as answer:
        tag = answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "no-cache"
    async with house.client.get(url, headers={"If-None-Match": f'"other", {tag}'}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
        assert answer.headers["ETag"] == tag
    async with house.client.get(url, headers={"If-None-Match": '"other"'}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "name", ["", "js", "nothing.js", "..%2fdoors.py", "js/..%2f..%2f..%2fpage.py", "%00", "js/"]
)
async def test_nothing_else_is_served(house: House, name: str) -> None:
    """Only names of files that were there at the start mean anything."""
    async with house.client.get(house.url(f"/page/{name}")) as answer:
        assert answer.status == 404


def test_every_file_that_is_named_exists() -> None:
    """In the page itself, and where modules import each other."""
    index = FILES[page.INDEX].body.decode()
    named = re.findall(r'(?:href|src)="(/page/.+?)"', index)
    for name, file in FILES.items():
        if name.endswith(".js"):
            named += IMPORT.findall(file.body.decode())
    assert len(named) > 50
    assert {name.removeprefix("/page/") for name in named} <= set(FILES)


def test_no_file_is_left_over() -> None:
    """What nobody names is dead; to be fetched beforehand is not enough."""
    text = "".join(file.body.decode() for file in FILES.values())
    text = re.sub(r"<link rel=.modulepreload.*", "", text)
    unnamed = {name for name in FILES if f"/page/{name}" not in text}
    assert unnamed == {page.INDEX}


def test_every_module_is_fetched_beforehand() -> None:
    """Else the browser would learn of them level by level, one round trip each."""
    preloaded = re.findall(
        r'rel="modulepreload" href="/page/(.+?)"', FILES[page.INDEX].body.decode()
    )
    modules = {name for name in FILES if name.endswith(".js")}
    assert set(preloaded) == modules - {"js/main.js"}


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    """The policy would refuse it; better never to try. The SVG namespace is a name, no address."""
    index = FILES[page.INDEX].body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", index)
    for name, file in FILES.items():
        text = file.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://[\w.]|innerHTML|outerHTML|insertAdjacentHTML", text), name
