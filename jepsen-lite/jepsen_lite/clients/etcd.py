"""etcd through its JSON gateway: keys are paths, versions count from 0 as in a tree."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from typing import Any, Final

import aiohttp

from jepsen_lite.clients.store import (
    Check,
    ConflictError,
    ExistsError,
    InDoubtError,
    Make,
    NoNodeError,
    Part,
    Put,
    Store,
    UnavailableError,
    Value,
    Written,
)

Json = Any
_AFTER_SLASH: Final = b"0"
"""The byte after "/": a range from "x/" to "x0" holds everything below x."""


def _b64(data: bytes | str) -> str:
    raw = data.encode() if isinstance(data, str) else data
    return base64.b64encode(raw).decode("ascii")


def _exists(path: str, *, there: bool) -> Json:
    relation = "GREATER" if there else "EQUAL"
    return {"key": _b64(path), "target": "CREATE", "result": relation, "createRevision": "0"}


def _has(path: str, version: int) -> Json:
    if version < 0:
        return _exists(path, there=True)
    return {"key": _b64(path), "target": "VERSION", "result": "EQUAL", "version": str(version + 1)}


def _put(path: str, data: bytes) -> Json:
    return {"requestPut": {"key": _b64(path), "value": _b64(data)}}


def _range(path: str) -> Json:
    return {"requestRange": {"key": _b64(path)}}


def _remove(path: str) -> Json:
    return {"requestDeleteRange": {"key": _b64(path)}}


class EtcdStore(Store):
    """One client. It has no session: etcd's leases are not used."""

    kind = "etcd"

    def __init__(self, hosts: str, number: int, *, request_timeout_s: float) -> None:
        self._hosts = hosts.split(",")
        self._at = number % len(self._hosts)
        self._number = number
        self._timeout = aiohttp.ClientTimeout(total=request_timeout_s)
        self._dice = random.Random(number)
        self._session: aiohttp.ClientSession | None = None

    @property
    def session_id(self) -> int:
        return 0

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        await self._ask("range", {"key": _b64("/")})

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(self, call: str, body: Json) -> Json:
        """An answer of the present endpoint; after an error another one is used. Raises
        UnavailableError if nothing was sent, InDoubtError otherwise."""
        assert self._session is not None
        url = f"http://{self._hosts[self._at]}/v3/kv/{call}"
        try:
            async with self._session.post(url, data=json.dumps(body)) as response:
                answer = json.loads(await response.read())
        except aiohttp.ClientConnectorError as error:
            self._move()
            raise UnavailableError(str(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._move()
            raise InDoubtError(f"{type(error).__name__} {error}") from error
        if "error" in answer:
            self._move()
            raise InDoubtError(str(answer["error"]))
        return answer

    def _move(self) -> None:
        self._at = self._dice.randrange(len(self._hosts))

    async def _txn(self, compare: list[Json], success: list[Json], failure: list[Json]) -> Json:
        body = {"compare": compare, "success": success, "failure": failure}
        return await self._ask("txn", body)

    async def get(self, path: str) -> Value:
        answer = await self._ask("range", {"key": _b64(path)})
        found = answer.get("kvs")
        if not found:
            raise NoNodeError(path)
        return _value(found[0], _revision(answer))

    async def children(self, path: str) -> list[str]:
        prefix = f"{path}/"
        answer = await self._ask(
            "range",
            {
                "key": _b64(prefix),
                "range_end": _b64(path.encode() + _AFTER_SLASH),
                "keys_only": True,
            },
        )
        names = [base64.b64decode(kv["key"]).decode() for kv in answer.get("kvs", ())]
        return [name.removeprefix(prefix) for name in names]

    async def create(
        self, path: str, data: bytes = b"", *, ephemeral: bool = False, sequential: bool = False
    ) -> Written:
        assert not ephemeral
        assert not sequential
        answer = await self._txn([_exists(path, there=False)], [_put(path, data)], [])
        if not answer.get("succeeded"):
            raise ExistsError(path)
        revision = _revision(answer)
        return Written(path, 0, revision, revision)

    async def set(self, path: str, data: bytes, version: int = -1) -> Written:
        success = [_put(path, data), _range(path)]
        answer = await self._txn([_has(path, version)], success, [_range(path)])
        if not answer.get("succeeded"):
            _refuse(path, answer)
        written = _value(answer["responses"][1]["response_range"]["kvs"][0], _revision(answer))
        return Written(path, written.version, written.created, written.revision)

    async def delete(self, path: str, version: int = -1) -> int:
        answer = await self._txn([_has(path, version)], [_remove(path)], [_range(path)])
        if not answer.get("succeeded"):
            _refuse(path, answer)
        return _revision(answer)

    async def commit(self, parts: Sequence[Part]) -> int:
        compare: list[Json] = []
        success: list[Json] = []
        for part in parts:
            if isinstance(part, Make):
                compare.append(_exists(part.path, there=False))
                success.append(_put(part.path, part.data))
                continue
            compare.append(_has(part.path, part.version))
            if isinstance(part, Put):
                success.append(_put(part.path, part.data))
            elif not isinstance(part, Check):
                success.append(_remove(part.path))
        answer = await self._txn(compare, success, [])
        if not answer.get("succeeded"):
            raise ConflictError("a condition does not hold")
        return _revision(answer)


def _revision(answer: Json) -> int:
    return int(answer["header"]["revision"])


def _value(kv: Json, revision: int) -> Value:
    data = base64.b64decode(kv.get("value", ""))
    return Value(data, int(kv["version"]) - 1, int(kv["create_revision"]), revision)


def _refuse(path: str, answer: Json) -> None:
    """Raises what the failed condition means: nothing is there, or another version."""
    if not answer["responses"][0]["response_range"].get("kvs"):
        raise NoNodeError(path)
    raise ConflictError(path)
