"""The matrix: what is run, what the ledger remembers, what the summary says."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jepsen_lite import cli, matrix, report
from jepsen_lite.matrix import Cell, Ledger
from jepsen_lite.progress import Board
from jepsen_lite.run import Result, Run
from jepsen_lite.settings import Settings
from jepsen_lite.verdict import Judgement, Verdict

FIGURES = {"ok": 10, "extra": 1, "strikes": 2, "longest_gap_s": 0.5, "faults": 3}
BASE = Settings("register", time_s=30.0)
CELLS = list(matrix.cells(["set", "bank"], ["none", "kill:all+pause"], [3, 5], [7]))


def test_all_combinations_in_turn() -> None:
    """Each workload with each fault at each size, for each seed; all workloads before the second
    fault of any."""
    assert [cell.workload for cell in CELLS[:4]] == ["set", "bank"] * 2
    assert [cell.faults for cell in CELLS[:2]] == ["none", "kill:all+pause"]
    assert len(CELLS) == len(set(CELLS)) == 8
    assert CELLS[0] == Cell("set", "none", 3, 7)
    asked = matrix.settings_of(Cell("bank", "kill:all+pause", 5, 7), BASE)
    assert asked == replace(BASE, workload="bank", faults=("kill:all", "pause"), nodes=5, seed=7)
    assert matrix.settings_of(CELLS[0], BASE).faults == ()


class FakeRun(Run):
    """A run that is over at once."""

    verdicts: list[Verdict]
    asked: list[Settings]

    async def run(self) -> Result:
        self.asked.append(self.settings)
        if self.settings.workload == "bank":
            await self.fail()
        verdict = self.verdicts.pop(0)
        judgement = Judgement("fake")
        if verdict is Verdict.INVALID:
            judgement.add("rule", "it lied")
        elif verdict is Verdict.UNKNOWN:
            judgement.cannot_say("too little")
        self.directory.mkdir(parents=True)
        return Result(self.settings, verdict, [judgement], FIGURES, self.directory)

    fails = False

    async def fail(self) -> None:
        """As a mistake in a fault does."""
        if self.fails:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.fails_within())

    async def fails_within(self) -> None:
        raise KeyError("harness")


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> type[FakeRun]:
    """Runs are fakes: the second finds something. Their reports have nothing to show."""
    monkeypatch.setattr(report, "write", lambda directory: directory)
    kind = type("Fakes", (FakeRun,), {"asked": [], "verdicts": [
        Verdict.VALID, Verdict.INVALID, *[Verdict.VALID] * 6
    ]})  # fmt: skip
    monkeypatch.setattr(matrix, "Run", kind)
    return kind


def go(ledger: Ledger, out: Path, cells: list[Cell], again: int = 0, at_once: int = 1) -> list[str]:
    """Run what is missing; the verdicts told."""
    told: list[str] = []
    matrix.go(
        cells,
        replace(BASE, out=out),
        ledger,
        lambda _cell, row: told.append(str(row["verdict"])),
        again=again,
        at_once=at_once,
    )
    return told


def test_it_goes_on_where_it_stopped(tmp_path: Path, fakes: type[FakeRun]) -> None:
    """What the ledger has is not run again, even if its last line was cut short."""
    file = tmp_path / "deep" / "ledger.jsonl"
    assert go(Ledger(file), tmp_path, CELLS[:3]) == ["valid", "invalid", "valid"]
    with file.open("a") as ledger:
        ledger.write('{"workload": "se')
    assert Ledger(file).done() == set(CELLS[:3])
    assert go(Ledger(file), tmp_path, CELLS) == ["valid"] * 5
    assert len(fakes.asked) == 8
    assert Ledger(file).done() == set(CELLS)


def test_only_what_did_not_pass_is_kept(tmp_path: Path, fakes: type[FakeRun]) -> None:
    """A campaign must not fill the disk; what failed must be there to look at."""
    del fakes
    go(Ledger(tmp_path / "ledger"), tmp_path / "out", CELLS[:3])
    assert len(list((tmp_path / "out").iterdir())) == 1
    rows = Ledger(tmp_path / "ledger").rows()
    assert [row["why"] for row in rows] == [[], ["it lied"], []]
    for cell, row in zip(CELLS, rows, strict=False):
        assert row.items() >= {**cell._asdict(), "ok": 10, "strikes": 2}.items()
        assert "extra" not in row


def test_what_ends_unknown_is_repeated_twice_as_long(tmp_path: Path, fakes: type[FakeRun]) -> None:
    """A slow machine gets its time; what is unknown even then stays so, and nothing else is
    repeated."""
    fakes.verdicts[:] = [Verdict.UNKNOWN, Verdict.VALID, Verdict.INVALID, *[Verdict.UNKNOWN] * 3]
    ledger = Ledger(tmp_path / "ledger")
    assert go(ledger, tmp_path / "out", CELLS[:3], again=2) == ["valid", "invalid", "unknown"]
    assert [settings.time_s for settings in fakes.asked] == [30, 60, 30, 30, 60, 120]
    rows = ledger.rows()
    assert [row["time_s"] for row in rows] == [60, 30, 120]
    assert [row.get("unknown_before") for row in rows] == [["too little"], None, ["too little"] * 2]


def test_a_mistake_of_the_tool_does_not_end_the_campaign(
    tmp_path: Path, fakes: type[FakeRun]
) -> None:
    """It is a row of its own, and proves nothing."""
    fakes.fails = True
    fakes.verdicts[:] = [Verdict.VALID] * 2
    ledger = Ledger(tmp_path / "ledger")
    assert go(ledger, tmp_path / "out", CELLS[1:4]) == ["unknown", "valid", "unknown"]
    assert ledger.rows()[0]["why"][0].startswith("the tool failed: KeyError('harness') (see")


def test_several_runs_at_once_have_one_ledger(tmp_path: Path, fakes: type[FakeRun]) -> None:
    """Whatever order they end in: a row for each, written by one."""
    fakes.verdicts[:] = [Verdict.VALID]
    ledger = Ledger(tmp_path / "ledger")
    assert go(ledger, tmp_path / "out", CELLS, at_once=3) == ["valid"] * len(CELLS)
    assert len(ledger.rows()) == len(CELLS)
    assert ledger.done() == set(CELLS)
    assert go(ledger, tmp_path / "out", CELLS, at_once=3) == []


@pytest.mark.integration
@pytest.mark.timeout(120)
@pytest.mark.xdist_group("jepsen")
def test_real_clusters_side_by_side(tmp_path: Path) -> None:
    """Their ports and directories are their own: all start, none sees another's data."""
    ledger = tmp_path / "ledger"
    words = "--workloads counter --faults none --nodes 1 --rounds 3 --time 1 --ok 60 --again 2"
    where = ["--out", str(tmp_path / "out"), "--ledger", str(ledger)]
    assert cli.main(["matrix", *words.split(), "--parallel", "3", *where]) == 0
    rows = Ledger(ledger).rows()
    assert [row["verdict"] for row in rows] == ["valid"] * 3
    assert {row["seed"] for row in rows} == {0, 1, 2}


def test_clusters_are_told_apart(tmp_path: Path, fakes: type[FakeRun]) -> None:
    """What passed on one says nothing of another."""
    del fakes
    ledger = Ledger(tmp_path / "ledger")
    cells = [CELLS[0], CELLS[0]._replace(cluster="etcd")]
    assert len(go(ledger, tmp_path / "out", cells)) == 2
    assert ledger.done() == set(cells)
    assert "of etcd" in cells[1].name


def test_the_summary_says_how_long_a_fault_hurt() -> None:
    """Median and worst of the longest gaps, by fault; what could not be run has none."""
    rows: list[dict[str, Any]] = [
        {"faults": "kill", "verdict": verdict, "ok": 1_000, "longest_gap_s": gap}
        for verdict, gap in (("valid", 0.5), ("invalid", 9.0), ("valid", 0.25))
    ]
    rows.append({"faults": "pause", "verdict": "unknown"})
    shown = matrix.summary(rows)
    assert "| kill | 3 | 2 | 0 | 1 | 3,000 | 0.50 s | 9.00 s |" in shown
    assert "| pause | 1 | 0 | 1 | 0 | 0 |  |  |" in shown
    assert shown.endswith("| all | 4 | 2 | 1 | 1 | 3,000 | 0.50 s | 9.00 s |")


def test_the_documents_say_what_the_campaigns_ledger_says() -> None:
    """Every figure; and nothing in it is left unexplained."""
    docs = Path(__file__).parents[2] / "docs"
    rows = Ledger(docs / "campaigns/jepsen.jsonl").rows()
    text = (docs / "testing.md").read_text(encoding="utf-8")
    assert matrix.summary(rows) in text


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_a_board_is_rewritten_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes up by as many lines as it has shown, none of which is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "20")
    screen = Screen()
    board = Board(screen)
    board.clear()
    board.show(["one", "two " * 10])
    assert screen.getvalue() == "one\ntwo two two two two\n"
    board.show([])
    assert screen.getvalue().endswith("\n\033[2F\033[J")
    board.clear()
    assert screen.getvalue().count("\033[J") == 1
    silent = io.StringIO()
    Board(silent).show(["one"])
    assert not silent.getvalue()


def test_the_command_for_again_asks_for_the_same() -> None:
    """What a run prints can be pasted."""
    settings = Settings(
        "cas-register",
        ("kill:leader", "pause"),
        nodes=5,
        time_s=12.5,
        ok=800,
        rate=40.0,
        workers=3,
        seed=9,
        lasts_s=2.0,
        request_timeout_s=0.5,
        planted="no-pre-vote",
        server={"raft.heartbeat_ms": "50"},
    )
    words = settings.command().split()
    assert words[:2] == ["jepsen-lite", "run"]
    options = cli.parser().parse_args(words[1:])
    faults = options.faults.split(",")
    assert cli.settings_of(options, options.workload, faults) == settings


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """For people and for scripts."""
    assert cli.main(["list"]) == 0
    shown = capsys.readouterr().out
    assert cli.main(["list", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    for group in ("workloads", "faults", "scenarios"):
        assert data[group]
        assert all(name in shown for name in data[group])


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--workload", "set", "--faults", "melt"],
        ["run", "--workload", "set", "--faults", "kill:nobody"],
        ["run"],
        ["matrix", "--faults", "melt"],
        ["matrix", "--small", "--ci"],
        ["matrix", "--again", "-1"],
        ["matrix", "--parallel", "0"],
        ["matrix", "--parallel", "11"],
        ["matrix", "--parallel", "2", "--cluster", "remote"],
        ["matrix", "--nodes", "3,x"],
        ["matrix", "--nodes", "10"],
        ["matrix", "--workloads", "nonsense"],
        ["matrix", "--campaign", "--ci"],
        ["run", "--workload", "set", "--set", "novalue"],
        ["run", "--workload", "set", "--nodes", "0"],
        ["run", "--workload", "set", "--time", "-1"],
        ["run", "--workload", "set", "--rate", "0"],
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is started."""
    try:
        code = cli.main(words)
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 2
    assert capsys.readouterr().err


def test_what_cannot_be_started_ends_with_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A client that cannot do the work, a cluster that does not answer."""
    base = ["run", "--workload", "lock", "--out", str(tmp_path)]
    assert cli.main([*base, "--client", "kazoo"]) == 4
    assert "it can use: native" in capsys.readouterr().err
    assert cli.main([*base, "--cluster", "remote", "--hosts", "127.0.0.1:1"]) == 4
    assert "127.0.0.1:1 do not answer" in capsys.readouterr().err
