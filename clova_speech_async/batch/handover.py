"""From the one task that takes sources to the workers: a few at a time, without a wait where there is something.

Law of this file: nothing more is taken until everything handed over is in a worker's hands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

import anyio

__all__ = ["Handover"]

T = TypeVar("T")


class Handover(Generic[T]):
    """One giver, many takers; first come, first served. Takers are not to be cancelled one by one."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._waiting: deque[anyio.Event] = deque()
        self._taken = anyio.Event()
        self._closed = False

    @property
    def waiting(self) -> int:
        """Takers who have nothing to do."""
        return len(self._waiting)

    async def give(self, items: Sequence[T]) -> None:
        """Return once every one of `items` has been taken."""
        self._items.extend(items)
        self._taken = anyio.Event()
        for _ in range(min(len(items), len(self._waiting))):
            self._waiting.popleft().set()
        await self._taken.wait()

    def left(self) -> list[T]:
        """What was given and not taken; nobody gets it any more."""
        left = list(self._items)
        self._items.clear()
        return left

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        while self._waiting:
            self._waiting.popleft().set()

    async def take(self) -> T | None:
        """The next item, or None when there will be none."""
        while not self._items:
            if self._closed:
                return None
            event = anyio.Event()
            self._waiting.append(event)
            await event.wait()
        item = self._items.popleft()
        if not self._items:
            self._taken.set()
        return item
