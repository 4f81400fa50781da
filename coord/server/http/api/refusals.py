"""The product's errors as problem details."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from coord.model import errors
from coord.model.errors import BY_CODE, CoordError, NoAuthError, TransactionError
from coord.server.http.problems import problem


class NotSecureError(NoAuthError):
    """A password must not travel in the clear."""

    def __init__(self) -> None:
        super().__init__("passwords are taken over TLS or from this machine alone")


RETRY_AFTER_S: Final = 1

_STATUS: Final[dict[type, HTTPStatus]] = {
    errors.BadArgumentsError: HTTPStatus.BAD_REQUEST,
    errors.InvalidAclError: HTTPStatus.BAD_REQUEST,
    errors.AuthFailedError: HTTPStatus.UNAUTHORIZED,
    errors.NoAuthError: HTTPStatus.FORBIDDEN,
    errors.NoNodeError: HTTPStatus.NOT_FOUND,
    errors.NodeExistsError: HTTPStatus.CONFLICT,
    errors.NotEmptyError: HTTPStatus.CONFLICT,
    errors.NoChildrenForEphemeralsError: HTTPStatus.CONFLICT,
    errors.SessionMovedError: HTTPStatus.CONFLICT,
    errors.SequenceGapError: HTTPStatus.CONFLICT,
    errors.ResultUnknownError: HTTPStatus.CONFLICT,
    errors.MembershipError: HTTPStatus.CONFLICT,
    errors.MisuseError: HTTPStatus.CONFLICT,
    errors.SessionExpiredError: HTTPStatus.GONE,
    errors.CompactedError: HTTPStatus.GONE,
    errors.ListingExpiredError: HTTPStatus.GONE,
    errors.BadVersionError: HTTPStatus.PRECONDITION_FAILED,
    errors.GuardError: HTTPStatus.PRECONDITION_FAILED,
    errors.CompareError: HTTPStatus.PRECONDITION_FAILED,
    errors.TransactionError: HTTPStatus.PRECONDITION_FAILED,
    errors.TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.LimitError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.UnimplementedError: HTTPStatus.NOT_IMPLEMENTED,
    errors.OverloadedError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NotReadyError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NotLeaderError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ConnectionLostError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.OperationTimeoutError: HTTPStatus.GATEWAY_TIMEOUT,
    errors.NoSpaceError: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.QuotaExceededError: HTTPStatus.INSUFFICIENT_STORAGE,
}
_LATER: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})
_WORDS: Final = re.compile(r"(?<!^)(?=[A-Z])")


def word_of(kind: type[CoordError]) -> str:
    """``NoNodeError`` is "no-node"."""
    return _WORDS.sub("-", kind.__name__.removesuffix("Error")).lower()


def word_of_code(code: int) -> str:
    """What became of one operation of a transaction."""
    kind = BY_CODE.get(code)
    if kind is not None:
        return word_of(kind)
    return "ok" if code == errors.OK else "not-tried"


def refusal(error: CoordError) -> web.Response:
    """Status, ``code`` and whether the operation certainly did not happen."""
    known = (_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    status = next(known, HTTPStatus.INTERNAL_SERVER_ERROR)
    more: dict[str, Any] = {"code": word_of(type(error)), "definite": error.definite}
    if isinstance(error, TransactionError):
        more["results"] = [{"code": word_of_code(code)} for code in error.results]
    answer = problem(status, str(error) or word_of(type(error)), **more)
    if status is HTTPStatus.UNAUTHORIZED:
        # What RFC 9110 asks for. Of "Basic" browsers would make a dialog of their own.
        answer.headers["WWW-Authenticate"] = 'Coord realm="coord"'
    if status in _LATER:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer
