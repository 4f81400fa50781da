"""Does jepsen-lite find planted bugs? ``python -m tests.jepsen_lite.planted [NAME…]``.

Each bug is planted in servers, or in the tool's own client; runs begin until one ends *invalid*, at
most three. Then the same command without the bug, which must pass. What came of it is appended to
``docs/campaigns/jepsen-planted.jsonl``, a row for each bug. Ends with 1 if one was missed or a
sound run did not pass.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.broken.catalogue import BY_NAME

LEDGER: Final = Path(__file__).parents[2] / "docs/campaigns/jepsen-planted.jsonl"
RUNS_MAX: Final = 3


class Drill(NamedTuple):
    """What shows a bug soonest."""

    bug: str
    workload: str
    faults: str = ""
    nodes: int = 3
    more: tuple[str, ...] = ()


DRILLS: Final = (
    Drill("local-read-as-linearizable", "register", "partition:leader"),
    # A leader that is cut off leaves in time, unless its clock stands still.
    Drill("read-without-confirmation", "register", "clock-freeze:leader,partition:leader"),
    Drill("acknowledged-before-durable", "set", "power-loss:all"),
    Drill("sent-before-sync", "set", "power-loss:all"),
    Drill("retry-applied-twice", "once", "reset:all"),
    Drill("version-not-compared", "versions"),
    Drill("suffix-from-child-count", "sequence"),
    Drill("failed-transaction-stays", "append"),
    Drill("old-token-accepted", "lock"),
    Drill("ephemeral-outlives-session", "session"),
    Drill("deposed-leader-expires", "session", "pause:leader"),
    Drill("follower-contact-ignored", "session"),
    Drill("contact-ends-watching", "session"),
    Drill("resume-skips-a-change", "watch", "reset:all"),
    Drill("resume-without-replay", "watch", "reset:all"),
    Drill("retried-under-new-number", "once", "reset:all"),
    Drill("watch-dropped-on-reconnect", "watch", "reset:all"),
    Drill("resumed-from-now", "watch", "reset:all"),
    Drill("lock-without-fence", "guarded"),
    Drill("other-holder-removed", "guarded", "pause:leader"),
)


def arguments(drill: Drill, seed: int, time_s: float) -> list[str]:
    """What ``jepsen-lite`` is told, without the bug."""
    words = ["run", "--workload", drill.workload]
    if drill.faults:
        words += ["--faults", drill.faults]
    return [*words, "--nodes", str(drill.nodes), "--time", f"{time_s:g}", "--seed", str(seed),
            *drill.more]  # fmt: skip


def command(drill: Drill, seed: int, time_s: float, *, planted: bool) -> list[str]:
    """The whole command, after ``python``."""
    words = ["-m", "jepsen_lite", *arguments(drill, seed, time_s)]
    if not planted:
        return words
    if BY_NAME[drill.bug].side == "client":
        return ["-m", "tests.broken", drill.bug, *words]
    return [*words, "--planted", drill.bug]


def run(words: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """The result of one run, or why there is none."""
    with tempfile.TemporaryDirectory(prefix="jepsen-planted-") as out:
        where = ["--json", "--out", out, "--first-port", str(options.first_port)]
        done = subprocess.run(
            [sys.executable, *words, *where], capture_output=True, text=True, check=False
        )
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"verdict": "none", "judgements": [], "why": done.stderr.strip()[-500:]}
    return result


def search(drill: Drill, options: argparse.Namespace) -> dict[str, Any]:
    """The row of one bug."""
    attempts: list[tuple[int, list[str], dict[str, Any]]] = []
    for seed in range(options.seed, options.seed + RUNS_MAX):
        words = command(drill, seed, options.time_s, planted=True)
        attempts.append((seed, words, run(words, options)))
        if _found(attempts[-1][2]):
            break
    seed, words, result = attempts[-1]
    sound = _sound(tuple(command(drill, seed, options.time_s, planted=False)), options)
    return {
        "bug": drill.bug,
        "rule": BY_NAME[drill.bug].rule,
        "command": shlex.join(["python", *words]),
        "runs": len(attempts),
        "verdict": result["verdict"],
        "found": _found(result)[:3],
        "sound": sound["verdict"],
        "sound_ok": sound.get("figures", {}).get("ok", 0),
        "sound_why": _reasons(sound),
    }


_SOUND: Final[dict[tuple[str, ...], dict[str, Any]]] = {}
"""Results of sound runs, by command: several bugs are shown by the same."""


def _sound(words: tuple[str, ...], options: argparse.Namespace) -> dict[str, Any]:
    if words not in _SOUND:
        _SOUND[words] = run(list(words), options)
    return _SOUND[words]


def _found(result: dict[str, Any]) -> list[str]:
    return [
        f"{judgement['checker']}: {finding['rule']}: {finding['sentence']}"
        for judgement in result["judgements"]
        for finding in judgement["findings"]
    ]


def _reasons(result: dict[str, Any]) -> list[str]:
    return [
        text
        for judgement in result["judgements"]
        for text in (*(each["sentence"] for each in judgement["findings"]), *judgement["reasons"])
    ]


def _told(row: dict[str, Any]) -> str:
    first = row["found"][0] if row["found"] else "nothing"
    return (
        f"{row['bug']}: {row['verdict']} in run {row['runs']} ({first});"
        f" sound: {row['sound']}, {row['sound_ok']:,} ok {row['sound_why'][:2] or ''}"
    )


def chosen(names: Iterable[str]) -> list[Drill]:
    """The drills of these bugs, or all. Raises KeyError."""
    by_name = {drill.bug: drill for drill in DRILLS}
    return [by_name[name] for name in names] or list(DRILLS)


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.jepsen_lite.planted")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--time", dest="time_s", type=float, default=60.0, metavar="S")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first-port", type=int, default=23_000, metavar="PORT")
    parser.add_argument("--ledger", type=Path, default=LEDGER)
    options = parser.parse_args()
    is_good = True
    for drill in chosen(options.names):
        row = search(drill, options)
        is_good &= row["verdict"] == "invalid" and row["sound"] == "valid"
        with options.ledger.open("a", encoding="utf-8") as ledger:
            ledger.write(json.dumps(row) + "\n")
        sys.stdout.write(_told(row) + "\n")
        sys.stdout.flush()
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
