"""How many requests at once, and how fast. Pure: the time and the random number are passed in.

The law of this file: latency tells nothing of the limit, because it follows the length of the audio; only the service's
own signals (429, 503, no connection in time) move it. Additive increase, multiplicative decrease; one cut per
congestion.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from clova_speech_async.checks import check_whole
from clova_speech_async.errors import InvalidArgumentError

__all__ = ["Adaptive", "Control", "Rate", "Signal"]


@dataclass(frozen=True)
class Adaptive:
    """A limit that finds itself: it grows while the service bears it and shrinks when the service says so.

    Raises `InvalidArgumentError` or `ArgumentTypeError` for a value that cannot be.
    """

    maximum: int = 64
    """Never more than this many at once."""
    start: int = 4
    """How many at the beginning; where it is not given and `maximum` is less, that."""

    def __post_init__(self) -> None:
        check_whole("Adaptive: maximum", self.maximum)
        check_whole("Adaptive: start", self.start)
        # The default gives way to a smaller maximum; nobody who asks for more than there may ever be means it.
        if self.start > self.maximum and self.start != type(self).start:
            raise InvalidArgumentError(
                f"Adaptive: start={self.start} is above maximum={self.maximum}: give a smaller start, or none",
                argument="start",
            )


class Signal(enum.Enum):
    """What the end of a request says about the limit."""

    SUCCESS = "success"
    OVERLOAD = "overload"
    """429 throttle, 503, or no connection in time."""
    NOTHING = "nothing"


class Control:
    """The limit and the pause, by AIMD; with a fixed `limit` only the pause moves."""

    CUT = 0.9
    HARD_CUT = 0.5
    """In slow start, where the limit doubles, and where nothing has succeeded since the last cut."""
    _SMOOTHING = 0.125
    _SHORTEST = 0.01
    """Seconds that a request takes at least, so that a rest can grow."""

    def __init__(self, concurrency: int | Adaptive, *, pause: tuple[float, float] = (0.5, 1.0)) -> None:
        self._adaptive = concurrency if isinstance(concurrency, Adaptive) else None
        self.maximum = concurrency.maximum if isinstance(concurrency, Adaptive) else concurrency
        """The limit is never above it."""
        first = min(concurrency.start, concurrency.maximum) if isinstance(concurrency, Adaptive) else concurrency
        self._value = float(first)
        self._pause_range = pause
        self._slow_start = True
        self._last_cut = -math.inf
        self._cuts_in_a_row = 0
        """Without a success between them."""
        self._typical: float | None = None
        """Seconds that a request takes, smoothed; how long a rest has to be, and nothing about the limit."""
        self._paused_from = 0.0
        self._paused_until = -math.inf

    @property
    def limit(self) -> int:
        """How many may be in flight."""
        return int(self._value)

    def ended(self, signal: Signal, *, started: float, now: float, in_flight: int, random: float) -> bool:
        """Book the end of a request that began at `started`; return whether it was a new congestion.

        `in_flight` counts the request itself; `random` is in [0, 1).
        """
        if now < self._last_cut:  # another event loop, with a clock of its own
            self._last_cut = -math.inf
        if signal is Signal.SUCCESS:
            took = max(self._SHORTEST, now - started)
            self._typical = took if self._typical is None else self._typical + self._SMOOTHING * (took - self._typical)
            self._grow(in_flight)
        elif signal is Signal.OVERLOAD and started >= self._last_cut:
            # Requests that began before the last cut report the congestion that it answered.
            self._cut(now, random)
            return True
        return False

    def _grow(self, in_flight: int) -> None:
        self._cuts_in_a_row = 0
        # A limit that is not used has not been tried: growing it would prove nothing.
        if self._adaptive is None or 2 * in_flight < self.limit:
            return
        step = 1.0 if self._slow_start else 1.0 / self._value
        self._value = min(float(self.maximum), self._value + step)

    def _cut(self, now: float, random: float) -> None:
        if self._adaptive is not None:
            hard = self._slow_start or self._cuts_in_a_row
            self._value = max(1.0, self._value * (self.HARD_CUT if hard else self.CUT))
        self._slow_start = False
        self._last_cut = now
        self.hold(self._rest(random), now=now)
        self._cuts_in_a_row += 1

    def _rest(self, random: float) -> float:
        """Seconds for which nobody starts after a congestion.

        The service is to get rid of what it has, which takes the time of a request; twice as long each time that
        nothing has got through since, and never longer than the pause.
        """
        low, high = self._pause_range
        part = 1.0 if self._typical is None else min(1.0, self._typical * 2.0 ** min(self._cuts_in_a_row, 20))
        return part * (low + (high - low) * random)

    def hold(self, seconds: float, *, now: float) -> None:
        """Let nobody start for some seconds; a longer pause that runs already stays."""
        if seconds > self.pause(now):
            self._paused_from = now
            self._paused_until = now + seconds

    def pause(self, now: float) -> float:
        """Return the seconds until somebody may start."""
        if now < self._paused_from:  # another event loop, with a clock of its own
            return 0.0
        return max(0.0, self._paused_until - now)


class Rate:
    """A token bucket: at most so many starts a second, and no more than one second's worth in a burst."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._burst = max(1.0, per_second)
        self._tokens = self._burst
        self._at: float | None = None

    def delay(self, now: float) -> float:
        """Return the seconds until there is a token."""
        if self._at is not None and now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        # Rounding must not leave a wait so short that the clock does not move.
        return 0.0 if self._tokens > 1 - 1e-9 else max(1e-6, (1 - self._tokens) / self.per_second)

    def take(self) -> None:
        """Use a token; `delay` has just said that there is one."""
        self._tokens -= 1

    def give_back(self) -> None:
        """Put a token back that nothing was started with."""
        self._tokens = min(self._burst, self._tokens + 1)
