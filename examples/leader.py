"""Elect a leader among copies of this program: python leader.py [HOSTS [NAME [TIMEOUT_S]]]

Kill the leading copy: another leads once the session of the first has timed out. Kill a node of
the service, or the leader of its Raft: nothing changes, for the session moves.
"""

from __future__ import annotations

import asyncio
import sys

from coord_client import LeaderElection, connect


async def main(hosts: str = "127.0.0.1:2181", name: str = "me", timeout_s: str = "10") -> None:
    """Lead whenever elected, for ever."""
    async with connect(hosts, client_name=name, session_timeout_s=float(timeout_s)) as client:
        while True:
            async with LeaderElection(client, "/examples/leader", name) as leadership:
                print(f"{name} leads with token {leadership.token}", flush=True)
                await leadership.wait_lost()
            print(f"{name} leads no longer", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
