"""``coord bench``: what it measures, what it leaves alone, and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from coord.cli import exits, load
from coord.cli.bench import IN_FLIGHT_MAX, progress_line
from coord.cli.load import WARM_UP_S, WORKS, Latencies, Load, Outcome, Plan
from coord.cli.root import root
from coord.model.errors import NoAuthError
from coord.model.types import ReadLevel
from coord.model.znode import Stat
from coord_client import Client, Created
from tests.cli.fake_client import FakeClient

PLAN = Plan("/bench", depth=3, seconds=2.0, size=10, level=ReadLevel.STALE)
STEP_S = 0.001


class Clock:
    """Each look at it takes a millisecond."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """Seconds."""
        self.now_s += STEP_S
        return self.now_s


class RefusingClient(FakeClient):
    """Sets are refused."""

    async def set(self, path: str, data: bytes, *, version: int = -1) -> Stat:
        """As a client's without the right to."""
        raise NoAuthError(f"the ACL of {path} does not allow this")


def _run(client: FakeClient, *argv: str) -> Result:
    options = ["--connections", "2", "--depth", "2", "--seconds", "0.1"]
    return CliRunner().invoke(root, ["bench", *argv, *options], obj=client.open)


async def _loaded(client: FakeClient, work: str, plan: Plan = PLAN) -> Outcome:
    generator = Load([cast("Client", client)], plan, Clock())
    client.nodes[plan.path] = (b"", 0)
    await generator.prepare()
    outcome = Outcome(work, 0.0)
    await generator.run(work, outcome)
    return outcome


# --- latencies ----------------------------------------------------------------------------------


@given(st.lists(st.floats(2e-6, 3_000.0), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_quantiles_are_near_the_truth(samples: list[float], share: float) -> None:
    """At least as high as the sample of that rank, at most two in a hundred higher."""
    latencies = Latencies()
    for sample in samples:
        latencies.add(sample)
    true = sorted(samples)[math.ceil(share * len(samples)) - 1]
    found = latencies.quantile_s(share)

    assert true * (1 - 1e-9) <= found <= true * 1.021
    assert latencies.quantile_s(1.0) == latencies.max_s == max(samples)


def test_extreme_latencies_have_their_bucket() -> None:
    """Nothing took any time, or hours: counted all the same; of nothing the quantile is 0."""
    latencies = Latencies()
    assert latencies.quantile_s(0.5) == 0.0
    for seconds in (0.0, 1e-9, 1e6):
        latencies.add(seconds)

    assert latencies.count == 3
    assert latencies.quantile_s(0.99) <= latencies.max_s == 1e6


# --- load ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("work", WORKS)
async def test_work_is_what_it_is_called(work: str) -> None:
    """Sets and gets touch the prepared nodes, creates make new ones, mixed does mostly gets."""
    client = FakeClient()
    outcome = await _loaded(client, work)
    below = [path for path in client.nodes if path.startswith("/bench/")]
    writes = sum(client.nodes[path][1] for path in below)
    reads = len(client.levels)
    # The clock ticks once for each request, and goes on through the warm-up.
    assert outcome.latencies.count == pytest.approx(PLAN.seconds / STEP_S, abs=5)
    assert outcome.rate == pytest.approx(1 / STEP_S, rel=0.01)
    assert outcome.latencies.max_s == pytest.approx(STEP_S)
    total = outcome.latencies.count + WARM_UP_S / STEP_S
    expected = {
        "set": (3, total, 0),
        "get": (3, 0, total),
        "create": (3 + total, 0, 0),
        "mixed": (3, 0.1 * total, 0.9 * total),
    }[work]

    assert (len(below), writes, reads) == pytest.approx(expected, rel=0.25, abs=6)
    assert {len(client.nodes[path][0]) for path in below} == {PLAN.size}
    assert set(client.levels) <= {ReadLevel.STALE}


async def test_failed_requests_are_counted_and_slow_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each failure is an error of its name, no operation, and followed by a rest."""
    rests: list[float] = []
    real_sleep: Callable[[float], Any] = asyncio.sleep

    async def sleep(seconds: float) -> None:
        rests.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    outcome = await _loaded(RefusingClient(), "set")

    assert outcome.latencies.count == 0
    assert outcome.errors["NoAuth"] == outcome.errors.total() > 100
    assert "does not allow" in outcome.first_error
    assert rests.count(load.ERROR_PAUSE_S) == outcome.errors.total()


def test_progress_says_where_it_stands() -> None:
    """Work, time, rate, tail, errors."""
    assert progress_line(PLAN, Outcome("set", 0.0)) == "set: warming up"
    outcome = Outcome("set", 1.5)
    for _ in range(3_000):
        outcome.latencies.add(0.004)
    assert progress_line(PLAN, outcome) == "set: 1.5 of 2 s, 2,000 ops/s, p99 4.00 ms"
    outcome.failed(NoAuthError("no"))
    assert progress_line(PLAN, outcome).endswith(", 1 errors")


# --- the command --------------------------------------------------------------------------------


def test_table_and_a_clean_tree() -> None:
    """A row for each kind of work, the generator's own share, and nothing left behind."""
    client = FakeClient({"/kept": b"x"})
    result = _run(client)
    lines = result.stdout.splitlines()

    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in lines] == ["work", *WORKS]
    assert "the generator, one Python process, used" in result.stderr
    assert set(client.nodes) == {"/", "/kept"}
    assert len(client.targets) == 2


def test_json_has_one_line_for_each_work() -> None:
    """With all that a comparison needs."""
    result = _run(FakeClient(), "get", "set", "--json")
    first, second = map(json.loads, result.stdout.splitlines())

    assert [first["work"], second["work"]] == ["get", "set"]
    assert first["ops"] > 0
    assert first["ops_per_s"] == pytest.approx(first["ops"] / 0.1, rel=0.01)
    assert first["p50_ms"] <= first["p99_ms"] <= first["max_ms"]
    assert (first["connections"], first["depth"], first["errors"]) == (2, 2, {})


def test_path_in_use_is_left_alone() -> None:
    """Children or data below the path: refused, nothing touched."""
    for nodes in ({"/coord-bench": b"", "/coord-bench/a": b"1"}, {"/coord-bench": b"data"}):
        client = FakeClient(nodes)
        before = dict(client.nodes)
        result = _run(client)

        assert result.exit_code == exits.REFUSED
        assert "/coord-bench is not empty" in result.stderr
        assert client.nodes == before


def test_empty_path_is_used_and_stays() -> None:
    """A node that was there before, and empty, is there and empty afterwards."""
    client = FakeClient({"/mine": b""})
    result = _run(client, "set", "--path", "/mine")

    assert result.exit_code == 0, result.output
    assert set(client.nodes) == {"/", "/mine"}


def test_node_of_somebody_else_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another program put below the path meanwhile is not deleted; it is said."""
    client = FakeClient()
    real = client.create

    async def create(path: str, data: bytes) -> Created:
        client.nodes["/coord-bench/theirs"] = (b"x", 0)
        return await real(path, data)

    monkeypatch.setattr(client, "create", create)
    result = _run(client, "set")

    assert result.exit_code == 0, result.output
    assert set(client.nodes) == {"/", "/coord-bench", "/coord-bench/theirs"}
    assert "coord delete --recursive /coord-bench" in result.stderr


def test_refused_work_is_told_and_cleaned_up() -> None:
    """Not one request succeeded: exit 1, the count by error and the first one's words."""
    client = RefusingClient()
    result = _run(client, "set")

    assert result.exit_code == exits.REFUSED
    assert "NoAuth; the first: the ACL of" in result.stderr
    assert set(client.nodes) == {"/"}


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["put"], "is not one of"),
        (["--path", "/"], "not the root"),
        (["--path", "x"], "it must start with /"),
        (["--connections", "0"], "not in the range"),
    ],
)
def test_wrong_usage_of_bench(argv: list[str], complaint: str) -> None:
    """Said before anything is opened."""
    client = FakeClient()
    result = CliRunner().invoke(root, ["bench", *argv], obj=client.open)

    assert result.exit_code == exits.USAGE
    assert complaint in result.stderr
    assert client.targets == []


def test_requests_in_flight_are_bounded() -> None:
    """Connections and depth have limits of their own and one together."""
    argv = ["bench", "--connections", "1000", "--depth", "1000"]
    result = CliRunner().invoke(root, argv, obj=FakeClient().open)

    assert result.exit_code == exits.USAGE
    assert str(IN_FLIGHT_MAX) in result.stderr
