"""The page's own algorithms, in the browser that runs them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.page.browser.conftest import OpenTab


@pytest.fixture
def page(new_tab: OpenTab) -> Page:
    """Somewhere to run."""
    return new_tab().open()


def run(page: Page, module: str, body: str, argument: Any = None) -> Any:
    """``body`` sees the module as m and the argument as x."""
    return page.evaluate(
        f"async x => {{ const m = await import('/page/js/{module}.js'); {body} }}", argument
    )


def test_differences_turn_one_text_into_the_other(page: Page) -> None:
    """Whatever the texts: what is kept and removed is the one, kept and added the other."""
    rng = random.Random(7)
    pairs = [
        ["\n".join(rng.choices("abcd", k=rng.randrange(12))) for _ in range(2)] for _ in range(200)
    ]
    found = run(page, "values/diff", "return x.map(([a, b]) => m.difference(a, b));", pairs)
    for (left, right), lines in zip(pairs, found, strict=True):
        if any(line["kind"] == "skipped" for line in lines):
            continue
        kept = [line["text"] for line in lines if line["kind"] != "added"]
        made = [line["text"] for line in lines if line["kind"] != "removed"]
        assert ("\n".join(kept), "\n".join(made)) == (left, right)


def test_a_small_difference_in_a_long_text_is_small(page: Page) -> None:
    """Equal lines far from it are only counted."""
    left = [f"line {number}" for number in range(5_000)]
    right = [*left[:2_000], "new", *left[2_001:]]
    lines = run(
        page, "values/diff", "return m.difference(...x);", ["\n".join(left), "\n".join(right)]
    )
    kinds = [line["kind"] for line in lines]
    assert kinds == ["skipped", *["same"] * 3, "removed", "added", *["same"] * 3, "skipped"]
    assert (lines[4]["left"], lines[5]["right"]) == (2_001, 2_001)


def test_texts_with_nothing_in_common_are_compared_within_bounds(page: Page) -> None:
    """All of one goes, all of the other comes."""
    texts = ["\n".join(f"{side}{number}" for number in range(3_000)) for side in "ab"]
    lines = run(page, "values/diff", "return m.difference(...x).map(it => it.kind);", texts)
    assert lines == ["removed"] * 3_000 + ["added"] * 3_000


MSGPACK = [
    None, True, 0, 127, 128, -1, -33, 2**32, 2**53 - 1, -(2**31), 1.5, "", "zürich", "x" * 300,
    [], [1, [2, [3]]], {"a": {"b": [1]}}, [0] * 66_000,
]  # fmt: skip


def test_messagepack_is_read_as_it_was_written(page: Page) -> None:
    """Every kind of value, at every width."""
    packed = [list(msgpack.packb(value)) for value in MSGPACK]
    found = run(page, "values/msgpack", "return x.map(it => m.decode(new Uint8Array(it)));", packed)
    assert found == MSGPACK


def test_messagepack_beyond_json_is_spelled_out(page: Page) -> None:
    """Bytes, integers that JavaScript would round, maps with other keys, times."""
    values = [b"\x00\xff", 2**64 - 1, {1: 2}, msgpack.Timestamp(0, 0), msgpack.ExtType(5, b"a")]
    packed = [list(msgpack.packb(value)) for value in values]
    found = run(page, "values/msgpack", "return x.map(it => m.decode(new Uint8Array(it)));", packed)
    assert found == [
        {"$bytes": "00ff"},
        str(2**64 - 1),
        {"$map": [[1, 2]]},
        {"$time": "1970-01-01T00:00:00.000Z"},
        {"$ext": 5, "data": "61"},
    ]


def test_what_is_no_messagepack_is_refused(page: Page) -> None:
    """Cut off, followed by more, longer than it can be, nested without end, no such type."""
    bad = [
        [], [0xC1], [0x92, 1], [1, 2], [0xDD, 255, 255, 255, 255], [0x91] * 5_000 + [1],
        [0xA2, 0xFF, 0xFF],
    ]  # fmt: skip
    body = """return x.map(it => {
      try { m.decode(new Uint8Array(it)); return "read"; } catch (e) { return e.constructor.name; }
    });"""
    assert "read" not in run(page, "values/msgpack", body, bad)


def test_names_are_ordered_as_the_tree_orders_them(page: Page) -> None:
    """By UTF-8 bytes, which for characters beyond the first 65,536 is not JavaScript's order."""
    names = ["b", "a", "aa", "", "é", "\uffee", "😀", "Z", "日本", "\U0010ffff"]
    found = run(page, "paths", "return x.sort(m.compareNames);", names)
    assert found == sorted(names, key=str.encode)


def test_an_address_is_read_as_it_was_written(page: Page) -> None:
    """Whatever a name holds; what cannot be read leads to the root."""
    paths = ["/", "/a", "/a b/c?d#e", "/%2f", "/日本/😀", "/&amp;=+"]
    body = "return x.map(p => m.parseAddress(m.address('tree', p, { at: 7 })));"
    found = run(page, "paths", body, paths)
    assert [place["path"] for place in found] == paths
    assert all(place["query"] == {"at": "7"} for place in found)
    assert run(page, "paths", "return m.parseAddress('#/tree/%E0%A4%A').path;") == "/"


def test_rows_of_an_open_tree_can_be_asked_for_in_any_order(page: Page) -> None:
    """The row of a number and the number of a row agree, whatever is open and known."""
    body = """
      const stat = children => ({ children });
      const tree = new m.Tree();
      tree.rootStat = stat(3);
      tree.open("/").append(["a", "b", "c"].map(name => ({ name, stat: stat(4) })), 3, true);
      tree.open("/b").append(["p", "q"].map(name => ({ name, stat: stat(1) })), 4, false);
      tree.open("/b/q").append([{ name: "z", stat: stat(0) }], 1, true);
      const rows = Array.from({ length: tree.rows }, (_, at) => tree.row(at)?.path ?? "?");
      const back = rows.map((path, at) => path === "?" || tree.indexOf(path) === at);
      return [rows, back.every(Boolean)];
    """
    rows, is_consistent = run(page, "tree/model", body)
    assert rows == ["/", "/a", "/b", "/b/p", "/b/q", "/b/q/z", "?", "?", "/c"]
    assert is_consistent


def test_a_fresh_look_at_some_rows_leaves_the_others(page: Page) -> None:
    """What has gone or come among them, at the edges too, and nothing else."""
    body = """
      const rows = names => [...names].map(name => ({ name, stat: { children: 0 } }));
      const make = () => {
        const d = new m.Directory("/", 0);
        d.append(rows("acegik"), 6, true);
        return d;
      };
      const look = (after, names, total, isLast) => {
        const d = make();
        d.reconcile(after, rows(names), total, isLast);
        return d.names.join("");
      };
      return [look("a", "deg", 7, false), look(undefined, "bc", 6, false), look("g", "", 4, true)];
    """
    assert run(page, "tree/model", body) == ["adegik", "bcegik", "aceg"]


def test_rows_in_sight_are_read_again_when_they_were_named(page: Page) -> None:
    """Not for what lies elsewhere; a name that is not known may be new among them."""
    body = """
      const make = isComplete => {
        const d = new m.Directory("/", 0);
        d.append([..."acegik"].map(name => ({ name, stat: { children: 0 } })), 9, isComplete);
        return d;
      };
      const after = (isComplete, name) => {
        const d = make(isComplete);
        d.touch(name);
        return d.isDoubtful(0, 2);
      };
      const told = make(true);
      told.touch("c");
      told.update("c", { children: 1 });
      const gone = make(true);
      gone.touch("c");
      gone.reconcile(undefined, [{ name: "a", stat: {} }, { name: "e", stat: {} }], 8, false);
      return [
        after(true, "c"), after(true, "k"), after(true, "d"), after(false, "z"),
        told.isDoubtful(0, 2), gone.isDoubtful(0, 1), make(true).isUnseen(0, 2),
      ];
    """
    found = run(page, "tree/model", body)
    assert found == [True, False, True, False, False, False, False]
