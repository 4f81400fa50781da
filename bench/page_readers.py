"""What open pages ask of a node, without the browsers: for each page its files, the first rows of a
directory, one node, and the feed; and, when the feed says that rows in sight have changed and not
how, those rows, as seldom as the page does.

    python -m bench.page_readers http://127.0.0.1:2381 --pages 50 --directory /big

Prints "open" once all of them are, and what they heard when standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
from collections import Counter
from typing import Any, Final

import aiohttp

ROWS_FIRST: Final = 200
ROWS_IN_SIGHT: Final = 45
LOOK_EVERY_S: Final = 4.0
LOOK_SPREAD: Final = (0.2, 1.2)
"""The same as in coord/server/http/static/js/tree."""
NAMED: Final = re.compile(r'(?:src|href|from) ?=?"(/page/[^"]+)"')


class Page:
    """One page of one browser: connections of its own."""

    def __init__(self, url: str, directory: str, heard: Counter[str]) -> None:
        self.url = url
        self.directory = directory
        self.heard = heard
        self.is_open = asyncio.Event()
        self._in_sight: frozenset[str] = frozenset()
        self._is_doubtful = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        async with (
            aiohttp.ClientSession(self.url, timeout=timeout) as session,
            asyncio.TaskGroup() as tasks,
        ):
            await self._load_files(session)
            await self._look(session, ROWS_FIRST)
            await session.get(f"/v1/nodes{self.directory}", params={"level": "stale"})
            tasks.create_task(self._listen(session))
            tasks.create_task(self._look_now_and_then(session))

    async def _load_files(self, session: aiohttp.ClientSession) -> None:
        seen: set[str] = set()
        waiting = ["/"]
        while waiting:
            path = waiting.pop()
            seen.add(path)
            async with session.get(path) as answer:
                text = await answer.text()
            waiting += [found for found in set(NAMED.findall(text)) - seen if found not in waiting]

    async def _look(self, session: aiohttp.ClientSession, rows: int) -> None:
        params = {"level": "stale", "limit": str(rows)}
        async with session.get(f"/v1/children{self.directory}", params=params) as answer:
            answer.raise_for_status()
            children = (await answer.json())["children"]
        self._in_sight = frozenset(child["name"] for child in children[:ROWS_IN_SIGHT])
        self.heard["looks"] += 1

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        params = [("dir", "/"), ("dir", self.directory)]
        async with session.get("/page/feed", params=params) as answer:
            answer.raise_for_status()
            buffer = b""
            async for part in answer.content.iter_any():
                *blocks, buffer = (buffer + part).split(b"\n\n")
                for block in blocks:
                    self.is_open.set()
                    if self._hear(block):
                        self._is_doubtful.set()

    async def _look_now_and_then(self, session: aiohttp.ClientSession) -> None:
        while True:
            await self._is_doubtful.wait()
            await asyncio.sleep(LOOK_EVERY_S * random.uniform(*LOOK_SPREAD))
            self._is_doubtful.clear()
            await self._look(session, ROWS_IN_SIGHT)

    def _hear(self, block: bytes) -> bool:
        """Count a message; whether rows in sight are not any more as they were read."""
        self.heard["bytes"] += len(block)
        fields = dict(line.partition(b": ")[::2] for line in block.split(b"\n"))
        kind = fields[b"event"].decode()
        self.heard[kind] += 1
        if kind != "changes":
            return kind == "reset"
        news: dict[str, Any] = json.loads(fields[b"data"])["dirs"].get(self.directory, {})
        self.heard["children told"] += len(news.get("entries", ()))
        self.heard["names told"] += len(news.get("names", ()))
        return bool(news.get("more")) or not self._in_sight.isdisjoint(news.get("names", ()))


async def hold(url: str, count: int, directory: str) -> Counter[str]:
    """Open pages until standard input ends; what they heard meanwhile."""
    heard: Counter[str] = Counter()
    pages = [Page(url, directory, heard) for _ in range(count)]
    tasks = [asyncio.create_task(page.run()) for page in pages]
    opened = asyncio.gather(*(page.is_open.wait() for page in pages))
    pending: set[asyncio.Future[Any]] = {opened, *tasks}
    await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()
    await opened
    print("open", flush=True)
    heard.clear()
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return heard


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--directory", default="/big")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(hold(options.url, options.pages, options.directory))))


if __name__ == "__main__":
    main()
