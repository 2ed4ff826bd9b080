"""The turnstile: how many calls may begin in one turn of the event loop.

The law of this file: **who comes with thousands holds the event loop up no longer than who comes alone**. To begin a
call is a few microseconds of work, but of ten thousand that are made at once each begins in the same turn, and until it
is over no other task runs. So only some begin at once; the others wait a turn or more, which costs each of them next to
nothing, and the event loop runs its other tasks in between.

There is no task of its own, and nobody counts turns: of calls that come so fast that most must be of one turn, each
takes one of so many tokens, which takes a turn, and gives it to the first of those behind it, whose turn is the next.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

__all__ = ["WIDTH", "Turnstile"]

WIDTH = 256
"""Calls that may begin in one turn, or twice that after a rest; about a millisecond of work."""
_SLOW = 0.02
"""Seconds; where so many calls take longer than this to come, the event loop has had its turns between them."""


class Turnstile:
    """Lets in `width` calls a turn, in the order in which they came."""

    __slots__ = ("_clock", "_let_in", "_since", "_tokens", "_width")

    def __init__(self, width: int = WIDTH, clock: Callable[[], float] = time.monotonic) -> None:
        self._width = width
        self._clock = clock
        self._let_in = 0
        """Calls that did not wait, since a time."""
        self._since = -math.inf
        self._tokens: anyio.Semaphore | None = None
        """Of the event loop in which somebody last had to wait."""

    def has_room(self) -> bool:
        """Whether a call may begin in this turn; where not, it waits for its `turn`, and then says that it goes in."""
        tokens = self._tokens
        if tokens is not None and tokens.value < self._width:
            return False
        if self._let_in >= self._width and not self._came_slowly():
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

    def turn(self) -> Coroutine[Any, Any, None]:
        """Wait until it is this call's turn; who is cancelled does not go in."""
        if self._tokens is None or self._tokens.value == self._width:
            self._tokens = anyio.Semaphore(self._width)
        return self._tokens.acquire()  # not awaited here: each that waits would hold one coroutine more

    def go_in(self) -> None:
        """Let the next in line, if there is one, have its turn."""
        assert self._tokens is not None
        self._tokens.release()
        if self._tokens.value == self._width:
            self._let_in = 0
            self._since = self._clock()

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn, or have it and have not run yet."""
        if self._tokens is None:
            return 0
        return self._width - self._tokens.value + self._tokens.statistics().tasks_waiting
