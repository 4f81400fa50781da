"""One trial: a sound directory, one damage, and what its member makes of it.

Good ends, by name: ``unharmed`` (the damage hit nothing that counts), ``rebuilt`` (the tree was
built anew, and is right), ``refused`` (the node does not start and says what is damaged). Before
that the node may have ``stopped`` (it met the damage and said so), have been ``ended`` by a signal,
or have been told by a ``scrub``; its next start must then come to one of the good ends. A node that
runs while a key in a page of its tree changes, or a sound page comes to lie in another's place, may
be ``astray``: a lookup finds nothing, or what was there before. No other answer may be wrong, and
the scrub must notice.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from coord.store.directory_home import TREE_PREFIX
from coord.store.suspicion import Suspicion
from tests.corruption.damage import Damage
from tests.corruption.specimen import LAST, MORE, Specimen

WORKER: Final = "tests.corruption.worker"
TRUSTING_WORKER: Final = "tests.corruption.trusting_worker"
"""Checks nothing: for the control."""
ROOT: Final = Path(__file__).parents[2]
PATIENCE_S: Final = 60.0
"""A store of this size opens and answers in a tenth of a second."""
STARTS_MAX: Final = 3
_FATAL: Final = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL}


class Worker:
    """The processes that ``worker`` describes, one after the other."""

    def __init__(self, module: str = WORKER) -> None:
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, **order: Any) -> dict[str, Any]:
        """The answer; ``{"hung": ""}`` if there was none."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        readable, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
        if not readable:
            self.close()
            return {"hung": ""}
        found: dict[str, Any] = json.loads(process.stdout.readline())
        return found

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def end(self) -> None:
        """End the process that obeys now, as ``kill -9`` would."""
        if self._process is not None:
            self.ask(do="end")

    def close(self) -> None:
        """Leave no process behind."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None


@dataclass(slots=True)
class Outcome:
    """``path``: names of what happened, the end last; ``problem``: "" if that is as promised."""

    damage: Damage
    mode: str
    path: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def end(self) -> str:
        """How it ended."""
        return self.path[-1] if self.path else "nothing"


class Trials:
    """Runs trials one after the other in ``place``."""

    def __init__(self, specimen: Specimen, place: Path, worker: str = WORKER) -> None:
        self._specimen = specimen
        self._place = place
        self._member = Worker(worker)
        self._scrubber = Worker()

    def close(self) -> None:
        """Leave no process behind."""
        self._member.close()
        self._scrubber.close()

    def run(self, damage: Damage, mode: str) -> Outcome | None:
        """``mode``: "down", damaged while the node is down, or "up". None: nothing changed."""
        self._specimen.copy(self._place)
        outcome = Outcome(damage, mode)
        last = LAST
        if mode == "up" and "ok" not in self._open(outcome, last):
            return outcome
        if not damage.strike(self._place, self._specimen.older.get(damage.file, ())):
            self._member.end()
            return None
        if mode == "up":
            if not self._live(outcome, last + MORE):
                self._restart(outcome, LAST)
                return outcome
            last = LAST if outcome.path else LAST + MORE
            if not self._is_scrubbed(outcome):
                self._restart(outcome, last)
                return outcome
            if outcome.path:
                outcome.problem = "the scrub did not see what led it astray"
            self._member.ask(do="close", clean=False)
        self._restart(outcome, last)
        return outcome

    def _restart(self, outcome: Outcome, last: int) -> None:
        """Start until it serves or refuses; then live on, and start once more."""
        for _ in range(STARTS_MAX):
            if outcome.problem:
                return
            opened = self._open(outcome, last)
            if "ok" not in opened:
                if outcome.end == "refused":
                    return
                continue
            outcome.path.append("rebuilt" if opened["ok"]["rebuilt"] else "unharmed")
            outcome.said.append(opened["ok"]["rebuilt"])
            if self._live(outcome, last + MORE):
                self._finish(outcome, last + MORE)
                return
        outcome.problem = outcome.problem or "it never comes to rest"

    def _finish(self, outcome: Outcome, last: int) -> None:
        closed = self._member.ask(do="close", clean=True)
        opened = self._member.ask(do="open", dir=str(self._place), last=last)
        if "damage" in opened:
            outcome.path.append("refused")
            outcome.said.append(opened["damage"])
        elif "ok" not in closed or "ok" not in opened:
            outcome.problem = f"after a clean stop: {closed} {opened}"
        self._member.end()

    def _open(self, outcome: Outcome, last: int) -> dict[str, Any]:
        found = self._member.ask(do="open", dir=str(self._place), last=last)
        self._judge(outcome, found, "refused")
        return found

    def _live(self, outcome: Outcome, last: int) -> bool:
        found = self._member.ask(do="live", last=last)
        return self._judge(outcome, found, "stopped")

    def _is_scrubbed(self, outcome: Outcome) -> bool:
        generation = next(self._place.glob("tree-*")).name.removeprefix("tree-")
        found = self._scrubber.ask(do="scrub", dir=str(self._place), generation=generation)
        if "died" in found:
            found = {"damage": f"the check was ended by signal {found['died']}"}
        return self._judge(outcome, found, "scrub")

    def _judge(self, outcome: Outcome, found: dict[str, Any], name: str) -> bool:
        """Note what an answer means; False if the process is at its end."""
        if "ok" in found:
            return True
        if "astray" in found and self._is_excused(outcome, name):
            outcome.path.append("astray")
            return True
        if name != "refused" and "died" not in found:
            self._member.end()
        if "damage" in found:
            self._note(outcome, name, found["damage"])
        elif "failure" in found and name == "stopped":
            # The driver tries again for half a minute, then gives the tree up.
            self._note(outcome, "stalled", found["failure"].strip().splitlines()[-1])
        elif "died" in found and found["died"] in _FATAL:
            outcome.path.append("ended")
            outcome.said.append(signal.Signals(found["died"]).name)
        else:
            (kind, text), *_ = found.items()
            outcome.problem = f"{kind}: {text}"
        return False

    @staticmethod
    def _is_excused(outcome: Outcome, name: str) -> bool:
        """A lookup that is led astray below a running node meets no checksum that is wrong: only
        the scrub sees it."""
        damage = outcome.damage
        is_tree = damage.file.startswith(TREE_PREFIX)
        below_a_running_node = outcome.mode == "up" and name == "stopped" and not outcome.path
        return below_a_running_node and is_tree

    def _note(self, outcome: Outcome, name: str, said: str) -> None:
        outcome.path.append(name)
        outcome.said.append(said)
        if name != "refused":
            Suspicion(self._place).note(said)
