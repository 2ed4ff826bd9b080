"""The turnstile: how many calls may begin in one turn of the event loop.

The law of this file: **who comes with thousands holds the event loop up no longer than who comes alone**. To begin a
call is a few microseconds of work, but of ten thousand that are made at once each begins in the same turn, and until it
is over no other task runs. So only some begin at once; the others wait a turn or more, which costs each of them next to
nothing, and the event loop runs its other tasks in between.

There is no task of its own, and nobody counts turns: of calls that come so fast that most must be of one turn, so many
more are let in for the event loop's next turn, and each who goes in then lets in the first of those behind them, for
the turn after that. Always so many are let in, unless nobody else waits: to wait for a turn may be long.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import anyio
import anyio.lowlevel

__all__ = ["WIDTH", "Turnstile"]

WIDTH = 256
"""Calls that may begin in one turn, or twice that after a rest; about a millisecond of work."""
_SLOW = 0.02
"""Seconds; where so many calls take longer than this to come, the event loop has had its turns between them."""


class Turnstile:
    """Lets in `width` calls a turn, in the order in which they came."""

    __slots__ = ("_clock", "_coming", "_gate", "_let_in", "_since", "_width", "waiting")

    def __init__(self, width: int = WIDTH, clock: Callable[[], float] = time.monotonic) -> None:
        self._width = width
        self._clock = clock
        self._let_in = 0
        """Calls that did not wait, since a time."""
        self._since = -math.inf
        self._gate: anyio.Semaphore | None = None
        """Of the event loop in which somebody last had to wait."""
        self._coming = 0
        """Calls that have been let in and have not run yet."""
        self.waiting = 0
        """Calls that wait for their turn, or have been let in and have not run yet."""

    def has_room(self) -> bool:
        """Whether a call may begin in this turn; where not, it waits for its `turn`."""
        if self.waiting or (self._let_in >= self._width and not self._came_slowly()):
            return False
        self._let_in += 1
        return True

    def _came_slowly(self) -> bool:
        """Whether those let in last came in more turns than one; then they are counted anew."""
        now = self._clock()
        if now - self._since < _SLOW:
            return False
        self._let_in = 0
        self._since = now
        return True

    async def turn(self) -> None:
        """Wait until it is this call's turn."""
        gate = self._gate
        if not self.waiting or gate is None:
            self._gate = gate = anyio.Semaphore(0, fast_acquire=True)
            self._coming = 0
        self.waiting += 1
        if self._coming < self._width:
            self._coming += 1  # nobody stands at the gate: it is let in as it comes
            try:
                await anyio.lowlevel.checkpoint()
            finally:
                self._go_in(gate)
            return
        try:
            await gate.acquire()
        except BaseException:
            self.waiting -= 1
            self._forget_those_gone(gate)  # it may have been let in, with nobody behind it
            raise
        self._go_in(gate)

    def _go_in(self, gate: anyio.Semaphore) -> None:
        """Let the next in line, if there is one, go in in the event loop's next turn."""
        self.waiting -= 1
        if not self.waiting:
            self._let_in = 0
            self._since = self._clock()
        gate.release()
        self._forget_those_gone(gate)

    def _forget_those_gone(self, gate: anyio.Semaphore) -> None:
        """Count those less of whom nobody took the place: whoever comes next need not stand at the gate."""
        while gate.value:
            gate.acquire_nowait()
            self._coming -= 1
