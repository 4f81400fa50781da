"""``examples/copy_tree.py``: what it takes along when a service moves, and what it says of the
rest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from kazoo.security import make_digest_acl

from tests.zookeeper_clients.ensembles import SUPER_PASSWORD
from tests.zookeeper_clients.lab import Lab

pytestmark = pytest.mark.needs("kazoo")

PROGRAM: Final = Path(__file__).parents[2] / "examples" / "copy_tree.py"


def run(lab: Lab, *options: str) -> tuple[int, list[str]]:
    """Copy ``from`` to ``to`` below the test's directory; exit code and lines."""
    identity = f"digest:super:{SUPER_PASSWORD}"
    source, target = (f"{lab.hosts}{lab.root}/{name}" for name in ("from", "to"))
    done = subprocess.run(
        [sys.executable, str(PROGRAM), source, target, *options],
        env={**os.environ, "SOURCE_AUTH": identity, "TARGET_AUTH": identity},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def test_a_tree_moves_with_data_acls_and_numbers(lab: Lab) -> None:
    """What a service relies on is there, and sequential names go on; ephemerals stay behind."""
    with lab.control() as zk:
        root = f"{lab.root}/from"
        zk.create(f"{root}/a/b", b"deep", makepath=True)
        zk.create(f"{root}/secret", b"x", acl=[make_digest_acl("eve", "pass", all=True)])
        zk.create(f"{root}/alive", ephemeral=True)
        zk.ensure_path(f"{root}/queue")
        items = [zk.create(f"{root}/queue/item-", sequence=True) for _ in range(3)]
        zk.delete(items[-1])

        assert run(lab) == (0, ["7 nodes, 0 differences"])

        moved = f"{lab.root}/to"
        zk.sync(moved)
        assert zk.get(f"{moved}/a/b")[0] == b"deep"
        assert zk.exists(f"{moved}/alive") is None
        assert zk.create(f"{moved}/queue/item-", sequence=True).endswith("item-0000000003")
        zk.add_auth("digest", "eve:pass")
        assert zk.get(f"{moved}/secret")[0] == b"x"


def test_a_second_run_brings_the_copy_up_to_date(lab: Lab) -> None:
    """Changes and, if asked, deletions follow; a check writes nothing and lists them."""
    with lab.control() as zk:
        root = f"{lab.root}/from"
        zk.create(f"{root}/changed", b"1", makepath=True)
        zk.create(f"{root}/gone")
        run(lab)
        zk.set(f"{root}/changed", b"2")
        zk.delete(f"{root}/gone")
        zk.create(f"{root}/new")

        listed = ["missing /new", "only there /gone", "lower numbers /", "other data /changed"]
        assert run(lab, "--check") == (1, [*listed, "3 nodes, 4 differences"])
        assert run(lab) == (1, ["only there /gone", "3 nodes, 1 differences"])
        assert run(lab, "--delete") == (0, ["3 nodes, 0 differences"])
        zk.sync(lab.root)
        assert zk.get(f"{lab.root}/to/changed")[0] == b"2"
        assert sorted(zk.get_children(f"{lab.root}/to")) == ["changed", "new"]
