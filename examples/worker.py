"""A service of which one copy leads: python worker.py [HOSTS [NAME [PORT]]]

Each copy is a member of /services/demo and contends for /demo/leader. Over HTTP it answers `/` with
what it is, and `/leader` with 200 only while it leads: what a load balancer asks to find the leader
(deploy/haproxy/haproxy.cfg).
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

from aiohttp import web

from coord_client import Group, LeaderElection, connect


class Worker:
    """What a copy says about itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.token: int | None = None
        """The fencing token of its leadership; None while another leads."""

    def application(self) -> web.Application:
        """What it serves."""
        app = web.Application()
        app.add_routes([web.get("/", self._describe), web.get("/leader", self._leads)])
        return app

    async def _describe(self, _: web.Request) -> web.Response:
        role = "follows" if self.token is None else f"leads with token {self.token}"
        return web.Response(text=f"{self.name} {role}\n")

    async def _leads(self, request: web.Request) -> web.Response:
        answer = await self._describe(request)
        answer.set_status(503 if self.token is None else 200)
        return answer


async def main(hosts: str = "127.0.0.1:2181", name: str = "", port: str = "8080") -> None:
    """Serve, and lead whenever elected, for ever."""
    worker = Worker(name or socket.gethostname())
    runner = web.AppRunner(worker.application())
    await runner.setup()
    await web.TCPSite(runner, port=int(port)).start()
    async with connect(hosts, client_name=worker.name, session_timeout_s=4) as client:
        await Group(client, "/services/demo").join(
            worker.name, f"{socket.gethostname()}:{port}".encode(), wait=True
        )
        while True:
            async with LeaderElection(client, "/demo/leader", worker.name) as leadership:
                worker.token = leadership.token
                print(f"{worker.name} leads with token {leadership.token}", flush=True)
                await leadership.wait_lost()
            worker.token = None


if __name__ == "__main__":
    asyncio.run(main(*(sys.argv[1:] or [os.environ.get("COORD_HOSTS", "127.0.0.1:2181")])))
