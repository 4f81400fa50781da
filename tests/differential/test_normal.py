"""What makes plays comparable must not make different ones equal."""

from __future__ import annotations

from typing import Any

import pytest

from tests.differential.jute import AclEntry, Stat
from tests.differential.normal import normalised, problems
from tests.differential.player import Outcome, Play
from tests.differential.sequences import digest
from tests.differential.steps import Step, contract, dumps, expand, loads
from tests.differential.table import Table
from tests.differential.wire import Event, Reply

ROOT = "/d0000007"


def stat(czxid: int, mzxid: int, *, owner: int = 0, mtime: int = 0) -> Stat:
    """A Stat of which little matters."""
    return Stat(czxid, mzxid, 0, mtime, 0, 0, 0, owner, 0, 0, czxid)


def play(*outcomes: Outcome) -> Play:
    """A play by two sessions."""
    return Play(ROOT, list(outcomes), {11: "s0.0", 12: "s1.0"})


def outcome(name: str, zxid: int, body: Any, events: list[Event] | None = None) -> Outcome:
    """One reply without an error."""
    step = Step(0, name, {"path": "~/a"})
    return Outcome(step, Reply(1, zxid, 0, body), [], events or [], {}, [])


def test_zxids_become_ranks() -> None:
    """Gaps vanish, order stays."""
    first = play(outcome("setData", 5, stat(3, 5)), outcome("getData", 5, [b"", stat(3, 5)]))
    second = play(outcome("setData", 90, stat(7, 90)), outcome("getData", 91, [b"", stat(7, 90)]))
    other = play(outcome("setData", 90, stat(7, 90)), outcome("getData", 91, [b"", stat(90, 90)]))
    assert normalised(first) == normalised(second)
    assert normalised(first) != normalised(other)


def test_owners_become_sessions() -> None:
    """Whose ephemeral it is stays visible; a stranger's id does, too."""
    owners = [
        normalised(play(outcome("exists", 5, stat(5, 5, owner=owner))))[0]["body"]["owner"]
        for owner in (0, 11, 12, 13)
    ]
    assert owners == [0, "s0.0", "s1.0", 13]


def test_the_order_of_an_acl_counts() -> None:
    """But for the digests that "auth" has put there, side by side."""
    ann, bob = (AclEntry(31, "digest", digest(user, "1")) for user in ("ann", "bob"))
    world, reader = AclEntry(31, "world", "anyone"), AclEntry(1, "digest", bob.id)

    def acl(*entries: AclEntry) -> Any:
        return normalised(play(outcome("getACL", 5, [list(entries), stat(5, 5)])))

    assert acl(ann, bob, world) == acl(bob, ann, world)
    assert acl(ann, world) != acl(world, ann)
    assert acl(ann, reader) != acl(reader, ann)


def test_events_keep_their_order() -> None:
    """Unless a session ends with several ephemerals."""
    events = [Event(2, 3, f"{ROOT}/{name}", -1) for name in "ab"]
    for name, is_equal in (("delete", False), ("close", True)):
        forth, back = (play(outcome(name, 5, None, each)) for each in (events, events[::-1]))
        assert (normalised(forth) == normalised(back)) is is_equal


@pytest.mark.parametrize(
    ("outcomes", "problem"),
    [
        ([outcome("sync", 9, "~/a"), outcome("sync", 8, "~/a")], "went back"),
        ([outcome("getData", 5, [b"", stat(5, 6)])], "in the header of"),
        ([outcome("getData", 5, [b"", stat(5, 4)])], "disagree"),
        ([outcome("getData", 5, [b"", stat(5, 5, mtime=1)])], "disagree"),
        ([outcome("setData", 5, stat(4, 5), [Event(3, 3, "/a", 4)])], "zxid 4, not 5"),
        ([outcome("setWatches", 5, None, [Event(3, 3, "/a", 5)])], "zxid 5, not -1"),
    ],
)
def test_what_no_server_may_do(outcomes: list[Outcome], problem: str) -> None:
    """Each breach is named."""
    (found,) = problems(play(*outcomes), events_carry_zxids=True)
    assert problem in found


def test_events_behind_the_reply() -> None:
    """A client may read the new state before it hears of the change."""
    late = outcome("setData", 5, stat(4, 5))._replace(after={0: [Event(3, 3, "/a", 5)]})
    (found,) = problems(play(late), events_carry_zxids=True)
    assert "behind the reply" in found


def test_paths_of_the_directory() -> None:
    """There and back, at any depth."""
    args = {"operations": [["create", {"path": "~/a"}]], "data": ["~", "/zookeeper"]}
    expanded = expand(args, ROOT)
    assert expanded["operations"][0][1]["path"] == f"{ROOT}/a"
    assert contract(expanded, ROOT) == args


def test_sequences_survive_their_file() -> None:
    """What is stored is what was played."""
    sequence = (
        Step(0, "create", {"path": "~/ü", "data": "\0\xff", "acl": None, "flags": 0}),
        Step(1, "close", {}),
    )
    assert loads(dumps(sequence)) == sequence


def test_only_successes_count_as_such() -> None:
    """A multi that failed has no error of its own."""
    sequence = [
        Step(0, "multi", {"operations": [["check", {}]]}),
        Step(0, "multi", {"operations": [["check", {}]]}),
        Step(0, "ping", {}),
        Step(0, "sync", {"path": "~"}),
    ]
    quiet: dict[str, Any] = {"before": [], "after": {}, "closed": []}
    records = [
        {"err": 0, "body": [[-1, -101, -101]], **quiet},
        {"err": 0, "body": [[13, 0, None]], **quiet},
        {"err": 0, "body": None, **quiet},
        {"err": None, **quiet},
    ]
    table = Table()
    table.add(tuple(sequence), records)
    assert table.succeeded == 0.5
    assert "no reply" in str(table)
