"""Print every change below a path, losing none: python watch.py [HOSTS [PATH]]"""

from __future__ import annotations

import asyncio
import sys

from coord_client import connect


async def main(hosts: str = "127.0.0.1:2181", path: str = "/") -> None:
    """What is there now, then what changes, through reconnects and failures."""
    async with connect(hosts, client_name="watch example") as client:
        listing, stream = await client.list_and_watch(path)
        for node in listing.nodes:
            print(listing.revision, "exists", node.path, node.data)
        async with stream:
            async for batch in stream:
                for node in batch.listing or ():
                    print(batch.revision, "exists", node.path, node.data)
                for change in batch.changes:
                    print(batch.revision, change.kind.name.lower(), change.path, change.data)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
