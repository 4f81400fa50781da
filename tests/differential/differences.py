"""Every known difference from ZooKeeper 3.8.0: what is written, and how it shows on both sides.

Sequences are drawn so that they avoid these (``sequences.py``), or their outcomes are brought to
one form (``normal.py``). Here each is provoked on its own. A difference that has gone, on either
side, fails its test: then it leaves this table and the sequences may have it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.differential import provocations
from tests.differential.provocations import Address
from tests.differential.steps import ROOT


class _Untried:
    """Stands for an outcome that is not asked for."""

    def __repr__(self) -> str:
        return "UNTRIED"


UNTRIED: Final = _Untried()


class Difference(NamedTuple):
    """One rule. ``measure`` provokes it and returns what is then compared."""

    name: str
    rule: str
    measure: Callable[[Address], Any]
    zookeeper_38: Any
    coord: Any


DIFFERENCES: Final = (
    Difference(
        "exists asks for READ",
        "3.9 (and 3.8.4): whether a node exists is told to those who may read it",
        provocations.exists_of_unreadable,
        zookeeper_38=0,
        coord=-102,
    ),
    Difference(
        "a one-shot watch beside a lasting one",
        "3.9: the watches of a path keep their modes; a one-shot no longer replaces a lasting one",
        provocations.one_shot_on_lasting,
        zookeeper_38=[[3, ROOT]],
        coord=[[3, ROOT], [3, ROOT]],
    ),
    Difference(
        "two lasting watches on one path",
        "3.9: a persistent and a recursive watch stand side by side",
        provocations.two_lasting,
        zookeeper_38=[[1, "~/a"]],
        coord=[[1, "~/a"], [4, ROOT]],
    ),
    Difference(
        "removal by mode",
        "3.9: kinds 4 and 5 are persistent and recursive; 1 and 2 match one-shot watches only",
        provocations.removal_by_mode,
        zookeeper_38=[0, -5, -5],
        coord=[-121, -121, 0],
    ),
    Difference(
        "checkWatches of another's watch",
        "3.9: −121 unless the caller's own connection watches there",
        provocations.check_of_others,
        zookeeper_38=0,
        coord=-121,
    ),
    Difference(
        "the zxid of an event",
        "3.9: the header of an event carries the zxid of its change; before, −1",
        provocations.zxid_of_event,
        zookeeper_38=False,
        coord=True,
    ),
    Difference(
        "a check outside a multi",
        "3.9: unimplemented, and closed; 3.8.0 never answers",
        provocations.check_alone,
        zookeeper_38=UNTRIED,
        coord=[-6, True],
    ),
    Difference(
        "null data",
        "coord: a node's data is bytes; null is stored as none",
        provocations.null_data,
        zookeeper_38=None,
        coord=b"",
    ),
    Difference(
        "permissions outside 0 to 31",
        "coord: refused; ZooKeeper keeps bits that mean nothing",
        provocations.odd_permissions,
        zookeeper_38=[0, 0, 0],
        coord=[-114, -114, -114],
    ),
    Difference(
        "an ACL's null identity",
        "coord: an invalid ACL; ZooKeeper stumbles over it",
        provocations.null_identity,
        zookeeper_38=-5,
        coord=-114,
    ),
    Difference(
        "addresses of version 6 in ACLs",
        "coord: accepted in the scheme ip",
        provocations.address_of_version_6,
        zookeeper_38=-114,
        coord=0,
    ),
    Difference(
        "auth that names one already named",
        "coord: duplicates are removed behind the expansion of auth, not before it",
        provocations.auth_and_itself,
        zookeeper_38=2,
        coord=1,
    ),
    Difference(
        "long names",
        "coord: a name has at most 480 bytes",
        provocations.long_names,
        zookeeper_38=[0, 0],
        coord=[0, -8],
    ),
    Difference(
        "re-arming on what may not be read",
        "coord: setWatches tells only those who may read; ZooKeeper tells that the node exists",
        provocations.rearmed_unreadable,
        zookeeper_38=[[3, "~/p"]],
        coord=[],
    ),
    Difference(
        "a TTL mode without a TTL behind a part of a multi that fails",
        "coord: a part that cannot be read spoils the multi (−5) wherever it stands",
        provocations.late_malformed_part,
        zookeeper_38=[-101, -2],
        coord=-5,
    ),
    Difference(
        "null paths that do no harm",
        "coord: a request without its path cannot be read (−5)",
        provocations.null_paths,
        zookeeper_38=[0, -121, 0],
        coord=[-5, -5, -5],
    ),
    Difference(
        "a null path in a multi",
        "coord: setData and check refuse it as they do outside (−8), in its place",
        provocations.null_path_in_multi,
        zookeeper_38=[-5, None],
        coord=[0, -8],
    ),
    Difference(
        "createContainer with the flags of something else",
        "coord: the flags decide what is made; in ZooKeeper, outside a multi, the operation does",
        provocations.container_with_flags,
        zookeeper_38=False,
        coord=True,
    ),
    Difference(
        "an auth that cannot be read",
        "coord: is answered (−5) before the connection is closed",
        provocations.garbled_auth,
        zookeeper_38=None,
        coord=-5,
    ),
    Difference(
        "SASL",
        "coord: not spoken, and refused as such",
        provocations.sasl,
        zookeeper_38=0,
        coord=-115,
    ),
    Difference(
        "a TTL of −1 with a mode that has none",
        "coord: bad arguments; 3.8.0 does not survive it",
        provocations.ttl_without_mode,
        zookeeper_38=UNTRIED,
        coord=-8,
    ),
    Difference(
        "a wrong password for a live session",
        "coord: an attempt that fails does no harm",
        provocations.wrong_password,
        zookeeper_38=False,
        coord=True,
    ),
    Difference(
        "passwords",
        "coord: random; ZooKeeper's follow from the session's id",
        provocations.password,
        zookeeper_38=True,
        coord=False,
    ),
)
"""``sync`` is one more that no two servers can show: coord's is a barrier across the cluster."""
