"""The clock that is moved: what it shows, and that its monotonic time never goes back."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from jepsen_lite.servers import clock as clocks
from jepsen_lite.servers.clock import MovableClock
from jepsen_lite.servers.control import ClockControl


class Machine:
    """The machine's clock, in the test's hand."""

    def __init__(self) -> None:
        self.now_ms = 1_000

    def monotonic_ms(self) -> int:
        return self.now_ms

    def wall_ms(self) -> int:
        return 1_000_000 + self.now_ms


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """What clocks made from now on stand on."""
    made = Machine()
    monkeypatch.setattr(clocks, "SystemClock", lambda: made)
    return made


def test_it_drifts_jumps_and_stands_still(machine: Machine) -> None:
    """A change of pace starts from what the clock shows, not from what is right."""
    clock = MovableClock()
    assert clock.monotonic_ms() == 1_000
    machine.now_ms += 100
    assert clock.monotonic_ms() == 1_100
    clock.move(rate=2.0)
    machine.now_ms += 100
    assert clock.monotonic_ms() == 1_300
    clock.move(rate=0.0)
    machine.now_ms += 5_000
    assert clock.monotonic_ms() == 1_300
    clock.move(forward_ms=700)
    assert clock.monotonic_ms() == 2_000
    clock.move(rate=1.0)
    machine.now_ms += 10
    assert clock.monotonic_ms() == 2_010


def test_the_wall_clock_goes_both_ways_and_the_other_does_not(machine: Machine) -> None:
    """No change takes monotonic time back."""
    clock = MovableClock()
    clock.move(wall_ms=-5_000)
    assert clock.wall_ms() == machine.wall_ms() - 5_000
    clock.move(wall_ms=0)
    assert clock.wall_ms() == machine.wall_ms()
    for wrong in ({"forward_ms": -1}, {"rate": -0.5}, {"rate": 100.0}):
        with pytest.raises(ValueError, match="does not go back"):
            clock.move(**wrong)
    assert clock.monotonic_ms() == 1_000


def ask(path: Path, request: bytes) -> dict[str, object]:
    """The answer of the control socket."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(path))
        link.sendall(request)
        answer: dict[str, object] = json.loads(link.makefile().readline())
        return answer


def test_it_is_moved_over_a_socket(tmp_path: Path, machine: Machine) -> None:
    """Each request is answered by what the clock shows; nonsense by what is wrong with it."""
    path = tmp_path / "clock"
    ClockControl(MovableClock(), path)
    shown = ask(path, b'{"rate": 0.5, "forward_ms": 50}')
    assert shown["monotonic_ms"] == 1_050
    assert shown["system_ms"] == 1_000
    machine.now_ms += 100
    assert ask(path, b"{}")["monotonic_ms"] == 1_100
    for nonsense in (b"nonsense", b"[]", b'{"speed": 3}', b'{"rate": "fast"}', b'{"rate": -1}'):
        assert "error" in ask(path, nonsense), nonsense
    assert ask(path, b"{}")["monotonic_ms"] == 1_100
