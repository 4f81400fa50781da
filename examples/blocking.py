"""The service without asyncio: a counter behind a lock: python blocking.py [HOSTS]"""

from __future__ import annotations

import sys

from coord_client import sync


def main(hosts: str = "127.0.0.1:2181") -> None:
    """Count the runs of this program, one at a time across machines."""
    with sync.connect(hosts, client_name="blocking example") as client:
        with client.lock("/examples/lock") as hold:
            stat = client.exists("/examples/runs")
            runs = int(client.get("/examples/runs").data) if stat else 0
            with client.transaction() as txn:
                txn.add(hold.guard())
                if stat:
                    txn.set("/examples/runs", b"%d" % (runs + 1), version=stat.version)
                else:
                    txn.create("/examples/runs", b"1")
        print(f"run {runs + 1}, with token {hold.token}")


if __name__ == "__main__":
    main(*sys.argv[1:])
