"""Spans and measures, as OpenTelemetry's own SDK receives them."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from clova_speech_async import errors, otel
from clova_speech_async.http.credentials import SecretKey
from clova_speech_async.http.events import LimitChanged, RequestFinished, RequestStarted, RetryScheduled, Throttled
from clova_speech_async.http.limiter import Limiter
from clova_speech_async.http.parameters import Parameters
from clova_speech_async.http.sender import Sender
from clova_speech_async.otel import OpenTelemetryHook

pytestmark = pytest.mark.anyio

SECRET = "very-secret-key"
SPOKEN = "what nobody else may read"
URL = "https://speech.example/my-domain/recog/v1/stt"
ADDRESS = {"server.address": "speech.example", "server.port": 443, "url.scheme": "https"}
Handler = Callable[[httpx.Request], Any]


@dataclass
class Telescope:
    """A hook on the SDK, and what the SDK's exporters received."""

    hook: OpenTelemetryHook
    tracers: TracerProvider
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    def points(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        metrics = (m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics) if data else ()
        return {metric.name: list(metric.data.data_points) for metric in metrics}

    def value(self, name: str) -> Any:
        (point,) = self.points()[name]
        return point.sum if isinstance(point, HistogramDataPoint) else point.value


class Ticking:
    """A clock that goes on by one step at every look."""

    def __init__(self, start: Any, step: Any) -> None:
        self._ticks = itertools.count(start, step)

    def __call__(self) -> Any:
        return next(self._ticks)


def telescope(**options: Any) -> Telescope:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    return Telescope(OpenTelemetryHook(tracers, meters, **options), tracers, exporter, reader)


@pytest.fixture
def seen() -> Iterator[Telescope]:
    scope = telescope()
    yield scope
    scope.tracers.shutdown()


def ok(request: httpx.Request | None = None) -> httpx.Response:
    return httpx.Response(200, json={"text": "hello", "quota": 15})


def failing(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(
        status, json={"timestamp": 1700536699045, "error": {"errorCode": code, "message": "no"}}, headers=headers
    )


def in_turn(*replies: Any) -> Handler:
    waiting = iter(replies)

    def handler(request: httpx.Request) -> httpx.Response:
        reply = next(waiting)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return handler


def sender(hook: Callable[[Any], object], handler: Handler, **options: Any) -> Sender:
    async def no_sleep(seconds: float) -> None:
        await anyio.lowlevel.checkpoint()

    settings: dict[str, Any] = {"limiter": Limiter(4, pause=(0.0, 0.0)), "sleep": no_sleep, "random": lambda: 0.5}
    settings |= options
    return Sender(
        url=URL,
        credentials=SecretKey(SECRET),
        transport=httpx.MockTransport(handler),
        on_event=hook,
        **settings,
    )


async def send(to: Sender, seconds: float = 4.0) -> Any:
    parameters = Parameters.check(lang="Eng", assessment=True, utterance=SPOKEN)
    return await to.send(parameters, b"RIFF" * 10, seconds=seconds)


async def test_a_success_is_one_span_with_what_was_heard_and_billed(seen: Telescope) -> None:
    sent = await send(sender(seen.hook, ok))
    span = seen.span
    assert (span.name, span.kind, span.status.status_code) == ("POST", SpanKind.CLIENT, StatusCode.UNSET)
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.request.body.size": 40,
        "url.full": URL,
        **ADDRESS,
        "clova_speech.attempts": 1,
        "clova_speech.audio_seconds": 4.0,
        "clova_speech.waited_seconds": (span.attributes or {})["clova_speech.waited_seconds"],
        "clova_speech.billed_seconds": 15.0,
        "clova_speech.maybe_billed_seconds": 0.0,
    }
    assert span.events == ()
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == pytest.approx(sent.elapsed * 1e9, abs=2)


async def test_measures_of_a_success(seen: Telescope) -> None:
    await send(sender(seen.hook, ok), seconds=16.0)
    points = seen.points()
    (exchange,) = points["http.client.request.duration"]
    assert dict(exchange.attributes) == {"http.request.method": "POST", "http.response.status_code": 200, **ADDRESS}
    assert exchange.count == 1
    assert exchange.explicit_bounds[:3] == (0.005, 0.01, 0.025)
    (active,) = points["http.client.active_requests"]
    assert active.value == 0
    assert seen.value("clova_speech.audio.duration") == 16.0
    assert seen.value("clova_speech.billed") == 15.0
    assert "clova_speech.maybe_billed" not in points
    assert "clova_speech.retries" not in points
    (whole,) = points["clova_speech.request.duration"]
    assert dict(whole.attributes) == ADDRESS


async def test_a_retry_is_an_event_of_the_same_span(seen: Telescope) -> None:
    await send(sender(seen.hook, in_turn(failing(500, "STT998"), failing(503, "500"), ok())))
    span = seen.span
    assert [event.name for event in span.events] == ["retry", "throttled", "retry"]
    first = dict(span.events[0].attributes or {})
    assert first.pop("clova_speech.reason")
    assert first == {
        "clova_speech.attempt": 1,
        "clova_speech.wait_seconds": 0.5,
        "clova_speech.ambiguous": False,
        "clova_speech.code": "STT998",
        "http.response.status_code": 500,
        "error.type": "RecognitionFailedError",
    }
    attributes = dict(span.attributes or {})
    assert attributes["clova_speech.attempts"] == 3
    assert attributes["http.request.resend_count"] == 2
    assert attributes["http.response.status_code"] == 200
    assert "error.type" not in attributes
    assert span.status.status_code is StatusCode.UNSET
    points = seen.points()
    assert {point.attributes["error.type"]: point.value for point in points["clova_speech.retries"]} == {
        "RecognitionFailedError": 1,
        "ServiceUnavailableError": 1,
    }
    tries = {
        point.attributes["http.response.status_code"]: point.count for point in points["http.client.request.duration"]
    }
    assert tries == {500: 1, 503: 1, 200: 1}


async def test_a_failure_names_the_error_the_code_and_the_tries(seen: Telescope) -> None:
    with pytest.raises(errors.PreprocessingError):
        await send(sender(seen.hook, in_turn(failing(500, "STT006", **{"x-request-id": "abc-1"}))))
    span = seen.span
    attributes = dict(span.attributes or {})
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "PreprocessingError")
    assert attributes["error.type"] == "PreprocessingError"
    assert attributes["clova_speech.code"] == "STT006"
    assert attributes["http.response.status_code"] == 500
    assert attributes["clova_speech.request_id"] == "abc-1"
    assert attributes["clova_speech.billed_seconds"] == 0.0
    points = seen.points()
    (whole,) = points["clova_speech.request.duration"]
    assert whole.attributes["error.type"] == "PreprocessingError"
    assert "clova_speech.billed" not in points


async def test_what_may_have_been_billed_is_counted(seen: Telescope) -> None:
    broken = httpx.ReadError("reset")
    await send(sender(seen.hook, in_turn(broken, ok())))
    assert seen.value("clova_speech.maybe_billed") == 15.0
    assert seen.value("clova_speech.billed") == 15.0
    (retry,) = (event for event in seen.span.events if event.name == "retry")
    assert (retry.attributes or {})["clova_speech.ambiguous"] is True
    assert "http.response.status_code" not in (retry.attributes or {})


async def test_throttling_is_an_event_with_the_pause_asked_for(seen: Telescope) -> None:
    await send(sender(seen.hook, in_turn(failing(429, "410", **{"retry-after": "0.01"}), ok())))
    (event,) = (event for event in seen.span.events if event.name == "throttled")
    attributes = dict(event.attributes or {})
    assert attributes["clova_speech.code"] == "410"
    assert attributes["clova_speech.retry_after_seconds"] == 0.01
    assert attributes["clova_speech.pause_seconds"] >= 0
    assert seen.value("clova_speech.throttled") == 1


async def test_the_callers_span_is_the_parent_also_across_tasks(seen: Telescope) -> None:
    tracer = seen.tracers.get_tracer("test")
    to = sender(seen.hook, ok)

    async def one(name: str) -> None:
        with tracer.start_as_current_span(name):
            async with anyio.create_task_group() as group:
                group.start_soon(send, to)
                group.start_soon(send, to)

    async with anyio.create_task_group() as group:
        group.start_soon(one, "a")
        group.start_soon(one, "b")
    parents = {span.context.span_id: span.name for span in seen.spans if span.name != "POST"}
    children = [parents[span.parent.span_id] for span in seen.spans if span.name == "POST" and span.parent]
    assert sorted(children) == ["a", "a", "b", "b"]


async def test_a_cancelled_request_ends_its_span_and_is_no_error(seen: Telescope) -> None:
    entered = anyio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        entered.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with anyio.create_task_group() as group:
        group.start_soon(send, sender(seen.hook, hang))
        await entered.wait()
        group.cancel_scope.cancel()
    span = seen.span
    assert (span.attributes or {})["error.type"] == "Cancelled"
    assert span.status.status_code is StatusCode.UNSET
    assert seen.value("http.client.active_requests") == 0
    assert seen.hook._open == {}


async def test_a_request_that_ends_in_line_has_a_span_of_its_own_kind(seen: Telescope) -> None:
    limiter = Limiter(1, max_waiting=0)
    await limiter.acquire()
    with pytest.raises(errors.QueueFullError):
        await sender(seen.hook, ok, limiter=limiter).enter()
    span = seen.span
    assert span.kind is SpanKind.INTERNAL
    assert (span.attributes or {})["clova_speech.attempts"] == 0
    assert (span.attributes or {})["error.type"] == "QueueFullError"
    assert "http.client.request.duration" not in seen.points()


async def test_nothing_secret_and_nothing_spoken_is_told(seen: Telescope) -> None:
    await send(sender(seen.hook, in_turn(failing(500, "STT998"), ok())))
    data = seen.reader.get_metrics_data()
    told = seen.span.to_json() + (data.to_json() if data else "")
    assert "POST" in told
    for private in (SECRET, SPOKEN, "nobody", "utterance", "hello"):
        assert private not in told


async def test_many_requests_leave_nothing_behind(seen: Telescope) -> None:
    def every_other(request: httpx.Request) -> httpx.Response:
        numbers.append(len(numbers))
        return ok(request) if len(numbers) % 2 else failing(400, "STT003")

    numbers: list[int] = []
    to = sender(seen.hook, every_other)
    for _ in range(50):
        with contextlib.suppress(errors.ServiceError):
            await send(to)
    assert len(seen.spans) == 50
    assert seen.hook._open == {}


# --- the hook by itself -----------------------------------------------------------------------------


def started(request: int = 1, attempt: int = 1, **changes: Any) -> RequestStarted:
    values: dict[str, Any] = {"audio_seconds": 2.0, "size": 10, "waited": 0.0, "url": URL}
    return RequestStarted(request=request, attempt=attempt, **values | changes)


def finished(request: int = 1, **changes: Any) -> RequestFinished:
    values: dict[str, Any] = {
        "attempts": 1,
        "status": 200,
        "code": None,
        "error": None,
        "request_id": None,
        "billed_seconds": 15.0,
        "maybe_billed_seconds": 0.0,
        "elapsed": 1.0,
    }
    return RequestFinished(request=request, **values | changes)


def test_a_span_begins_with_the_call_and_lasts_as_long() -> None:
    scope = telescope(clock=lambda: 1_000_000_000_000, monotonic=Ticking(0.0, 0.25))
    scope.hook(started(waited=3.0))
    scope.hook(finished(elapsed=3.25))
    assert (scope.span.start_time, scope.span.end_time) == (997_000_000_000, 1_000_250_000_000)
    assert scope.value("http.client.request.duration") == 0.25
    assert scope.value("clova_speech.request.duration") == 3.25
    assert scope.value("clova_speech.wait.duration") == 3.0


def test_a_clock_set_back_makes_no_span_end_before_it_began() -> None:
    scope = telescope(clock=Ticking(10**12, -(10**11)))
    scope.hook(started())
    scope.hook(finished(elapsed=0.5))
    assert scope.span.end_time == 10**12 + 500_000_000


def test_the_limit_is_a_gauge() -> None:
    scope = telescope()
    scope.hook(LimitChanged(old=4, new=5, in_flight=4, waiting=1))
    scope.hook(LimitChanged(old=5, new=3, in_flight=5, waiting=1))
    assert scope.value("clova_speech.limit") == 3


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8080/recog/v1/stt", ("127.0.0.1", 8080, "http")),
        ("http://localhost/recog/v1/stt", ("localhost", 80, "http")),
        ("https://[::1]/recog/v1/stt", ("::1", 443, "https")),
        ("", (None, None, None)),
    ],
)
def test_address_and_port_come_from_the_url(url: str, address: tuple[Any, ...]) -> None:
    scope = telescope()
    scope.hook(started(url=url))
    scope.hook(finished())
    attributes = scope.span.attributes or {}
    assert tuple(attributes.get(name) for name in ("server.address", "server.port", "url.scheme")) == address
    assert ("url.full" in attributes) is bool(url)


def test_requests_whose_end_is_never_told_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel, "_MOST_OPEN", 3)
    scope = telescope()
    for number in range(10):
        scope.hook(started(request=number))
    assert len(scope.hook._open) == 3
    assert len(scope.spans) == 7
    assert scope.value("http.client.active_requests") == 3


def test_late_events_of_an_unknown_request_harm_nothing() -> None:
    scope = telescope()
    scope.hook(
        RetryScheduled(request=9, attempt=1, wait=0.1, reason="x", error="E", status=None, code=None, ambiguous=False)
    )
    scope.hook(Throttled(request=9, attempt=1, status=429, code=None, retry_after=None, pause=0.5))
    assert scope.spans == ()
    assert scope.value("clova_speech.throttled") == 1


def test_without_providers_it_takes_the_global_ones() -> None:
    hook = OpenTelemetryHook()
    hook(started())
    hook(finished())
    assert hook._open == {}


def test_without_the_api_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "clova_speech_async.otel")
    with pytest.raises(errors.MissingDependencyError, match=r"pip install 'clova-speech-async\[otel\]'"):
        importlib.import_module("clova_speech_async.otel")


def test_it_needs_no_sdk() -> None:
    script = "import sys, clova_speech_async.otel; print('opentelemetry.sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
