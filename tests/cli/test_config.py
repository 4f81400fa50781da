"""``coord config``: what can be set, and what is."""

from __future__ import annotations

import json

from click.testing import CliRunner

from coord.cli.config import config_group
from coord.config import OPTIONS

GIVEN = ("--id", "1", "--dir", "data", "--initial", "1=127.0.0.1:2281/127.0.0.1:2181")
DIGEST = "super:qW/HnTfCSoQpB5G8LgkwT3IbiFc="


def printed(*arguments: str, environment: dict[str, str] | None = None) -> list[str]:
    """What a command that succeeds prints."""
    result = CliRunner().invoke(config_group, arguments, env=environment)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_keys_explains_every_setting() -> None:
    """One line each: nothing has to be looked up elsewhere."""
    lines = printed("keys")

    assert len(lines) == len(OPTIONS) + 1
    for key, option in OPTIONS.items():
        (line,) = (line for line in lines if line.startswith(f"{key} "))
        assert option.variable in line
        assert line.endswith(option.help)
    (words,) = (line for line in lines if line.startswith("zookeeper.words "))
    assert "conf,dirs,envi,isro,mntr,ruok,srvr,stat,wchs" in words


def test_keys_for_programs() -> None:
    """The same as JSON."""
    rows = [json.loads(line) for line in printed("keys", "--json")]

    assert [row["key"] for row in rows] == list(OPTIONS)
    assert {"default", "variable", "help"} < set(rows[0])


def test_show_tells_that_a_secret_is_set_and_not_which() -> None:
    """The listing ends up in tickets."""
    lines = printed("show", *GIVEN, environment={"COORD_ZOOKEEPER_SUPER_DIGEST": DIGEST})
    (line,) = (line for line in lines if line.startswith("zookeeper.super_digest "))

    assert "(set, not shown)" in line
    assert "environment COORD_ZOOKEEPER_SUPER_DIGEST" in line
    assert DIGEST not in "".join(lines)
