"""Ports: bound early, and a clear word on who holds one that is taken."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from coord.app.binding import bind, explained, holder_of
from coord.app.failures import PortTakenError
from coord.model.errors import ConfigError

LINE = (
    "   0: 0100007F:08E9 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
    "4711 1 0000000000000000 100 0 0 10 0"
)


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A socket of this process that listens."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_a_bound_socket_does_not_listen_yet() -> None:
    """A client that comes before the node serves is refused at once, not left waiting."""
    with (
        bind(f"127.0.0.1:{free_port()}", "client") as made,
        socket.socket() as early,
        pytest.raises(ConnectionRefusedError),
    ):
        early.connect(made.getsockname())


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_taken_port_names_its_holder(taken: socket.socket) -> None:
    """Process number and command line, found by way of /proc."""
    port = taken.getsockname()[1]
    with pytest.raises(PortTakenError, match=rf"port {port} .*process {os.getpid()} \(") as caught:
        bind(f"127.0.0.1:{port}", "client")

    assert caught.value.exit_code == 69


def test_an_address_of_another_machine_is_a_configuration_error() -> None:
    """The message says to advertise it instead."""
    with pytest.raises(ConfigError, match="advertise"):
        bind("192.0.2.1:4000", "peer")


def test_a_name_that_does_not_resolve_is_a_configuration_error() -> None:
    """With the name in the message."""
    with pytest.raises(ConfigError, match=r"no-such-host\.invalid"):
        bind("no-such-host.invalid:4000", "peer")


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EACCES, "below 1024"), (errno.ENOBUFS, "No buffer space")],
)
def test_other_failures_say_what_the_system_said(number: int, words: str) -> None:
    """Permission has its own advice."""
    assert words in str(explained(OSError(number, os.strerror(number)), "h:80", "client"))


def fake_proc(root: Path, *, owner: bool = True) -> Path:
    """A /proc in which process 42 listens on port 0x08E9 = 2281."""
    (root / "net").mkdir()
    (root / "net" / "tcp").write_text("header\n" + LINE + "\n")
    (root / "42" / "fd").mkdir(parents=True)
    (root / "42" / "cmdline").write_bytes(b"coord\0serve\0--id\x001\0")
    (root / "42" / "fd" / "3").symlink_to("socket:[1]")
    if owner:
        (root / "42" / "fd" / "4").symlink_to("socket:[4711]")
    return root


def test_the_holder_is_found_by_its_socket(tmp_path: Path) -> None:
    """Listening table → inode → descriptor → command line."""
    assert holder_of(2281, fake_proc(tmp_path)) == "process 42 (coord serve --id 1)"


def test_another_ports_holder_is_not_named(tmp_path: Path) -> None:
    """Only the port that was asked about."""
    assert holder_of(2282, fake_proc(tmp_path)) == ""


def test_a_holder_that_cannot_be_seen_is_not_guessed(tmp_path: Path) -> None:
    """Another user's process: its descriptors are hidden."""
    assert holder_of(2281, fake_proc(tmp_path, owner=False)) == ""


def test_without_proc_there_is_no_holder(tmp_path: Path) -> None:
    """Other systems have no such table."""
    assert holder_of(2281, tmp_path / "absent") == ""
