"""What `ClovaSpeechClient` and the batch share: the parts that carry out the calls of one client."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from .http.door import Place
from .http.limiter import Limiter
from .http.sender import Sender
from .job import Job
from .journals import Journals
from .order import Guard, Order
from .outcome import Outcome

__all__ = ["Engine"]


class Engine:
    """Carries out the calls of one client."""

    def __init__(self, sender: Sender, limiter: Limiter, url: str, journals: Journals) -> None:
        self._sender = sender
        self._limiter = limiter
        self._url = url
        self._journals = journals

    def job(self, order: Order, place: Place, *, guard: Guard | None = None, outcome: Outcome | None = None) -> Job:
        """One call that has its place; what comes of it is written into `outcome`, where that is given."""
        parts = (self._sender, self._limiter, self._journals, self._url)
        return Job(*parts, order, place, guard, Outcome() if outcome is None else outcome)

    def enter_patiently(self, guard: Guard) -> Coroutine[Any, Any, Place]:
        """Wait for a place, however long it takes."""
        return self._sender.enter_patiently(guard.may_go_on)

    @property
    def was_answered(self) -> bool:
        """Whether any request has ever had a reply, of whatever status."""
        return self._sender.was_answered

    def look_again(self) -> None:
        """Have every call that waits ask whether it may go on."""
        self._sender.look_again()
