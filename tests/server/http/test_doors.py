"""The HTTP port: what it answers, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from coord.server.http import doors, guards
from tests.node.single import Single
from tests.server.http.conftest import House


async def test_a_node_that_answers_is_alive(house: House) -> None:
    """Whatever else is wrong."""
    house.single.node.digest_alarm = True
    async with house.client.get(house.url("/livez")) as answer:
        assert (answer.status, await answer.json()) == (200, {"alive": True})


async def test_readiness_is_a_status_and_its_reasons(house: House) -> None:
    """200, or 503 with the condition that fails."""
    async with house.client.get(house.url("/readyz")) as answer:
        assert answer.status == 200
        assert (await answer.json())["ready"] is True

    house.single.node.drain()

    async with house.client.get(house.url("/readyz")) as answer:
        assert answer.status == 503
        told = await answer.json()
    assert told["ready"] is False
    assert [check["check"] for check in told["checks"] if not check["ok"]] == ["serving"]


async def test_the_status_is_the_node_s(house: House) -> None:
    """The value that ``coord status`` shows."""
    async with house.client.get(house.url("/v1/status")) as answer:
        told = await answer.json()
    assert (told["node"], told["leader"], told["role"]) == (1, 1, "leader")


async def test_every_answer_is_guarded(house: House) -> None:
    """Refusals too."""
    for path in ("/livez", "/nowhere"):
        async with house.client.get(house.url(path)) as answer:
            for name, value in guards.HEADERS.items():
                assert answer.headers[name] == value


async def test_errors_are_problem_details(house: House) -> None:
    """RFC 9457, with what to do."""
    async with house.client.get(house.url("/nowhere")) as answer:
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"
        assert "/nowhere" in (await answer.json())["detail"]
    async with house.client.post(house.url("/livez")) as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}
        assert (await answer.json())["status"] == 405


async def test_a_failure_of_ours_says_little(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the rest, and the port goes on."""

    def broken() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(house.single.node, "statistics", broken)
    async with house.client.get(house.url("/v1/status")) as answer:
        assert answer.status == 500
        assert "secret" not in await answer.text()
    assert "secret detail" in caplog.text
    async with house.client.get(house.url("/livez")) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:2381", "127.0.0.1.evil.example"])
async def test_a_foreign_name_is_refused(house: House, host: str) -> None:
    """A page elsewhere may have pointed its own name here."""
    async with house.client.get(house.url("/livez"), headers={"Host": host}) as answer:
        assert answer.status == 421


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:2381", "127.0.0.1:1", "[::1]:2381", "[::1]", "COORD.example:2381"],
)
async def test_names_of_this_node_are_served(house: House, host: str) -> None:
    """Addresses, localhost, and what the configuration lists."""
    async with house.client.get(house.url("/livez"), headers={"Host": host}) as answer:
        assert answer.status == 200


async def test_connections_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is closed; those that are open are served on."""
    monkeypatch.setattr(doors, "CONNECTIONS_MAX", 2)
    held = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(2)]
    for reader, writer in held:
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    assert await reader.read() == b""
    writer.close()

    for _, open_writer in held:
        open_writer.close()


async def test_a_large_request_is_refused(house: House) -> None:
    """Headers beyond the server's bounds."""
    headers = {"X-Large": "x" * 100_000}
    async with house.client.get(house.url("/livez"), headers=headers) as answer:
        assert answer.status == 400
        assert (await answer.json(content_type="application/problem+json"))["status"] == 400


@pytest.mark.parametrize(
    "line",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET / HTTP/9.9",
        b"GET /\x00 HTTP/1.1",
        b"POST /v1/login HTTP/1.1\r\nContent-Length: -1",
        b"GET / HTTP/1.1\r\nno header",
    ],
)
async def test_what_is_no_http_is_told_so(house: House, line: bytes) -> None:
    """In the shape of every other refusal; the connection is closed, others are served on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(line + b"\r\nHost: localhost\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.split(b" ", 2)[1] == b"400"
    for header in ("Content-Type: application/problem+json", "X-Frame-Options: DENY"):
        assert header.encode() in head
    assert json.loads(body)["status"] == 400
    async with house.client.get(house.url("/livez")) as answer:
        assert answer.status == 200


async def test_who_asks_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither without a word nor within one: such connections would take the place of others."""
    monkeypatch.setattr(doors, "KEEP_ALIVE_S", 0.1)
    door = doors.HttpDoor(Single().node)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        await door.start(sock)
        for begun in (b"", b"GET /livez HTTP/1.1\r\nHost: loc"):
            reader, writer = await asyncio.open_connection(*sock.getsockname())
            writer.write(begun)
            assert await reader.read() == b""
            writer.close()
        await door.stop()
