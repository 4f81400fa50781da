"""Elect a leader among copies of this program, each started as ``python leader.py HOSTS NAME``.

Kill the leader: another copy takes over when its session ends. Kill a node: nothing changes.
"""

from __future__ import annotations

import asyncio
import sys

from coord_client import LeaderElection, connect


async def main(hosts: str = "127.0.0.1:2181", name: str = "nobody") -> None:
    """Lead whenever elected, for ever."""
    async with connect(hosts, client_name=name) as client:
        election = LeaderElection(client, "/examples/leader", name)
        while True:
            async with election as leadership:
                print(f"{name} leads with token {leadership.token}", flush=True)
                await leadership.wait_lost()
            print(f"{name} leads no longer", flush=True)


asyncio.run(main(*sys.argv[1:]))
