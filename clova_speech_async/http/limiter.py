"""Slots: who may send now, and who waits in line.

The law of this file: **first come, first served, and every step costs the same however many wait**. A slot is handed
over, not fought for; a waiter that is cancelled gives back what it was just given; there is no task of its own: while
a pause or the rate holds everybody up, the first in line keeps the time.

A request that comes back for another try stands in front of those that have not been sent yet: it came before them,
its deadline is nearer, and it cannot starve them, because its tries are counted.
"""

from __future__ import annotations

import math
import random as _random
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Any

import anyio

from clova_speech_async.checks import check_number, check_whole
from clova_speech_async.errors import ConfigurationError, InvalidArgumentError, QueueFullError

from .control import Adaptive, Control, Rate, Signal
from .door import Caller, Door, Place
from .turnstile import Turnstile

__all__ = ["Adaptive", "Limiter", "LimiterStats"]


@dataclass(frozen=True, slots=True)
class LimiterStats:
    """What a limiter is doing; a snapshot."""

    limit: int
    """How many may be in flight at once."""
    in_flight: int
    waiting: int
    pause: float
    """Seconds for which nobody may start."""

    def to_dict(self) -> dict[str, Any]:
        """The snapshot as JSON knows it: its fields."""
        return asdict(self)


class _Waiter:
    __slots__ = ("event", "granted", "keeps_time")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.granted = False
        self.keeps_time = False


class Limiter:
    """Bounds how many requests are in flight, how fast they start, and how many wait; several clients may share one.

    `concurrency`: a fixed number, or an `Adaptive`. `requests_per_second`: a cap on starts (bursts of one second's
    worth). `max_waiting`: a call that finds so many others waiting gets `QueueFullError` at once. `pause`: the range
    in seconds from which the pause after a sign of overload is drawn; where requests take less than a second, it is
    that much shorter at first.

    It belongs to one event loop at a time and is not thread-safe.

    Raises `InvalidArgumentError` or `ArgumentTypeError`, naming the argument.
    """

    def __init__(
        self,
        concurrency: int | Adaptive = 8,
        *,
        requests_per_second: float | None = None,
        max_waiting: int | None = None,
        pause: tuple[float, float] = (0.5, 1.0),
        clock: Callable[[], float] = anyio.current_time,
        random: Callable[[], float] = _random.random,
    ) -> None:
        _check(concurrency, requests_per_second, max_waiting, pause)
        self._control = Control(concurrency, pause=pause)
        self._rate = None if requests_per_second is None else Rate(requests_per_second)
        self._max_waiting = max_waiting
        self._clock = clock
        self._random = random
        self._in_flight = 0
        self._door = Door(self._control.maximum, clock)
        self._turnstile = Turnstile()
        self._thread = threading.get_ident()
        # Ordered dicts: an end of the line and any place in it cost the same to leave.
        self._new: OrderedDict[_Waiter, None] = OrderedDict()
        self._back: OrderedDict[_Waiter, None] = OrderedDict()

    # --- asking for a slot ----------------------------------------------------------------------

    def begins_at_once(self) -> bool:
        """Whether a call may begin in this turn of the event loop; where not, it waits for its `turn` first.

        Raises `ConfigurationError` in a second thread.
        """
        if threading.get_ident() != self._thread:
            self._change_thread()
        return self._turnstile.has_room()

    def turn(self) -> Coroutine[Any, Any, None]:
        """Wait for the turn of the event loop in which a call may begin; then it says that it does, by `go_in`."""
        return self._turnstile.turn()

    def go_in(self) -> None:
        """Say that a call which has waited for its turn begins."""
        self._turnstile.go_in()

    def enter(self, patience: float, caller: Caller) -> Coroutine[Any, Any, Place]:
        """Wait, `patience` seconds at most, for the place of a call whose audio is yet to be read.

        So no work is done for a call that is refused in the end, nor for many that wait. Whoever has a place is not
        refused in line.

        Raises `QueueFullError` at once when `max_waiting` calls wait already, `ConfigurationError` in a second thread.
        """
        if threading.get_ident() != self._thread:
            self._change_thread()
        if self._max_waiting is not None and self._expected() >= self._max_waiting and not self._free_at_once():
            raise self._full()
        return self._door.enter(patience, caller)  # not awaited here: each that waits would hold one coroutine more

    def _change_thread(self) -> None:
        """Go over to this thread, or refuse it while another is busy: waking each other's tasks, both would hang."""
        if self._in_flight or self.waiting or self._door.under_way:
            raise ConfigurationError(
                "this client, or its Limiter, is in use in the event loop of another thread: "
                "make a client for each thread, or hand the work over to the first one's loop"
            )
        self._thread = threading.get_ident()

    def _free_at_once(self) -> bool:
        """Whether a slot is free that none of those who came before will take."""
        if self._new or self._back or self._door.waiting:  # who waits for its turn comes after this one
            return False
        return self._control.limit - self._in_flight > self._door.unready and not self._delay(self._clock())

    def _expected(self) -> int:
        """Calls in line or at the door, and those with a place that will not find a free slot."""
        unready = self._door.unready - max(0, self._control.limit - self._in_flight)
        return len(self._new) + self._door.waiting + max(0, unready)

    async def acquire(self, *, again: bool = False, may_go_on: Callable[[], None] | None = None) -> float:
        """Wait in line for a slot; return the time it was given, for `release`.

        `again`: the request has been sent before, and stands in front of those that have not. `may_go_on` is asked by
        who is to `look_again`; what it raises ends the waiting.
        """
        if threading.get_ident() != self._thread:
            self._change_thread()
        started = self.acquire_at_once()
        if started is not None:
            return started
        line = self._back if again else self._new
        waiter = _Waiter()
        line[waiter] = None
        self._serve()
        try:
            while not waiter.granted:
                await self._wait(waiter)
                if may_go_on is not None and not waiter.granted:
                    may_go_on()
        except BaseException:
            if waiter.granted:
                self._in_flight -= 1
                if self._rate is not None:
                    self._rate.give_back()
            else:
                del line[waiter]
            self._serve()
            raise
        return self._clock()

    def acquire_at_once(self) -> float | None:
        """Take a slot if there is one and nobody waits; return the time, or None."""
        if self._back or self._new or self._in_flight >= self._control.limit or self._delay(self._clock()):
            return None
        return self._start()

    async def _wait(self, waiter: _Waiter) -> None:
        if waiter.event.is_set():
            waiter.event = anyio.Event()
        if not waiter.keeps_time:
            await waiter.event.wait()
            return
        with anyio.move_on_after(self._delay(self._clock())):
            await waiter.event.wait()
        if not waiter.granted:
            # The time has come, or there is no slot any more: `_serve` says which.
            waiter.keeps_time = False
            self._serve()

    def _full(self) -> QueueFullError:
        waiting = self._expected()
        rate = self._rate.per_second if self._rate else math.inf
        pause = self._control.pause(self._clock())
        return QueueFullError(
            f"{waiting} calls are waiting for a slot already, which is all that max_waiting={self._max_waiting} "
            "allows: try again later, or raise max_waiting or concurrency",
            waiting=waiting,
            # How long a request takes is not known here; a place in line is free within a second or so.
            retry_after=max(1.0, pause, waiting / rate),
        )

    # --- giving slots ---------------------------------------------------------------------------

    def _delay(self, now: float) -> float:
        """Seconds until somebody may start, slots aside."""
        pause = self._control.pause(now)
        return pause if self._rate is None else max(pause, self._rate.delay(now))

    def _start(self) -> float:
        self._in_flight += 1
        if self._rate is not None:
            self._rate.take()
        return self._clock()

    def _serve(self) -> None:
        """Hand free slots to the first in line; where time must pass, make the first keep it."""
        while (line := self._back or self._new) and self._in_flight < self._control.limit:
            waiter = next(iter(line))
            if self._delay(self._clock()) > 0:
                if not waiter.keeps_time:
                    waiter.keeps_time = True
                    waiter.event.set()
                return
            del line[waiter]
            waiter.granted = True
            waiter.event.set()
            self._start()

    def release(self, started: float, signal: Signal = Signal.NOTHING) -> bool:
        """Give a slot back and say what its request met; return whether that was a new congestion."""
        congestion = self._control.ended(
            signal, started=started, now=self._clock(), in_flight=self._in_flight, random=self._random()
        )
        self._in_flight -= 1
        if self._back or self._new:
            self._serve()
        return congestion

    def hold(self, seconds: float) -> None:
        """Let nobody start for some seconds, as a ``Retry-After`` asks."""
        self._control.hold(seconds, now=self._clock())

    def look_again(self, *, at_door: bool = True) -> None:
        """Have all who wait, in line or at the door, ask whether they may go on; those who may keep their places."""
        for waiter in (*self._back, *self._new):
            waiter.event.set()
        if at_door:
            self._door.look_again()

    # --- looking --------------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        """How many may be in flight at once, now."""
        return self._control.limit

    @property
    def maximum(self) -> int:
        """How many may ever be in flight at once."""
        return self._control.maximum

    @property
    def in_flight(self) -> int:
        """How many slots are taken."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """How many calls are in line, wait for a place, or are yet to begin."""
        return len(self._new) + len(self._back) + self._door.waiting + self._turnstile.waiting

    def stats(self) -> LimiterStats:
        """Return a snapshot; to be called where an event loop runs."""
        return LimiterStats(self.limit, self._in_flight, self.waiting, self._control.pause(self._clock()))


def _check(concurrency: object, requests_per_second: object, max_waiting: object, pause: tuple[float, float]) -> None:
    if not isinstance(concurrency, Adaptive):
        check_whole("concurrency", concurrency, remedy="; Adaptive(maximum=…) finds the number itself")
    if requests_per_second is not None:
        check_number("requests_per_second", requests_per_second, above=True, remedy="; None sets no cap")
    if max_waiting is not None:
        check_whole("max_waiting", max_waiting, least=0, remedy="; None sets no bound")
    if not 0 <= pause[0] <= pause[1] < math.inf:
        raise InvalidArgumentError(
            f"pause must be two numbers of seconds, the lesser first, not {pause!r}", argument="pause"
        )
