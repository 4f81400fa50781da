"""Watches as server-sent events: order, values, resume, what is no longer kept, slow readers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import pytest

from coord.model.errors import OverloadedError
from coord.protocol.native_client import StreamPush
from coord.server.http.api import watch
from coord.server.http.api.watch import Feed
from tests.http_api.conftest import ANN, Api


class Message(NamedTuple):
    """One event."""

    id: str | None
    event: str
    data: Any


class Stream:
    """An EventSource."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> Message:
        """The next message that says something."""
        fields: dict[str, str] = {}
        while True:
            line = (await self.answer.content.readline()).decode()
            assert line, "the stream has ended"
            name, _, value = line.rstrip("\n").partition(": ")
            if line != "\n":
                fields[name] = value
            elif "data" in fields:
                return Message(fields.get("id"), fields["event"], json.loads(fields["data"]))
            else:
                fields = {}

    async def change(self) -> Message:
        """The next change."""
        while (message := await self.next()).event != "change":
            assert message.event == "bookmark"
        return message


@asynccontextmanager
async def watching(api: Api, path: str, **headers: str) -> AsyncIterator[Stream]:
    """A stream."""
    async with api.client.get(api.url(f"/v1/watch/{path}"), headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        yield Stream(answer)


async def test_changes_come_in_order_with_their_revisions(api: Api) -> None:
    """A node and its list of children."""
    await api.post("/v1/nodes/w", {})
    async with watching(api, "w?values=true") as stream:
        opened = await stream.next()
        assert opened.event == "open"
        assert opened.id is not None
        put = await api.ask("PUT", "/v1/nodes/w", {"value": "two"})
        made = await api.post("/v1/nodes/w/below", {})
        first, second = await stream.change(), await stream.change()
    (change,) = first.data["changes"]
    assert (change["kind"], change["value"], change["stat"]["version"]) == ("data", "two", 1)
    assert first.data["revision"] == put.json["revision"]
    assert [each["kind"] for each in second.data["changes"]] == ["children"]
    assert second.data["revision"] == made["revision"]


async def test_a_stream_resumes_after_the_last_message(api: Api) -> None:
    """Nothing is lost, nothing told twice, whichever way the id is sent back."""
    await api.post("/v1/nodes/w", {})
    async with watching(api, "w?recursive=true") as stream:
        await stream.next()
        await api.post("/v1/nodes/w/a", {})
        seen = await stream.change()
    for name in "bcd":
        await api.post(f"/v1/nodes/w/{name}", {})
    assert seen.id is not None
    for query, headers in (
        ("w?recursive=true", {"Last-Event-ID": seen.id}),
        (f"w?recursive=true&resume={seen.id}", {}),
    ):
        async with watching(api, query, **headers) as stream:
            assert (await stream.next()).event == "open"
            told = [await stream.change() for _ in range(3)]
        paths = [change["path"] for message in told for change in message.data["changes"]]
        assert paths == ["/w/b", "/w/c", "/w/d"]


async def test_what_is_no_longer_kept_is_said(api: Api) -> None:
    """And the stream goes on from now."""
    await api.post("/v1/nodes/w", {})
    async with watching(api, "w", **{"Last-Event-ID": "abc.1"}) as stream:
        first = await stream.next()
        assert first.event == "compacted"
        assert first.data["revision"] > 0
        await api.ask("PUT", "/v1/nodes/w", {"value": "x"})
        assert (await stream.change()).data["changes"][0]["path"] == "/w"


@pytest.mark.parametrize("token", ["x", "1", "1.x", "-1.5", f"1.{2**60}", "1.1.1"])
async def test_ids_of_nobody_are_refused(api: Api, token: str) -> None:
    """Before a stream is opened."""
    assert (await api.refused("GET", f"/v1/watch/w?resume={token}")).status == 400


async def test_acls_decide_what_is_heard(api: Api) -> None:
    """By the user who watches."""
    acl = [{"permissions": ["read", "write"], "scheme": "auth", "id": ""}]
    async with (
        watching(api, "?recursive=1") as anybody,
        watching(api, "?recursive=1", **ANN) as ann,
    ):
        await anybody.next()
        await ann.next()
        await api.post("/v1/nodes/private", {"acl": acl}, headers=ANN)
        await api.post("/v1/nodes/public", {})
        assert (await anybody.change()).data["changes"][0]["path"] == "/public"
        assert (await ann.change()).data["changes"][0]["path"] == "/private"


async def test_the_end_is_told(api: Api) -> None:
    """The client knows to resume elsewhere; the watch leaves nothing behind."""
    async with watching(api, "") as stream:
        await stream.next()
        assert (await api.get("/v1/watchers/"))["total"] == 1
        api.single.node.gateway.end_all("draining", "for the test")
        ended = await stream.next()
    assert (ended.event, ended.data["code"]) == ("end", "connection-lost")
    while api.door.services.feeds:
        await asyncio.sleep(0.01)


async def test_a_client_that_goes_is_forgotten(api: Api) -> None:
    """Its watch and its session too."""
    async with watching(api, "") as stream:
        await stream.next()
        stream.answer.close()
    while (await api.get("/v1/watchers/"))["total"]:
        await api.ask("PUT", "/v1/nodes/", {"value": "x"})


async def test_a_stream_ends_after_a_while(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is resumed with the rights of that moment."""
    monkeypatch.setattr(watch, "STREAM_S", 0.0)
    async with watching(api, "") as stream:
        assert (await stream.next()).event == "open"
        assert await stream.answer.content.read() == b""


async def test_watches_are_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused."""
    monkeypatch.setattr(watch, "WATCHES_MAX", 1)
    async with watching(api, "") as stream:
        await stream.next()
        refused = await api.refused("GET", "/v1/watch/")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")


async def test_a_feed_that_nobody_reads_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its bound, and says so; what was pending is dropped."""
    monkeypatch.setattr(watch, "PENDING_BYTES_MAX", 2_000)
    feed = Feed()
    push = StreamPush(1, 5, 0, True, ())
    for _ in range(5):
        feed.push(push)
    with pytest.raises(OverloadedError):
        await feed.next()
