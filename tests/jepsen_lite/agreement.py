"""Do checkers say what trying everything says? ``python -m tests.jepsen_lite.agreement``.

Random small histories of each model are judged by the checker and by brute force. An exact checker
must agree on all; a sound one may miss, but never accuse a legal history. Then larger histories of
an honest service, of which none may be accused.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from random import Random

from jepsen_lite import history_file
from jepsen_lite.checkers import CHECKERS
from jepsen_lite.history import History
from jepsen_lite.verdict import Verdict
from tests.jepsen_lite import brute
from tests.jepsen_lite.drawing import SUBJECTS, Subject, draw

OPERATIONS = 8
LARGE = 40
LARGE_FOR_SEARCH = 14


@dataclass(slots=True)
class Tally:
    """How often each was said. ``missed``: illegal histories that a sound checker let pass."""

    legal: int = 0
    illegal: int = 0
    missed: int = 0


class DisagreementError(AssertionError):
    """The checker is wrong; the message holds the history."""


def _told(name: str, seed: int, history: History, what: str) -> DisagreementError:
    lines = "\n".join(history_file.op_line(op) for op in history.ops)
    return DisagreementError(f"{name}, seed {seed}: {what}\n{lines}")


def compare(name: str, seed: int, tally: Tally) -> None:
    """Judge one small history both ways. Raises DisagreementError."""
    subject = SUBJECTS[name]
    history = draw(subject, Random(f"{name}/{seed}"), OPERATIONS)
    judgement = CHECKERS[subject.checker].check(history)
    legal = brute.is_legal(history.ops, subject.initial, subject.spec)
    tally.legal += legal
    tally.illegal += not legal
    if legal and judgement.verdict is Verdict.INVALID:
        raise _told(name, seed, history, f"is legal, accused: {judgement.findings[0].sentence}")
    if not legal and judgement.verdict is not Verdict.INVALID:
        tally.missed += 1
        if subject.is_exact:
            raise _told(name, seed, history, "is illegal, not found")


def spare_honest(name: str, seed: int) -> None:
    """An honest service is not accused, whatever the size. Raises DisagreementError."""
    subject: Subject = SUBJECTS[name]
    size = LARGE_FOR_SEARCH if subject.checker == "linearizability" else LARGE
    history = draw(subject, Random(f"honest/{name}/{seed}"), size, honest=True)
    judgement = CHECKERS[subject.checker].check(history)
    if judgement.verdict is Verdict.INVALID:
        raise _told(name, seed, history, f"is honest: {judgement.findings[0].sentence}")


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.jepsen_lite.agreement")
    parser.add_argument("--histories", type=int, default=50_000, help="small ones, each model")
    parser.add_argument("--honest", type=int, default=10_000, help="honest ones, each model")
    parser.add_argument("--model", choices=sorted(SUBJECTS), action="append")
    options = parser.parse_args()
    for name in options.model or SUBJECTS:
        tally = Tally()
        for seed in range(options.histories):
            compare(name, seed, tally)
            if sys.stderr.isatty() and seed % 1_000 == 0:
                sys.stderr.write(f"\r{name} {seed}")
        for seed in range(options.honest):
            spare_honest(name, seed)
        line = {
            "model": name,
            "checker": SUBJECTS[name].checker,
            "exact": SUBJECTS[name].is_exact,
            "legal": tally.legal,
            "illegal": tally.illegal,
            "missed": tally.missed,
            "honest": options.honest,
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
