"""``coord serve``: flags become settings, and nothing starts on a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coord.cli.serve import serve_command

GIVEN = ("--id", "1", "--dir", "data", "--initial", "1=127.0.0.1:2281/127.0.0.1:2181")


def checked(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    """``coord serve --check`` with these arguments."""
    return CliRunner().invoke(serve_command, [*arguments, "--check"], env=environment)


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--client", "127.0.0.1:1", "--peer", "127.0.0.1:2"),
        ("--advertise-client", "a:1", "--advertise-peer", "a:2"),
        ("--dial", "2=127.0.0.1:9"),
        ("--json-logs", "--log-level", "debug"),
        ("--set", "raft.heartbeat_ms=50", "--set", "storage.quota_bytes=1GiB"),
        ("--insecure-peers", "--peer", "0.0.0.0:2281"),
    ],
    ids=lambda more: more[0] if more else "none",
)
def test_every_flag_is_taken(more: tuple[str, ...]) -> None:
    """A valid configuration is said to be valid, and nothing runs."""
    result = checked(*GIVEN, *more)

    assert result.exit_code == 0, result.output
    assert "valid" in result.output


def test_members_may_be_given_one_by_one() -> None:
    """The same founders in another form."""
    result = checked(
        "--id", "2", "--data-dir", "d",
        "--member", "1=127.0.0.1:1,127.0.0.1:2", "--member", "2=127.0.0.1:3,127.0.0.1:4",
    )  # fmt: skip

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("--member", "2=127.0.0.1:1"), "use one"),
        (("--set", "raft.hartbeat=1"), "did you mean raft.heartbeat_ms?"),
        (("--set", "colour=1"), "there is no setting colour; `coord config keys`"),
        (("--set", "colour=1", "--set", "log.lvel=info"), "did you mean log.level?"),
        (("--set", "log.level"), "KEY=VALUE"),
        (("--set", "log.level=loud"), "log.level = 'loud' (flag --set)"),
        (("--id", "none"), "node.id = 'none' (flag --id)"),
        (("--peer", "0.0.0.0:2281"), "--insecure-peers"),
        (("--config", "absent.toml"), "cannot read absent.toml"),
    ],
)
def test_a_mistake_ends_with_code_78_and_its_name(more: tuple[str, ...], complaint: str) -> None:
    """The flag, the value and the rule."""
    result = checked(*GIVEN, *more)

    assert result.exit_code == 78
    assert complaint in result.output


def test_file_and_environment_complete_the_flags(tmp_path: Path) -> None:
    """The file may be named by a variable too."""
    file = tmp_path / "coord.toml"
    file.write_text('[node]\nid = 3\n[cluster]\ninitial = "3=127.0.0.1:1"\n')
    result = checked(environment={"COORD_CONFIG": str(file), "COORD_NODE_DIR": "d"})

    assert result.exit_code == 0, result.output
