"""The weather as the kernel makes it: rules of iptables in each node's own namespace.

What comes from another node, or from clients, is counted and dropped where it arrives; what goes
to clients, where it leaves. TCP then does what it does: it sends again, and gives up in its time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from jepsen_lite.clusters.namespaces import Namespaces, run
from jepsen_lite.clusters.weather import CLIENTS, Conditions, Path, Weather

_COUNTED: Final = re.compile(r"\[(\d+):(\d+)\] -A (\w+) (.+)")


class _Way(NamedTuple):
    """Where a path is filtered: on which node, in which chain, by which match."""

    number: int
    chain: str
    match: str


class PacketFilter(Weather):
    """Paths between nodes called n1, n2, … and the clients. It can cut them and lose packets on
    them; delays and bandwidths it has not."""

    def __init__(self, spaces: Namespaces, peer_port: int, client_port: int) -> None:
        super().__init__()
        self._spaces = spaces
        self._peer_port = peer_port
        self._client_port = client_port
        self._ways: dict[tuple[str, str], _Way] = {}
        self._rules: dict[_Way, str] = {}
        """What is done on a way now, beside counting."""
        self._dropped: dict[_Way, int] = {}
        """Packets that earlier rules have dropped."""
        names = {f"n{number}": number for number in spaces.numbers}
        for name, number in names.items():
            self._ways[CLIENTS, name] = _Way(number, "INPUT", f"-s {spaces.seen()}/32")
            self._ways[name, CLIENTS] = _Way(number, "OUTPUT", f"-d {spaces.seen()}/32")
            for other, other_number in names.items():
                if other != name:
                    match = f"-s {spaces.seen(other_number)}/32"
                    self._ways[other, name] = _Way(number, "INPUT", match)

    def open(self) -> None:
        """Count everything, drop nothing. Raises ClusterError."""
        for number in self._spaces.numbers:
            ways = [way for way in self._ways.values() if way.number == number]
            self._change(number, [f"-A {way.chain} {way.match}" for way in ways])

    def lay(self, owner: object, wanted: Mapping[tuple[str, str], Conditions]) -> None:
        super().lay(owner, wanted)
        self._apply()

    def clear(self) -> None:
        super().clear()
        self._apply()

    def _apply(self) -> None:
        """Make the kernel's rules those of the conditions; counters are exact afterwards."""
        self.measure()
        changes: dict[int, list[str]] = {}
        for pair, way in self._ways.items():
            rule, old = _rule(self.path(*pair).conditions), self._rules.get(way, "")
            if rule == old:
                continue
            lines = changes.setdefault(way.number, [])
            if old:
                lines.append(f"-D {way.chain} {way.match} {old}")
                self._dropped[way] = self.path(*pair).held_frames
            if rule:
                lines.append(f"-I {way.chain} {way.match} {rule}")
            self._rules[way] = rule
        for number, lines in changes.items():
            self._change(number, lines)
        if changes:
            self.measure()

    def _change(self, number: int, lines: list[str]) -> None:
        text = "\n".join(("*filter", *lines, "COMMIT", ""))
        run(*self._spaces.within(number), "iptables-restore", "--wait", "--noflush", given=text)

    def measure(self) -> None:
        """Bring what has crossed each path, and what was dropped on it, up to date."""
        paths = {way: self.path(*pair) for pair, way in self._ways.items()}
        for number in self._spaces.numbers:
            told = run(*self._spaces.within(number), "iptables-save", "-c", "-t", "filter")
            for packets, size, chain, rest in _COUNTED.findall(told):
                match = " ".join(rest.split()[:2])
                path = paths.get(_Way(number, chain, match))
                if path is None:
                    continue
                if rest == match:
                    path.crossed_frames, path.crossed_bytes = int(packets), int(size)
                else:
                    _count_dropped(path, self._dropped.get(_Way(number, chain, match), 0), packets)

    def reset(self, chosen: Callable[[tuple[str, str]], bool]) -> int:
        """Break the open connections whose (dialler, dialled) are chosen; how many there were."""
        broken = 0
        for (dialler, dialled), way in self._ways.items():
            if dialled == CLIENTS or not chosen((dialler, dialled)):
                continue
            address = way.match.split()[1].removesuffix("/32")
            port = self._client_port if dialler == CLIENTS else self._peer_port
            asked = ("-KHtn", "state", "established", f"( sport = :{port} )", "dst", address)
            told = run(*self._spaces.within(way.number), "ss", *asked)
            broken += len(told.splitlines())
        return broken


def _rule(conditions: Conditions) -> str:
    """The target of a rule; empty if there is nothing to be done."""
    if conditions.is_cut:
        return "-j DROP"
    if conditions.drop:
        return f"-m statistic --mode random --probability {conditions.drop:.3f} -j DROP"
    return ""


def _count_dropped(path: Path, before: int, packets: str) -> None:
    path.held_frames = path.dropped = before + int(packets)
