"""An event loop in virtual time: when nothing is ready, the clock jumps to the next timer.

Tests of the asyncio layer never wait and give the same result every time. A loop that would wait
for ever (no timer, nothing ready) fails the test instead.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Turns waiting into a jump of the clock; the loop has no sockets but its own wake-up pipe."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing is ever ready."""
        assert timeout is not None, "deadlock: nothing is ready and no timer is set"
        self.now_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 1,000 s."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumping.now_s

    def now_ms(self) -> int:
        """The client's clock on this loop."""
        return round(self._jumping.now_s * 1_000)


def now_ms() -> int:
    """The running virtual loop's clock."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.now_ms()


def in_virtual_time(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Run an async test on a virtual loop of its own, in asyncio's debug mode."""
    return _on_virtual_loop(test, debug=True)


def fast_in_virtual_time(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Without debug mode, which makes long stories several times slower."""
    return _on_virtual_loop(test, debug=False)


def _on_virtual_loop(
    test: Callable[..., Coroutine[Any, Any, None]], *, debug: bool
) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop, debug=debug) as runner:
            runner.run(test(*args, **kwargs))

    return run
