"""Whether to try again, and when. Pure: no clock, no sleep; the random number is passed in.

The law of this file: **the phase decides**. A POST that was heard may have been billed, so what never left this
machine is tried again freely, what may have been heard at most once, and what the service refused for a reason that
time does not heal, never.
"""

from __future__ import annotations

import enum
import inspect
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from clova_speech_async.checks import check_seconds, check_whole
from clova_speech_async.errors import (
    ArgumentTypeError,
    ClovaSpeechError,
    ConnectError,
    ConnectTimeoutError,
    DeadlineExceededError,
    GatewayTimeoutError,
    InvalidReplyError,
    NetworkError,
    ServiceError,
    ThrottledError,
)

from .control import Signal

__all__ = [
    "Failure",
    "Kind",
    "RetryBudget",
    "RetryDecision",
    "RetryPolicy",
    "classify",
    "decide",
    "override",
    "signal_of",
    "stretched",
]

logger = logging.getLogger("clova_speech_async.http")


class Kind(enum.Enum):
    """What a failed try means for the next one."""

    NOT_SENT = "not sent"
    """No connection: nothing was heard, nothing is billed."""
    STALE = "stale connection"
    """A connection that had been idle broke before any byte of the reply."""
    UNCERTAIN = "may have been heard"
    """Sent, or being sent, and no reply; or the gateway gave up waiting (504)."""
    SPOILT = "spoilt reply"
    """Success, then a reply cut short or not readable: it was billed, most likely."""
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    """The service failed in a way that may pass."""
    FATAL = "final"
    """The same request would fail again."""

    @property
    def ambiguous(self) -> bool:
        """Whether the try may have been billed."""
        return self in _AMBIGUOUS


_AMBIGUOUS = frozenset({Kind.STALE, Kind.UNCERTAIN, Kind.SPOILT})


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed try, as a policy sees it."""

    error: ClovaSpeechError
    kind: Kind
    number: int
    """1 for the first try."""
    ambiguous_before: int = 0
    """How many tries before this one may have been billed."""

    @property
    def retry_after(self) -> float | None:
        """Seconds the service asks to wait, or None."""
        return getattr(self.error, "retry_after", None)


@dataclass(frozen=True, kw_only=True)
class RetryDecision:
    """What is to be done after a failed try."""

    error: ClovaSpeechError
    """What the try met."""
    number: int
    """1 for the first try."""
    retry: bool
    wait: float = 0.0
    """Seconds before the next try."""
    ambiguous: bool = False
    """The service may have heard, and billed, this try."""
    reason: str = ""
    """Why, in a few words."""


def classify(error: ClovaSpeechError, *, heard: bool, reused: bool, reply_begun: bool) -> Kind:
    """Return what a failed try means.

    `heard`: a byte of the request may have left. `reused`: the connection had carried a request before.
    `reply_begun`: a byte of the reply had come.
    """
    if isinstance(error, NetworkError):
        if not error.retryable:
            return Kind.FATAL
        if not heard or isinstance(error, (ConnectError, ConnectTimeoutError)):
            return Kind.NOT_SENT
        timed_out = isinstance(error, TimeoutError)
        return Kind.STALE if reused and not reply_begun and not timed_out else Kind.UNCERTAIN
    if isinstance(error, InvalidReplyError):
        return Kind.SPOILT
    if isinstance(error, ThrottledError):
        return Kind.THROTTLED
    if isinstance(error, GatewayTimeoutError):
        return Kind.UNCERTAIN
    if isinstance(error, ServiceError) and error.retryable:
        return Kind.TRANSIENT
    return Kind.FATAL


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """When a request is tried again, and after how long; ``RetryPolicy(max_attempts=1)`` never does.

    Raises `InvalidArgumentError` or `ArgumentTypeError`, naming the field, for a value that cannot be.
    """

    max_attempts: int = 4
    """Tries in all, the first included."""
    base_delay: float = 0.5
    """Seconds; the wait before try n is a random part of ``base_delay * 2 ** (n - 1)``."""
    throttle_delay: float = 1.0
    """Seconds; the same after the service said that there are too many requests."""
    max_delay: float = 20.0
    """Seconds; the longest wait that is not the service's wish."""
    max_retry_after: float = 120.0
    """Seconds; a ``Retry-After`` above it ends the call at once, with the figure on the error."""
    strict_billing: bool = False
    """Never try again what may have been billed."""
    hook: Callable[[RetryDecision], bool | float | None] | None = None
    """Sees each decision and may change it: False gives up, True tries again, a number does so after that many
    seconds, None leaves it. It cannot go beyond `max_attempts`, the deadline or the retry budget, nor does it shorten a
    ``Retry-After``, which holds for all requests."""

    def __post_init__(self) -> None:
        check_whole("max_attempts", self.max_attempts, remedy="; 1 means no retries")
        for name in ("base_delay", "throttle_delay", "max_delay", "max_retry_after"):
            check_seconds(name, getattr(self, name))
        if not isinstance(self.strict_billing, bool):
            raise ArgumentTypeError(
                f"strict_billing must be True or False, not {self.strict_billing!r}", argument="strict_billing"
            )
        if self.hook is not None and not callable(self.hook):
            raise ArgumentTypeError(f"hook must be callable or None, not {type(self.hook).__name__}", argument="hook")
        if inspect.iscoroutinefunction(self.hook) or inspect.iscoroutinefunction(getattr(self.hook, "__call__", None)):  # noqa: B004
            raise ArgumentTypeError(
                "hook must be a plain function, not a coroutine function: it is called, not awaited; "
                "return the number of seconds to wait, or None",
                argument="hook",
            )

    def wait(self, failure: Failure, *, random: Callable[[], float]) -> float:
        """Return the seconds to wait after a failed try; `random` gives a number in [0, 1)."""
        if failure.kind is Kind.STALE:
            return 0.0  # nothing was wrong but that connection
        base = self.throttle_delay if failure.kind is Kind.THROTTLED else self.base_delay
        # Before try n: 2 ** (n - 1), and n is the number of the failed try + 1.
        wait: float = random() * min(self.max_delay, base * 2 ** min(failure.number, 64))
        if failure.retry_after is not None:
            wait = stretched(max(wait, failure.retry_after), random())
        return wait


def stretched(seconds: float, random: float) -> float:
    """Return a wait that a ``Retry-After`` asks for, up to a tenth longer: not all are to come back at once."""
    return seconds * (1.0 + 0.1 * random)


def decide(policy: RetryPolicy, failure: Failure, *, random: Callable[[], float]) -> RetryDecision:
    """Return whether a failed try is to be followed by another, and after how long."""
    error, kind = failure.error, failure.kind
    problem = _problem(policy, failure)
    return RetryDecision(
        error=error,
        number=failure.number,
        retry=problem is None,
        wait=policy.wait(failure, random=random) if problem is None else 0.0,
        ambiguous=kind.ambiguous,
        reason=problem or kind.value,
    )


def _problem(policy: RetryPolicy, failure: Failure) -> str | None:
    """Why there is to be no other try; None where there is."""
    kind = failure.kind
    if isinstance(failure.error, DeadlineExceededError):
        return "the time for it has run out"
    if kind is Kind.FATAL or (kind is Kind.SPOILT and not getattr(failure.error, "retryable", True)):
        return "another try would fail the same way"
    if failure.number >= policy.max_attempts:
        return f"{policy.max_attempts} tries are all that the policy allows"
    if kind.ambiguous and policy.strict_billing:
        return "it may have been billed, and billing is strict"
    if kind.ambiguous and failure.ambiguous_before:
        return "it may have been billed twice already"
    retry_after = failure.retry_after
    if retry_after is not None and retry_after > policy.max_retry_after:
        return f"the service asks to wait {retry_after:g} s, more than the {policy.max_retry_after:g} s allowed"
    return None


def override(
    policy: RetryPolicy, failure: Failure, decision: RetryDecision, random: Callable[[], float]
) -> RetryDecision:
    """Return the decision as the policy's hook wants it; a hook that raises changes nothing."""
    if policy.hook is None:
        return decision
    try:
        wish = policy.hook(decision)
    except Exception as error:  # noqa: BLE001 - whatever a hook raises is its own affair
        logger.warning("the retry hook raised %s; the decision stays as it was", type(error).__name__)
        return decision
    if wish is None or (wish is not False and failure.number >= policy.max_attempts):
        return decision
    if wish is False:
        return replace(decision, retry=False, wait=0.0, reason="the retry hook gave up")
    wait = policy.wait(failure, random=random) if wish is True else wish
    if not isinstance(wait, (int, float)) or not 0 <= wait < math.inf:
        logger.warning("the retry hook asked for a wait of %r s; the decision stays as it was", wish)
        return decision
    return replace(decision, retry=True, wait=float(wait), reason="the retry hook wants it")


def signal_of(error: ClovaSpeechError) -> Signal:
    """Return what a failed try says about how many requests the service bears."""
    overload = isinstance(error, (ThrottledError, ConnectTimeoutError)) or getattr(error, "status", None) == 503
    return Signal.OVERLOAD if overload else Signal.NOTHING


# --- the budget of a client -------------------------------------------------------------------------


class RetryBudget:
    """A bucket that retries are paid from, so that an outage is not answered with a storm.

    A retry costs 10, an ambiguous one 20, one that was throttled nothing (the limiter pays for it); each success at
    the first try gives 1 back. From 100 there are at most ``10 + successes / 10`` retries that cost anything.
    """

    CAPACITY = 100
    COST = 10
    AMBIGUOUS_COST = 20

    def __init__(self) -> None:
        self.level = self.CAPACITY

    @classmethod
    def cost(cls, kind: Kind) -> int:
        """Return what a retry after such a failure costs."""
        if kind is Kind.THROTTLED:
            return 0
        return cls.AMBIGUOUS_COST if kind.ambiguous else cls.COST

    def spend(self, kind: Kind) -> bool:
        """Pay for a retry; False, and nothing paid, when there is too little left."""
        cost = self.cost(kind)
        if cost > self.level:
            return False
        self.level -= cost
        return True

    def succeeded(self) -> None:
        """Book a success at the first try."""
        if self.level < self.CAPACITY:
            self.level += 1
