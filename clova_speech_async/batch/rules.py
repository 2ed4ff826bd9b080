"""When a batch stops. Pure: errors, money and the time come in as arguments.

Law of this file: an item's error is the item's alone, unless every other item must meet it, too (a wrong key, a used-up
quota, a journal that takes nothing), or going on would spend more than was allowed. Then the batch stops, and says how
to go on.
"""

from __future__ import annotations

from dataclasses import dataclass

from clova_speech_async.errors import (
    AuthenticationError,
    BatchStoppedError,
    ClientClosedError,
    ClovaSpeechError,
    ConfigurationError,
    JournalError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
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


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a batch must not go on, and what to do about it."""

    reason: str
    remedy: str

    def error(self, *, kept: bool) -> BatchStoppedError:
        """The error that ends the batch. `kept`: it has a journal."""
        how = "with the same journal, which sends nothing twice" if kept else "with the sources that are not done"
        return BatchStoppedError(f"the batch stopped: {self.reason}. To go on, {self.remedy}, and run it again {how}")


class StopRules:
    """Sees every end of an item, and says when it was the last the batch should see."""

    def __init__(self, *, throttles: int = 20, throttled_seconds: float = 120.0) -> None:
        self._most = throttles
        self._longest = throttled_seconds
        self._throttles = 0
        self._since: float | None = None

    def succeeded(self) -> None:
        """Some request got its reply."""
        self._throttles = 0
        self._since = None

    def failed(self, error: Exception, now: float) -> Stop | None:
        """Why the batch must stop, or None. `now`: seconds, of any clock that only goes forward."""
        if isinstance(error, ThrottledError):
            if error.retry_after is not None and error.retry_after > self._longest:
                return Stop(f"the service asks to wait {error.retry_after:.0f} s", "wait that long")
            return self._throttled(max(1, len(error.attempts)), now)
        if isinstance(error, ClovaSpeechError) and error.out_of_retry_budget:
            return self._throttled(max(1, len(error.attempts)), now)
        remedy = next((remedy for kind, remedy in _REMEDIES if isinstance(error, kind)), None)
        return None if remedy is None else Stop(str(error).rstrip("."), remedy)

    def _throttled(self, tries: int, now: float) -> Stop | None:
        self._since = now if self._since is None else self._since
        self._throttles += tries
        waited = now - self._since
        if self._throttles < self._most or waited < self._longest:
            return None
        reason = f"the service threw back, or failed, {self._throttles} requests in a row over {waited:.0f} s"
        return Stop(reason, "wait a while or lower the concurrency")


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
        return Stop(reason, "raise it")

    def reserve(self, seconds: int) -> None:
        """A request is about to be sent."""
        self._under_way += seconds

    def settle(self, reserved: int, billed: int) -> None:
        """What was `reserved` for an item that has ended cost `billed`."""
        self._under_way -= reserved
        self._spent += billed
