"""Merging of the layers, and the checks that look at more than one value."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from coord.config.options import OPTIONS
from coord.config.values import SECTIONS, Config
from coord.model.errors import ConfigError

DEFAULT: Final = "default"
_TABLES: Final = frozenset({"cluster.initial", "peers.dial"})
"""Keys whose value may itself be a table in the file."""

_Layer = dict[str, tuple[Any, str]]
"""Key → (raw value, origin)."""


def load(
    flags: Mapping[str, tuple[Any, str]],
    environment: Mapping[str, str],
    file: Path | None,
) -> Config:
    """The configuration. ``flags`` maps key → (value, the flag's name).

    Raises ConfigError that lists everything that is wrong, with where each value came from.
    """
    problems: list[str] = []
    layers = [
        {option.key: (option.default, DEFAULT) for option in OPTIONS.values()},
        _from_file(file, problems) if file is not None else {},
        _from_environment(environment, problems),
        _from_flags(flags, problems),
    ]
    merged: _Layer = {}
    for layer in layers:
        merged.update(layer)
    assert merged.keys() == OPTIONS.keys()
    values = _parsed(merged, problems)
    if not problems:
        problems += _broken_relations(values)
    if problems:
        raise ConfigError(_listed(problems))
    return _built(values, {key: origin for key, (_, origin) in merged.items()})


def describe(config: Config) -> list[tuple[str, str, str]]:
    """(key, value, origin) of every key, in the order of the table."""
    return [
        (key, option.show(config.plain[key]), config.origins[key])
        for key, option in OPTIONS.items()
    ]


# --- layers -------------------------------------------------------------------------------------


def _from_file(file: Path, problems: list[str]) -> _Layer:
    import tomllib  # noqa: PLC0415 - a node without a file starts sooner without it

    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from error
    layer: _Layer = {}
    for key, value in _flattened("", tables):
        if key in OPTIONS:
            layer[key] = (value, f"file {file}")
        else:
            problems.append(f"{key} (file {file}): no such key{_nearest(key, OPTIONS)}")
    return layer


def _flattened(prefix: str, table: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in _TABLES:
            yield from _flattened(f"{key}.", value)
        else:
            yield key, value


def _from_environment(environment: Mapping[str, str], problems: list[str]) -> _Layer:
    """``COORD_SECTION_NAME``. Other COORD_ variables are somebody else's; an unknown name within
    one of our sections is a mistake."""
    by_variable = {option.variable: option for option in OPTIONS.values()}
    prefixes = tuple(f"COORD_{section.upper()}_" for section in SECTIONS)
    layer: _Layer = {}
    for variable, raw in environment.items():
        if not variable.startswith(prefixes):
            continue
        option = by_variable.get(variable)
        if option is None:
            near = _nearest(variable, by_variable)
            problems.append(f"environment {variable}: no such variable{near}")
        else:
            layer[option.key] = (raw, f"environment {variable}")
    return layer


def _from_flags(flags: Mapping[str, tuple[Any, str]], problems: list[str]) -> _Layer:
    """A command line is there for every process of the machine to read: it takes no secret."""
    layer: _Layer = {}
    for key, (value, name) in flags.items():
        if OPTIONS[key].is_secret and value:
            problems.append(
                f"{key} (flag {name}): everybody on this machine can read a command line. Use"
                f" {key}_file, {OPTIONS[key].variable}, or the configuration file"
            )
        else:
            layer[key] = (value, f"flag {name}")
    return layer


def _nearest(name: str, known: Iterable[str]) -> str:
    """What was probably meant: a typing mistake, or a right name in the wrong section."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    tail = name.rpartition(".")[2]
    close = close or [other for other in names if other.rpartition(".")[2] == tail][:1]
    return f"; did you mean {close[0]}?" if close else f". Known: {', '.join(names)}"


# --- checks -------------------------------------------------------------------------------------


def _parsed(merged: _Layer, problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, (raw, origin) in merged.items():
        option = OPTIONS[key]
        if raw is None:
            flag = {"node.id": "--id", "node.dir": "--dir", "cluster.initial": "--initial"}[key]
            problems.append(f"{key} is not set ({flag}, {option.variable}, or in the file)")
            continue
        try:
            values[key] = option.parse(raw)
        except ValueError as error:
            shown = "(not shown)" if option.is_secret else repr(raw)
            problems.append(f"{key} = {shown} ({origin}): {error}")
    return values


def _broken_relations(values: Mapping[str, Any]) -> list[str]:
    """Rules between keys; each names the keys and their values."""

    def named(key: str) -> str:
        return f"{key} ({OPTIONS[key].show(values[key])})"

    def broken(low: str, high: str, rule: str) -> str:
        return f"{named(low)} {rule} {named(high)}"

    found = []
    heartbeat, shortest = "raft.heartbeat_ms", "raft.election_timeout_ms_min"
    longest, session = "raft.election_timeout_ms_max", "sessions.timeout_ms_min"
    if values[heartbeat] * 3 > values[shortest]:
        found.append(broken(heartbeat, shortest, "must be at most a third of"))
    if values[shortest] >= values[longest]:
        found.append(broken(shortest, longest, "must be below"))
    if values["raft.stuck_commit_ms"] <= values[longest]:
        found.append(broken(longest, "raft.stuck_commit_ms", "must be below"))
    if values[longest] > values[session]:
        found.append(broken(longest, session, "must not exceed"))
    for low, high in (
        (session, "sessions.timeout_ms_max"),
        ("limits.connections_per_address_max", "limits.connections_max"),
        ("storage.quota_bytes", "storage.map_bytes"),
    ):
        if values[low] > values[high]:
            found.append(broken(low, high, "must not exceed"))
    if values["node.client"] == values["node.peer"]:
        found.append(f"node.client and node.peer are both {values['node.peer']}")
    if values["zookeeper.super_digest"] and values["zookeeper.super_digest_file"]:
        found.append("zookeeper.super_digest and zookeeper.super_digest_file are both set: use one")
    if values["node.id"] in values["peers.dial"]:
        found.append(f"peers.dial names node {values['node.id']}, which is this node")
    return found + _exposed(values)


def _exposed(values: Mapping[str, Any]) -> list[str]:
    """Peers are not authenticated, so off loopback they must be allowed by name."""
    if values["peers.insecure"]:
        return []
    places = [("node.peer", values["node.peer"])]
    places += [
        (f"cluster.initial, node {member.id}", member.peer) for member in values["cluster.initial"]
    ]
    return [
        f"{key} = {address} is not loopback and peers are not authenticated: anybody who reaches "
        "it can change the data. Use --insecure-peers (peers.insecure) on a network you trust"
        for key, address in places
        if not is_loopback(address)
    ]


def is_loopback(address: str) -> bool:
    """Whether "host:port" certainly stays on this machine."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    parts = host.split(".")
    is_v4 = len(parts) == 4 and all(part.isdigit() for part in parts)
    return host in {"localhost", "::1"} or (is_v4 and parts[0] == "127")


def _listed(problems: list[str]) -> str:
    if len(problems) == 1:
        return f"the configuration is not valid: {problems[0]}"
    return "the configuration is not valid:\n" + "\n".join(f"  - {each}" for each in problems)


# --- result -------------------------------------------------------------------------------------


def _built(values: dict[str, Any], origins: Mapping[str, str]) -> Config:
    sections: dict[str, Any] = {}
    for name, kind in SECTIONS.items():
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
        sections[name] = kind(**own)
    config = Config(**sections, plain=values, origins=origins)
    node = config.node
    listed = next((m for m in config.cluster.initial if m.id == node.id), None)
    advertised = replace(
        node,
        advertise_client=node.advertise_client or (listed and listed.client) or node.client,
        advertise_peer=node.advertise_peer or (listed and listed.peer) or node.peer,
    )
    return replace(config, node=advertised)
