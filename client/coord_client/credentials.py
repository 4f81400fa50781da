"""What a client has to prove who it is: credentials, and when each is sent. Sans-IO.

Identities belong to a connection, so every new one hears all credentials before anything else of
the session. A credential is kept once a node has accepted it, or while its caller waits.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from coord.model.errors import (
    OK,
    BadArgumentsError,
    ConnectionLostError,
    CoordError,
    LimitError,
    from_code,
)
from coord.model.requests import Auth
from coord.protocol.native_client import Reply, encode_request
from coord.protocol.native_requests import CREDENTIAL_BYTES_MAX, SCHEME_BYTES_MAX
from coord_client.operations import Waiter
from coord_client.retry import TRANSIENT

CREDENTIALS_MAX: Final = 16
"""A client's credentials; every reconnect sends all of them."""


def checked_credential(scheme: str, credential: str | bytes) -> Auth:
    """The request that proves it. Raises BadArgumentsError, which never quotes the credential."""
    if not 0 < len(scheme.encode()) <= SCHEME_BYTES_MAX:
        raise BadArgumentsError(f"an auth scheme has 1 to {SCHEME_BYTES_MAX} bytes")
    data = credential.encode() if isinstance(credential, str) else credential
    if len(data) > CREDENTIAL_BYTES_MAX:
        raise BadArgumentsError(f"a credential has {CREDENTIAL_BYTES_MAX} bytes at most")
    if scheme == "digest" and b":" not in data:
        raise BadArgumentsError("a digest credential is user:password")
    return Auth(scheme, data)


def checked_credentials(auth: Iterable[tuple[str, str | bytes]]) -> list[Auth]:
    """The requests that prove them. Raises BadArgumentsError."""
    pairs: list[Any] = list(auth)
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise BadArgumentsError('auth is a list of (scheme, credential), as [("digest", "u:p")]')
    return [checked_credential(*pair) for pair in pairs]


def digest_id(user: str, password: str) -> str:
    """The id that stands for user and password in an ACL of scheme digest."""
    if ":" in user:
        raise BadArgumentsError("a user's name has no colon")
    # SHA-1 is ZooKeeper's choice, part of the format; a good password is what protects it.
    proof = hashlib.sha1(f"{user}:{password}".encode(), usedforsecurity=False).digest()
    return f"{user}:{base64.b64encode(proof).decode()}"


@dataclass(slots=True)
class _Credential:
    request: Auth
    waiter: Waiter
    is_accepted: bool = False

    @property
    def is_wanted(self) -> bool:
        return self.is_accepted or not self.waiter.done()

    def refusal(self, reply: Reply) -> CoordError:
        """What a node said against it, without the secret part."""
        scheme, data = self.request
        who = f" of user {data.partition(b':')[0].decode(errors='replace')!r}"
        whose = who if scheme == "digest" else ""
        return from_code(reply.code, f"the {scheme} credential{whose} was refused: {reply.error()}")


class Credentials:
    """The credentials of one client, and which are being judged on the present connection."""

    def __init__(self) -> None:
        self._all: list[_Credential] = []
        self._asked: dict[int, _Credential] = {}
        """By xid, on the present connection."""

    def add(self, request: Auth, waiter: Waiter) -> None:
        """Keep a credential; ``waiter`` hears how a node judged it. Raises LimitError."""
        self._all = [
            each
            for each in self._all
            if each.is_wanted and not (each.is_accepted and each.request == request)
        ]
        if len(self._all) >= CREDENTIALS_MAX:
            raise LimitError(f"a client has at most {CREDENTIALS_MAX} credentials")
        self._all.append(_Credential(request, waiter))

    def frames(self, xid: int) -> Iterator[bytes]:
        """On a new connection: every credential, under the numbers that follow ``xid``."""
        self._asked.clear()
        self._all = [each for each in self._all if each.is_wanted]
        for credential in self._all:
            xid += 1
            yield self._asking(xid, credential)

    def newest(self, xid: int) -> bytes:
        """On an open connection: the one that was just added."""
        return self._asking(xid, self._all[-1])

    def _asking(self, xid: int, credential: _Credential) -> bytes:
        self._asked[xid] = credential
        return encode_request(xid, credential.request)

    def is_about(self, reply: Reply) -> bool:
        """Whether ``reply`` judges a credential."""
        return reply.xid in self._asked

    def judged(self, reply: Reply) -> CoordError | None:
        """Take a node's word. An error: this node is of no use to us, another one may be."""
        credential = self._asked.pop(reply.xid)
        if reply.code == OK:
            credential.is_accepted = True
            if not credential.waiter.done():
                credential.waiter.set_result(reply)
            return None
        error = credential.refusal(reply)
        if credential.is_accepted or reply.code in TRANSIENT:
            return error
        self._all = [each for each in self._all if each is not credential]
        if not credential.waiter.done():
            credential.waiter.set_exception(error)
        return None

    def close(self) -> None:
        """No more: whoever still waits hears that the client was closed."""
        for credential in self._all:
            if not credential.waiter.done():
                credential.waiter.set_exception(ConnectionLostError("the client was closed"))
        self._all.clear()
        self._asked.clear()
