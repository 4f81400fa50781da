"""The proxy does to a connection what the weather says, and nothing else."""

from __future__ import annotations

import asyncio
import random
from typing import cast

import pytest

from jepsen_lite.clusters import proxy as proxies
from jepsen_lite.clusters.pipe import Frames, Late, Pipe
from jepsen_lite.clusters.weather import CLEAR, CUT, Conditions, Path, Weather
from tests.jepsen_lite.wires import WITHIN_S, frame, until, world

THERE, BACK = ("n1", "n2"), ("n2", "n1")
MANY = [frame(b"%04d" % number) for number in range(300)]


def every(_body: bytes) -> bool:
    """Any frame may be lost."""
    return True


async def test_clear_weather_changes_nothing_in_either_direction() -> None:
    """Bytes arrive whole and in order, and the end of the stream after them."""
    async with world() as it:
        reader, writer = await it.dial()
        sent = bytes(range(256)) * 4_000
        writer.write(sent)
        await until(lambda: it.server.everything == sent)
        it.server.writers[0].write(b"answer")
        assert await reader.readexactly(6) == b"answer"
        writer.write_eof()
        await until(lambda: it.server.ended[0])
        assert await reader.read() == b""


async def test_a_cut_way_holds_what_is_sent_until_it_is_healed() -> None:
    """Nothing crosses while it is cut; then everything does, in order."""
    async with world() as it:
        _, writer = await it.dial()
        writer.write(b"before ")
        await until(lambda: it.server.everything == b"before ")
        it.weather.lay("test", {THERE: CUT})
        path = it.weather.path(*THERE)
        crossed = path.crossed_bytes
        writer.write(b"during ")
        await until(lambda: path.held_frames)
        assert path.crossed_bytes == crossed
        assert it.server.everything == b"before "
        it.weather.lay("test", {})
        writer.write(b"after")
        await until(lambda: it.server.everything == b"before during after")


async def test_one_way_is_cut_and_the_other_is_not() -> None:
    """Answers arrive over a connection whose requests do not."""
    async with world() as it:
        reader, writer = await it.dial()
        writer.write(b"x")
        await until(lambda: it.server.everything == b"x")
        it.weather.lay("test", {THERE: CUT})
        it.server.writers[0].write(b"answer")
        assert await reader.readexactly(6) == b"answer"
        writer.write(b"y")
        await until(lambda: it.weather.path(*THERE).held_frames)
        assert it.server.everything == b"x"


async def test_a_connection_over_a_cut_way_breaks_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both sides hear of it, and what waited is lost."""
    monkeypatch.setattr(proxies, "GIVE_UP_S", 0.05)
    async with world() as it:
        reader, writer = await it.dial()
        writer.write(b"x")
        await until(lambda: it.server.everything == b"x")
        it.weather.lay("test", {BACK: CUT})
        it.server.writers[0].write(b"lost")
        async with asyncio.timeout(WITHIN_S):
            with pytest.raises(ConnectionError):
                await reader.readexactly(1)
        await until(lambda: it.server.ended[0])


async def test_a_dial_over_a_cut_way_reaches_nobody_until_it_is_healed() -> None:
    """The connection waits before the server sees it."""
    async with world() as it:
        it.weather.lay("test", {BACK: CUT})
        _, writer = await it.dial()
        writer.write(b"hello")
        await until(lambda: it.weather.path(*THERE).waited)
        assert not it.server.received
        it.weather.clear()
        await until(lambda: it.server.everything == b"hello")


async def test_the_end_of_a_process_is_not_heard_over_a_cut_way() -> None:
    """Like a machine that has lost power: silence, until the way is healed."""
    async with world() as it:
        _, writer = await it.dial()
        writer.write(b"x")
        await until(lambda: it.server.everything == b"x")
        it.weather.lay("test", {THERE: CUT})
        writer.close()
        await until(lambda: it.weather.path(*THERE).held_frames)
        assert not it.server.ended[0]
        it.weather.clear()
        await until(lambda: it.server.ended[0])


async def test_resets_break_the_connections_that_are_chosen() -> None:
    """And only those."""
    async with world() as it:
        reader, writer = await it.dial()
        writer.write(b"x")
        await until(lambda: it.server.received)
        assert it.weather.reset(lambda ends: ends == BACK) == 0
        assert it.weather.reset(lambda ends: ends == THERE) == 1
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)


async def test_a_delay_keeps_the_order() -> None:
    """Jitter lets nothing overtake."""
    async with world(every) as it:
        it.weather.lay("test", {THERE: Conditions(delay_s=0.01, jitter_s=0.05)})
        _, writer = await it.dial()
        for each in MANY:
            writer.write(each)
        await until(lambda: len(it.server.everything) == sum(map(len, MANY)))
        assert it.server.everything == b"".join(MANY)
        assert it.weather.path(*THERE).held_frames >= len(MANY)


async def test_a_narrow_way_takes_its_time() -> None:
    """What it lets through in a time is bounded."""
    async with world(every) as it:
        it.weather.lay("test", {THERE: Conditions(bytes_per_s=10_000)})
        _, writer = await it.dial()
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        for each in MANY:
            writer.write(each)
        await until(lambda: len(it.server.everything) == sum(map(len, MANY)))
        assert loop.time() - begun_s >= sum(map(len, MANY)) / 10_000 * 0.9


@pytest.mark.parametrize(
    ("conditions", "counted", "least", "most"),
    [
        (Conditions(drop=0.3), "dropped", 100, 299),
        (Conditions(duplicate=0.3, late_s=0.01), "duplicated", 301, 500),
        (Conditions(reorder=0.3, late_s=0.01), "reordered", 300, 300),
    ],
)
async def test_whole_frames_are_lost_doubled_and_overtaken(
    conditions: Conditions, counted: str, least: int, most: int
) -> None:
    """What arrives consists of frames that were sent, however the bytes were cut up."""
    async with world(every) as it:
        path = it.weather.path(*THERE)
        it.weather.lay("test", {THERE: conditions})
        _, writer = await it.dial()
        stream = b"".join(MANY)
        for at in range(0, len(stream), 7):
            writer.write(stream[at : at + 7])

        def arrived() -> list[bytes]:
            return Frames().feed(it.server.everything)

        def all_there() -> bool:
            hits = path.dropped + path.duplicated + path.reordered
            return bool(hits) and len(arrived()) == len(MANY) - path.dropped + path.duplicated

        await until(all_there)
        assert getattr(path, counted) == path.dropped + path.duplicated + path.reordered
        assert set(arrived()) <= set(MANY)
        assert least <= len(arrived()) <= most
        if counted == "reordered":
            assert arrived() != MANY


class Sink:
    """A transport that is told what asyncio's refuses."""

    def __init__(self) -> None:
        self.written = b""
        self.has_ended = False

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        assert not self.has_ended, "asyncio refuses to write after the end"
        self.written += data

    def write_eof(self) -> None:
        self.has_ended = True


async def test_a_frame_that_comes_after_the_end_is_lost() -> None:
    """Doubled, and the second is late: the stream has ended by then in this direction alone."""
    path, sink = Path(*THERE), Sink()
    late = Late(path)
    pipe = Pipe(path, late, None, random.Random(0), lambda: None)
    pipe.sink = cast("asyncio.Transport", sink)
    pipe.open()
    for data in (b"frame", b"", b"frame"):
        pipe.put(data)
    assert sink.written == b"frame"
    assert sink.has_ended
    pipe.close()


async def test_frames_that_may_not_be_touched_are_not() -> None:
    """A link's own business arrives whatever the weather is."""
    async with world(lambda body: body.startswith(b"batch")) as it:
        it.weather.lay("test", {THERE: Conditions(drop=1.0)})
        _, writer = await it.dial()
        writer.write(frame(b"batch 1") + frame(b"hello") + frame(b"batch 2"))
        await until(lambda: it.server.everything == frame(b"hello"))
        assert it.weather.path(*THERE).dropped == 2


async def held_up(draining: asyncio.Future[None]) -> bool:
    """Whether a writer is rid of its bytes after a while."""
    return bool((await asyncio.wait({draining}, timeout=0.5))[0])


async def test_a_sender_without_end_is_held_up() -> None:
    """What waits for a cut way is bounded: the sender is not read from any more."""
    async with world() as it:
        _, writer = await it.dial()
        writer.write(b"x")
        await until(lambda: it.server.received)
        it.weather.lay("test", {THERE: CUT})
        for _ in range(64):
            writer.write(bytes(1 << 20))
        # Whatever the proxy and the kernel hold, the rest stays with the sender.
        await until(lambda: it.weather.path(*THERE).held_frames > 10)
        draining = asyncio.ensure_future(writer.drain())
        assert not await asyncio.wait_for(held_up(draining), WITHIN_S)
        draining.cancel()


def test_frames_are_cut_anywhere() -> None:
    """However the stream is split, the same frames come out."""
    stream = b"".join(MANY[:20])
    for width in (1, 3, 8, 100):
        frames = Frames()
        found = [f for at in range(0, len(stream), width) for f in frames.feed(stream[at:][:width])]
        assert found == MANY[:20]


def test_a_length_that_cannot_be_ends_the_cutting() -> None:
    """Garbage passes as it is: it is for the receiver to refuse."""
    garbage = b"\xff\xff\xff\xffwhatever"
    assert Frames().feed(MANY[0] + garbage) == [MANY[0], garbage]


def test_faults_on_one_way_add_up_and_are_lifted_one_by_one() -> None:
    """Each owner takes back its own, and only that."""
    weather = Weather()
    path = weather.path(*THERE)
    weather.lay("a", {THERE: CUT})
    weather.lay("b", {THERE: Conditions(delay_s=0.1, drop=0.2)})
    weather.lay("c", {THERE: Conditions(delay_s=0.2, drop=0.1, bytes_per_s=5)})
    assert path.conditions == Conditions(True, 0.1 + 0.2, 0.0, 5, 0.2)
    weather.lay("a", {})
    assert not path.conditions.is_cut
    weather.lay("b", {BACK: CUT})
    assert path.conditions == Conditions(delay_s=0.2, drop=0.1, bytes_per_s=5)
    weather.clear()
    assert path.conditions == CLEAR == weather.path(*BACK).conditions
