"""Path rules of the tree, as ZooKeeper has them (``field-notes`` 5.7): absolute, no empty
segment, no ``.`` or ``..``, no control or private-use characters.

Invariant: every path that entered the log passed :func:`check_path`; apply does not check again.
"""

from __future__ import annotations

import re
from typing import Final

from coord.model.errors import BadArgumentsError
from coord.model.limits import NAME_BYTES_MAX, PATH_BYTES_MAX

ROOT: Final = "/"
CONFIG: Final = "/zookeeper/config"
"""Holds the servers' addresses, for clients that follow them."""
QUOTA: Final = "/zookeeper/quota"
"""Below it stands, under the path of each limited subtree, what it may hold and holds."""
RESERVED: Final = ("/zookeeper", CONFIG, QUOTA)
SEQUENCE_WIDTH: Final = 10

_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff]")
_DOTS: Final = re.compile(r"/\.{1,2}(?=/|$)")
_valid_cache: set[str] = set()
_CACHE_MAX: Final = 65_536


def check_path(path: str, *, sequential: bool = False) -> None:
    """Refuse a path that the tree cannot hold.

    ``sequential`` allows a trailing ``/``: the suffix makes the last segment.
    Raises BadArgumentsError naming the rule that is broken.
    """
    if path in _valid_cache:
        return
    reason = _broken_rule(path + "0" if sequential else path)
    if reason is not None:
        raise BadArgumentsError(f"path {path!r} is not valid: {reason}")
    if not sequential:
        if len(_valid_cache) >= _CACHE_MAX:
            _valid_cache.clear()
        _valid_cache.add(path)


def _broken_rule(path: str) -> str | None:
    if not path.startswith("/"):
        return "it must start with /"
    if path == ROOT:
        return None
    if path.endswith("/"):
        return "it must not end with /"
    if "//" in path:
        return "it has an empty segment"
    if _FORBIDDEN.search(path):
        return "it has a character that is not allowed"
    if _DOTS.search(path):
        return "relative segments (. and ..) are not allowed"
    encoded = path.encode()
    if len(encoded) > PATH_BYTES_MAX:
        return f"it is longer than {PATH_BYTES_MAX} bytes"
    if any(len(part) > NAME_BYTES_MAX for part in encoded.split(b"/")):
        return f"a segment is longer than {NAME_BYTES_MAX} bytes"
    return None


def parent_of(path: str) -> str:
    """The parent's path; the root is its own parent."""
    cut = path.rfind("/")
    return path[:cut] if cut > 0 else ROOT


def name_of(path: str) -> str:
    """The last segment; empty for the root."""
    return path[path.rfind("/") + 1 :]


def join(parent: str, name: str) -> str:
    """Path of the child ``name`` of ``parent``."""
    return f"/{name}" if parent == ROOT else f"{parent}/{name}"


def sequence_suffix(counter: int) -> str:
    """Suffix of a sequential node: ten digits, sign kept on overflow (``field-notes`` 5.7)."""
    return f"{counter:0{SEQUENCE_WIDTH}d}"
