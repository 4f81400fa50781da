"""Records a workload and opens its crash images, each step in processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.crash.boot import AnotherBoot
from tests.crash.recorder import Recording

ROOT: Final = Path(__file__).resolve().parents[2]
FINDINGS_MAX: Final = 10
"""After so many a workload is given up: the rest would say the same."""


@dataclass(slots=True)
class Findings:
    """What came of the images of one workload or several."""

    opened: int = 0
    prints: set[str] = field(default_factory=set)
    """Of distinct images."""
    log_prints: set[str] = field(default_factory=set)
    """The same without trees."""
    kinds: Counter[str] = field(default_factory=Counter)
    """"power", "kill", "serve"."""
    problems: list[str] = field(default_factory=list)
    """Each with workload and number of the image in front, and the options of
    ``python -m tests.crash`` that open it again."""

    def add(self, other: Findings) -> None:
        """Take over another's; images of two recordings are never the same."""
        self.opened += other.opened
        self.prints |= other.prints
        self.log_prints |= other.log_prints
        self.kinds += other.kinds
        self.problems += other.problems


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """For children that import the tests as this process does."""
    path = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PYTHONPATH": path, **(extra or {})}


def record(name: str, place: Path, library: Path, broken: str = "") -> Recording:
    """Live a workload under the recorder. Raises CalledProcessError."""
    shutil.rmtree(place, ignore_errors=True)
    recording = Recording(place)
    command = [sys.executable, "-m", "tests.crash.workloads", name, str(place), broken]
    extra = recording.environment(library)
    subprocess.run(command, check=True, env=environment(extra), cwd=ROOT)
    return recording


class Replay:
    """Opens the images of a recording in children; one that dies is replaced."""

    def __init__(
        self,
        name: str,
        place: Path,
        boot: AnotherBoot,
        images: int,
        seed: int,
        *,
        broken: str = "",
        findings_max: int = FINDINGS_MAX,
    ) -> None:
        self._name = name
        self._again = f"--workload {name} --images {images} --seed {seed} --only"
        self._command = [
            sys.executable, "-m", "tests.crash.worker", str(place),
            "--images", str(images), "--seed", str(seed),
        ]  # fmt: skip
        if broken:
            self._command += ["--break", broken]
        self._boot = boot
        self._findings_max = findings_max
        self._log = place / "worker.log"
        self.findings = Findings()

    def run(self, on_image: Callable[[], None], only: int = 0) -> Findings:
        """All of them (or one); ``on_image`` is called after each."""
        following = only or 1
        while following and not self._is_enough():
            last = ["--last", str(only)] if only else []
            following = self._one_child(["--from", str(following), *last], on_image)
        return self.findings

    def _one_child(self, more: list[str], on_image: Callable[[], None]) -> int:
        """Returns the image to go on with, 0 after the last one."""
        with self._log.open("wb") as log:
            child = subprocess.Popen(
                self._boot.command([*self._command, *more]),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(),
                cwd=ROOT,
            )
        assert child.stdout is not None
        opening = 0
        for line in child.stdout:
            said = json.loads(line)
            if "print" in said:
                opening = said["number"]
                self._count(said["print"], said["log"], said["kind"])
                continue
            opening = 0
            on_image()
            if said["problem"]:
                self.findings.problems.append(self._told(said["number"], said["problem"]))
            if self._is_enough():
                child.kill()
                break
        status = child.wait()
        child.stdout.close()
        trace = self._log.read_text(encoding="utf-8", errors="replace")
        if opening:
            reason = f"crash/died: status {status} {trace[-500:]}".rstrip()
            self.findings.problems.append(self._told(opening, reason))
            on_image()
            return opening + 1
        assert status == 0 or self._is_enough(), trace
        return 0

    def _is_enough(self) -> bool:
        return len(self.findings.problems) >= self._findings_max

    def _count(self, whole: str, log: str, kind: str) -> None:
        findings = self.findings
        findings.opened += 1
        findings.kinds[kind] += 1
        findings.prints.add(f"{self._name} {whole}")
        findings.log_prints.add(f"{self._name} {log}")

    def _told(self, number: int, problem: str) -> str:
        return f"{self._name}, image {number}: {problem} [{self._again} {number}]"
