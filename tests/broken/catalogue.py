"""All planted bugs of the full stack."""

from __future__ import annotations

from typing import Final

from tests.broken import (
    client_mutants,
    core_mutants,
    session_mutants,
    store_mutants,
    watch_mutants,
)
from tests.broken.mutant import Mutant

MUTANTS: Final[tuple[Mutant, ...]] = (
    *core_mutants.MUTANTS,
    *store_mutants.MUTANTS,
    *session_mutants.MUTANTS,
    *watch_mutants.MUTANTS,
    *client_mutants.MUTANTS,
)
BY_NAME: Final = {mutant.name: mutant for mutant in MUTANTS}
