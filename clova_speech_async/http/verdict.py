"""After a failed try: what it was, what it may cost, and whether there is another.

Puts the pure rules of `retry` together with the books, the limiter and the events of one sender.

The law of this file: a call that ends here ends with all its tries in its error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import anyio

from clova_speech_async.errors import ClovaSpeechError, ServiceError, ThrottledError

from .call import Books, Call, deadline_before_retry
from .control import Signal
from .exchange import Progress
from .limiter import Limiter
from .observe import Observer
from .retry import Kind, RetryDecision, RetryPolicy, classify, decide, override, signal_of, stretched

__all__ = ["Verdict"]

_OUT_OF_BUDGET = (
    "the retry budget is used up, too many requests of this client have failed of late: try again in a while"
)


class Again(NamedTuple):
    """There is another try."""

    wait: float
    """Seconds before it."""
    fresh: bool
    """On a connection that has carried nothing yet."""


class Verdict:
    """Decides for one sender."""

    def __init__(
        self, policy: RetryPolicy, books: Books, limiter: Limiter, observer: Observer, random: Callable[[], float]
    ) -> None:
        self._policy = policy
        self._books = books
        self._limiter = limiter
        self._observer = observer
        self._random = random

    def another(self, call: Call, error: ClovaSpeechError, progress: Progress) -> Again:
        """Return how to try again, its price paid; raise `error`, all tries in it, when the call is to end here."""
        kind = classify(error, heard=progress.heard, reused=progress.reused, reply_begun=progress.reply_begun)
        failure = call.failure(error, kind)
        if kind.ambiguous:
            call.may_be_billed()
        decision = override(self._policy, failure, decide(self._policy, failure, random=self._random), self._random)
        self._slow_down(call, error, decision)
        if decision.retry:
            left = call.deadline - anyio.current_time()
            wait = max(decision.wait, self._limiter.stats().pause)
            if wait >= left:
                call.note(error, replace(decision, wait=0.0))
                raise call.end(deadline_before_retry(wait, left, error))
            if not self._books.budget.spend(kind):
                error.out_of_retry_budget = True
                decision = replace(decision, retry=False, wait=0.0, reason=_OUT_OF_BUDGET)
        call.note(error, decision)
        if not decision.retry:
            said = kind is Kind.FATAL or self._policy.max_attempts == 1
            raise call.end(error, None if said else decision.reason)
        self._observer.retrying(call, decision)
        return Again(decision.wait, kind is Kind.STALE)

    def hold_back(self, error: ClovaSpeechError) -> None:
        """Let nobody start for as long as a ``Retry-After`` asks: it is for all requests together.

        It holds whether or not the request that got it is tried again.
        """
        if not (isinstance(error, ServiceError) and error.retryable):
            return
        wish = error.retry_after
        if wish is not None and wish <= self._policy.max_retry_after:
            self._limiter.hold(stretched(wish, self._random()))

    def _slow_down(self, call: Call, error: ClovaSpeechError, decision: RetryDecision) -> None:
        """Let a throttled service rest, as long as the one that it threw back."""
        if signal_of(error) is not Signal.OVERLOAD:
            return
        if decision.retry and getattr(error, "retry_after", None):  # 0 asks for no rest
            # A hook may want this one to wait for hours, which is no affair of the others.
            self._limiter.hold(min(decision.wait, stretched(self._policy.max_retry_after, 1.0)))
        if isinstance(error, ThrottledError):
            self._books.throttled += 1
        self._observer.throttled(call, error, self._limiter.stats().pause)
