"""One run from seed to verdict."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from coord.sim import US_PER_S, Trace
from tests.sim.checkers import judge
from tests.sim.cluster import Cluster, Stuck
from tests.sim.codes import (
    GUARD,
    NO_AUTH,
    QUOTA_EXCEEDED,
    SEQUENCE_GAP,
    SESSION_EXPIRED,
    SESSION_MOVED,
    TRANSACTION,
)
from tests.sim.drawing import draw
from tests.sim.history import Asked, History, Outcome
from tests.sim.model import Model
from tests.sim.model_reserved import CONFIG
from tests.sim.plan import Plan
from tests.sim.tuned import in_force

PROBLEMS_SHOWN = 10
EXECUTED: Final = {301: "attached", 302: "closed", 303: "expired"}
REFUSED: Final = {
    SEQUENCE_GAP: "gap",
    SESSION_MOVED: "moved",
    SESSION_EXPIRED: "write after the end",
}
SITUATIONS: Final = (
    *EXECUTED.values(),
    *REFUSED.values(),
    "repeated",
    "lost answer",
    "leader change",
    "log cut off",
    "snapshot installed",
    "tree rebuilt",
    "minority left out",
    "disk error ended a node",
    "full disk refused writes",
    "apply stalled",
    "configuration changed",
    "joint configuration",
    "leader removed",
    "node added",
    "feature level raised",
    "entry of the next version",
    "digests compared",
    "stream resumed",
    "watches set again",
    "lock changed hands",
    "hold cut short",
    "write sent again",
    "ACL refused",
    "guard refused",
    "quota refused",
    "read without a quorum",
    "watch taken back",
    "membership published",
    "tree not trusted",
)
"""Entries that repeat or overtake others, sessions in every kind of trouble, and what nodes go
through: a suite that never gets there proves nothing about it."""


@dataclass(slots=True)
class Result:
    """What became of a run. ``problems`` is empty if everything held."""

    plan: Plan
    problems: list[str] = field(default_factory=list)
    trace_hash: str = ""
    tail: list[str] = field(default_factory=list)
    simulated_s: float = 0.0
    events: int = 0
    entries: int = 0
    operations: int = 0
    acknowledged: int = 0
    """Operations that were answered: carried out, or refused by what the log says."""
    cpu_s: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    reached: Counter[str] = field(default_factory=Counter)
    """Situations worth having been in (``SITUATIONS``), and how often."""

    @property
    def is_drawn(self) -> bool:
        """Its seed alone gives the plan."""
        return self.plan == draw(self.plan.seed)

    def report(self, command: str = "") -> str:
        """Why it failed and how to see it again; ``command``: where the seed does not suffice."""
        shown = "\n  ".join(self.problems[:PROBLEMS_SHOWN])
        again = command or f"python -m tests.sim --seed {self.plan.seed} --trace"
        return f"seed {self.plan.seed}: {len(self.problems)} problems\n  {shown}\n{again}"


def run_seed(seed: int, sink: Callable[[str], None] | None = None) -> Result:
    """Run the plan of a seed."""
    return run_plan(draw(seed), sink)


def run_plan(
    plan: Plan,
    sink: Callable[[str], None] | None = None,
    alter: Callable[[Cluster], None] = lambda _cluster: None,
) -> Result:
    """Safety under faults, then healing, progress and convergence, then every checker.

    ``alter`` gets the cluster before it starts: controls break something there.
    """
    trace = Trace(sink)
    result = Result(plan)
    started_s = time.process_time()
    cluster = Cluster(plan, trace)
    alter(cluster)
    try:
        with in_force(plan):
            cluster.prepare()
            cluster.add_clients()
            cluster.suffer()
            cluster.heal()
            cluster.recover()
        cluster.history.over_us = cluster.kernel.now_us
        result.problems = judge(cluster.history)
    except Exception as error:  # Whatever the product raises is a finding.
        result.problems = [f"{type(error).__name__}: {error}"]
        if error.__cause__ is not None or not _names_itself(error):
            result.problems += _where(error)
        result.problems += _judge_unfinished(cluster, error)
    cluster.close()
    result.cpu_s = time.process_time() - started_s
    result.trace_hash = trace.hexdigest()
    result.tail = trace.tail if result.problems else []
    result.simulated_s = cluster.kernel.now_us / US_PER_S
    result.events = cluster.kernel.events_run
    result.entries = len(cluster.history.log)
    result.operations = len(cluster.history.ops)
    result.acknowledged = sum(op.outcome is Outcome.OK for op in cluster.history.ops)
    result.faults = cluster.nemesis.done
    cluster.invariants.ended()
    result.reached = cluster.invariants.reached + _situations(cluster.history)
    return result


def _seen_by_clients(history: History) -> Counter[str]:
    """What clients went through."""
    found = Counter(history.reached)
    for transcript in history.transcripts:
        for item in transcript.items:
            if isinstance(item, Asked):
                found["stream resumed"] += item.what == "watch" and item.since >= 0
                found["watches set again"] += item.what == "set_watches"
                found["watch taken back"] += item.what == "removeWatches"
    holders: dict[str, str] = {}
    for holding in history.holdings:
        last = holders.get(holding.path, holding.client)
        found["lock changed hands"] += last != holding.client
        found["hold cut short"] += holding.was_lost
        holders[holding.path] = holding.client
    found["write sent again"] += len(history.repeats)
    for op in history.ops:
        guards = op.kind == "multi" and any(part[0] == GUARD for part in op.args[0])
        found["guard refused"] += guards and op.code == TRANSACTION
        found["ACL refused"] += op.code == NO_AUTH
        found["quota refused"] += op.code == QUOTA_EXCEEDED
    return found


def _judge_unfinished(cluster: Cluster, error: Exception) -> list[str]:
    """What is wrong with the history up to where the run ended. A cluster that makes no progress
    has left a whole one."""
    history = cluster.history
    history.over_us = cluster.kernel.now_us
    return judge(history) if isinstance(error, Stuck) else history.breaches


def _names_itself(error: Exception) -> bool:
    """An invariant or a demand of the harness, not an assertion somewhere."""
    return isinstance(error, AssertionError) and type(error) is not AssertionError


def _situations(history: History) -> Counter[str]:
    """What the log tells of a run."""
    model, found = Model(), Counter[str]()
    for entry in history.log:
        answer = model.apply(entry.index, entry.kind, entry.payload)
        found["membership published"] += any(it.path == CONFIG for it in model.tree.changes)
        if answer is None:
            continue
        if answer.executed:
            found[EXECUTED.get(answer.kind, "")] += 1
        else:
            found[REFUSED.get(answer.code, "repeated")] += 1
    found += _seen_by_clients(history)
    found["lost answer"] += sum(op.outcome is Outcome.INFO and op.is_write for op in history.ops)
    return found


def _where(error: BaseException) -> list[str]:
    """The innermost frames of an error that has no name of its own."""
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(f"at {code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return frames[-6:]
