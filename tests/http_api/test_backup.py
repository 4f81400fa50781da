"""A backup is a verified snapshot, whole or noticeably not."""

from __future__ import annotations

import hashlib

from tests.http_api.conftest import ANN, ROOT, Api


async def test_a_backup_is_what_its_checksum_says(api: Api) -> None:
    """Of the state that was there. Its last 32 bytes are the SHA-256 of the rest."""
    made = await api.post("/v1/nodes/kept", {"value": "x" * 1_000})
    async with api.client.get(api.url("/v1/backup"), headers=ROOT) as answer:
        assert answer.status == 200
        data = await answer.read()
    digest = hashlib.sha256(data[:-32]).digest()
    assert data[-32:] == digest
    assert answer.headers["Coord-Checksum"] == f"sha256:{digest.hex()}"
    assert int(answer.headers["Coord-Revision"]) >= made["revision"]
    assert b"x" * 1_000 in data
    assert "attachment" in answer.headers["Content-Disposition"]


async def test_a_backup_is_the_super_user_s(api: Api) -> None:
    """It holds what ACLs hide."""
    for who in ({}, ANN):
        assert (await api.refused("GET", "/v1/backup", headers=who)).status == 403


async def test_one_at_a_time(api: Api) -> None:
    """The next may try again."""
    async with api.door.services.backing_up:
        assert (await api.refused("GET", "/v1/backup", headers=ROOT)).status == 429
