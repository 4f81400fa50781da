"""Planted bugs of the whole stack.

    python -m tests.broken list                  what there is
    python -m tests.broken hunt [NAME…]          how many runs notice each; written to the ledger
    python -m tests.broken check [NAME…]         is what was noticed still noticed? Else exits 1
    python -m tests.broken reach                 does each line run in passing simulations?
    python -m tests.broken table                 the ledger as Markdown
    python -m tests.broken NAME serve …          a real node with the bug (any coord command)
    python -m tests.broken NAME -m MODULE …      any module with the bug, such as a client

The ledger is detection.json, beside this file.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace

from tests.broken import hunting, ledger, serving
from tests.broken.catalogue import BY_NAME, MUTANTS
from tests.broken.focus import draw_in
from tests.broken.hunting import Missed
from tests.broken.ledger import Record
from tests.broken.reaching import reached


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class _Progress:
    """A line on a terminal's stderr that says how far a long command is."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._shown = sys.stderr.isatty()

    def step(self) -> None:
        self._done += 1
        if self._shown:
            sys.stderr.write(f"\r{self._done} of {self._total} ")
            sys.stderr.flush()

    def end(self) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")


def _list(*, as_json: bool) -> int:
    for mutant in MUTANTS:
        if as_json:
            facts = {"name": mutant.name, "bugs": mutant.bugs, "side": mutant.side}
            _say(json.dumps({**facts, "drill": mutant.drill, "rule": mutant.rule}))
        else:
            mark = "drill" if mutant.drill else ""
            _say(f"{mutant.name:34} {mutant.side:7} {mark:6} {mutant.rule}")
    return 0


def _search(options: argparse.Namespace) -> int:
    is_hunt = options.command == "hunt"
    search = hunting.hunt_from if is_hunt else hunting.check_from
    names = options.names or list(BY_NAME if is_hunt else ledger.load())
    progress, missed = _Progress(len(names)), 0
    for found in hunting.search_all(search, names, options.first, options.runs, options.workers):
        progress.step()
        if isinstance(found, Missed):
            missed += 1
            _say(f"MISSED {found}")
            continue
        if is_hunt:
            ledger.save([*ledger.load().values(), found])
        _say(json.dumps(asdict(found)) if options.json else _sentence(found))
    progress.end()
    _say(f"{len(names) - missed} of {len(names)} noticed")
    return 1 if missed else 0


def _sentence(record: Record) -> str:
    return (
        f"{record.name}: noticed in {record.caught} of {record.tried} runs, median"
        f" {record.median}, by {', '.join(record.by)}; python -m tests.broken check {record.name}"
    )


def _reach(options: argparse.Namespace) -> int:
    """Run plans without bugs until every line has run, or there are no more seeds: first any runs,
    then those of the kinds in which the mutants are looked for."""
    known = ledger.load()
    left = {name: BY_NAME[name] for name in options.names or known}
    focuses = ("", *sorted({mutant.focus for mutant in left.values() if mutant.focus}))
    progress = _Progress(options.runs * len(focuses))
    for focus in focuses:
        for seed in range(options.first, options.first + options.runs):
            progress.step()
            ours = [mutant for mutant in left.values() if focus in ("", mutant.focus)]
            for name in reached(ours, draw_in(focus, seed)) if ours else ():
                del left[name]
                if name in known:
                    known[name] = replace(known[name], ran_in=seed)
    progress.end()
    ledger.save(known.values())
    _say("lines that ran in no passing simulation: " + (", ".join(left) or "none"))
    return 1 if left else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.broken", description=__doc__)
    parser.add_argument("command", choices=("list", "hunt", "check", "reach", "table"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="these only")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="where to begin")
    parser.add_argument("--runs", type=int, default=hunting.RUNS_MAX, help="at most, of each")
    parser.add_argument("--workers", type=int, default=0, help="0: one per core")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


def main(arguments: list[str]) -> int:
    """The command line. Returns the exit code."""
    if arguments and arguments[0] in BY_NAME:
        serving.run(BY_NAME[arguments[0]], arguments[1:])
        return 0
    parser = _parser()
    options = parser.parse_intermixed_args(arguments)
    unknown = [name for name in options.names if name not in BY_NAME]
    if unknown:
        parser.error(f"no planted bug is called {', '.join(unknown)}")
    if options.command == "list":
        return _list(as_json=options.json)
    if options.command == "table":
        _say(ledger.table())
        return 0
    return _reach(options) if options.command == "reach" else _search(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
