"""The worker with a store that believes what it reads: the control of the trials, which must then
find wrong answers."""

from __future__ import annotations

from typing import Any

from coord.store import log_records, reader, schema, tree_keeper
from tests.corruption import worker


def _believe(*_: Any) -> int:
    return 0


def main() -> None:
    """Obey, without a check."""
    for module, name in (
        (schema, "verify"),
        (reader, "verify"),
        (log_records, "check_record"),
        (tree_keeper, "check_records"),
    ):
        setattr(module, name, _believe)
    worker.main()


if __name__ == "__main__":
    main()
