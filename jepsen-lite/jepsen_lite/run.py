"""One run: a healthy cluster, traffic, faults, healing, convergence, final reads, the log, judges.

``Run.run`` reads as the test itself. What the run sees by itself (a node that ended, data that
differ, a fault without effect) becomes a judgement of its own, beside those of the checkers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import platform
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from jepsen_lite import judge
from jepsen_lite.clients import opening
from jepsen_lite.clients.store import StoreError
from jepsen_lite.clusters import starting
from jepsen_lite.clusters.cluster import Ability, Cluster, ClusterError
from jepsen_lite.clusters.coord import CoordCluster, DivergedError
from jepsen_lite.clusters.log_follower import LogFollower
from jepsen_lite.faults import catalogue
from jepsen_lite.faults.schedule import Rhythm, Schedule
from jepsen_lite.history import History
from jepsen_lite.history_file import Writer
from jepsen_lite.recorder import Recorder
from jepsen_lite.settings import Settings
from jepsen_lite.traffic import Traffic
from jepsen_lite.verdict import Judgement, Verdict, merged
from jepsen_lite.workloads import WORKLOADS

QUIET_S: Final = 1.0
"""Traffic before the first fault and after the last."""
HEALED_WITHIN_S: Final = 60.0
STRETCH_MAX: Final = 6
"""A run that is to do a number of operations lasts at most so many times as long as asked."""
RESTS_OK: Final = 30
"""Operations between two strikes of a fault in such a run, however long they take."""
HISTORY: Final = "history.jsonl"
RESULT: Final = "result.json"


@dataclass(slots=True)
class Result:
    """What came of a run, and where it lies."""

    settings: Settings
    verdict: Verdict
    judgements: list[Judgement]
    figures: dict[str, Any]
    directory: Path

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "settings": self.settings.to_json(),
            "command": self.settings.command(),
            "verdict": self.verdict.value,
            "figures": self.figures,
            "judgements": [judgement.to_json() for judgement in self.judgements],
        }


class Run:
    """One run from its settings to its result; ``phase`` says how far it is."""

    def __init__(
        self, settings: Settings, on_change: Callable[[Run], None] = lambda _run: None
    ) -> None:
        """``on_change`` is called with the run at each change of phase and every second."""
        self.settings = settings
        self.phase = "starting"
        self.started_s = time.monotonic()
        self.traffic_since_s = 0.0
        self.recorder: Recorder | None = None
        self.schedule: Schedule | None = None
        self.seen = Judgement("run")
        self.figures: dict[str, Any] = {}
        self.on_change = on_change
        seconds = time.strftime("%Y%m%d-%H%M%S")
        faults = "+".join(settings.faults).replace(":", "-") or "healthy"
        where = f"{settings.cluster}{settings.nodes}"
        base = f"{seconds}-{where}-{settings.workload}-{faults}-{settings.seed}"
        self.directory = _unused(settings.out / base)

    async def run(self) -> Result:
        """Do it. Raises ClusterError if the cluster does not start, UnknownFaultError."""
        kind = WORKLOADS[self.settings.workload]
        self.directory.mkdir(parents=True)
        workload = kind(
            random.Random(f"{self.settings.seed}/workload"),
            nodes=self.settings.nodes,
            workers=self.settings.workers or kind.workers,
        )
        kinds = [catalogue.kind_of(text)[0] for text in self.settings.faults]
        needed = frozenset[Ability]().union(*(fault.needs for fault in kinds))
        cluster = starting.make(self.settings, self.directory, needed)
        client = self._client(cluster)
        if client not in cluster.clients or client not in kind.clients:
            able = ", ".join(name for name in kind.clients if name in cluster.clients) or "none"
            raise ClusterError(
                f"{kind.name} on {cluster.name} cannot use the client {client}; it can use: {able}"
            )
        faults = [
            (text, catalogue.make(text, cluster, random.Random(f"{self.settings.seed}/{text}")))
            for text in self.settings.faults
        ]
        path = self.directory / HISTORY
        async with self._running(cluster):
            meta = {**workload.meta(), **await self._meta(cluster)}
            with Writer(path, History(kind.name, kind.model, meta)) as writer:
                self.recorder = Recorder(writer)
                counts = self.recorder.counts
                open_store = partial(opening.open_store, self.settings, cluster, writer)
                cluster.open_store = open_store
                traffic = Traffic(
                    workload,
                    self.recorder,
                    open_store,
                    rate=self.settings.rate,
                    seed=self.settings.seed,
                )
                self.schedule = Schedule(
                    faults,
                    Rhythm(
                        self.settings.lasts_s,
                        self.settings.rests_s,
                        rests_ok=RESTS_OK if self.settings.ok else 0,
                    ),
                    writer,
                    random.Random(f"{self.settings.seed}/schedule"),
                    self.seen.cannot_say,
                    lambda: counts.ok,
                )
                await self._drive(cluster, traffic, writer)
        self._enter("judging")
        judgements = await asyncio.to_thread(judge.judge, path)
        return self._result([self._own(max(kind.ok_min, self.settings.ok)), *judgements])

    @contextlib.asynccontextmanager
    async def _running(self, cluster: Cluster) -> AsyncIterator[None]:
        ticking = asyncio.create_task(self._tick())
        try:
            try:
                await cluster.start()
            except OSError as error:
                raise ClusterError(f"the cluster cannot be started: {error}") from error
            yield
        finally:
            ticking.cancel()
            await cluster.stop()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.on_change(self)

    def _enter(self, phase: str) -> None:
        self.phase = phase
        self.on_change(self)

    async def _meta(self, cluster: Cluster) -> dict[str, Any]:
        settings = self.settings
        return {
            "settings": settings.to_json(),
            "command": settings.command(),
            "versions": {"os": platform.platform(), **await cluster.versions()},
            "nodes": [node.name for node in cluster.nodes],
            "client": self._client(cluster),
        }

    def _client(self, cluster: Cluster) -> str:
        return self.settings.client or cluster.clients[0]

    # --- what happens ---------------------------------------------------------------------------

    async def _drive(self, cluster: Cluster, traffic: Traffic, writer: Writer) -> None:
        # Only what the native client did can be compared with the log: others are not recorded.
        has_log = isinstance(cluster, CoordCluster) and self._client(cluster) == "native"
        follower = LogFollower(lambda: cluster.nodes, writer.log) if has_log else None
        async with self._following(follower):
            self._enter("preparing")
            await self._prepare(traffic)
            working = asyncio.create_task(traffic.run())
            try:
                await self._fault_time(cluster)
            finally:
                traffic.stop()
                await working
            await self._settle(cluster, traffic)
        if isinstance(cluster, CoordCluster) and follower is not None:
            await self._keep_log(cluster, follower, writer)

    @contextlib.asynccontextmanager
    async def _following(self, follower: LogFollower | None) -> AsyncIterator[None]:
        if follower is None:
            yield
            return
        following = asyncio.create_task(follower.run())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _prepare(self, traffic: Traffic) -> None:
        try:
            await traffic.open()
            await traffic.prepare()
        except StoreError as error:
            raise ClusterError(f"the clients cannot begin: {error.text}") from error

    async def _fault_time(self, cluster: Cluster) -> None:
        assert self.schedule is not None
        loop = asyncio.get_running_loop()
        self._enter("traffic")
        self.traffic_since_s = time.monotonic()
        until_s = loop.time() + self.settings.time_s
        await asyncio.sleep(QUIET_S)
        try:
            await self.schedule.run_for(max(0.0, self.settings.time_s - 2 * QUIET_S))
            await self._until_enough(until_s + (STRETCH_MAX - 1) * self.settings.time_s)
        finally:
            cluster.weather.clear()
        self._enter("healing")
        await self._heal(cluster)
        await asyncio.sleep(max(QUIET_S, until_s - loop.time()))

    async def _until_enough(self, latest_s: float) -> None:
        """Go on with faults and rests while too little has been done."""
        assert self.recorder is not None
        assert self.schedule is not None
        rhythm = self.settings.lasts_s + self.settings.rests_s
        loop = asyncio.get_running_loop()
        while self.settings.ok and loop.time() < latest_s:
            if self.recorder.counts.ok >= self.settings.ok and not self.schedule.unproven:
                return
            await self.schedule.run_for(rhythm)
            await asyncio.sleep(QUIET_S)

    async def _heal(self, cluster: Cluster) -> None:
        """Whatever runs must run, and the cluster must recover by itself."""
        for node in cluster.nodes:
            if node.process.died_by_itself:
                code = node.process.exit_code
                self.seen.add(
                    "node-ended",
                    f"{node.name} ended by itself with exit code {code}; its log:"
                    f" {node.process.log_file}",
                )
                await node.start()
        since_s = time.monotonic()
        try:
            await cluster.wait_healthy(HEALED_WITHIN_S)
        except ClusterError as error:
            self.seen.add("no-recovery", f"after every fault was healed the cluster is {error}")
        self.figures["recovered_s"] = round(time.monotonic() - since_s, 3)

    async def _settle(self, cluster: Cluster, traffic: Traffic) -> None:
        self._enter("final reads")
        await traffic.leave()
        await traffic.finish()
        await traffic.close()
        self._enter("converging")
        try:
            self.figures["converged"] = await cluster.wait_converged(HEALED_WITHIN_S)
        except DivergedError as error:
            self.seen.add("diverged", str(error))
        except ClusterError as error:
            self.seen.add("no-convergence", str(error))

    async def _keep_log(self, cluster: CoordCluster, follower: LogFollower, writer: Writer) -> None:
        """What the follower has not read yet, then every node's own copy."""
        self._enter("reading the log")
        for node in cluster.nodes:
            await follower.read(node)
        try:
            async for run in cluster.log():
                writer.log(run)
        except ClusterError as error:
            self.seen.cannot_say(str(error))
        if follower.missed:
            self.seen.cannot_say(f"{follower.missed} log entries were cut before they were read")

    # --- what came of it ------------------------------------------------------------------------

    def _own(self, ok_min: int) -> Judgement:
        """What the run itself has seen."""
        assert self.recorder is not None
        assert self.schedule is not None
        counts, seen = self.recorder.counts, self.seen
        if counts.ok < ok_min:
            seen.cannot_say(f"only {counts.ok} operations succeeded; {ok_min} are the minimum")
        for text in self.schedule.unproven:
            seen.cannot_say(f"{text} was never seen to take effect")
        seen.figures |= {
            "ok": counts.ok,
            "fail": counts.fail,
            "info": counts.info,
            "strikes": self.schedule.struck,
            "longest_gap_s": round(counts.longest_gap_ns / 1e9, 3),
        }
        self.figures |= seen.figures
        self.figures["errors"] = counts.errors
        return seen

    def _result(self, judgements: list[Judgement]) -> Result:
        verdict = merged(judgement.verdict for judgement in judgements)
        result = Result(self.settings, verdict, judgements, self.figures, self.directory)
        text = json.dumps(result.to_json(), indent=2)
        (self.directory / RESULT).write_text(text + "\n", encoding="utf-8")
        return result


def _unused(path: Path) -> Path:
    """``path``, or the first of those numbered after it that does not exist."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([path], numbered) if not each.exists())


def execute(run: Run) -> Result:
    """Do a run on a loop of its own. A SIGINT or SIGTERM meanwhile ends its servers, too, and
    raises KeyboardInterrupt or CancelledError."""

    async def live() -> Result:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await run.run()

    return asyncio.run(live())
