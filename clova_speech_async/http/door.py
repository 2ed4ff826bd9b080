"""The door: where calls wait before any work is done for them.

The law of this file: **a call at the door holds next to nothing**: no audio, no timer, no event of its own. What
thousands of waiting calls hold is what fills the memory, and what each collection of garbage looks through while the
event loop stands still.

Calls that come one after another wait in a group and go in together, a few at a time: as many are made ready as can be
in flight. One of those at the head of the line keeps the time for everybody.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import anyio

from clova_speech_async.errors import DeadlineExceededError

__all__ = ["Caller", "Door", "Place", "in_line_too_long"]

GROUP = 16
"""Calls that wait together; within a group, trio runs them in any order."""


class Caller(Protocol):
    """Whose call it is."""

    def may_go_on(self) -> None:
        """Raise when the call is to go no further; asked when it has waited, and when it is to look again."""

    def turned_away(self, error: BaseException, began: float) -> None:
        """Hear of what ended a call that began to wait at `began`, by the event loop's clock, and has no place."""


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
        """Seconds of the call's time that it has waited so far."""

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

    __slots__ = ("ends", "gate", "is_open", "keeper", "room", "size")

    def __init__(self) -> None:
        # Not an event: waiting for one takes a coroutine more, and a semaphore wakes in order, one if need be.
        self.gate = anyio.Semaphore(0, fast_acquire=True)
        self.keeper: anyio.Event | None = None
        """What the call waits for that keeps the time; it stands in front of the others."""
        self.is_open = False
        self.room = GROUP
        self.size = 0
        self.ends = math.inf
        """The earliest deadline of all, or earlier."""

    def wake(self) -> None:
        """Let each look for itself what has happened; who is to wait on finds a new gate."""
        if self.keeper is not None:
            self.keeper.set()
        gate, self.gate = self.gate, anyio.Semaphore(0, fast_acquire=True)
        for _ in range(self.size):
            gate.release()


class Door:
    """Lets in `width` calls, and the rest of the group of the last of them.

    Those count until they have a slot, or step aside.
    """

    def __init__(self, width: int, clock: Callable[[], float] = anyio.current_time) -> None:
        self._width = width
        self._clock = clock
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
        self._keeper: _Group | None = None
        """The group of which one call keeps the time, or is to begin."""
        self._timer: anyio.CancelScope | None = None
        """Of the call that keeps it; None where it has not begun."""
        self._ends = math.inf
        """The earliest deadline of all, or earlier."""

    async def enter(self, patience: float, caller: Caller) -> Place:
        """Return a place: at once, where there is one and nobody waits for it, or after waiting.

        Raises `DeadlineExceededError` after `patience` seconds, and what `caller` raises when it has waited.
        """
        if not self.waiting and self._inside < self._width:
            self._inside += 1
            self.unready += 1
            return Place(self)
        began = self._clock()
        deadline = began + patience
        group = self._join()
        try:
            while not group.is_open:
                if deadline < group.ends:
                    self._wake_by(deadline, group)
                if self._timer is None and self._keeper in (None, group):
                    await self._keep_time(group)
                else:
                    await group.gate.acquire()
                caller.may_go_on()
                if not group.is_open and self._clock() >= deadline:
                    raise in_line_too_long()
        except BaseException as error:
            self._leave(group)
            caller.turned_away(error, began)
            raise
        return Place(self, self._clock() - began)

    def _join(self) -> _Group:
        """Count a call among those at the door; return its group."""
        group = self._last
        if group is None or not group.room:
            self._last = group = _Group()
            self._groups[group] = None
        group.room -= 1
        group.size += 1
        self.waiting += 1
        return group

    def _wake_by(self, deadline: float, group: _Group) -> None:
        """Have those of a group look at the time at a deadline."""
        group.ends = deadline
        if deadline < self._ends:
            self._ends = deadline
            if self._timer is not None:
                self._timer.deadline = deadline

    async def _keep_time(self, group: _Group) -> None:
        """Wait until woken, and at the earliest deadline of all wake those whose time has come."""
        self._keeper = group
        group.keeper = woken = anyio.Event()
        self._timer = timer = anyio.CancelScope(deadline=self._ends)
        try:
            with timer:
                await woken.wait()
        finally:
            group.keeper = None
            if self._timer is timer:
                self._timer = None
        if timer.cancelled_caught:
            self._wake_due()

    def _wake_due(self) -> None:
        now = self._clock()
        self._ends = math.inf
        for group in self._groups:
            if group.ends <= now:
                group.ends = math.inf  # those who wait on say theirs again
                group.wake()
            self._ends = min(self._ends, group.ends)

    def _hand_over(self) -> None:
        """Have the first in line keep the time."""
        self._timer = None
        self._keeper = next(iter(self._groups), None)
        if self._keeper is None:
            self._ends = math.inf
        else:
            self._keeper.gate.release()

    def _leave(self, group: _Group) -> None:
        """Take a call away that has no place, or does not know of it."""
        if group.is_open:
            self.unready -= 1
            self.come_out()
            return
        self.waiting -= 1
        group.size -= 1
        if not group.size:
            del self._groups[group]
            if group is self._last:
                self._last = None
        if group is self._keeper and self._timer is None:
            self._hand_over()  # this one kept the time, or was to

    def look_again(self) -> None:
        """Have all who wait ask whether they may go on."""
        for group in self._groups:
            group.wake()

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
            if group is self._keeper:
                self._hand_over()


def in_line_too_long() -> DeadlineExceededError:
    """Return the error for a call whose time-out ended before it had a slot."""
    return DeadlineExceededError("the time-out over all tries ran out while waiting in line for a slot")
