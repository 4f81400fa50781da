"""Faults are named, aimed, proven and healed, whatever happens meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jepsen_lite import history_file
from jepsen_lite.clusters.cluster import Ability, Cluster, ClusterError
from jepsen_lite.clusters.weather import CLEAR, CLIENTS, Conditions, Weather
from jepsen_lite.faults.catalogue import FAULTS, UnknownFaultError, kind_of, make
from jepsen_lite.faults.fault import Fault, NoEffectError
from jepsen_lite.faults.schedule import Rhythm, Schedule
from jepsen_lite.history import History
from jepsen_lite.scenarios import (
    CAMPAIGN_FAULTS,
    CAMPAIGN_WORKLOADS,
    CI,
    MATRIX_FAULTS,
    SCENARIOS,
    SMALL,
)
from jepsen_lite.workloads import WORKLOADS


class FakeProcess:
    """Runs, for ever."""

    is_running = True
    is_paused = False


class FakeNode:
    """A name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process = FakeProcess()


class FakeCluster(Cluster):
    """Names and weather, without processes."""

    name = "fake"
    abilities = frozenset({Ability.PATHS, Ability.FRAMES, Ability.SLOWNESS, Ability.PACKETS})
    clients = ("native",)

    def __init__(self, count: int = 5, leads: str | None = "n1") -> None:
        self.fakes: Any = tuple(FakeNode(f"n{n}") for n in range(1, count + 1))
        self.nodes = self.fakes
        self.weather = Weather()
        self.leads = leads

    async def start(self) -> None:
        raise NotImplementedError

    async def stop(self) -> None:
        raise NotImplementedError

    async def leader(self) -> Any:
        return next((node for node in self.fakes if node.name == self.leads), None)

    async def wait_healthy(self, within_s: float) -> None:
        raise NotImplementedError


def cut_pairs(cluster: Cluster) -> set[tuple[str, str]]:
    """The ways that are cut now."""
    return {(p.source, p.destination) for p in cluster.weather if p.conditions.is_cut}


def test_every_name_leads_somewhere() -> None:
    """Scenarios, the small matrix and the campaign name what there is."""
    pairs = [*SMALL, *((w, f) for w, faults in CI for f in faults.split("+"))]
    pairs += [*((w, f) for w, faults in SCENARIOS.values() for f in faults)]
    for workload, _ in pairs:
        assert workload in WORKLOADS
    for fault in (*MATRIX_FAULTS, *CAMPAIGN_FAULTS, *(fault for _, fault in pairs)):
        kind_of(fault)
    assert len(SMALL) == 12
    assert len(set(CAMPAIGN_FAULTS)) >= 12
    assert len(set(CAMPAIGN_WORKLOADS) & set(WORKLOADS)) >= 10


@pytest.mark.parametrize("text", ["melt", "kill:everyone", "kill:", "flapping:one", ""])
def test_unknown_faults_and_targets_are_refused(text: str) -> None:
    """With what there is instead."""
    with pytest.raises(UnknownFaultError, match=r"there is no|no target"):
        kind_of(text)


def test_a_fault_that_a_cluster_cannot_have_is_refused() -> None:
    """Loudly: nothing must silently not happen."""
    with pytest.raises(UnknownFaultError, match="nobody can start, kill"):
        make("kill", FakeCluster(), random.Random(0))


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("word", FAULTS["partition"].words)
async def test_partitions_cut_what_their_name_says_and_heal(word: str, count: int) -> None:
    """Never a way to oneself or to clients; and nothing is left behind."""
    for seed in range(20):
        cluster = FakeCluster(count)
        names = {node.name for node in cluster.nodes}
        fault = make(f"partition:{word}", cluster, random.Random(seed))
        await fault.start()
        pairs = cut_pairs(cluster)
        assert pairs
        assert all(a != b and {a, b} <= names for a, b in pairs)
        reach = {
            a: {b for b in names if (a, b) not in pairs and (b, a) not in pairs} for a in names
        }
        if word == "leader":
            assert pairs == {p for b in names - {"n1"} for p in (("n1", b), (b, "n1"))}
        elif word == "one-way":
            assert not any((b, a) in pairs for a, b in pairs)
            assert all("n1" in pair for pair in pairs)
        elif word == "bridge":
            assert sum(reach[name] == names for name in names) == 1
        elif word == "ring" and count == 5:
            assert all(len(reach[name]) == 3 for name in names)
            assert len({frozenset(seen) for seen in reach.values()}) == count
        await fault.stop()
        assert not cut_pairs(cluster)


async def test_a_partition_that_something_crossed_has_no_effect() -> None:
    """And one that nobody ran into proves nothing."""
    cluster = FakeCluster(3)
    fault = make("partition:leader", cluster, random.Random(0))
    await fault.start()
    with pytest.raises(NoEffectError, match="nobody tried"):
        await fault.verify()
    cluster.weather.path("n1", "n2").held_frames += 1
    assert "1 frames and connections had to wait" in await fault.verify()
    cluster.weather.path("n2", "n1").crossed_bytes += 10
    with pytest.raises(NoEffectError, match="10 bytes crossed from n2 to n1"):
        await fault.verify()
    await fault.stop()


@pytest.mark.parametrize(
    "name", ["delay", "bandwidth", "drop", "packet-loss", "duplicate", "reorder"]
)
async def test_bad_weather_is_proven_and_passes(name: str) -> None:
    """Only between nodes, and only while it lasts."""
    cluster = FakeCluster(3)
    cluster.weather.path(CLIENTS, "n1")
    fault = make(f"{name}:leader", cluster, random.Random(0))
    await fault.start()
    bad = [path for path in cluster.weather if path.conditions != CLEAR]
    assert {(p.source, p.destination) for p in bad} == {
        ("n1", "n2"), ("n2", "n1"), ("n1", "n3"), ("n3", "n1")
    }  # fmt: skip
    with pytest.raises(NoEffectError):
        await fault.verify()
    for counter in ("held_frames", "dropped", "duplicated", "reordered"):
        setattr(bad[0], counter, 7)
    assert "7 messages" in await fault.verify()
    await fault.stop()
    assert all(path.conditions == Conditions() for path in cluster.weather)


class Scripted(Fault):
    """Does what a test wants."""

    name = "scripted"
    summary = "for tests"
    needs: ClassVar[frozenset[Ability]] = frozenset()

    def __init__(
        self,
        *,
        start: Exception | None = None,
        verify: Exception | None = None,
        stop: Exception | None = None,
        not_yet: int = 1_000_000,
    ) -> None:
        super().__init__(FakeCluster(), random.Random(0))
        self._start, self._verify, self._stop = start, verify, stop
        self._not_yet = not_yet
        self.is_on = False
        self.starts = self.stops = 0

    async def start(self) -> list[str]:
        self.starts += 1
        self.is_on = True
        if self._start is not None:
            raise self._start
        return ["n1"]

    async def verify(self) -> str:
        self._not_yet -= 1
        if self._verify is not None and self._not_yet >= 0:
            raise self._verify
        return "seen"

    async def stop(self) -> None:
        self.stops += 1
        self.is_on = False
        if self._stop is not None:
            raise self._stop


async def scheduled(
    path: Path,
    fault: Fault,
    for_s: float,
    rhythm: Rhythm | None = None,
    succeeded: Callable[[], int] = lambda: 0,
) -> tuple[History, list[str], list[str]]:
    """What a schedule of one fault leaves in the history, what it complains of, and what was not
    seen to take effect."""
    problems: list[str] = []
    with history_file.Writer(path, History("w", "register")) as writer:
        schedule = Schedule(
            [("scripted:x", fault)],
            rhythm or Rhythm(0.02, 0.02, 0.0),
            writer,
            random.Random(0),
            problems.append,
            succeeded,
        )
        await schedule.run_for(for_s)
        assert not schedule.active
    return history_file.read(path), problems, schedule.unproven


async def test_a_schedule_strikes_again_and_again_and_leaves_nothing(tmp_path: Path) -> None:
    """Each strike is in the history, with its times, its targets and its proof."""
    fault = Scripted()
    history, problems, unproven = await scheduled(tmp_path / "h", fault, 0.5)
    assert not unproven
    assert fault.starts == fault.stops == len(history.faults) > 2
    assert not fault.is_on
    assert not problems
    for record in history.faults:
        assert (record.name, record.targets, record.verified) == ("scripted:x", ["n1"], "seen")
        assert record.start_ns < record.end_ns


async def test_a_fault_without_effect_is_healed_and_complained_of(tmp_path: Path) -> None:
    """It would go unnoticed otherwise."""
    fault = Scripted(verify=NoEffectError("it rained"))
    history, problems, unproven = await scheduled(tmp_path / "h", fault, 0.4)
    assert problems[0] == "scripted:x had no effect: it rained"
    assert unproven == ["scripted:x"]
    assert not fault.is_on
    assert not history.faults[0].verified


async def test_a_fault_lasts_until_it_is_seen_to_work(tmp_path: Path) -> None:
    """On a slow machine nobody may have tried to cross a cut way yet."""
    fault = Scripted(verify=NoEffectError("not yet"), not_yet=3)
    history, problems, unproven = await scheduled(tmp_path / "h", fault, 0.3, Rhythm(0.01, 0.01))
    assert not problems
    assert not unproven
    assert history.faults[0].verified == "seen"


async def test_a_fault_strikes_again_once_the_service_has_recovered(tmp_path: Path) -> None:
    """However long that takes: here every look shows ten operations more."""
    fault = Scripted()
    strikes: list[int] = []

    def succeeded() -> int:
        strikes.append(fault.starts)
        return 10 * len(strikes)

    await scheduled(tmp_path / "h", fault, 1.0, Rhythm(0.01, 0.01, 0.0, 20), succeeded)
    assert fault.starts > 1
    assert all(strikes.count(strike) == 3 for strike in range(1, fault.starts + 1))


async def test_a_fault_that_breaks_is_healed(tmp_path: Path) -> None:
    """Whatever it had got to."""
    fault = Scripted(start=RuntimeError("a fault of the harness"))
    with pytest.raises(ExceptionGroup):
        await scheduled(tmp_path / "h", fault, 0.4)
    assert not fault.is_on


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), ": what it struck did not come back in time"),
        (ClusterError("no engine"), " could not be healed: no engine"),
        (NoEffectError("nobody answered"), " could not be healed: nobody answered"),
    ],
)
async def test_what_cannot_be_healed_is_complained_of(
    error: Exception, words: str, tmp_path: Path
) -> None:
    """The run goes on to its own look at the cluster."""
    _, problems, _ = await scheduled(tmp_path / "h", Scripted(stop=error), 0.4)
    assert problems[0] == f"scripted:x{words}"


async def test_what_cannot_be_injected_had_no_effect(tmp_path: Path) -> None:
    """Said, and not the end of the run."""
    fault = Scripted(start=ClusterError("no engine"))
    _, problems, unproven = await scheduled(tmp_path / "h", fault, 0.1)
    assert problems[0] == "scripted:x had no effect: no engine"
    assert unproven == ["scripted:x"]


class DownNode(FakeNode):
    """A node whose process is killed and started."""

    def __init__(self) -> None:
        super().__init__("n1")
        self.process: Any = self
        self.is_running = True
        self.kept_down_by: set[object] = set()

    async def kill(self) -> None:
        self.is_running = False

    async def start(self) -> None:
        assert not self.is_running
        self.is_running = True


async def test_what_two_faults_keep_down_comes_back_when_both_are_over() -> None:
    """The end of one must not heal the other."""
    node: Any = DownNode()
    one, other, third = Scripted(), Scripted(), Scripted()
    await one.take_down(node)
    await other.take_down(node)
    await third.bring_back(node)
    await one.bring_back(node)
    assert not node.is_running
    await one.bring_back(node)
    assert not node.is_running
    await other.bring_back(node)
    assert node.is_running
    await other.bring_back(node)
