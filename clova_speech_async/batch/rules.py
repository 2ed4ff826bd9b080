"""When a batch stops. Pure: errors, money and the time come in as arguments.

Law of this file: an item's error is the item's alone, unless every other item must meet it, too (a wrong key, a used-up
quota, an address at which nobody is, a journal that takes nothing), or going on would spend more than was allowed. Then
the batch stops, and says how to go on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from clova_speech_async.errors import (
    AuthenticationError,
    BatchStoppedError,
    ClientClosedError,
    ClovaSpeechError,
    ConfigurationError,
    ConnectError,
    ConnectTimeoutError,
    DeadlineExceededError,
    JournalError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ServiceUnavailableError,
    ThrottledError,
)

__all__ = ["Budget", "Stop", "StopRules"]

_REMEDIES: tuple[tuple[type[ClovaSpeechError], str], ...] = (
    (AuthenticationError, "correct the key"),
    (PermissionDeniedError, "let the key use this domain, in the console"),
    (NotFoundError, "correct the Invoke URL"),
    (QuotaExceededError, "raise the quota in the console"),
    (JournalError, "give the journal what it lacks"),
    (ClientClosedError, "use a client that lives longer than the batch"),
    (ConfigurationError, "correct the client's configuration"),
)
_CONNECT = "check the Invoke URL, the network and, where there is one, the proxy (HTTPS_PROXY or proxy=)"
_WAIT = "wait a while"
_LEAST_UNREACHED = 4
"""Tries that find nobody before it is known that nobody is there; as many as a request has by default."""
_UNREACHED_SECONDS = 5.0
"""And for so long where the retry budget ended them: a network may be coming up."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a batch must not go on, and what to do about it."""

    reason: str
    remedy: str
    argument: str | None = None
    """The option of the batch that ended it, where one did; the reason begins with it."""

    def error(self, *, kept: bool) -> BatchStoppedError:
        """The error that ends the batch. `kept`: it has a journal."""
        how = "with the same journal, which sends nothing twice" if kept else "with the sources that are not done"
        return BatchStoppedError(
            f"the batch stopped: {self.reason}. To go on, {self.remedy}, and run it again {how}",
            reason=self.reason,
            argument=self.argument,
        )


class StopRules:
    """Sees every end of an item, and says when it was the last the batch should see.

    `throttles`: requests in a row that were thrown back, over at least `throttled_seconds`, which end it.
    """

    def __init__(self, *, throttles: int = 20, throttled_seconds: float = 120.0) -> None:
        self._most = throttles
        self._longest = throttled_seconds
        self._throttles = 0
        self._since: float | None = None
        self._unreached = 0
        self._unreached_since = math.inf
        self._connected = False

    @property
    def is_unreached(self) -> bool:
        """Whether tries found nobody, and none ever found anybody."""
        return self._unreached > 0 and not self._connected

    def succeeded(self) -> None:
        """Some request got its reply."""
        self._throttles = 0
        self._since = None
        self._connected = True

    def failed(self, error: Exception, now: float, *, answered: bool = True) -> Stop | None:
        """Why the batch must stop, or None.

        `now`: seconds, of any clock that only goes forward. `answered`: the client has had a reply, be it an error.
        """
        if not isinstance(error, ClovaSpeechError):
            return None
        unreached = _without_connection(error)
        sent = isinstance(error, NetworkError) and unreached is None and not isinstance(error, DeadlineExceededError)
        self._connected = self._connected or answered or sent or any(attempt.ambiguous for attempt in error.attempts)
        if unreached is not None and not self._connected:
            return self._nobody_there(error, unreached, now)
        if isinstance(error, ThrottledError):
            if error.retry_after is not None and error.retry_after > self._longest:
                return Stop(f"the service asks to wait {error.retry_after:.0f} s", "wait that long")
            return self._throttled(error, now)
        if error.out_of_retry_budget or isinstance(error, ServiceUnavailableError):
            return self._throttled(error, now)
        if unreached is error and error.retryable:
            return self._throttled(error, now)
        remedy = next((remedy for kind, remedy in _REMEDIES if isinstance(error, kind)), None)
        return None if remedy is None else Stop(str(error).rstrip("."), remedy)

    def _nobody_there(self, error: ClovaSpeechError, unreached: NetworkError, now: float) -> Stop | None:
        """Nobody was there for a request, nor for any before it: neither for all its tries, nor for some seconds."""
        self._unreached += max(1, len(error.attempts))
        began = now - sum(attempt.waited for attempt in error.attempts)
        self._unreached_since = min(self._unreached_since, began)
        if self._unreached < _LEAST_UNREACHED:
            return None
        if error.out_of_retry_budget and now - self._unreached_since < _UNREACHED_SECONDS:
            return None
        return Stop(f"{_in_short(unreached)}, and no request has had a reply yet", _CONNECT)

    def _throttled(self, error: ClovaSpeechError, now: float) -> Stop | None:
        self._since = now if self._since is None else self._since
        self._throttles += max(1, len(error.attempts))
        waited = now - self._since
        if self._throttles < self._most or waited < self._longest:
            return None
        reason = (
            f"the service threw back, or failed, {self._throttles} requests in a row over {waited:.0f} s; "
            f"the last met {type(error).__name__}: {_in_short(error)}"
        )
        if _without_connection(error) is not None:
            return Stop(reason, _CONNECT)
        return Stop(reason, "wait a while or lower the concurrency" if isinstance(error, ThrottledError) else _WAIT)


def _without_connection(error: ClovaSpeechError) -> NetworkError | None:
    """The error itself, or what it came of, where no connection was made."""
    last = error.__cause__ if isinstance(error, DeadlineExceededError) else error
    return last if isinstance(last, (ConnectError, ConnectTimeoutError)) else None


def _in_short(error: ClovaSpeechError) -> str:
    """Its message without the account of its tries."""
    return error.problem.rstrip(".")


class Budget:
    """Billed seconds that a batch may cost, and what it has cost. Whatever is under way counts as if it were billed."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._spent = 0
        self._under_way = 0

    def refusal(self, seconds: int) -> Stop | None:
        """Why a request that is billed `seconds` must not be sent, or None."""
        if self._limit is None or self._spent + self._under_way + seconds <= self._limit:
            return None
        under_way = f", {self._under_way} s under way" if self._under_way else ""
        reason = (
            f"max_billed_seconds={self._limit} would be exceeded: {self._spent} s billed{under_way}, "
            f"and the next request is billed {seconds} s"
        )
        return Stop(reason, "raise it", argument="max_billed_seconds")

    def reserve(self, seconds: int) -> None:
        """A request is about to be sent."""
        self._under_way += seconds

    def settle(self, reserved: int, billed: int) -> None:
        """What was `reserved` for an item that has ended cost `billed`."""
        self._under_way -= reserved
        self._spent += billed
