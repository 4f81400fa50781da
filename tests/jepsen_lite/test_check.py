"""``jepsen-lite check``: verdicts as exit codes, and the formats of other checkers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jepsen_lite import cli, history_file
from jepsen_lite.checkers import CHECKERS, MODELS
from jepsen_lite.checking import read
from jepsen_lite.conversion import from_knossos, from_porcupine
from jepsen_lite.history import History, Op, Outcome
from jepsen_lite.history_file import HistoryError

KNOSSOS = """
[{:process 0, :type :invoke, :f :write, :value 1}
 {:process 0, :type :ok, :f :write, :value 1} ; a comment
 {:process :nemesis, :type :info, :f :start}
 {:process 1, :type :invoke, :f :cas, :value [1 2]} {:process 2 :type :invoke :f :read :value nil}
 {:process 1, :type :info, :f :cas, :value :timed-out}
 {:process 2, :type :ok, :f :read, :value %s}]
"""
PORCUPINE = """
INFO  jepsen.util - 0\t:invoke\t:write\t1
INFO  jepsen.util - 0\t:ok\t:write\t1
INFO  jepsen.core - :nemesis starts
INFO  jepsen.util - 1\t:invoke\t:cas\t[1 3]
INFO  jepsen.util - 1\t%s
"""


def _file(folder: Path, history: History) -> str:
    history_file.write(folder / "h.jsonl", history)
    return str(folder / "h.jsonl")


def _register(*results: int) -> History:
    history = History(model="register")
    history.add(Op(0, "write", "x", 1, 0, 1, Outcome.OK))
    for at, result in enumerate(results):
        history.add(Op(1, "read", "x", None, 10 + 10 * at, 15 + 10 * at, Outcome.OK, result))
    return history


def test_exit_code_is_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 valid, 1 invalid, 3 unknown; what was found is said in words."""
    assert cli.main(["check", _file(tmp_path, _register(1))]) == 0
    assert "VALID" in capsys.readouterr().out

    assert cli.main(["check", _file(tmp_path, _register(1, 7))]) == 1
    assert "a value that nobody wrote" in capsys.readouterr().out

    assert cli.main(["check", "--min-ok", "9", _file(tmp_path, _register(1))]) == 3
    assert "9 are the minimum" in capsys.readouterr().out


def test_nothing_is_not_valid(tmp_path: Path) -> None:
    """An empty history proves nothing."""
    assert cli.main(["check", _file(tmp_path, History(model="register"))]) == 3


def test_interrupted_history_is_not_valid(tmp_path: Path) -> None:
    """Its missing end may hold anything."""
    path = Path(_file(tmp_path, _register(1, 1)))
    path.write_text(path.read_text()[:-5])

    assert cli.main(["check", str(path)]) == 3


def test_json_for_scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verdict, rules and operations as data."""
    cli.main(["check", "--json", "--checker", "zones", _file(tmp_path, _register(7))])

    said = json.loads(capsys.readouterr().out)
    (judgement,) = said["judgements"]
    assert said["verdict"] == "invalid"
    assert judgement["findings"][0]["rule"] == "phantom"
    assert judgement["findings"][0]["ops"] == [1]


@pytest.mark.parametrize("model", sorted(MODELS.keys() - {"unique-ids"}))  # ids may be anything
def test_foreign_words_are_unknown(tmp_path: Path, model: str) -> None:
    """A history that does not keep to its model's words is never valid, and never a crash."""
    history = History(model=model)
    fs = "read write cas add txn acquire generate create enqueue dequeue watch event open look"
    for at, f in enumerate([*fs.split(), "submit", "effects", "transfer", "set", "release"]):
        history.add(Op(0, f, "x", {"odd": [at]}, at * 10, at * 10 + 5, Outcome.OK, [{"v": "x"}]))

    assert cli.main(["check", _file(tmp_path, history)]) in {1, 3}


def test_models_name_checkers() -> None:
    """Every model has judges, and every judge has a model or joins where there is a log."""
    named = {name for names in MODELS.values() for name in names} | {"order"}
    assert named == CHECKERS.keys()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["--model", "register", "missing.jsonl"], "No such file", id="missing"),
        pytest.param(["h.jsonl"], "name one by --model", id="model"),
        pytest.param(["--format", "knossos", "h.edn"], "never closed", id="edn"),
    ],
)
def test_wrong_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    """Files that cannot be judged end with code 2 and a sentence."""
    monkeypatch.chdir(tmp_path)
    _file(tmp_path, History(model="nonsense"))
    (tmp_path / "h.edn").write_text("[{:process 0")

    assert cli.main(["check", *arguments]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "code"), [("1", 0), ("2", 0), ("3", 1), ("nil", 1)], ids=["old", "new", "bad", "nil"]
)
def test_knossos_registers(tmp_path: Path, value: str, code: int) -> None:
    """EDN events become operations; an unanswered compare-and-set may or may not have happened."""
    path = tmp_path / "h.edn"
    path.write_text(KNOSSOS % value)

    assert len(read(path, "knossos").ops) == 3
    assert cli.main(["check", "--format", "knossos", str(path)]) == code


@pytest.mark.parametrize(
    ("end", "code"),
    [(":ok\t:cas\t[1 3]", 0), (":fail\t:cas\t[1 3]", 1), (":info\t:cas\t:timed-out", 0)],
    ids=["ok", "refused", "unanswered"],
)
def test_porcupine_registers(tmp_path: Path, end: str, code: int) -> None:
    """Log lines become operations; there a refused compare says what was not there."""
    path = tmp_path / "h.log"
    path.write_text(PORCUPINE % end)

    assert cli.main(["check", "--format", "porcupine", str(path)]) == code


@pytest.mark.parametrize(
    "text",
    [
        "{:process 1, :type :ok, :f :read}",
        "[1 2]",
        "}",
        "[" * 200,
        "{:process 1 :type :done :f :r}",
    ],
    ids=["end-alone", "no-event", "closing", "deep", "type"],
)
def test_edn_that_is_no_history(text: str) -> None:
    """It is refused, whatever is wrong with it."""
    with pytest.raises(HistoryError):
        from_knossos([text])


def test_log_without_events_is_empty() -> None:
    """Lines of other programs are skipped."""
    assert not from_porcupine(["hello\n", "INFO jepsen.util - :nemesis :info :start nil\n"]).ops
