"""Results on their way to the reader: as they come, or in the order of their sources.

Law of this file: a reader who is slow slows the work, and what waits for its turn is bounded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from .items import Result

__all__ = ["AsCompleted", "Delivery", "InOrder"]

Send = Callable[[Result], Awaitable[None]]


class AsCompleted:
    """Hands every result on at once."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def room_for(self, index: int) -> None:
        """There is always room: who delivers waits for the reader itself."""

    async def deliver(self, result: Result) -> None:
        """Return once the result is with the reader, or in the buffer before it."""
        await self._send(result)


class InOrder:
    """Holds a result back until all before it are through; of `window` sources in a row at most."""

    def __init__(self, send: Send, *, window: int) -> None:
        self._send = send
        self._window = window
        self._held: dict[int, Result] = {}
        self._next = 0
        self._sending = False
        self._moved = anyio.Event()

    async def room_for(self, index: int) -> None:
        """Wait until the source of `index` may be begun."""
        while index >= self._next + self._window:
            await self._moved.wait()

    async def deliver(self, result: Result) -> None:
        """Keep the result; who brings the one that is waited for sends all that are ready."""
        self._held[result.index] = result
        if self._sending:
            return
        self._sending = True
        try:
            while (ready := self._held.pop(self._next, None)) is not None:
                await self._send(ready)
                self._next += 1
                moved, self._moved = self._moved, anyio.Event()
                moved.set()
        finally:
            self._sending = False


Delivery = AsCompleted | InOrder
