"""The native wire, client side: requests → bytes, bytes → replies and pushes. No I/O."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgpack

from coord.model import requests
from coord.model.acl import OPEN
from coord.model.commands import KIND_OF
from coord.model.errors import (
    CoordError,
    ProtocolError,
    TooLargeError,
    TransactionError,
    from_code,
)
from coord.model.events import Change
from coord.model.limits import FRAME_BYTES_MAX
from coord.protocol.framing import FrameSplitter, frame
from coord.protocol.native import CANCELLED, EVENTS, NOTICE, ONE_SHOT
from coord.protocol.sniff import HELLO, VERSION

OPENING: Final = HELLO + bytes((VERSION,))
"""The first bytes of every connection."""

_pack: Final = msgpack.Packer(autoreset=True).pack

OP_OF: Final[dict[type, int]] = {
    **KIND_OF,
    requests.Get: requests.GET,
    requests.Exists: requests.EXISTS,
    requests.Children: requests.CHILDREN,
    requests.GetAcl: requests.GET_ACL,
    requests.Auth: requests.AUTH,
    requests.WhoAmI: requests.WHO_AM_I,
    requests.Sync: requests.SYNC,
    requests.Ping: requests.PING,
    requests.Close: requests.CLOSE,
    requests.Watch: requests.WATCH,
    requests.ListWatch: requests.LIST_WATCH,
    requests.Unwatch: requests.UNWATCH,
    requests.Connect: requests.CONNECT,
}
_SEQUENCED: Final = frozenset({
    requests.Create, requests.Delete, requests.Set, requests.SetAcl, requests.Multi,
    requests.Close,
})  # fmt: skip


class Reply(NamedTuple):
    """Answer to the request ``xid``; ``code`` 0 is success. ``revision``: what it reflects.

    On an error ``body`` is (message, detail).
    """

    xid: int
    code: int
    revision: int
    body: tuple[Any, ...]

    def error(self) -> CoordError:
        """The refusal as an exception, to be raised by the caller."""
        assert self.code != 0
        message = self.body[0] if self.body and isinstance(self.body[0], str) else ""
        error = from_code(self.code, message)
        if isinstance(error, TransactionError) and len(self.body) > 1:
            error.results = tuple(self.body[1] or ())
        return error


class StreamPush(NamedTuple):
    """Changes of one revision for one stream; resume is after the last ``complete`` revision.

    No changes and ``complete``: a bookmark.
    """

    watch_id: int
    revision: int
    part: int
    complete: bool
    changes: tuple[Change, ...]


class OneShotPush(NamedTuple):
    """A one-shot watch fired; it is no longer armed."""

    revision: int
    kind: int
    path: str


class NoticePush(NamedTuple):
    """The server is about to close: "draining", "expired", "moved" or "slow"."""

    revision: int
    reason: str
    message: str


class CancelledPush(NamedTuple):
    """The server ended a stream."""

    watch_id: int
    revision: int
    code: int
    message: str

    def error(self) -> CoordError:
        """Why, as an exception."""
        return from_code(self.code, self.message)


Incoming = Reply | StreamPush | OneShotPush | NoticePush | CancelledPush


def encode_request(xid: int, request: requests.Request, seq: int = 0, acked: int = 0) -> bytes:
    """Frame of a request. ``seq`` ≥ 1 and ``acked`` < seq are for writes and Close only.

    Raises TooLargeError instead of sending what would cost the connection.
    """
    arguments: tuple[Any, ...]
    if isinstance(request, requests.Admin):
        op, arguments = request.op, ((request.arguments,) if request.arguments else ())
    elif isinstance(request, requests.Multi):
        op, arguments = requests.MULTI, ([_operation(one) for one in request.operations],)
    else:
        op, arguments = OP_OF[type(request)], tuple(request)
        if isinstance(request, requests.Create):
            arguments = _create_arguments(request)
    if type(request) in _SEQUENCED:
        assert 0 <= acked < seq, "a write carries a seq above what is acknowledged"
        payload: bytes = _pack((xid, op, seq, acked, *arguments))
    else:
        payload = _pack((xid, op, *arguments))
    if len(payload) > FRAME_BYTES_MAX:
        raise TooLargeError(
            f"a request of {len(payload)} bytes is above the {FRAME_BYTES_MAX} allowed"
        )
    return frame(payload)


def _operation(operation: requests.Operation | requests.Refuse) -> tuple[Any, ...]:
    if isinstance(operation, requests.Create):
        return (requests.CREATE, *_create_arguments(operation))
    return (KIND_OF[type(operation)], *operation)


def _create_arguments(request: requests.Create) -> tuple[Any, ...]:
    acl = None if request.acl == OPEN else request.acl
    return (request.path, request.data, acl, int(request.mode), request.ttl_ms)


class ClientCodec:
    """Splits and decodes what a server sends on one connection."""

    def __init__(self) -> None:
        self._splitter = FrameSplitter()

    def feed(self, data: bytes) -> list[Incoming]:
        """Messages completed by ``data``, in order. Raises ProtocolError: close, reconnect."""
        return [decode_message(payload) for payload in self._splitter.feed(data)]


def decode_message(payload: bytes) -> Incoming:
    """One frame from the server. Raises ProtocolError if it breaks the wire rules."""
    try:
        fields = msgpack.unpackb(payload)
        return _message(fields)
    except (ValueError, TypeError, IndexError, OverflowError, RecursionError) as error:
        raise ProtocolError(f"the server sent what cannot be read: {error}") from error


def _message(fields: Any) -> Incoming:
    if type(fields) is not list or not all(type(field) is int for field in fields[:3]):
        raise ProtocolError("the server sent a frame that is not [xid, code, revision, …]")
    # Messages grow at their end: what follows the fields known here is left alone.
    kind, second, revision, *body = fields
    if kind > 0:
        return Reply(kind, second, revision, tuple(body))
    if kind == EVENTS:
        part, complete, changes = body[:3]
        decoded = tuple(_change(revision, *change) for change in changes)
        return StreamPush(second, revision, part, complete, decoded)
    if kind == ONE_SHOT:
        return OneShotPush(revision, *body[:2])
    if kind == NOTICE:
        return NoticePush(revision, *body[:2])
    if kind == CANCELLED:
        return CancelledPush(second, revision, *body[:2])
    raise ProtocolError(f"the server sent a message of unknown kind {kind}")


def _change(revision: int, kind: int, path: str, *values: bytes | None) -> Change:
    stat, data, prev_stat, prev_data = values[:4]
    return Change(kind, path, revision, stat, data, prev_stat, prev_data)
