"""What is printed: tables, values, times, JSON."""

from __future__ import annotations

import pytest

from coord.cli import output
from coord.model.znode import Stat


def test_table_aligns_columns() -> None:
    """Off a terminal a table is aligned text: numbers to the right, words to the left."""
    table = output.Table(("name", "version"))
    table.add("a", 1)
    table.add(output.Cell("longer", output.GOOD), 100)

    assert table.lines() == [
        "name    version",
        "a             1",
        "longer      100",
    ]


def test_empty_table_is_its_header() -> None:
    """A table without rows still says what it would have held."""
    assert output.Table(("node", "role")).lines() == ["node  role"]


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"text", {"value": "text"}),
        ("…".encode(), {"value": "…"}),
        (b"", {"value": ""}),
        (None, {"value": None}),
        (b"\xff\x00", {"value_base64": "/wA="}),
    ],
)
def test_json_keeps_every_byte(data: bytes | None, fields: dict[str, str]) -> None:
    """A value that is text is text in JSON; any other is base64 under another key."""
    assert output.data_fields("value", data) == fields


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain", "plain"),
        (b"two\nlines", "two\\nlines"),
        (b"\xff\xfe", "<2 bytes>"),
        (b"x" * 61, "x" * 59 + "…"),
        (None, ""),
    ],
)
def test_shown_value_stays_on_its_line(data: bytes | None, text: str) -> None:
    """In a table a value is one printable line of bounded length."""
    assert output.shown(data) == text


def test_moment_is_utc_to_the_millisecond() -> None:
    """Times are printed in UTC, so that nodes and people compare them."""
    assert output.moment(1_000) == "1970-01-01 00:00:01.000Z"
    assert output.moment(0) == ""


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(12, "12 ms"), (3_400, "3.4 s"), (300_000, "5 min"), (7_560_000, "2.1 h")],
)
def test_elapsed_chooses_its_unit(milliseconds: int, text: str) -> None:
    """A duration is printed in the unit that a person would use."""
    assert output.elapsed(milliseconds) == text


def test_sentence_of_a_list() -> None:
    """Lists read as a sentence."""
    assert output.listed([]) == ""
    assert output.listed([1]) == "1"
    assert output.listed([1, 2, 3]) == "1, 2 and 3"


def test_stat_has_every_field() -> None:
    """JSON shows the whole Stat, under the names of the library."""
    stat = Stat(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)

    assert list(output.stat_fields(stat)) == list(Stat._fields)
    assert output.stat_fields(stat)["mzxid"] == 2


def test_table_on_a_terminal_shortens_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A narrow terminal wraps a long line itself; an address is never cut."""
    monkeypatch.setenv("COLUMNS", "20")
    table = output.Table(("node", "address"))
    table.add(1, "a-rather-long-host-name.example:2181")
    table._show_rich()

    assert "a-rather-long-host-name.example:2181" in capsys.readouterr().out
