"""The record of one call: its tries, what they met, what they may have cost. Pure but for the numbers it counts up.

The law of this file: **an error that ends a call tells of all its tries**, in `attempts` and in its text.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from clova_speech_async.billing import billed
from clova_speech_async.errors import Attempt, ClovaSpeechError, DeadlineExceededError
from clova_speech_async.models import Recognition

from .door import Place
from .retry import Failure, Kind, RetryBudget, RetryDecision

__all__ = ["Bill", "Books", "Call", "MayGoOn", "Sent"]

MayGoOn = Callable[[bool], None]


class Bill(Protocol):
    """Where what a call may cost is written down, beside the books of the client."""

    tries: int
    maybe_billed_seconds: int


_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request that succeeded."""

    recognition: Recognition
    body: bytes
    """The reply as it came."""
    request: int
    """Number of the request, as in the events."""
    attempts: int
    """Tries it took."""
    elapsed: float
    """Seconds, waiting in line and between tries included."""
    billed_seconds: int
    """What the service said it bills, or the audio's length rounded up to 15 s where it said nothing."""
    maybe_billed_seconds: int
    """What its failed tries may have been billed beside that."""


@dataclass
class Books:
    """What a client has counted."""

    requests: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    attempts: int = 0
    retries: int = 0
    ambiguous: int = 0
    throttled: int = 0
    replies: int = 0
    """Of whatever status."""
    billed_seconds: int = 0
    maybe_billed_seconds: int = 0
    budget: RetryBudget = field(default_factory=RetryBudget)


class Call:
    """One call, from its beginning to its end."""

    __slots__ = (
        "_bill",
        "_books",
        "ambiguous",
        "began",
        "deadline",
        "may_go_on",
        "maybe_billed",
        "number",
        "place",
        "seconds",
        "sent",
        "tries",
    )

    def __init__(
        self,
        books: Books,
        seconds: float,
        began: float,
        *,
        place: Place | None = None,
        may_go_on: MayGoOn | None = None,
        bill: Bill | None = None,
    ) -> None:
        self._books = books
        self._bill = bill
        self.number = next(_numbers)
        self.seconds = seconds
        self.began = began
        self.deadline = math.inf
        """By the event loop's clock; of a patient call it is set when it has a slot."""
        self.place = place
        """Its place before its first try has a slot."""
        self.may_go_on = may_go_on
        """Raises when it is to go no further; called with whether it has been sent before."""
        self.sent = 0
        """Tries that had a slot."""
        self.tries: list[Attempt] = []
        """Those that failed."""
        self.ambiguous = 0
        self.maybe_billed = 0
        books.requests += 1

    def begin_try(self) -> None:
        """Book a try that has its slot."""
        self.sent += 1
        self._books.attempts += 1
        if self._bill is not None:
            self._bill.tries += 1
        if self.sent > 1:
            self._books.retries += 1

    def may_be_billed(self) -> None:
        """Book a try that may have been heard, though no readable reply came."""
        cost = billed(self.seconds)
        self.ambiguous += 1
        self.maybe_billed += cost
        self._books.ambiguous += 1
        self._books.maybe_billed_seconds += cost
        if self._bill is not None:
            self._bill.maybe_billed_seconds += cost

    def succeed(self, quota: int | None) -> int:
        """Book the recognition; return the seconds it is billed."""
        # The sibling service, CSR, says no quota: its units are the same.
        cost = billed(self.seconds) if quota is None else quota
        self._books.succeeded += 1
        self._books.billed_seconds += cost
        if self.sent == 1:
            self._books.budget.succeeded()
        return cost

    def cancel(self) -> None:
        """Book that the call was cancelled from outside."""
        self._books.cancelled += 1

    def abandon(self) -> None:
        """Book that no error of ours ended the call: a failure, or no request at all where nothing was sent."""
        if self.sent:
            self._books.failed += 1
        else:
            self._books.requests -= 1

    def failure(self, error: ClovaSpeechError, kind: Kind) -> Failure:
        """Return the try that has just failed, as a policy sees it."""
        return Failure(error=error, kind=kind, number=self.sent, ambiguous_before=self.ambiguous)

    def note(self, error: ClovaSpeechError, decision: RetryDecision) -> None:
        """Book a failed try and what follows it."""
        status, code = getattr(error, "status", None), getattr(error, "code", None)
        self.tries.append(
            Attempt(
                number=decision.number,
                outcome=outcome(error),
                status=status,
                code=code,
                ambiguous=decision.ambiguous,
                waited=decision.wait,
            )
        )

    def end(self, error: ClovaSpeechError, reason: str | None = None) -> ClovaSpeechError:
        """Book the error that ends the call, and put the account of all tries into it.

        `reason`: why there is no other try, where the error itself does not say so.
        """
        self._books.failed += 1
        error.attempts = tuple(self.tries)
        notes = [reason] if reason else []
        if len(self.tries) > 1:
            met = "; ".join(f"{i}. {attempt.outcome}" for i, attempt in enumerate(self.tries, 1))
            notes.insert(0, f"{len(self.tries)} tries: {met}")
        error.account = "; ".join(notes)
        return error


def outcome(error: ClovaSpeechError) -> str:
    """Return what a try met, in a few words."""
    status, code = getattr(error, "status", None), getattr(error, "code", None)
    where = f" ({status}/{code})" if code else f" ({status})" if status else ""
    return type(error).__name__ + where


def deadline_before_retry(wait: float, left: float, last: ClovaSpeechError) -> DeadlineExceededError:
    """Return the error for a call whose next try would begin after its deadline."""
    error = DeadlineExceededError(
        f"the next try would begin in {wait:.3g} s, but only {max(0.0, left):.3g} s of the time-out over all tries "
        f"are left; the last one met {outcome(last)}: {last}"
    )
    error.__cause__ = last
    error.request_id = getattr(last, "request_id", None)
    error.retry_after = getattr(last, "retry_after", None)
    return error
