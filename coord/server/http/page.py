"""The page that a browser gets from every node: a few files, read once, sent as they are."""

from __future__ import annotations

from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple

from aiohttp import web

ROOT: Final = Path(__file__).parent / "static"
INDEX: Final = "index.html"
TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""A file of any other kind is not served."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cache-Control": "no-cache",
}
"""Nothing inline, nothing from elsewhere, no text that becomes markup. Copies may be kept, but the
node is asked whether they still hold: after an upgrade all files are of one version."""


class File(NamedTuple):
    """One file as it is sent. ``tag``: its ETag, without the quotes."""

    body: bytes
    content_type: str
    tag: str


def load(root: Path = ROOT) -> dict[str, File]:
    """Every file below ``root``, by its path from there."""
    return {
        path.relative_to(root).as_posix(): _file(path)
        for path in sorted(root.rglob("*"))
        if path.suffix in TYPES
    }


def _file(path: Path) -> File:
    body = path.read_bytes()
    return File(body, TYPES[path.suffix], sha256(body).hexdigest()[:32])


def add_routes(app: web.Application) -> None:
    """Serve the page at / and its files below /page/."""
    files = load()

    async def index(request: web.Request) -> web.StreamResponse:
        return _send(request, files[INDEX])

    async def file(request: web.Request) -> web.StreamResponse:
        found = files.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        return _send(request, found)

    app.router.add_get("/", index)
    app.router.add_get("/page/{name:.+}", file)


def _send(request: web.Request, file: File) -> web.Response:
    answer = web.Response(headers=HEADERS)
    answer.etag = file.tag
    if any(tag.value in {file.tag, "*"} for tag in request.if_none_match or ()):
        answer.set_status(HTTPStatus.NOT_MODIFIED)
        return answer
    answer.content_type = file.content_type
    answer.charset = "utf-8"
    answer.body = file.body
    return answer
