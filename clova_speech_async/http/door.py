"""The door: where calls wait before any work is done for them.

The law of this file: **a call at the door holds next to nothing**: no audio, no timer, no event of its own. What
thousands of waiting calls hold is what fills the memory, and what each collection of garbage looks through while the
event loop stands still.

Calls that come one after another wait in a group and go in together, a few at a time: as many are made ready as can be
in flight. The first of a group keeps the time for all of it.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import anyio

__all__ = ["Door", "Place"]

GROUP = 16
"""Calls that wait together; within a group, trio runs them in any order."""


class Place:
    """A call that is in: its audio may be read, and it will not be refused.

    Given up by `leave`, or at the end of its ``with``; a second time does nothing.
    """

    __slots__ = ("_counts", "_door", "_unready", "waited")

    def __init__(self, door: Door, waited: float = 0.0) -> None:
        self._door = door
        self._counts = True
        self._unready = True
        self.waited = waited
        """Seconds spent at the door."""

    def ready(self) -> None:
        """Say that the call comes to stand in line for a slot."""
        if self._unready:
            self._unready = False
            self._door.unready -= 1

    def step_aside(self) -> None:
        """Let the next one in: this call waits for what may take long, and neither a slot nor work is in its way."""
        if self._counts:
            self._counts = False
            self._door.come_out()

    def leave(self) -> None:
        """Give the place up: the call has its slot, or has no need of one."""
        self.ready()
        self.step_aside()

    def __enter__(self) -> Place:
        self._door.under_way += 1
        return self

    def __exit__(self, *error: object) -> None:
        self._door.under_way -= 1
        self.leave()


class _Group:
    """Calls that go in together."""

    __slots__ = ("gate", "is_open", "room", "size", "timer")

    def __init__(self) -> None:
        # Not an event: waiting for one takes a coroutine more, and a semaphore wakes in order.
        self.gate = anyio.Semaphore(0, fast_acquire=True)
        self.is_open = False
        self.room = GROUP
        self.size = 0
        self.timer: anyio.CancelScope | None = None
        """Of the call that keeps the time; it ends at the earliest deadline of all."""

    def wake(self) -> None:
        """Let each look for itself what has happened; who is to wait on finds a new gate."""
        gate, self.gate = self.gate, anyio.Semaphore(0, fast_acquire=True)
        for _ in range(self.size):
            gate.release()


class Door:
    """Lets in `width` calls, and the rest of the group of the last of them.

    Those count until they have a slot, or step aside.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._inside = 0
        self.under_way = 0
        """Calls that were let in and are not at their end."""
        # Ordered: any place in the line costs the same to leave.
        self._groups: OrderedDict[_Group, None] = OrderedDict()
        self._last: _Group | None = None
        self.waiting = 0
        """Calls at the door."""
        self.unready = 0
        """Calls that are in and do not stand in line for a slot yet."""

    def go_in(self) -> Place | None:
        """Return a place, where there is one and nobody waits for it."""
        if self.waiting or self._inside >= self._width:
            return None
        self._inside += 1
        self.unready += 1
        return Place(self)

    async def wait(self, deadline: float = math.inf) -> Place | None:
        """Wait for a place; None when `deadline`, by the event loop's clock, has come first."""
        group = self._last
        if group is None or not group.room:
            self._last = group = _Group()
            self._groups[group] = None
        group.room -= 1
        group.size += 1
        self.waiting += 1
        try:
            while not group.is_open:
                timer = group.timer
                if timer is None and deadline < math.inf:
                    await self._keep_time(group, deadline)
                else:
                    if timer is not None and deadline < timer.deadline:
                        timer.deadline = deadline
                    await group.gate.acquire()
                if not group.is_open and deadline < math.inf and anyio.current_time() >= deadline:
                    self._go(group)
                    return None
        except BaseException:
            if group.is_open:
                self.unready -= 1
                self.come_out()
            else:
                self._go(group)
            raise
        return Place(self)

    async def _keep_time(self, group: _Group, deadline: float) -> None:
        try:
            with anyio.CancelScope(deadline=deadline) as group.timer:
                await group.gate.acquire()
        finally:
            group.timer = None
            if not group.is_open:
                # Somebody's time has come, or this call is cancelled: each sees for itself, and one keeps the time.
                group.wake()

    def _go(self, group: _Group) -> None:
        """Take a call away that was not let in."""
        self.waiting -= 1
        group.size -= 1
        if not group.size:
            del self._groups[group]
            if group is self._last:
                self._last = None

    def come_out(self) -> None:
        """Count one less inside, and let in who waits for that."""
        self._inside -= 1
        while self._groups and self._inside < self._width:
            group, _ = self._groups.popitem(last=False)
            if group is self._last:
                self._last = None
            group.is_open = True
            group.wake()
            self.waiting -= group.size
            self._inside += group.size
            self.unready += group.size
