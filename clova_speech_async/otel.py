"""OpenTelemetry: a span a request, and measures, from a client's events. Needs the extra ``otel``.

The law of this file: **it is told nothing it may not show**. Events hold no key, no query, no text and no audio, so
neither do spans and measures. And it holds nothing for ever: a span ends with its request, and should the end of one
never be told (its event loop was torn down), it is ended when there are too many.

Names are those of OpenTelemetry's semantic conventions for HTTP clients (stable since 1.23) where these have one, and
``clova_speech.…`` where they have none.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .errors import MissingDependencyError
from .http.events import LimitChanged, RequestFinished, RequestStarted, RetryScheduled, Throttled

try:
    from opentelemetry import metrics, trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode
except ImportError as error:
    raise MissingDependencyError(
        "clova_speech_async.otel needs OpenTelemetry's API: pip install 'clova-speech-async[otel]'"
    ) from error

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from .http.events import Event

__all__ = ["OpenTelemetryHook"]

_NAME = "clova_speech_async"
_SCHEMA = "https://opentelemetry.io/schemas/1.23.0"
_CANCELLED = "Cancelled"
_MOST_OPEN = 100_000
"""Requests that are followed at once; a client has as many as calls in it, so this is met by none that still lives."""
_HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds; those that the conventions name for ``http.client.request.duration``."""
_LONG_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
"""Seconds of a whole request, its waits in it; the default time-out is 600 s."""
_AUDIO_BUCKETS = (1, 2, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60)
"""Seconds; a request hears 60, and is billed by 15."""


@dataclass(slots=True)
class _Open:
    """A request that has begun and not ended."""

    span: Span
    began: int
    """Nanoseconds since 1970."""
    address: dict[str, AttributeValue]
    try_began: float | None
    """On the monotonic clock, in seconds; None between two tries."""


class OpenTelemetryHook:
    """Turns a client's events into spans and measures: ``ClovaSpeechClient(…, on_event=OpenTelemetryHook())``.

    A request is one span of kind CLIENT, from the call to its end, under the span that is current in the caller's
    task; a retry and a throttling are events in it. One that never got as far as being sent is of kind INTERNAL.
    One hook may serve several clients, in several threads.

    Args:
        tracer_provider: makes the spans; the global one where not given.
        meter_provider: makes the measures; the global one where not given.
        clock: nanoseconds since 1970, for the spans' times.
        monotonic: seconds, for durations.

    Raises `MissingDependencyError`, on import of this module, where OpenTelemetry's API is not installed.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider, schema_url=_SCHEMA)
        self._measures = _Measures(metrics.get_meter(_NAME, meter_provider=meter_provider, schema_url=_SCHEMA))
        self._clock = clock
        self._monotonic = monotonic
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Take in one event; called by the client in the task of the request."""
        match event:
            case RequestStarted():
                self._started(event)
            case RetryScheduled():
                self._retrying(event)
            case RequestFinished():
                self._finished(event)
            case Throttled():
                self._throttled(event)
            case LimitChanged():
                self._measures.limit.set(event.new)

    # --- a request ----------------------------------------------------------------------------------

    def _started(self, event: RequestStarted) -> None:
        opened = self._open.get(event.request)
        if opened is None:
            opened = self._begin(event)
        opened.try_began = self._monotonic()
        self._measures.active.add(1, {"http.request.method": "POST", **opened.address})
        self._measures.waited.record(event.waited, opened.address)

    def _begin(self, event: RequestStarted) -> _Open:
        address = _address(event.url)
        began = self._clock() - _nanoseconds(event.waited)
        attributes: dict[str, AttributeValue] = {
            "http.request.method": "POST",
            **address,
            "http.request.body.size": event.size,
            "clova_speech.audio_seconds": event.audio_seconds,
            "clova_speech.waited_seconds": event.waited,
        }
        if event.url:
            attributes["url.full"] = event.url
        span = self._tracer.start_span("POST", kind=SpanKind.CLIENT, attributes=attributes, start_time=began)
        opened = _Open(span, began, address, None)
        lost: _Open | None = None
        with self._lock:
            self._open[event.request] = opened
            if len(self._open) > _MOST_OPEN:
                _, lost = self._open.popitem(last=False)
        self._measures.audio.record(event.audio_seconds, address)
        if lost is not None:
            self._end_try(lost, None, _CANCELLED)
            lost.span.end()
        return opened

    def _retrying(self, event: RetryScheduled) -> None:
        opened = self._open.get(event.request)
        if opened is None:
            return
        self._end_try(opened, event.status, event.error)
        self._measures.retries.add(1, {**opened.address, "error.type": event.error})
        attributes: dict[str, AttributeValue] = {
            "clova_speech.attempt": event.attempt,
            "clova_speech.wait_seconds": event.wait,
            "clova_speech.reason": event.reason,
            "clova_speech.ambiguous": event.ambiguous,
            "error.type": event.error,
            **_reply(event.status, event.code),
        }
        opened.span.add_event("retry", attributes, timestamp=self._clock())

    def _throttled(self, event: Throttled) -> None:
        opened = self._open.get(event.request)
        self._measures.throttled.add(1, {} if opened is None else opened.address)
        if opened is None:
            return
        attributes = {"clova_speech.pause_seconds": event.pause, **_reply(event.status, event.code)}
        if event.retry_after is not None:
            attributes["clova_speech.retry_after_seconds"] = event.retry_after
        opened.span.add_event("throttled", attributes, timestamp=self._clock())

    def _finished(self, event: RequestFinished) -> None:
        with self._lock:
            opened = self._open.pop(event.request, None)
        if opened is None:
            began = self._clock() - _nanoseconds(event.elapsed)
            span = self._tracer.start_span("clova_speech wait in line", kind=SpanKind.INTERNAL, start_time=began)
            opened = _Open(span, began, {}, None)
        self._end_try(opened, event.status, event.error)
        self._measures.request(event, opened.address)
        _conclude(opened.span, event)
        # From the monotonic clock: one that is set back meanwhile must not make a span end before it began.
        opened.span.end(opened.began + _nanoseconds(event.elapsed))

    def _end_try(self, opened: _Open, status: int | None, error: str | None) -> None:
        began, opened.try_began = opened.try_began, None
        if began is None:
            return
        attributes: dict[str, AttributeValue] = {"http.request.method": "POST", **opened.address}
        self._measures.active.add(-1, attributes)
        if status is not None:
            attributes = {**attributes, "http.response.status_code": status}
        if error is not None:
            attributes = {**attributes, "error.type": error}
        self._measures.exchange.record(max(0.0, self._monotonic() - began), attributes)


@dataclass(slots=True)
class _Measures:
    """The instruments, made once."""

    meter: metrics.Meter
    exchange: metrics.Histogram = field(init=False)
    active: metrics.UpDownCounter = field(init=False)
    whole: metrics.Histogram = field(init=False)
    waited: metrics.Histogram = field(init=False)
    audio: metrics.Histogram = field(init=False)
    billed: metrics.Counter = field(init=False)
    maybe_billed: metrics.Counter = field(init=False)
    retries: metrics.Counter = field(init=False)
    throttled: metrics.Counter = field(init=False)
    limit: metrics._Gauge = field(init=False)

    def __post_init__(self) -> None:
        self.exchange = self._histogram("http.client.request.duration", "Of one try of a request.", _HTTP_BUCKETS)
        self.whole = self._histogram(
            "clova_speech.request.duration", "Of a request, its waits and all its tries in it.", _LONG_BUCKETS
        )
        self.waited = self._histogram("clova_speech.wait.duration", "Of a try's wait for a slot.", _LONG_BUCKETS)
        self.audio = self._histogram("clova_speech.audio.duration", "Of the audio of a request.", _AUDIO_BUCKETS)
        counter, up_down = self.meter.create_counter, self.meter.create_up_down_counter
        self.active = up_down("http.client.active_requests", "{request}", "Tries under way.")
        self.billed = counter("clova_speech.billed", "s", "Audio that the service billed.")
        self.maybe_billed = counter(
            "clova_speech.maybe_billed", "s", "Audio that tries without a readable reply may have been billed."
        )
        self.retries = counter("clova_speech.retries", "{retry}", "Tries after the first of their request.")
        self.throttled = counter("clova_speech.throttled", "{reply}", "Replies that asked for fewer requests.")
        self.limit = self.meter.create_gauge(
            "clova_speech.limit", "{request}", "How many requests may be under way; told whenever it changes."
        )

    def _histogram(self, name: str, description: str, buckets: tuple[float, ...]) -> metrics.Histogram:
        return self.meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=buckets)

    def request(self, event: RequestFinished, address: dict[str, AttributeValue]) -> None:
        """Take in the end of a request."""
        attributes = dict(address)
        if event.error is not None:
            attributes["error.type"] = event.error
        self.whole.record(event.elapsed, attributes)
        if event.billed_seconds:
            self.billed.add(event.billed_seconds, address)
        if event.maybe_billed_seconds:
            self.maybe_billed.add(event.maybe_billed_seconds, address)


# --- small decisions --------------------------------------------------------------------------------


def _conclude(span: Span, event: RequestFinished) -> None:
    """Write down how a request ended."""
    attributes: dict[str, AttributeValue] = {
        "clova_speech.attempts": event.attempts,
        "clova_speech.billed_seconds": event.billed_seconds,
        "clova_speech.maybe_billed_seconds": event.maybe_billed_seconds,
        **_reply(event.status, event.code),
    }
    if event.attempts > 1:
        attributes["http.request.resend_count"] = event.attempts - 1
    if event.request_id is not None:
        attributes["clova_speech.request_id"] = event.request_id
    if event.error is not None:
        attributes["error.type"] = event.error
    span.set_attributes(attributes)
    # Whoever cancels a request has not met an error: the span's status is left as it is.
    if event.error not in (None, _CANCELLED):
        span.set_status(Status(StatusCode.ERROR, event.error))


def _reply(status: int | None, code: str | None) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {}
    if status is not None:
        attributes["http.response.status_code"] = status
    if code is not None:
        attributes["clova_speech.code"] = code
    return attributes


def _address(url: str) -> dict[str, AttributeValue]:
    parts = urlsplit(url)
    if not parts.hostname:
        return {}
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname, "server.port": port, "url.scheme": parts.scheme}


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000_000)
