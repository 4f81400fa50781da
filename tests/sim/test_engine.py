"""The simulation engine: time, processes, streams and the disk behave as documented."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from coord.model.errors import StorageError
from coord.sim import US_PER_S, Kernel, Killed, Network, Process, SimLogWriter, Streams
from coord.sim.disk import DiskConditions
from coord.sim.network import DIAL_US, GIVE_UP_US, Conditions, End
from coord.store.raft_log import LogWrite


class _Party:
    """An owner of stream ends: remembers what it heard."""

    def __init__(self, network: Network, name: str) -> None:
        self.process = Process(network.kernel, name)
        self.process.on_death.append(lambda power: network.process_died(self.process, power=power))
        self.network = network
        self.heard: list[object] = []
        self.end: End | None = None
        self.refused = 0

    def start(self) -> None:
        self.process.start()
        self.network.listen(self.process, "p", self._accept)

    def _accept(self, end: End, greeting: object) -> object:
        self.heard.append(greeting)
        self._own(end)
        return "welcome"

    def _own(self, end: End) -> None:
        self.end = end
        end.handler = self

    def dial(self, to: str) -> None:
        self.network.dial(self.process, to, "p", "hello", self._dialled)

    def _dialled(self, end: End | None, answer: object) -> None:
        self.heard.append(answer)
        if end is None:
            self.refused += 1
        else:
            self._own(end)

    def on_item(self, item: object) -> None:
        self.heard.append(item)

    def on_end(self) -> None:
        self.heard.append("end")


def _pair(seed: int = 1, conditions: Conditions | None = None) -> tuple[Kernel, _Party, _Party]:
    kernel = Kernel(seed)
    network = Network(kernel, conditions)
    one, two = _Party(network, "a"), _Party(network, "b")
    one.start()
    two.start()
    one.dial("b")
    kernel.run_until(US_PER_S // 10)
    return kernel, one, two


def _writes(party: _Party, *items: object) -> None:
    assert party.end is not None
    for item in items:
        party.end.write(item)


# --- time ---------------------------------------------------------------------------------------


def test_events_run_in_order_of_time_then_of_scheduling() -> None:
    """Equal times keep the order in which they were scheduled."""
    kernel, ran = Kernel(1), list[str]()
    for name, delay in (("late", 20), ("first", 10), ("second", 10)):
        kernel.schedule(delay, functools.partial(ran.append, name))
    kernel.run_until(100)

    assert ran == ["first", "second", "late"]
    assert kernel.now_us == 100


def test_a_cancelled_event_does_not_run() -> None:
    """Cancelling is final."""
    kernel, ran = Kernel(1), list[int]()
    kernel.schedule(5, lambda: ran.append(1)).cancel()
    kernel.run_until(10)

    assert ran == []


def test_a_loop_without_time_is_caught() -> None:
    """Events that keep scheduling events at the same time end the run."""
    kernel = Kernel(1)

    def again() -> None:
        kernel.schedule(0, again)

    again()
    with pytest.raises(AssertionError, match="without end"):
        kernel.run_until(1)


def test_streams_depend_on_seed_and_name_only() -> None:
    """Drawing from one stream leaves the others as they are."""
    one, two = Streams(7), Streams(7)
    one.get("network").random()

    assert one.get("disk").random() == two.get("disk").random()
    assert Streams(8).get("disk").random() != two.get("network").random()
    assert f"{Streams(7).get('x').random():.12f}" == f"{Streams(7).get('x').random():.12f}"


# --- processes ----------------------------------------------------------------------------------


def test_a_dead_process_gets_nothing_even_after_its_restart() -> None:
    """What was scheduled for an earlier life never runs."""
    kernel, ran = Kernel(1), list[int]()
    process = Process(kernel, "p")
    process.start()
    process.call_later(5, lambda: ran.append(1))
    process.crash()
    process.start()
    process.call_later(6, lambda: ran.append(2))
    kernel.run_until(US_PER_S)

    assert ran == [2]


def test_a_paused_process_catches_up_in_order() -> None:
    """Timers that fell due during a pause run at its end, in their old order."""
    kernel, ran = Kernel(1), list[int]()
    process = Process(kernel, "p")
    process.start()
    for delay in (3, 1, 2):
        process.call_later(delay, functools.partial(ran.append, delay))
    process.pause()
    kernel.run_until(10_000)
    assert ran == []
    process.resume()
    kernel.run_until(10_000)

    assert ran == [1, 2, 3]


def test_killed_ends_the_process_at_that_point() -> None:
    """A kill point raised inside an event crashes the event's process and nothing else."""
    kernel, deaths = Kernel(1), list[bool]()
    process = Process(kernel, "p")
    process.on_death.append(deaths.append)
    process.start()

    def act() -> None:
        raise Killed("here", power=True)

    process.call_soon(act)
    process.call_soon(lambda: deaths.append(False))
    kernel.run_until(10)

    assert deaths == [True]
    assert not process.alive


def test_a_drifting_clock_drifts() -> None:
    """A fast clock reads more and its timers fire earlier in true time."""
    kernel = Kernel(1)
    process = Process(kernel, "p")
    process.clock.rate_ppm = 100_000
    process.start()
    fired: list[int] = []
    process.call_later(110, lambda: fired.append(kernel.now_us))
    kernel.run_until(US_PER_S)

    assert fired == [100_000]
    assert process.clock.monotonic_ms() == 1_100


def test_a_clock_that_changes_its_pace_does_not_step() -> None:
    """Only the pace changes; the wall clock can be stepped, the monotonic one never."""
    kernel = Kernel(1)
    clock = Process(kernel, "p").clock
    kernel.run_until(10 * US_PER_S)
    clock.rate_ppm = 500_000
    assert clock.monotonic_ms() == 10_000
    kernel.run_until(12 * US_PER_S)
    assert clock.monotonic_ms() == 13_000
    wall_ms = clock.wall_ms()
    clock.wall_offset_ms -= 5_000

    assert (clock.wall_ms(), clock.monotonic_ms()) == (wall_ms - 5_000, 13_000)


# --- streams ------------------------------------------------------------------------------------


def test_a_stream_keeps_order_both_ways() -> None:
    """Items arrive once and in the order written, whatever the delays."""
    kernel, one, two = _pair()
    _writes(one, *range(50))
    _writes(two, *"xyz")
    kernel.run_until(US_PER_S)

    assert two.heard == ["hello", *range(50)]
    assert one.heard == ["welcome", *"xyz"]


def test_a_closed_stream_delivers_what_was_written() -> None:
    """Closing sends the end after the data; the owner who closed hears nothing."""
    kernel, one, two = _pair()
    _writes(one, 1, 2)
    assert one.end is not None
    one.end.close()
    kernel.run_until(US_PER_S)

    assert two.heard == ["hello", 1, 2, "end"]
    assert one.heard == ["welcome"]


@pytest.mark.parametrize("seed", range(20))
def test_a_broken_stream_delivers_a_prefix(seed: int) -> None:
    """A reset may lose the newest items, never one in the middle, and both ends hear of it."""
    kernel, one, two = _pair(seed)
    _writes(one, *range(20))
    kernel.run_until(kernel.now_us + 700)
    one.network.break_streams("a", "b")
    _writes(one, "after")
    kernel.run_until(2 * US_PER_S)

    arrived = two.heard[1:-1]
    assert arrived == list(range(len(arrived)))
    assert two.heard[-1] == one.heard[-1] == "end"


def test_a_cut_path_holds_items_until_it_heals() -> None:
    """One direction waits, the other goes on; healing delivers everything in order."""
    kernel, one, two = _pair()
    one.network.cut("a", "b")
    _writes(one, 1, 2)
    _writes(two, "back")
    kernel.run_until(US_PER_S)
    assert two.heard == ["hello"]
    assert one.heard == ["welcome", "back"]
    one.network.heal("a", "b")
    _writes(one, 3)
    kernel.run_until(2 * US_PER_S)

    assert two.heard == ["hello", 1, 2, 3]


def test_a_path_that_stays_cut_ends_the_stream() -> None:
    """Both owners hear the end once the time to give up has passed, and no new dial succeeds."""
    kernel, one, two = _pair()
    one.network.cut("a", "b")
    kernel.run_until(kernel.now_us + GIVE_UP_US + US_PER_S)
    assert one.heard[-1] == two.heard[-1] == "end"
    one.dial("b")
    kernel.run_until(kernel.now_us + 2 * DIAL_US)

    assert one.refused == 1


def test_a_clogged_path_delivers_late_and_in_order() -> None:
    """What is sent into a clogged direction arrives after it, the other direction goes on."""
    kernel, one, two = _pair()
    one.network.clog("a", "b", US_PER_S)
    _writes(one, 1, 2)
    _writes(two, "back")
    kernel.run_until(US_PER_S)
    assert (two.heard, one.heard) == (["hello"], ["welcome", "back"])
    kernel.run_until(2 * US_PER_S)
    assert two.heard == ["hello", 1, 2]
    one.network.clog("a", "b", US_PER_S)
    one.network.heal_all()
    _writes(one, 3)
    kernel.run_until(kernel.now_us + US_PER_S // 10)

    assert two.heard == ["hello", 1, 2, 3]


def test_a_killed_process_is_heard_of_and_a_dark_machine_is_not() -> None:
    """Kill -9 sends EOF at once; after a power loss the peer hears of it when the machine is
    back, or gives up."""
    kernel, one, two = _pair()
    two.process.crash()
    kernel.run_until(kernel.now_us + US_PER_S // 2)
    assert one.heard == ["welcome", "end"]

    kernel, one, two = _pair()
    two.process.crash(power=True)
    kernel.run_until(kernel.now_us + US_PER_S)
    assert one.heard == ["welcome"]
    two.start()
    kernel.run_until(kernel.now_us + US_PER_S // 2)
    assert one.heard == ["welcome", "end"]


def test_a_dial_to_nobody_fails() -> None:
    """A dead process refuses, a paused one lets the dial time out."""
    kernel, one, two = _pair()
    two.process.crash()
    one.dial("b")
    kernel.run_until(kernel.now_us + US_PER_S // 2)
    assert one.refused == 1
    two.start()
    two.process.pause()
    one.dial("b")
    kernel.run_until(kernel.now_us + 2 * DIAL_US)
    assert one.refused == 2
    two.process.resume()
    heard = len(two.heard)
    kernel.run_until(kernel.now_us + US_PER_S)

    assert two.heard[heard:] == ["hello", "end"]  # accepted late, and the dialler has gone


def test_an_end_that_pauses_reading_gets_everything_later() -> None:
    """Back pressure delays items and keeps their order."""
    kernel, one, two = _pair()
    assert two.end is not None
    two.end.pause_reading()
    _writes(one, 1, 2)
    assert one.end is not None
    one.end.close()
    kernel.run_until(US_PER_S)
    assert two.heard == ["hello"]
    two.end.resume_reading()

    assert two.heard == ["hello", 1, 2, "end"]


# --- disk ---------------------------------------------------------------------------------------


class _Log:
    """A log that remembers its transactions."""

    def __init__(self) -> None:
        self.transactions: list[int] = []
        self.error: StorageError | None = None

    def write(self, batch: list[LogWrite]) -> None:
        if self.error is not None:
            raise self.error
        self.transactions.append(len(batch))


def _disk(seed: int) -> tuple[Kernel, Process, _Log, SimLogWriter]:
    kernel = Kernel(seed)
    process = Process(kernel, "p")
    process.start()
    log = _Log()
    writer = SimLogWriter(process, log, kernel.streams.get("disk"), DiskConditions())
    process.on_death.append(lambda _power: writer.process_died())
    return kernel, process, log, writer


def _reports(done: list[int], number: int) -> Callable[[BaseException | None], None]:
    def report(error: BaseException | None) -> None:
        assert error is None
        done.append(number)

    return report


def test_writes_that_wait_share_one_transaction() -> None:
    """Group commit: what is queued during a write goes to disk together, reported in order."""
    kernel, _, log, writer = _disk(1)
    done: list[int] = []
    for at in range(5):
        writer.submit(LogWrite([]), _reports(done, at))
    kernel.run_until(US_PER_S)

    assert log.transactions == [1, 4]
    assert done == [0, 1, 2, 3, 4]


def test_a_crash_leaves_a_transaction_whole_or_not_at_all() -> None:
    """Dying during a write leaves either state, and what was queued behind it is lost."""
    outcomes = set()
    for seed in range(30):
        kernel, process, log, writer = _disk(seed)
        done: list[int] = []
        for at in range(5):
            writer.submit(LogWrite([]), _reports(done, at))
        kernel.run_until(10)
        process.crash()
        kernel.run_until(US_PER_S)
        outcomes.add(tuple(log.transactions))
        assert done == []

    assert outcomes == {(), (1,)}


def test_a_stalled_disk_answers_late_and_a_failed_one_says_so() -> None:
    """A stall delays the report; an error reaches every write of its transaction."""
    kernel, _, log, writer = _disk(1)
    errors: list[BaseException | None] = []
    writer.stalled_until_us = US_PER_S
    writer.submit(LogWrite([]), errors.append)
    kernel.run_until(US_PER_S - 1)
    assert errors == []
    kernel.run_until(2 * US_PER_S)
    assert errors == [None]
    failure = log.error = StorageError("EIO")
    writer.submit(LogWrite([]), errors.append)
    kernel.run_until(3 * US_PER_S)

    assert errors == [None, failure]
    assert log.transactions == [1]
