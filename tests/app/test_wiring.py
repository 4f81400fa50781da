"""What the node is told, from the configuration and the files that it names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from coord.app.parts import Parts
from coord.app.wiring import open_store, settings_of, with_secrets
from coord.config import Config, load
from coord.model.errors import ConfigError

DIGEST = "super:qW/HnTfCSoQpB5G8LgkwT3IbiFc="


def configured(directory: Path, environment: Mapping[str, str]) -> Config:
    """A node on its own in a directory."""
    flags = {
        "node.id": ("1", "--id"),
        "node.dir": (str(directory / "data"), "--dir"),
        "cluster.initial": ("1=127.0.0.1:1", "--initial"),
    }
    return load(flags, environment, None)


def with_digest_in(directory: Path, content: bytes) -> Config:
    """A configuration that names a file with ``content``."""
    file = directory / "digest"
    file.write_bytes(content)
    return configured(directory, {"COORD_ZOOKEEPER_SUPER_DIGEST_FILE": str(file)})


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_the_super_user_is_read_from_the_file_that_is_named(tmp_path: Path, ending: str) -> None:
    """As editors and secret stores leave it, with a line end or without."""
    config = with_secrets(with_digest_in(tmp_path, (DIGEST + ending).encode()))

    assert config.zookeeper.super_digest == DIGEST


def test_without_a_file_the_configuration_stays_as_it_is(tmp_path: Path) -> None:
    """Nothing is looked for that was not named."""
    config = configured(tmp_path, {"COORD_ZOOKEEPER_SUPER_DIGEST": DIGEST})

    assert with_secrets(config) is config


@pytest.mark.parametrize("content", [b"", b"super:secret", b"\xff\xfe", f"{DIGEST}\nx".encode()])
def test_a_file_that_holds_no_digest_stops_the_node(tmp_path: Path, content: bytes) -> None:
    """The file is named, what it holds is not: it may be a password."""
    with pytest.raises(ConfigError, match="does not hold one USER:DIGEST") as caught:
        with_secrets(with_digest_in(tmp_path, content))

    assert "secret" not in str(caught.value)


def test_a_file_that_is_missing_stops_the_node(tmp_path: Path) -> None:
    """A node without the super user it was promised is not what was asked for."""
    config = configured(tmp_path, {"COORD_ZOOKEEPER_SUPER_DIGEST_FILE": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match="No such file"):
        with_secrets(config)


def test_settings_reach_the_node(tmp_path: Path) -> None:
    """Each one that the node takes, none of them at its default."""
    environment = {
        "COORD_SESSIONS_TIMEOUT_MS_MIN": "2s",
        "COORD_SESSIONS_TIMEOUT_MS_MAX": "40s",
        "COORD_TREE_REAP_INTERVAL_MS": "7s",
        "COORD_ZOOKEEPER_SUPER_DIGEST": DIGEST,
        "COORD_ZOOKEEPER_RECONFIG": "true",
        "COORD_ZOOKEEPER_READ_ONLY": "true",
        "COORD_STORAGE_MAP_BYTES": "64MiB",
        "COORD_STORAGE_QUOTA_BYTES": "16MiB",
        "COORD_STORAGE_RESERVE_BYTES": "1MiB",
        "COORD_STORAGE_ALLOW_ANY_FILESYSTEM": "true",
    }
    config = configured(tmp_path, environment)
    store = open_store(config, Parts())
    settings = settings_of(config, store)
    store.close(clean=True)

    assert (settings.session_timeout_ms_min, settings.session_timeout_ms_max) == (2_000, 40_000)
    assert settings.reap_interval_ms == 7_000
    assert settings.super_digest == DIGEST
    assert settings.reconfig
    assert settings.read_only
    assert DIGEST not in repr(settings)
