"""Errors as problem details (RFC 9457): one shape for all that goes wrong."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from aiohttp import web

CONTENT_TYPE = "application/problem+json"


def problem(status: int, detail: str, **more: Any) -> web.Response:
    """``detail`` says what happened and what to do. ``more``: members of the problem's own."""
    phrase = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": phrase, "status": status, "detail": detail, **more}
    return web.Response(
        status=status, text=json.dumps(body) + "\n", content_type=CONTENT_TYPE, charset="utf-8"
    )


def of_exception(error: web.HTTPException, method: str, path: str) -> web.Response:
    """What aiohttp itself refuses: unknown paths, methods that a path does not have."""
    if error.status == HTTPStatus.NOT_FOUND:
        return problem(error.status, f"there is nothing at {path}")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        answer = problem(error.status, f"{path} does not take {method}, only {allowed}")
        answer.headers["Allow"] = allowed
        return answer
    return problem(error.status, error.text or error.reason)
