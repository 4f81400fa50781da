"""A client that holds an ephemeral node until it is killed: ``holder.py ADDRESS PATH``."""

from __future__ import annotations

import asyncio
import sys

from coord_client import CreateMode, connect


async def main() -> None:
    """Hold it."""
    address, path = sys.argv[1:]
    async with connect(address, session_timeout_s=1) as client:
        await client.create(path, b"", mode=CreateMode.EPHEMERAL)
        sys.stdout.write("held\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
