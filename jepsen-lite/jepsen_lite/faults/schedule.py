"""Makes faults happen: strike, last, prove, heal, rest, again; each kind on its own."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jepsen_lite import history
from jepsen_lite.clusters.cluster import ClusterError
from jepsen_lite.faults.fault import Fault, NoEffectError
from jepsen_lite.recorder import now_ns

if TYPE_CHECKING:
    from jepsen_lite.history_file import Writer


RECOVERY_S_MAX: Final = 60.0
POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Seconds, on average: how long a fault lasts, and how long nothing happens in between."""

    lasts_s: float = 4.0
    rests_s: float = 4.0
    proof_s_max: float = 15.0
    """How much longer a fault lasts that has shown no effect yet: on a slow machine nothing may
    have happened so far."""
    rests_ok: int = 0
    """No fault strikes again before so many operations have succeeded since it was healed, or
    RECOVERY_S_MAX has passed."""


class Schedule:
    """The faults of one run."""

    def __init__(
        self,
        faults: Sequence[tuple[str, Fault]],
        rhythm: Rhythm,
        writer: Writer,
        dice: random.Random,
        on_problem: Callable[[str], None],
        succeeded: Callable[[], int] = lambda: 0,
    ) -> None:
        """``faults``: (what the user called it, the fault). ``succeeded``: operations so far."""
        self._faults = faults
        self._rhythm = rhythm
        self._writer = writer
        self._dice = dice
        self._on_problem = on_problem
        self._succeeded = succeeded
        self.active: dict[str, list[str]] = {}
        """What lasts now, and whom it struck."""
        self.struck = 0
        self.unproven = [text for text, _ in faults]
        """What was not seen to take effect yet."""

    async def run_for(self, seconds: float) -> None:
        """Let faults happen for this long; then all are healed."""
        until_s = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as group:
            for text, fault in self._faults:
                group.create_task(self._repeat(text, fault, until_s))

    async def _repeat(self, text: str, fault: Fault, until_s: float) -> None:
        loop = asyncio.get_running_loop()
        while (left_s := until_s - loop.time()) > self._rhythm.lasts_s / 2:
            await self._once(text, fault, min(left_s, self._about(self._rhythm.lasts_s)))
            wanted = self._succeeded() + self._rhythm.rests_ok
            await asyncio.sleep(min(self._about(self._rhythm.rests_s), until_s - loop.time()))
            await self._recovered(wanted)

    async def _recovered(self, wanted: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECOVERY_S_MAX):
                while self._succeeded() < wanted:
                    await asyncio.sleep(POLL_S)

    def _about(self, seconds: float) -> float:
        return seconds * self._dice.uniform(0.5, 1.5)

    async def _once(self, text: str, fault: Fault, lasts_s: float) -> None:
        record = history.Fault(text, [], now_ns())
        try:
            record.targets = await fault.start()
            self.active[text] = record.targets
            await asyncio.sleep(max(0.0, lasts_s))
            record.verified = await self._proof(fault)
            if text in self.unproven:
                self.unproven.remove(text)
        except (NoEffectError, ClusterError, TimeoutError) as error:
            self._on_problem(f"{text} had no effect: {str(error) or 'it took too long'}")
        finally:
            self.active.pop(text, None)
            await self._heal(text, fault)
            record.end_ns = now_ns()
            self._writer.fault(record)
            self.struck += 1

    async def _proof(self, fault: Fault) -> str:
        """How it was seen to work. Raises NoEffectError."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._rhythm.proof_s_max
        while True:
            try:
                return await fault.verify()
            except NoEffectError:
                if loop.time() >= until_s:
                    raise
                await asyncio.sleep(POLL_S)

    async def _heal(self, text: str, fault: Fault) -> None:
        try:
            await fault.stop()
        except TimeoutError:
            self._on_problem(f"{text}: what it struck did not come back in time")
        except (NoEffectError, ClusterError) as error:
            self._on_problem(f"{text} could not be healed: {error}")
