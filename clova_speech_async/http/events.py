"""What a client tells a hook about its requests, and what it has counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Event", "LimitChanged", "RequestFinished", "RequestStarted", "RetryScheduled", "Stats", "Throttled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStarted:
    """A try of a request has its slot and is about to be sent."""

    request: int
    """Number of the request, unique in the process; the same for all its tries."""
    attempt: int
    """1 for the first try."""
    audio_seconds: float
    """Length of the audio."""
    size: int
    """Bytes of the upload."""
    waited: float
    """Seconds spent in line for this try."""
    url: str = ""
    """The address it is sent to, without the query, which may hold what was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFinished:
    """A request has ended, well or not; every request ends once."""

    request: int
    attempts: int
    """Tries that were made; 0 when it ended in line."""
    status: int | None
    """HTTP status of the last reply, or None where none came."""
    code: str | None
    """The service's error code, or None."""
    error: str | None
    """Name of the error's class, ``"Cancelled"``, ``"FoundInJournal"`` where another process had paid meanwhile, or
    None for a success."""
    request_id: str | None
    """The gateway's own id of a request that failed, where it sent one."""
    billed_seconds: int
    """What the service said it bills; 0 where it said nothing."""
    maybe_billed_seconds: int
    """What tries without a readable reply may have been billed."""
    elapsed: float
    """Seconds from the call to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled:
    """A try has failed and another will follow."""

    request: int
    attempt: int
    """Number of the try that failed."""
    wait: float
    """Seconds until the next one may start."""
    reason: str
    error: str
    """Name of the error's class."""
    status: int | None
    code: str | None
    ambiguous: bool
    """The failed try may have been billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """The service said that there are too many requests, or could not be reached in time."""

    request: int
    attempt: int
    status: int | None
    code: str | None
    retry_after: float | None
    """Seconds the service asks to wait, or None."""
    pause: float
    """Seconds for which no request will start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanged:
    """The number of requests that may be in flight has changed."""

    old: int
    new: int
    in_flight: int
    waiting: int


Event = RequestStarted | RequestFinished | RetryScheduled | Throttled | LimitChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What a client is doing, and has done; a snapshot."""

    in_flight: int
    """Requests that hold a slot."""
    waiting: int
    """Requests in line for a slot."""
    limit: int
    """How many may be in flight at once."""
    open_connections: int
    """Connections that are open, idle ones included."""
    idle_connections: int
    requests: int
    """Requests that were asked for, those included that never had a slot."""
    succeeded: int
    failed: int
    """Requests that ended in an error; one that `max_waiting` refused did so without a try."""
    cancelled: int
    """Requests that were cancelled, in line or under way."""
    attempts: int
    """Tries that were begun."""
    retries: int
    """Tries after the first of their request."""
    ambiguous: int
    """Tries that may have been heard, though no readable reply came."""
    throttled: int
    """Replies that said that there are too many requests."""
    billed_seconds: int
    """Sum of what the service said it bills."""
    maybe_billed_seconds: int
    """Sum of what ambiguous tries may have been billed."""
    retry_budget: int
    """What is left of 100; an ordinary retry costs 10, an ambiguous one 20."""

    def to_dict(self) -> dict[str, Any]:
        """The snapshot as JSON knows it: its fields."""
        return asdict(self)
