"""The session machine without I/O: exactly-once, order, deadlines, heartbeats."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coord.model import requests as rq
from coord.model.errors import (
    MisuseError,
    OperationTimeoutError,
    OverloadedError,
    ProtocolError,
    SessionExpiredError,
    TooLargeError,
)
from coord.protocol.native import NativeCodec
from coord.protocol.native_client import OPENING
from coord_client.operations import NEVER_MS, Kind, Operation
from coord_client.session import ConnectionState, Session, SessionSettings
from tests.client.session_world import SECRET, Outcome, World

COUNTS = st.integers(1, 6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), COUNTS),
        st.tuples(st.just("flow"), COUNTS),
        st.tuples(st.just("serve"), COUNTS),
        st.tuples(st.just("deliver"), COUNTS),
        st.tuples(st.just("refuse"), st.integers(1, 3)),
        st.tuples(st.just("tick"), st.sampled_from([1, 20, 40, 400, 4_000])),
        st.sampled_from(
            [("reconnect", 1), ("read", 1), ("cancel", 1), ("disconnect", 1), ("expire", 1)]
        ),
    ),
    max_size=40,
)


class Story:
    """Plays steps on a world and keeps what the caller knows."""

    def __init__(self) -> None:
        self.world = attached()
        self.reads: list[Outcome] = []
        self.cancelled: set[bytes] = set()

    def finish(self) -> None:
        """Heal; then show that new writes work."""
        self.world.settle()
        self.play("submit", 3)
        self.world.settle()

    def play(self, step: str, count: int) -> None:
        """One step."""
        world = self.world
        match step:
            case "submit":
                for _ in range(count):
                    world.submit(b"%d" % len(world.writes))
                world.flush()
            case "flow":
                world.serve(count)
                world.deliver(count)
            case "reconnect":
                world.disconnect()
                world.connect()
                world.serve(2)
                world.deliver()
            case "read":
                self.reads.append(world.read())
                world.flush()
            case "cancel":
                for data, outcome in world.writes[-2:]:
                    if not outcome.done():
                        outcome.is_cancelled = True
                        self.cancelled.add(data)
            case "refuse":
                if world.connection is not None:
                    world.connection.refusals += count
            case "expire":
                world.server.expire()
            case "disconnect":
                world.disconnect()
            case _:
                getattr(world, step)(count)


@settings(max_examples=400)
@given(STEPS)
@example([("submit", 1), ("serve", 1), ("reconnect", 1), ("expire", 1)])
@example([("submit", 1), ("serve", 1), ("expire", 1)])
def test_every_write_happens_once_in_order_and_its_caller_knows(steps: list[Any]) -> None:
    """Whatever is cut, refused, expired and cancelled: no write is applied twice, what was
    applied keeps the order of submission, success means applied, a definite failure means not
    applied, and every call is answered in the end."""
    story = Story()
    for step, count in steps:
        story.play(step, count)
    story.finish()
    applied = story.world.server.applied

    assert applied == sorted(applied, key=int)
    assert len(applied) == len(set(applied))
    for data, outcome in story.world.writes:
        if data in story.cancelled:
            continue
        assert outcome.done()
        if outcome.reply is not None:
            assert data in applied
        else:
            assert isinstance(outcome.error, SessionExpiredError)
            assert not (outcome.error.definite and data in applied)
    for read in story.reads:
        assert read.reply is not None


@given(STEPS)
def test_without_expiry_every_write_succeeds(steps: list[Any]) -> None:
    """Cuts and transient refusals alone never surface."""
    story = Story()
    for step, count in steps:
        if step not in {"expire", "cancel"}:
            story.play(step, count)
    story.finish()

    assert [data for data, _ in story.world.writes] == story.world.server.applied
    assert all(outcome.reply is not None for _, outcome in story.world.writes)


@given(STEPS)
def test_no_result_is_dropped_that_is_still_wanted(steps: list[Any]) -> None:
    """``acked`` never covers a write whose answer has not come: results cannot be lost."""
    story = Story()
    for step, count in steps:
        if step != "expire":
            story.play(step, count)
        unanswered = [
            int(data)
            for data, outcome in story.world.writes
            if not outcome.done() and data in story.world.server.applied
        ]
        if unanswered and not story.cancelled:
            position = story.world.server.applied.index(b"%d" % min(unanswered))
            assert story.world.session.acked <= position


def attached(**settings: Any) -> World:
    """A world whose machine is attached."""
    world = World(**settings)
    world.connect()
    world.serve(2)
    world.deliver()
    assert world.session.is_attached
    return world


def test_first_bytes_are_hello_and_connect() -> None:
    """A connection opens with the protocol's hello, then asks for a session."""
    session = Session(SessionSettings(timeout_ms=7_000, client_name="me"), lambda: 0.0, print)
    session.opened(0)
    ((_, request, _, _),) = NativeCodec().feed(b"".join(session.take_output(0)))

    assert request == rq.Connect(0, b"", 7_000, 0, "me")
    assert session.state is ConnectionState.SUSPENDED


def test_nothing_is_sent_before_the_attach() -> None:
    """Requests wait for the session."""
    world = World()
    world.submit(b"1")
    world.connect()

    assert len(world.to_server) == 2
    world.serve(2)
    world.deliver()
    assert len(world.to_server) == 1


def test_reattach_names_the_session_and_the_last_revision() -> None:
    """The next connection presents id, secret and the greatest revision seen."""
    world = attached()
    world.submit(b"1")
    world.flush()
    world.serve()
    world.deliver()
    session_id = world.session.session_id
    world.disconnect()
    world.session.opened(world.now_ms)
    ((_, request, _, _),) = NativeCodec().feed(b"".join(world.session.take_output(world.now_ms)))

    assert request == rq.Connect(session_id, SECRET, 10_000, world.server.revision, "")


def test_window_is_bounded_and_moves_with_answers() -> None:
    """256 writes leave; the next leaves when the first is answered."""
    world = attached()
    for number in range(300):
        world.submit(b"%d" % number)
    world.flush()
    assert len(world.to_server) == 256
    world.serve(1)
    world.deliver()

    assert len(world.to_server) == 256
    assert world.session.acked == 1


def test_read_behind_waiting_writes_keeps_its_place() -> None:
    """A session's requests leave in the order they were made, reads included."""
    world = attached()
    for number in range(257):
        world.submit(b"%d" % number)
    world.read()
    world.flush()

    assert len(world.to_server) == 256


def test_refused_writes_go_back_and_are_numbered_afresh() -> None:
    """After a refusal nothing is sent until all that was in flight has come back and the pause is
    over; then the same numbers are used again, on the same connection."""
    world = attached()
    assert world.connection is not None
    world.connection.refusals = 1
    outcomes = [world.submit(b"%d" % number) for number in range(3)]
    world.flush()
    world.serve(3)
    world.deliver(2)
    outcomes.append(world.submit(b"3"))
    world.tick(100)
    assert not world.to_server
    world.deliver(1)
    world.tick(1)
    first = NativeCodec()
    first.feed(OPENING)
    sent = first.feed(b"".join(world.to_server))
    world.serve(4)
    world.deliver(4)

    assert [seq for _, _, seq, _ in sent] == [1, 2, 3, 4]
    assert world.server.applied == [b"0", b"1", b"2", b"3"]
    assert world.session.attaches == 1
    assert all(outcome.reply is not None for outcome in outcomes)


def test_gap_without_a_refusal_means_attach_again() -> None:
    """If the server misses a write that was sent, the machine attaches to learn the truth."""
    world = attached()
    outcome = world.submit(b"1")
    world.flush()
    world.to_server.clear()
    world.session.receive(NativeCodec.error(2, 5, -210, "gap"), world.now_ms)

    assert world.session.drop_reason == "the node misses a write that we sent"
    world.flush()
    world.settle()
    assert outcome.reply is not None
    assert world.server.applied == [b"1"]


@pytest.mark.parametrize("code", [-8, -114, -203, -6])
def test_number_of_a_malformed_write_may_be_unused(code: int) -> None:
    """Whether the refusal used the number shows in what comes next; either way writes go on."""
    world = attached()
    outcome = world.submit(b"0")
    world.flush()
    world.to_server.clear()
    world.session.receive(NativeCodec.error(2, 5, code, "malformed"), world.now_ms)
    assert outcome.error is not None
    later = world.submit(b"1")
    world.flush()
    world.settle()

    assert later.reply is not None
    assert world.server.applied == [b"1"]


def test_service_may_ask_for_a_wider_drift_bound() -> None:
    """The greater of the two bounds counts."""
    world = World(drift_ppm=1_000)
    world.session.opened(0)
    body = (7, SECRET, 1, 10_000, 0, {"drift_ppm": 20_000})
    world.session.receive(NativeCodec.reply(1, 7, body), 0)

    assert world.session.hold_until_ms == 10_000 - 201


def test_server_that_forgot_answered_writes_is_refused() -> None:
    """A last seq below what was answered breaks the protocol: another node must serve us."""
    world = attached()
    world.submit(b"1")
    world.flush()
    world.serve()
    world.deliver()
    world.disconnect()
    world.server.last_seq = 0
    world.connect()
    world.serve(2)
    with pytest.raises(ProtocolError, match="answered"):
        world.deliver()


def test_deadlines_are_exact() -> None:
    """An operation fails at its deadline, not before, and the machine says when to wake it."""
    world = World()
    late, early = world.submit(b"1", 500), world.submit(b"2", 200)
    assert world.session.wake_at_ms == world.now_ms + 200
    world.tick(199)
    assert not early.done()
    world.tick(1)
    assert isinstance(early.error, OperationTimeoutError)
    assert early.error.definite
    assert not late.done()
    assert world.session.wake_at_ms == world.now_ms + 300


def test_timed_out_write_in_flight_is_in_doubt() -> None:
    """It was sent: it may happen, and the error says so."""
    world = attached()
    outcome = world.submit(b"1", 100)
    world.flush()
    world.tick(100)

    assert isinstance(outcome.error, OperationTimeoutError)
    assert not outcome.error.definite


def test_write_known_to_be_unapplied_times_out_definitely() -> None:
    """After an attach that shows it was not applied, there is no doubt any more."""
    world = attached()
    outcome = world.submit(b"1", 100)
    world.flush()
    world.disconnect()
    world.connect()
    world.serve(2)
    world.session.receive(world.to_client.popleft(), world.now_ms)  # attached; nothing sent yet
    world.now_ms += 100
    world.session.tick(world.now_ms)

    assert isinstance(outcome.error, OperationTimeoutError)
    assert outcome.error.definite


def test_heartbeats_leave_every_third_of_the_timeout() -> None:
    """Pings are asked for by wake_at_ms and bypass everything that waits."""
    world = attached()
    start_ms = world.now_ms
    sent_ms = []
    while world.now_ms < start_ms + 20_000:
        world.tick(world.session.wake_at_ms - world.now_ms)
        if world.to_server:
            sent_ms.append(world.now_ms - start_ms)
        world.serve()
        world.deliver()

    assert sent_ms == [3_333, 6_666, 9_999, 13_332, 16_665, 19_998, 23_331]


def drop_time(world: World, *, answered: type[rq.Request]) -> int:
    """Milliseconds until the machine leaves a node that answers only one kind of request."""
    start_ms = world.now_ms
    while world.session.drop_reason is None:
        world.now_ms = max(world.now_ms, world.session.wake_at_ms)
        world.session.tick(world.now_ms)
        for frame in world.session.take_output(world.now_ms):
            codec = NativeCodec()
            codec.feed(OPENING)
            ((xid, request, _, _),) = codec.feed(frame)
            if isinstance(request, answered):
                world.session.receive(codec.reply(xid, 1, ()), world.now_ms)
    return world.now_ms - start_ms


def test_frozen_node_is_probed_and_left() -> None:
    """It owes an answer and says nothing: one question that needs no leader, then it is left."""
    world = attached(probe_ms=300)
    world.read()
    world.flush()

    assert drop_time(world, answered=rq.Close) == 600
    assert world.session.drop_reason == "the node has said nothing for 600 ms"


def test_frozen_node_is_noticed_by_an_idle_client() -> None:
    """The heartbeat that stays unanswered starts the probing."""
    world = attached(probe_ms=300)

    assert drop_time(world, answered=rq.Close) == 3_333 + 600


def test_slow_node_that_answers_probes_is_believed_until_the_session_is_at_risk() -> None:
    """A node cut off from the leader confirms no heartbeat: left with a third in hand."""
    world = attached()
    world.read()
    world.flush()

    assert drop_time(world, answered=rq.Admin) == 6_666
    assert world.session.drop_reason == "no heartbeat was confirmed for 6666 ms"


def test_patience_doubles_from_node_to_node() -> None:
    """If nodes one after the other look frozen, it is the load: each gets twice as long."""
    world = attached(probe_ms=300)
    times = []
    for _ in range(5):
        world.read()
        world.flush()
        times.append(drop_time(world, answered=rq.Close))
        world.disconnect()
        world.connect()
        world.serve(2)
        world.deliver()

    assert times == [600, 900, 1_500, 2_700, 5_100]


def test_asking_after_a_quiet_time_starts_the_patience_afresh() -> None:
    """A node is not suspected for having said nothing while nothing was asked."""
    world = attached(probe_ms=300)
    world.tick(2_000)
    world.read()
    world.flush()

    assert world.session.wake_at_ms == world.now_ms + 300


def test_unanswered_attach_drops_the_connection() -> None:
    """A node that accepts and says nothing is given up."""
    world = World(attach_ms=700)
    world.connect()
    assert world.session.wake_at_ms == world.now_ms + 700
    world.now_ms += 700
    world.session.tick(world.now_ms)

    assert world.session.drop_reason is not None


def test_hold_counts_from_the_send_time_of_what_was_confirmed() -> None:
    """An attach confirms from when CONNECT left, a heartbeat from when it left."""
    world = World(timeout_ms=10_000, drift_ppm=1_000)
    world.connect()
    sent_ms = world.now_ms
    world.now_ms += 300
    world.serve(2)
    world.deliver()
    assert world.session.hold_until_ms == sent_ms + 10_000 - 11

    world.tick(3_400)
    ping_ms = world.now_ms
    world.now_ms += 200
    assert world.session.hold_until_ms == sent_ms + 10_000 - 11
    world.serve(1)
    world.deliver()
    assert world.session.hold_until_ms == ping_ms + 10_000 - 11


def test_hold_outlives_the_connection_and_not_the_session() -> None:
    """A lost connection leaves the hold; an expiry ends it."""
    world = attached()
    until_ms = world.session.hold_until_ms
    world.disconnect()
    assert world.session.hold_until_ms == until_ms
    world.server.expire()
    world.connect()
    world.serve(2)
    world.deliver()

    assert world.session.state is ConnectionState.EXPIRED
    assert world.session.hold_until_ms == 0


def test_request_that_cannot_be_encoded_costs_no_seq() -> None:
    """A frame above the limit fails its caller only; the next write takes its number."""
    world = attached()
    huge = Outcome()
    parts = tuple(rq.Set("/x", bytes(900_000), -1) for _ in range(3))
    world.session.submit(Operation(rq.Multi(parts), huge, Kind.WRITE, NEVER_MS))
    small = world.submit(b"1")
    world.flush()
    world.serve()
    world.deliver()

    assert isinstance(huge.error, TooLargeError)
    assert small.reply is not None
    assert world.server.last_seq == 1


def test_bounds_and_misuse_are_refused_at_once() -> None:
    """A full queue, a closed machine and a write without session are told to the caller."""
    world = World(waiting_max=1)
    world.submit(b"1")
    with pytest.raises(OverloadedError):
        world.submit(b"2")
    without = World(timeout_ms=0)
    with pytest.raises(MisuseError):
        without.submit(b"1")
    world.session.close()
    with pytest.raises(MisuseError):
        world.submit(b"3")
    assert world.writes[0][1].error is not None


@given(st.integers(1, 7))
def test_answers_cut_anywhere_are_understood(size: int) -> None:
    """The stream may arrive in pieces of any size."""
    world = attached()
    outcomes = [world.submit(b"%d" % number) for number in range(3)]
    world.flush()
    world.serve(3)
    stream = b"".join(world.to_client)
    for start in range(0, len(stream), size):
        world.session.receive(stream[start : start + size], world.now_ms)

    assert all(outcome.reply is not None for outcome in outcomes)
