"""Which word means what, who may ask it, and what a node says that is not serving."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final

from coord.server.words import listings, render

if TYPE_CHECKING:
    from coord.server.words.collect import Collector

NOT_SERVING: Final = "This ZooKeeper instance is not currently serving requests\n"

Answer = Callable[["Collector"], str]


class WordDesk:
    """Answers four-letter words about one node."""

    def __init__(self, collector: Collector, allowed: Collection[str]) -> None:
        self._collector = collector
        self._allowed = frozenset(allowed)

    def answer(self, word: bytes) -> bytes | None:
        """The text to send before closing; None for what is no word of ours."""
        name = word.decode("ascii", "replace")
        answer = ALWAYS.get(name) or WHILE_SERVING.get(name)
        if answer is None:
            return None
        if name not in self._allowed:
            text = f"{name} is not executed because it is not in the whitelist.\n"
        elif name in ALWAYS or self._collector.is_serving():
            text = answer(self._collector)
        else:
            text = NOT_SERVING
        return text.encode()


def _isro(collector: Collector) -> str:
    """``null`` is ZooKeeper's word for a server without a quorum, too."""
    if not collector.is_serving():
        return "null"
    return "ro" if collector.mode() == render.READ_ONLY else "rw"


def _crst(collector: Collector) -> str:
    collector.reset_connections()
    return "Connection stats reset.\n"


def _srst(collector: Collector) -> str:
    collector.reset_server()
    return "Server stats reset.\n"


def _lines(collector: Collector, *, brief: bool) -> list[str]:
    clients = collector.clients()
    lines = [render.connection(facts, brief=brief) for facts in clients.connections]
    return [*lines, *listings.missing(clients.left_out)]


ALWAYS: Final[Mapping[str, Answer]] = {
    "envi": lambda it: render.envi(it.environment()),
    "isro": _isro,
    "ruok": lambda _: "imok",
}
WHILE_SERVING: Final[Mapping[str, Answer]] = {
    "conf": lambda it: render.conf(it.settings(), it.directories()),
    "cons": lambda it: listings.cons(_lines(it, brief=False)),
    "crst": _crst,
    "dirs": lambda it: render.dirs(it.directories()),
    "dump": lambda it: listings.dump(it.sessions()),
    "mntr": lambda it: render.mntr(it.monitor()),
    "srst": _srst,
    "srvr": lambda it: render.srvr(it.server()),
    "stat": lambda it: render.stat(it.server(), _lines(it, brief=True)),
    "wchc": lambda it: listings.wchc(it.watching()),
    "wchp": lambda it: listings.wchp(it.watching()),
    "wchs": lambda it: listings.wchs(it.watch_counts()),
}
