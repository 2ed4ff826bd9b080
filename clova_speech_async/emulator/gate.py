"""Who may come in now: capacity, rate, quota, random failures and the script, as state that changes while it runs.

Law of this file: thread-safe, never waits; the time is an argument. The rules are `Behaviour`'s, the numbers the
`Ledger`'s.
"""

from __future__ import annotations

import threading
from collections import deque

from .behaviour import Behaviour, Dice, Scripted, TokenBucket
from .contract import Refusal, Row
from .ledger import Ledger


class Gate:
    """The gateway before the recogniser."""

    def __init__(self, behaviour: Behaviour, ledger: Ledger) -> None:
        self._lock = threading.Lock()
        self._ledger = ledger
        self._script: deque[Scripted] = deque()
        self._working = 0
        self._open = 0
        self._set(behaviour)

    def _set(self, behaviour: Behaviour) -> None:
        if not isinstance(behaviour, Behaviour):
            raise TypeError(f"behaviour must be a Behaviour, not {behaviour!r}")
        self._behaviour = behaviour
        self._bucket: TokenBucket | None = None
        self._dice = Dice(behaviour.seed)

    @property
    def behaviour(self) -> Behaviour:
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        with self._lock:
            self._set(behaviour)

    @property
    def working(self) -> int:
        """Requests admitted and not answered yet."""
        return self._working

    @property
    def scripted_left(self) -> int:
        return len(self._script)

    def script(self, *replies: Scripted) -> None:
        """Put these replies behind those that wait to be used."""
        for reply in replies:
            if not isinstance(reply, Scripted):
                raise TypeError(f"a script is made of reply(), error(), raw(), hang() and cut(), not of {reply!r}")
        with self._lock:
            self._script.extend(replies)

    def unscript(self) -> None:
        """Throw away the replies that were not used."""
        with self._lock:
            self._script.clear()

    def arrive(self) -> tuple[int, Scripted | None]:
        """A request comes: how many are open with it, and what it is to be answered by script."""
        with self._lock:
            self._open += 1
            return self._open, self._script.popleft() if self._script else None

    def leave(self) -> None:
        """A request is answered, or has gone."""
        with self._lock:
            self._open -= 1

    def admit(self, now: float) -> tuple[Behaviour, Row | None]:
        """Let a request in, under the behaviour of this moment, and say which random failure it will meet.

        Raises `Refusal` where quota, rate or capacity is used up; else `finish` must follow.
        """
        with self._lock:
            rules = self._behaviour
            if rules.quota_seconds is not None and self._ledger.billed_seconds >= rules.quota_seconds:
                raise Refusal("429/400", retry_after=rules.retry_after)
            if rules.max_parallel is not None and self._working >= rules.max_parallel:
                raise Refusal(rules.parallel_error, retry_after=rules.retry_after)
            if rules.requests_per_second is not None:
                if self._bucket is None:
                    self._bucket = TokenBucket(rules.requests_per_second, rules.burst, now)
                if not self._bucket.take(now):
                    raise Refusal(rules.rate_error, retry_after=rules.retry_after)
            self._working += 1
            self._ledger.work(self._working)
            return rules, self._dice.throw(rules.failures) if rules.failures else None

    def finish(self) -> None:
        """An admitted request is done."""
        with self._lock:
            self._working -= 1
