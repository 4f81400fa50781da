"""What a planted bug of the whole stack is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.broken.planting import all_planted
from tests.broken.raft_mutants import Mutant as CoreMutant


@dataclass(frozen=True, slots=True)
class Edit:
    """In ``module``, ``old`` becomes ``new``."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug of a class that other systems have shipped.

    ``bugs``: numbers of the classes in ``docs/testing.md`` (0: not in that list). ``focus``: the
    kind of run that shows it soonest (``focus.FOCUSES``), "" for any. ``drill``: it is also to be
    found on real processes, from outside. ``side``: whose code it is in.
    """

    name: str
    bugs: tuple[int, ...]
    rule: str
    """The rule it breaks."""
    edits: tuple[Edit, ...]
    focus: str = ""
    drill: bool = field(default=False, kw_only=True)

    @property
    def side(self) -> str:
        """``client`` if only the client library is changed, else ``server``."""
        is_client = all(edit.module.startswith("coord_client.") for edit in self.edits)
        return "client" if is_client else "server"

    @contextmanager
    def plant(self) -> Iterator[None]:
        """Let the system have this bug while the context lasts."""
        modules = dict.fromkeys(edit.module for edit in self.edits)
        with ExitStack() as stack:
            for module in modules:
                changes = [(edit.old, edit.new) for edit in self.edits if edit.module == module]
                stack.enter_context(all_planted(module, changes))
            yield


def one(
    name: str,
    bugs: tuple[int, ...],
    rule: str,
    module: str,
    old: str,
    new: str,
    focus: str = "",
    *,
    drill: bool = False,
) -> Mutant:
    """A mutant with a single edit."""
    return Mutant(name, bugs, rule, (Edit(module, old, new),), focus, drill=drill)


def of_core(mutant: CoreMutant, focus: str = "", *, drill: bool = False) -> Mutant:
    """The same line of the Raft core, to be caught in the full stack."""
    module = f"coord.raft.{mutant.module}"
    return one(
        mutant.name,
        (mutant.bug,),
        mutant.rule,
        module,
        mutant.old,
        mutant.new,
        focus,
        drill=drill,
    )
