"""The reference model's rules that no other test of the checkers touches: who may do what."""

from __future__ import annotations

import pytest

from tests.sim.codes import (
    CHECK,
    COMPARE,
    CREATE,
    DELETE,
    NO_AUTH,
    NO_NODE,
    OK,
    SET,
    SET_ACL,
    TRANSACTION,
)
from tests.sim.handmade import WORLD, Handmade

READ_ONLY = ((1, "world", "anyone"),)
OWN = ((31, "digest", "ann"),)
ANN = (("digest", "ann"),)


def _restricted(acl: object) -> Handmade:
    made = Handmade()
    made.open_session()
    made.write("create", CREATE, "/r", b"0", acl, 0, 0)
    return made


@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        (SET, ("/r", b"1", -1)),
        (SET_ACL, ("/r", WORLD, -1)),
        (CREATE, ("/r/below", b"", WORLD, 0, 0)),
        (DELETE, ("/r/below", -1)),
    ],
)
def test_an_acl_decides_who_may_write(number: int, arguments: tuple[object, ...]) -> None:
    """What only Ann may do is refused to others; that of the parent decides on its children."""
    made = _restricted(OWN)

    assert made.write("any", number, *arguments).code == NO_AUTH
    made.who = ANN
    assert made.write("any", number, *arguments).code in (OK, NO_NODE)


@pytest.mark.parametrize("kind", ["get", "exists", "children"])
def test_an_acl_decides_who_may_read(kind: str) -> None:
    """Refused without READ, answered with it."""
    made = _restricted(OWN)

    assert made.model.tree.read(kind, "/r")[0] == NO_AUTH
    assert made.model.tree.read(kind, "/r", who=ANN)[0] == OK


def test_conditions_of_a_transaction_need_to_read() -> None:
    """Otherwise they would tell what may not be read."""
    made = _restricted(OWN)
    for condition in ((CHECK, "/r", -1), (COMPARE, "/r", "version", "=", 0)):
        refused = made.multi(condition)
        assert refused.code == TRANSACTION
        assert refused.body == ((NO_AUTH,),)


def test_whoever_may_read_need_not_be_able_to_write() -> None:
    """Permissions are apart."""
    made = _restricted(READ_ONLY)

    assert made.get("/r").code == OK
    assert made.set("/r", b"1").code == NO_AUTH


def test_changes_say_whom_they_are_hidden_from() -> None:
    """Watchers that have proven nothing hear of what they may read."""
    made = _restricted(OWN)
    assert [change.hidden for change in made.model.tree.changes] == [True]
    made.who = ANN
    made.write("set_acl", SET_ACL, "/r", WORLD, -1)
    made.set("/r", b"1")

    assert [change.hidden for change in made.model.tree.changes] == [False]


def test_a_listing_in_pages() -> None:
    """Names behind the one given, and whether there are more."""
    made = _restricted(WORLD)
    for name in "abc":
        made.create(f"/r/{name}")

    code, (names, _, more) = made.model.tree.read("children", "/r", "a", 1)
    assert (code, names, more) == (OK, ["b"], True)
    assert made.model.tree.read("children", "/r", "b", 1)[1][2] is False
