"""What a hook and the log are told, and what they are never told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from clova_speech_async import errors as e
from clova_speech_async.http.events import (
    Event,
    LimitChanged,
    RequestFinished,
    RequestStarted,
    RetryScheduled,
    Throttled,
)
from clova_speech_async.http.limiter import Adaptive
from clova_speech_async.http.observe import Observer
from clova_speech_async.http.parameters import Parameters
from clova_speech_async.http.retry import RetryPolicy

pytestmark = pytest.mark.anyio
BODY = b"RIFF" + bytes(50_000)


async def test_the_events_of_a_request(kit: Any, server: Any, make_sender: Any) -> None:
    events: list[Event] = []
    server.play(kit.error(429, 410, Retry_After="2"), kit.ok)
    sender = make_sender(server.url, on_event=events.append, concurrency=Adaptive(8))
    sent = await sender.send(kit.kor, BODY, seconds=3)
    kinds = [type(event) for event in events]
    assert kinds == [
        RequestStarted,
        LimitChanged,
        Throttled,
        RetryScheduled,
        RequestStarted,
        LimitChanged,
        RequestFinished,
    ] or kinds == [RequestStarted, LimitChanged, Throttled, RetryScheduled, RequestStarted, RequestFinished]
    first, limit, throttled, retry, second, *_, last = events
    assert isinstance(first, RequestStarted)
    assert (first.request, first.attempt, first.audio_seconds, first.size) == (sent.request, 1, 3, len(BODY))
    assert isinstance(limit, LimitChanged)
    assert (limit.old, limit.new, limit.in_flight, limit.waiting) == (4, 2, 0, 0)
    assert isinstance(throttled, Throttled)
    assert (throttled.status, throttled.code, throttled.retry_after) == (429, "410", 2)
    assert throttled.pause == pytest.approx(2.1)
    assert isinstance(retry, RetryScheduled)
    assert (retry.attempt, retry.error, retry.status, retry.code) == (1, "ThrottledError", 429, "410")
    assert (retry.wait, retry.reason, retry.ambiguous) == (pytest.approx(2.1), "throttled", False)
    assert isinstance(second, RequestStarted)
    assert second.attempt == 2
    assert isinstance(last, RequestFinished)
    assert (last.request, last.attempts, last.status, last.error) == (sent.request, 2, 200, None)
    assert (last.billed_seconds, last.maybe_billed_seconds, last.code) == (15, 0, None)
    assert last.elapsed >= 0
    await sender.aclose()


async def test_the_last_event_tells_how_a_request_failed(kit: Any, server: Any, make_sender: Any) -> None:
    events: list[Event] = []
    server.play(kit.error(504, 510, X_Request_Id="gateway-7"))
    sender = make_sender(server.url, on_event=events.append)
    with pytest.raises(e.GatewayTimeoutError):
        await sender.send(kit.kor, BODY, seconds=16)
    last = events[-1]
    assert isinstance(last, RequestFinished)
    assert (last.attempts, last.status, last.code, last.error) == (2, 504, "510", "GatewayTimeoutError")
    assert (last.request_id, last.billed_seconds, last.maybe_billed_seconds) == ("gateway-7", 0, 60)
    await sender.aclose()


async def test_a_hook_that_raises_harms_nothing(
    kit: Any, server: Any, make_sender: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(event: Event) -> None:
        raise RuntimeError("what went wrong")

    sender = make_sender(server.url, on_event=hook)
    assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "hello"
    assert "on_event raised RuntimeError for RequestStarted" in caplog.text
    assert 'raise RuntimeError("what went wrong")' in caplog.text, "where it went wrong is to be seen"
    await sender.aclose()


def test_a_hook_that_raises_for_everything_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    raised: list[Exception] = [ZeroDivisionError("one")]

    def hook(event: Event) -> None:
        raise raised[0]

    observer = Observer(hook)
    event = LimitChanged(old=1, new=2, in_flight=0, waiting=0)
    for _ in range(1234):
        observer.tell(event)
    raised[0] = KeyError("two")  # another mistake is told, too
    observer.tell(event)
    told = [(record.getMessage(), record.exc_info is not None) for record in caplog.records]
    assert told == [
        ("on_event raised ZeroDivisionError for LimitChanged; the request goes on", True),
        ("on_event has raised ZeroDivisionError for LimitChanged 10 times by now", False),
        ("on_event has raised ZeroDivisionError for LimitChanged 100 times by now", False),
        ("on_event has raised ZeroDivisionError for LimitChanged 1000 times by now", False),
        ("on_event raised KeyError for LimitChanged; the request goes on", True),
    ]


async def test_nothing_secret_is_logged_or_raised(
    kit: Any, server: Any, make_sender: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    utterance = "the sentence of the user"
    parameters = Parameters.check(lang="Eng", assessment=True, utterance=utterance)
    echo = f'{{"error": {{"errorCode": "STT999", "message": "key {kit.KEY}, {utterance}"}}}}'.encode()
    server.play(kit.answer(200, b'{"text": "what was said", "quota": 15}'), kit.answer(500, echo))
    events: list[Event] = []
    sender = make_sender(server.url, on_event=events.append)
    await sender.send(parameters, BODY, seconds=3)
    with pytest.raises(e.InternalServerError) as caught:
        await sender.send(parameters, BODY, seconds=3)
    assert "request" in caplog.text  # something is logged at DEBUG
    shown = caplog.text + repr(caught.value) + str(caught.value) + repr(caught.value.attempts) + repr(events)
    for secret in (kit.KEY, utterance, utterance.replace(" ", "%20"), "the%20sentence", "what was said"):
        assert secret not in shown
    await sender.aclose()


@pytest.mark.parametrize("raised", [LookupError("mine"), asyncio.CancelledError()])
async def test_a_hook_that_raises_shows_nothing_of_a_reply_and_loses_none(
    kit: Any, server: Any, make_sender: Any, caplog: pytest.LogCaptureFixture, raised: BaseException
) -> None:
    """What it raised while the call's own error was handled has that error, which quotes the reply, for its context."""

    def hook(event: Event) -> None:
        if isinstance(event, RequestFinished):
            try:
                raise KeyError("handled by the hook")
            except KeyError:
                raise raised  # noqa: B904

    server.play(kit.answer(200, b'{"said": "what was said"}'), kit.ok)
    sender = make_sender(server.url, on_event=hook, retry=RetryPolicy(max_attempts=1))
    with pytest.raises(e.InvalidReplyError, match="what was said"):
        await sender.send(kit.kor, BODY, seconds=3)
    assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "hello"
    assert type(raised).__name__ in caplog.text
    assert "handled by the hook" in caplog.text
    assert "what was said" not in caplog.text
    await sender.aclose()


async def test_without_a_handler_nothing_is_printed(
    kit: Any, server: Any, make_sender: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("clova_speech_async").handlers)
    sender = make_sender(server.url)
    await sender.send(kit.kor, BODY, seconds=3)
    await sender.aclose()
    assert capfd.readouterr() == ("", "")
