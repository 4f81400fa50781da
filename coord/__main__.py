"""``python -m coord``: the same command as ``coord``."""

from __future__ import annotations

from coord.cli.main import main

if __name__ == "__main__":
    main()
