"""``python -m tests.acceptance DRILL [--times N]``: run one drill, print what it measured."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from tests.acceptance import drills


def main() -> int:
    """Run it; exit code 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance", description=__doc__)
    parser.add_argument(
        "drill",
        choices=[
            "kill-leader",
            "freeze-leader",
            "kill-all",
            "wipe",
            "rolling-restart",
            "counter",
            "lagging",
        ],
    )
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--tree", type=int, default=200_000, help="nodes in the tree (wipe)")
    parser.add_argument("--entries", type=int, default=40_000, help="entries missed (lagging)")
    options = parser.parse_args()
    result = asyncio.run(_run(options))
    sys.stdout.write(json.dumps({"drill": options.drill, **result}, indent=1) + "\n")
    return 0


async def _run(options: argparse.Namespace) -> dict[str, Any]:
    match options.drill:
        case "kill-leader":
            return await drills.leader_loss(options.times, freeze=False)
        case "freeze-leader":
            return await drills.leader_loss(options.times, freeze=True)
        case "kill-all":
            return await drills.all_killed(options.times)
        case "wipe":
            return await drills.wiped(options.tree)
        case "counter":
            return await drills.counter(options.times)
        case "lagging":
            return await drills.lagging(options.entries)
        case _:
            return await drills.rolling_restart(max(1, options.times // 3))


if __name__ == "__main__":
    sys.exit(main())
