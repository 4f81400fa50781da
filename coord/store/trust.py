"""May the tree's file be opened?

The tree is not synced by every commit: after a power loss it may be damaged in ways that make LMDB
abort the process. So the log, which is durable, says under which boot of the machine the tree was
last written, and which file it was. A tree that cannot be trusted is never opened but rebuilt, from
the newest snapshot and the log.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from coord.store.log_records import Trust

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class FileIdentity(NamedTuple):
    """Which file it is: a copy or a restored image is another one."""

    device: int
    inode: int


def read_boot_id(path: Path = BOOT_ID) -> str:
    """Names this boot of the machine; "" if it cannot be read, which no boot equals."""
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def why_untrusted(trust: Trust, file: FileIdentity | None, boot_id: str) -> str | None:
    """The reason not to open the tree, or None.

    ``file``: what lies in the place of the tree's data file now. After a clean close the boot
    does not matter: the file was synced.
    """
    if file is None:
        return "its file is missing"
    if trust.inode == 0:
        return "it was never completed"
    if file.device != trust.device:
        return "it lies on another device than when it was written"
    if file.inode != trust.inode:
        return "its file is another one than was written"
    if trust.clean:
        return None
    if not trust.boot_id or not boot_id:
        return "it was not closed cleanly and the boot id cannot be read"
    if trust.boot_id != boot_id:
        return "it was not closed cleanly before the machine restarted"
    return None
