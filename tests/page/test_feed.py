"""The feed: what pages are told, how little of it, and what happens when it is too much."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from coord.model import requests as rq
from coord.model.acl import ALL, Acl
from coord.model.znode import Stat
from coord.server.http import feed as feeds
from coord.server.http.feed import Feed, Listener, Token, gather
from tests.node.single import Peer, Single, create
from tests.server.http.conftest import House

MINE = ("digest", "ann:hash")


class Page:
    """A page that follows directories."""

    def __init__(self, feed: Feed, *directories: str, since: Token | None = None) -> None:
        self.listener = Listener(directories, ())
        feed.join(self.listener, since)

    def hear(self) -> list[tuple[str, dict[str, Any]]]:
        """(event, data) of all that waits, the pulse left out."""
        raw = b"".join(self.listener._messages).decode()
        self.listener._messages.clear()
        return [message for message in messages_of(raw) if message[0] != "pulse"]

    def dirs(self) -> dict[str, Any]:
        """What it hears of directories; nothing else may have come."""
        told: dict[str, Any] = {}
        for kind, data in self.hear():
            assert kind == "changes"
            told |= data["dirs"]
        return told


def stat_of(numbers: list[int]) -> Stat:
    """A stat as the feed tells it."""
    return Stat(*numbers)


def messages_of(raw: str) -> list[tuple[str, dict[str, Any]]]:
    """Server-sent events, taken apart."""
    found = []
    for block in raw.split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((lines["event"], json.loads(lines["data"])))
    return found


@pytest.fixture
def single() -> Single:
    """A cluster of one, with /a and /a/x."""
    single = Single()
    client = single.client()
    client.call(create("/a"))
    client.call(create("/a/x"))
    return single


@pytest.fixture
def client(single: Single) -> Peer:
    """Somebody who changes things."""
    return single.client()


@pytest.fixture
async def feed(single: Single) -> Feed:
    """Ticks by hand."""
    return Feed(single.node)


async def test_a_page_hears_of_what_it_follows(feed: Feed, client: Peer) -> None:
    """How children are now, and the directory itself; nothing of others."""
    page, other = Page(feed, "/a"), Page(feed, "/b")
    page.hear()
    other.hear()
    client.call(rq.Set("/a/x", b"new", -1))

    feed.tick()

    told = page.dirs()
    assert list(told) == ["/a"]
    [[name, numbers]] = told["/a"]["entries"]
    stat = stat_of(numbers)
    assert (name, stat.version, stat.data_length) == ("x", 1, 3)
    assert (stat_of(told["/a"]["stat"]).num_children, told["/a"]["more"]) == (1, False)
    assert not other.hear()
    feed.tick()
    assert not page.hear()
    feed.close()


async def test_many_changes_of_one_node_are_one_piece_of_news(feed: Feed, client: Peer) -> None:
    """What counts is how it is now."""
    page = Page(feed, "/a")
    page.hear()
    for number in range(50):
        client.call(rq.Set("/a/x", b"%d" % number, -1))
    feed.tick()
    [[_, numbers]] = page.dirs()["/a"]["entries"]
    assert stat_of(numbers).version == 50
    feed.close()


async def test_a_creation_and_a_deletion_are_news_of_the_parent_too(
    feed: Feed, client: Peer
) -> None:
    """Its row shows how many children it has."""
    page = Page(feed, "/", "/a")
    page.hear()
    client.call(create("/a/y"))
    client.call(rq.Delete("/a/x", -1))
    feed.tick()
    told = page.dirs()
    assert [name for name, _ in told["/"]["entries"]] == ["a"]
    assert {name: stat is None for name, stat in told["/a"]["entries"]} == {"x": True, "y": False}
    feed.close()


async def test_a_directory_that_goes_is_told(feed: Feed, client: Peer) -> None:
    """Its stat is null."""
    page = Page(feed, "/a")
    page.hear()
    client.call(rq.Delete("/a/x", -1))
    client.call(rq.Delete("/a", -1))
    feed.tick()
    assert page.dirs()["/a"]["stat"] is None
    feed.close()


async def test_who_may_not_list_hears_nothing(feed: Feed, client: Peer) -> None:
    """READ is asked of the directory, as for a listing."""
    allowed = Listener(["/a"], (MINE,))
    feed.join(allowed, None)
    page = Page(feed, "/a")
    page.hear()
    client.call(rq.SetAcl("/a", (Acl(ALL, *MINE),), -1))
    client.call(rq.Set("/a/x", b"secret", -1))
    feed.tick()
    assert not page.hear()
    assert b"changes" in await allowed.take()
    feed.close()


async def test_a_page_that_comes_back_hears_what_it_missed(
    feed: Feed, single: Single, client: Peer
) -> None:
    """Everything after its token, at once."""
    seen = Token(single.store.machine.history_id, single.node.reader.revision)
    client.call(rq.Set("/a/x", b"missed", -1))
    page = Page(feed, "/a", since=seen)
    told = page.hear()
    assert [kind for kind, _ in told] == ["open", "changes"]
    assert stat_of(told[1][1]["dirs"]["/a"]["entries"][0][1]).data_length == 6
    feed.close()


@pytest.mark.parametrize("since", [Token(99, 1), Token(1, 10**12)])
async def test_a_token_of_another_life_starts_the_page_over(feed: Feed, since: Token) -> None:
    """Of another history (the cluster was restored), or of a future that is none."""
    page = Page(feed, "/a", since=since)
    assert [kind for kind, _ in page.hear()] == ["open", "reset"]
    feed.close()


async def test_too_much_at_once_is_said_to_be(
    feed: Feed, client: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all that is followed: the page looks at the rows in its sight."""
    monkeypatch.setattr(feeds, "LOOK_MAX", 3)
    page = Page(feed, "/", "/a")
    page.hear()
    for _ in range(4):
        client.call(rq.Set("/a/x", b"", -1))
    feed.tick()
    told = page.dirs()
    assert {path: (news["entries"], news["more"]) for path, news in told.items()} == {
        "/": ([], True),
        "/a": ([], True),
    }
    feed.close()


async def test_of_much_news_of_one_directory_only_the_names_are_told(
    feed: Feed, client: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page asks for those in its sight. The others are told as ever."""
    monkeypatch.setattr(feeds, "ENTRIES_MAX", 2)
    page = Page(feed, "/", "/a")
    page.hear()
    for name in "pqr":
        client.call(create(f"/a/{name}"))
    feed.tick()
    told = page.dirs()
    assert told["/a"]["entries"] == []
    assert (told["/a"]["names"], told["/a"]["more"]) == (["p", "q", "r"], False)
    assert [name for name, _ in told["/"]["entries"]] == ["a"]
    feed.close()


async def test_a_tick_is_cut_into_steps(
    feed: Feed, client: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is written between them is told now or by the next tick, and nothing is lost."""
    monkeypatch.setattr(feeds, "LOOK_A_STEP", 2)
    monkeypatch.setattr(feeds, "PAGES_A_STEP", 1)
    early, leaving = Page(feed, "/a"), Page(feed, "/a")
    for page in (early, leaving):
        page.hear()
    for name in "pqrst":
        client.call(create(f"/a/{name}"))
    steps = feed.steps()
    next(steps)
    client.call(create("/a/u"))
    late = Page(feed, "/a")
    late.hear()
    feed.leave(leaving.listener)

    assert len(list(steps)) == 3
    client.call(create("/a/v"))
    feed.tick()

    assert not leaving.hear()
    told = [name for _, data in early.hear() for name, _ in data["dirs"]["/a"]["entries"]]
    assert set(told) == set("pqrstuv")
    assert "v" in late.dirs()["/a"]["entries"][-1]
    feed.close()


async def test_a_page_that_reads_slowly_starts_over(feed: Feed, client: Peer) -> None:
    """Its messages are bounded; what it reads in the end is no half of the story."""
    page = Page(feed, "/a")
    for number in range(3 * feeds.WAITING_MAX):
        client.call(rq.Set("/a/x", b"%d" % number, -1))
        feed.tick()
    assert len(page.listener._messages) <= feeds.WAITING_MAX
    kinds = [kind for kind, _ in page.hear()]
    assert "reset" in kinds
    assert "open" not in kinds
    feed.close()


async def test_many_pages_are_told_less_often(feed: Feed) -> None:
    """But often enough to know that the node is there."""
    assert feed.tick_s == feeds.TICK_S
    for _ in range(2 * feeds.PAGES_A_TICK):
        feed.join(Listener([], ()), None)
    assert feed.tick_s == 2 * feeds.TICK_S
    for _ in range(100 * feeds.PAGES_A_TICK):
        feed.join(Listener([], ()), None)
    assert feed.tick_s == feeds.QUIET_S
    feed.close()


async def test_the_pulse_beats_without_news(feed: Feed) -> None:
    """A page can tell silence from peace."""
    page = Page(feed, "/a")
    page.hear()
    feed.tick()
    page.listener._messages.clear()
    beats = 0
    for _ in range(int(2 * feeds.QUIET_S / feeds.TICK_S)):
        feed.tick()
        beats += len(page.listener._messages)
        page.listener._messages.clear()
    assert beats == 2
    feed.close()


async def test_nothing_is_looked_at_without_pages(
    feed: Feed, single: Single, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task ends with the last page."""
    monkeypatch.setattr(feeds, "TICK_S", 0.0)
    page = Page(feed, "/a")
    task = feed._task
    assert task is not None
    feed.leave(page.listener)
    await task
    assert (len(feed), feed._task) == (0, None)


@pytest.mark.parametrize("text", ["", "x", "1", "g.1", "1.x", "."])
def test_what_is_no_token_is_none(text: str) -> None:
    """A page then hears from now on."""
    assert Token.parse(text) is None


def test_a_token_is_read_as_it_is_written() -> None:
    """Revisions in decimal, histories in hexadecimal."""
    assert Token.parse(str(Token(0xABC, 17))) == (0xABC, 17)


def test_what_is_no_longer_kept_is_not_guessed(single: Single) -> None:
    """Below the floor of history there is no answer."""
    reader = single.node.reader
    reader.floor = reader.revision
    assert gather(reader, reader.revision - 1) is None


async def read_events(house: House, query: str, until: str) -> list[tuple[str, dict[str, Any]]]:
    """Events of a stream up to the first ``until``."""
    raw = ""
    async with house.client.get(house.url(f"/page/feed{query}")) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        while not raw.endswith("\n\n") or f"event: {until}" not in raw:
            raw += (await answer.content.readany()).decode()
    return messages_of(raw)


async def test_the_stream_is_served(house: House) -> None:
    """Open, then the pulse: who leads, and whether the others can be reached."""
    told = await read_events(house, "?dir=/&dir=/zookeeper", "pulse")
    assert [kind for kind, _ in told][:2] == ["open", "pulse"]
    pulse = told[1][1]
    assert (pulse["node"], pulse["leader"], pulse["leads"], pulse["ready"]) == (1, 1, True, True)
    assert [member["id"] for member in pulse["members"]] == [1]


async def test_bad_directories_are_refused(house: House) -> None:
    """In words, as everywhere."""
    for query in ("?dir=a", "?dir=/a//b", "?" + "&".join(["dir=/a"] * 201)):
        async with house.client.get(house.url(f"/page/feed{query}")) as answer:
            assert answer.status == 400
            assert (await answer.json())["code"] == "bad-arguments"


async def test_pages_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is told to come again."""
    monkeypatch.setattr("coord.server.http.feed_stream.PAGES_MAX", 1)
    async with house.client.get(house.url("/page/feed")) as first:
        assert first.status == 200
        async with house.client.get(house.url("/page/feed")) as second:
            assert second.status == 503
    async with asyncio.timeout(10):
        while True:
            async with house.client.get(house.url("/page/feed")) as third:
                if third.status == 200:
                    break
