"""Telling others what happens: the hook and the log.

The law of this file: **a hook that raises never harms a request**, and nothing here can show a key, a query or a text:
it is given none; what a hook raises is logged as the hook's own. Without a hook, and with the log above DEBUG, an
observer costs a comparison.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable

import anyio

from clova_speech_async.errors import ClovaSpeechError

from .call import Call, outcome
from .events import Event, LimitChanged, RequestFinished, RequestStarted, RetryScheduled, Throttled
from .retry import RetryDecision

__all__ = ["Observer"]

logger = logging.getLogger("clova_speech_async.http")


def _forget(error: BaseException, handled: BaseException | None) -> None:
    """Take the call's own error, which may quote a reply, out of the context of what a hook raised meanwhile."""
    seen: BaseException | None = error
    while seen is not None and handled is not None:
        if seen.__context__ is handled:
            seen.__context__ = None
        seen = seen.__context__


class Observer:
    """Hands events to a hook and writes them into the log."""

    def __init__(self, hook: Callable[[Event], object] | None, url: str = "") -> None:
        self._hook = hook
        self._url = url
        self._raised: Counter[tuple[str, str]] = Counter()
        """By the names of the error's class and the event's."""

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return self._hook is not None or logger.isEnabledFor(logging.DEBUG)

    def tell(self, event: Event) -> None:
        """Hand an event to the hook and the log."""
        logger.debug("%s", event)
        if self._hook is None:
            return
        handled = sys.exc_info()[1]
        try:
            self._hook(event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a hook raises is its own affair
            _forget(error, handled)
            self._tell_of_hook(error, type(event).__name__)

    def _tell_of_hook(self, error: BaseException, event: str) -> None:
        """Log what a hook raised: in full the first time, then at each power of ten: it may do so for every event."""
        name = type(error).__name__
        self._raised[name, event] += 1
        times = self._raised[name, event]
        if times == 1:
            logger.warning("on_event raised %s for %s; the request goes on", name, event, exc_info=error)
        elif times == 10 ** (len(str(times)) - 1):
            logger.warning("on_event has raised %s for %s %d times by now", name, event, times)

    def started(self, call: Call, size: int, waited: float) -> None:
        """Tell that a try is about to be sent."""
        if self.wanted:
            self.tell(
                RequestStarted(
                    request=call.number,
                    attempt=call.sent,
                    audio_seconds=call.seconds,
                    size=size,
                    waited=waited,
                    url=self._url,
                )
            )

    def finished(
        self,
        call: Call,
        error: BaseException | None,
        status: int | None = None,
        billed_seconds: int = 0,
        elapsed: float | None = None,
    ) -> None:
        """Tell that a call has ended, now where `elapsed` does not say otherwise."""
        if not self.wanted:
            return
        name = None if error is None else type(error).__name__
        if error is not None and not isinstance(error, Exception):
            name = "Cancelled"
        self.tell(
            RequestFinished(
                request=call.number,
                attempts=call.sent,
                status=status if error is None else getattr(error, "status", None),
                code=getattr(error, "code", None),
                error=name,
                request_id=getattr(error, "request_id", None),
                billed_seconds=billed_seconds,
                maybe_billed_seconds=call.maybe_billed,
                elapsed=anyio.current_time() - call.began if elapsed is None else elapsed,
            )
        )

    def retrying(self, call: Call, decision: RetryDecision) -> None:
        """Tell that another try will follow."""
        error = decision.error
        logger.info(
            "request %d: try %d met %s, the next one in %.3g s", call.number, call.sent, outcome(error), decision.wait
        )
        if self.wanted:
            self.tell(
                RetryScheduled(
                    request=call.number,
                    attempt=call.sent,
                    wait=decision.wait,
                    reason=decision.reason,
                    error=type(error).__name__,
                    status=getattr(error, "status", None),
                    code=getattr(error, "code", None),
                    ambiguous=decision.ambiguous,
                )
            )

    def throttled(self, call: Call, error: ClovaSpeechError, pause: float) -> None:
        """Tell that the service asks for less."""
        if self.wanted:
            self.tell(
                Throttled(
                    request=call.number,
                    attempt=call.sent,
                    status=getattr(error, "status", None),
                    code=getattr(error, "code", None),
                    retry_after=getattr(error, "retry_after", None),
                    pause=pause,
                )
            )

    def limit(self, old: int, new: int, in_flight: int, waiting: int) -> None:
        """Tell that the limit has moved."""
        if old != new and self.wanted:
            self.tell(LimitChanged(old=old, new=new, in_flight=in_flight, waiting=waiting))
