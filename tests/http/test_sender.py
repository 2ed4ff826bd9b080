"""A request through all its tries, over real sockets: books, events, hooks, order, secrets, life."""

from __future__ import annotations

import logging
import math
from typing import Any

import anyio
import pytest

from clova_speech_async import errors as e
from clova_speech_async.http.credentials import SecretKey
from clova_speech_async.http.events import (
    Event,
    LimitChanged,
    RequestFinished,
    RequestStarted,
    RetryScheduled,
    Throttled,
)
from clova_speech_async.http.limiter import Adaptive, Limiter
from clova_speech_async.http.parameters import Parameters
from clova_speech_async.http.retry import RetryDecision, RetryPolicy
from clova_speech_async.http.sender import Sender

pytestmark = pytest.mark.anyio
BODY = b"RIFF" + bytes(50_000)


async def test_what_is_sent(kit: Any, server: Any, make_sender: Any) -> None:
    sender = make_sender(server.url)
    parameters = Parameters.check(lang="Eng", assessment=True, utterance="50% & more?", graph=True)
    for body in (BODY, bytes(range(256)) * 4096):  # in one piece, and in several
        sent = await sender.send(parameters, body, seconds=31)
        assert (sent.recognition.text, sent.attempts, sent.body) == ("hello", 1, kit.OK)
        assert sent.elapsed > 0
        assert (sent.billed_seconds, sent.maybe_billed_seconds) == (15, 0)
        head, got = server.requests[-1]
        assert got == body
        line, *fields = head.decode().split("\r\n")
        query = "lang=Eng&assessment=true&utterance=50%25%20%26%20more%3F&graph=true"
        assert line == f"POST /recog/v1/stt?{query} HTTP/1.1"
        assert {name.lower(): value for name, value in (field.split(": ") for field in fields)} == {
            "host": f"127.0.0.1:{server.port}",
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": "clova-speech-async",
            "content-type": "application/octet-stream",
            "x-clovaspeech-api-key": kit.KEY,
            "content-length": str(len(body)),
        }
    assert server.connections == 1
    await sender.aclose()


async def test_the_books(kit: Any, server: Any, make_sender: Any) -> None:
    no_quota = kit.answer(200, b'{"text": "x"}')
    server.play(kit.ok, kit.error(503, 500), no_quota, kit.error(401, 401))
    sender = make_sender(server.url)
    await sender.send(kit.kor, BODY, seconds=14.9)
    assert sender.stats().retry_budget == 100
    sent = await sender.send(kit.kor, BODY, seconds=45.1)
    assert sent.billed_seconds == 60  # the reply said nothing
    with pytest.raises(e.AuthenticationError):
        await sender.send(kit.kor, BODY, seconds=1)
    stats = sender.stats()
    assert (stats.requests, stats.succeeded, stats.failed) == (3, 2, 1)
    assert (stats.attempts, stats.retries, stats.throttled, stats.retry_budget) == (4, 1, 0, 90)
    assert (stats.billed_seconds, stats.maybe_billed_seconds) == (75, 0)
    assert (stats.open_connections, stats.idle_connections, stats.limit) == (1, 1, 8)
    await sender.aclose()


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
        raise RuntimeError("a-secret-of-the-hook")

    sender = make_sender(server.url, on_event=hook)
    assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "hello"
    assert "on_event raised RuntimeError for RequestStarted" in caplog.text
    assert "a-secret-of-the-hook" not in caplog.text
    await sender.aclose()


async def test_a_retry_hook_sees_and_changes_decisions(kit: Any, server: Any, make_sender: Any, clock: Any) -> None:
    seen: list[RetryDecision] = []

    def hook(decision: RetryDecision) -> float | None:
        seen.append(decision)
        return 7.5 if decision.number == 1 else None

    server.play(kit.error(400, 100), kit.error(400, 100), kit.ok)
    sender = make_sender(server.url, retry=RetryPolicy(hook=hook))
    with pytest.raises(e.BadRequestError) as caught:
        await sender.send(kit.kor, BODY, seconds=3)
    assert [decision.retry for decision in seen] == [False, False]
    assert isinstance(seen[0].error, e.BadRequestError)
    assert clock.slept == [7.5]
    assert [attempt.waited for attempt in caught.value.attempts] == [7.5, 0]
    await sender.aclose()


async def test_no_slot_is_held_while_waiting_between_tries(kit: Any, server: Any, make_sender: Any) -> None:
    server.play(kit.error(503, 500), kit.ok)
    seen: list[int] = []

    async def sleep(seconds: float) -> None:
        seen.append(sender.stats().in_flight)

    sender = make_sender(server.url, concurrency=1)
    sender._sleep = sleep
    await sender.send(kit.kor, BODY, seconds=3)
    assert seen == [0]
    await sender.aclose()


async def test_no_more_requests_than_slots_and_no_more_connections(kit: Any, server: Any, make_sender: Any) -> None:
    sender = make_sender(server.url, concurrency=5)
    async with anyio.create_task_group() as group:
        for _ in range(60):
            group.start_soon(lambda: sender.send(kit.kor, BODY, seconds=3))
    assert len(server.requests) == 60
    assert server.most_in_flight <= 5
    assert server.connections <= 5
    assert sender.stats().idle_connections == server.connections
    await sender.aclose()


async def test_two_senders_may_share_a_limiter(kit: Any, server: Any, make_sender: Any) -> None:
    limiter = Limiter(2)
    senders = [make_sender(server.url, limiter=limiter) for _ in range(2)]
    async with anyio.create_task_group() as group:
        for i in range(30):
            group.start_soon(lambda sender: sender.send(kit.kor, BODY, seconds=3), senders[i % 2])
    assert server.most_in_flight <= 2
    for sender in senders:
        await sender.aclose()


async def test_a_full_line_is_said_at_once_and_costs_nothing(kit: Any, server: Any, make_sender: Any) -> None:
    events: list[Event] = []
    limiter = Limiter(1, max_waiting=0)
    sender = make_sender(server.url, limiter=limiter, on_event=events.append)
    started = await limiter.acquire()
    with pytest.raises(e.QueueFullError, match="max_waiting=0"):
        await sender.send(kit.kor, BODY, seconds=3)
    limiter.release(started)
    assert server.requests == []
    assert (sender.stats().failed, sender.stats().attempts) == (1, 0)
    (event,) = events
    assert isinstance(event, RequestFinished)
    assert (event.error, event.attempts, event.status) == ("QueueFullError", 0, None)


async def test_what_runs_right_before_a_request_has_the_slot_and_may_end_the_call(
    kit: Any, server: Any, make_sender: Any
) -> None:
    class Enough(Exception):
        pass

    seen: list[int] = []

    async def look() -> None:
        seen.append(sender.stats().in_flight)

    async def enough() -> None:
        raise Enough

    async def journal_broken() -> None:
        raise e.JournalError("the disk is full")

    server.play(kit.error(503, 500), kit.ok)
    sender = make_sender(server.url)
    await sender.send(kit.kor, BODY, seconds=3, right_before=look)
    assert seen == [1]  # once, not before each try
    with pytest.raises(Enough):
        await sender.send(kit.kor, BODY, seconds=3, right_before=enough)
    with pytest.raises(e.JournalError, match="^the disk is full$"):
        await sender.send(kit.kor, BODY, seconds=3, right_before=journal_broken)
    assert len(server.requests) == 2
    assert (sender.stats().in_flight, sender.stats().attempts) == (0, 2)
    await sender.aclose()


# --- secrets ----------------------------------------------------------------------------------------------


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


async def test_without_a_handler_nothing_is_printed(
    kit: Any, server: Any, make_sender: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("clova_speech_async").handlers)
    sender = make_sender(server.url)
    await sender.send(kit.kor, BODY, seconds=3)
    await sender.aclose()
    assert capfd.readouterr() == ("", "")


# --- life -------------------------------------------------------------------------------------------------


async def test_a_closed_sender_sends_nothing(kit: Any, server: Any, make_sender: Any) -> None:
    sender = make_sender(server.url)
    await sender.send(kit.kor, BODY, seconds=3)
    await sender.aclose()
    await sender.aclose()
    assert server.wait_until(lambda: server.open == 0)
    with pytest.raises(e.ClientClosedError):
        await sender.send(kit.kor, BODY, seconds=3)
    with pytest.raises(e.ClientClosedError):
        await sender.warm(1)
    assert len(server.requests) == 1


async def test_closing_lets_what_is_under_way_end_and_nothing_new_begin(
    kit: Any, server: Any, make_sender: Any
) -> None:
    import threading

    go = threading.Event()

    def slowly(peer: Any) -> bool:
        kit.hear(peer)
        go.wait(5)
        peer.send(kit.reply_bytes(200, kit.OK, {}))
        return True

    server.play(slowly)
    sender = make_sender(server.url, concurrency=1)
    outcomes: list[str] = []

    async def one() -> None:
        try:
            outcomes.append((await sender.send(kit.kor, BODY, seconds=3)).recognition.text)
        except e.ClientClosedError:
            outcomes.append("closed")

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        with anyio.fail_after(5):
            while not server.requests:
                await anyio.sleep(0.005)
        group.start_soon(one)
        while sender.stats().waiting == 0:
            await anyio.lowlevel.checkpoint()
        await sender.aclose()
        go.set()
    assert outcomes == ["hello", "closed"]
    assert sender.stats().open_connections == 0


async def test_warm_connections_carry_the_first_requests(kit: Any, server: Any, make_sender: Any) -> None:
    sender = make_sender(server.url)
    assert await sender.warm(3) == 3
    assert await sender.warm(2) == 3
    assert server.wait_until(lambda: server.connections == 3)
    assert sender.stats().idle_connections == 3
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(lambda: sender.send(kit.kor, BODY, seconds=3))
    assert server.connections == 3
    await sender.aclose()
    server.stop()
    other = make_sender(server.url)
    with pytest.raises(e.ConnectError):
        await other.warm(2)


async def test_idle_connections_are_closed_when_next_looked_at(kit: Any, server: Any, make_sender: Any) -> None:
    sender = make_sender(server.url, idle_timeout=0.05)
    await sender.warm(3)
    await anyio.sleep(0.06)
    await sender.send(kit.kor, BODY, seconds=3)
    assert sender.stats().open_connections == 1
    assert server.wait_until(lambda: server.open == 1)
    assert server.connections == 4
    await sender.aclose()


def test_a_sender_is_made_outside_an_event_loop_and_outlives_one(kit: Any, server: Any) -> None:
    sender = Sender(url=server.url, credentials=SecretKey(kit.KEY), trust_env=False)

    async def one() -> None:
        assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "hello"

    for backend in ("asyncio", "trio", "trio", "asyncio"):
        anyio.run(one, backend=backend)
    assert sender.stats().open_connections == 1
    anyio.run(sender.aclose)
    assert sender.stats().open_connections == 0


@pytest.mark.parametrize("idle_timeout", [-1, math.nan])
def test_an_idle_timeout_that_cannot_be(idle_timeout: float, kit: Any) -> None:
    with pytest.raises(e.InvalidArgumentError, match="idle_timeout must be 0 seconds or more"):
        Sender(url="http://127.0.0.1:1/x", credentials=SecretKey(kit.KEY), idle_timeout=idle_timeout)


# --- cancellation -------------------------------------------------------------------------------------------


async def test_a_cancelled_request_may_be_billed_when_it_was_heard(kit: Any, server: Any, make_sender: Any) -> None:
    events: list[Event] = []

    def silent(peer: Any) -> bool:
        kit.hear(peer)
        return bool(peer.hold())

    server.play(silent)
    sender = make_sender(server.url, on_event=events.append)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: sender.send(kit.kor, BODY, seconds=16))
        with anyio.fail_after(5):
            while not server.requests:
                await anyio.sleep(0.005)
        group.cancel_scope.cancel()
    stats = sender.stats()
    assert (stats.ambiguous, stats.maybe_billed_seconds) == (1, 30)
    assert (stats.in_flight, stats.open_connections, stats.failed) == (0, 0, 0)
    last = events[-1]
    assert isinstance(last, RequestFinished)
    assert (last.error, last.attempts, last.maybe_billed_seconds) == ("Cancelled", 1, 30)
    await sender.aclose()


async def test_nothing_is_left_after_cancellations(kit: Any, server: Any, make_sender: Any) -> None:
    await cancel_at_random_moments(kit, server, make_sender, 300)


@pytest.mark.soak
async def test_nothing_is_left_after_six_thousand_cancellations(kit: Any, server: Any, make_sender: Any) -> None:
    await cancel_at_random_moments(kit, server, make_sender, 6000)


async def cancel_at_random_moments(kit: Any, server: Any, make_sender: Any, number: int) -> None:
    import random
    import time

    dice = random.Random(number)

    def slowly(peer: Any) -> bool:
        kit.hear(peer)
        time.sleep(dice.uniform(0, 0.004))
        peer.send(kit.reply_bytes(200, kit.OK, {}))
        return True

    server.play(slowly)
    sender = make_sender(server.url, concurrency=6)
    outcomes = {"done": 0, "cancelled": 0}
    tasks_before = len(anyio.get_running_tasks())

    async def one() -> None:
        with anyio.move_on_after(dice.uniform(0, 0.08)) as scope:
            await sender.send(kit.kor, bytes(dice.choice([10, 50_000, 600_000])), seconds=3)
        outcomes["cancelled" if scope.cancelled_caught else "done"] += 1

    for _ in range(number // 30):
        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(one)
            if dice.random() < 0.2:
                await anyio.sleep(dice.uniform(0, 0.02))
                group.cancel_scope.cancel()  # a second cancellation, while the first may still be closing
    assert outcomes["cancelled"] > number // 20
    assert outcomes["done"] > number // 20
    stats = sender.stats()
    assert (stats.in_flight, stats.waiting) == (0, 0)
    assert stats.open_connections == stats.idle_connections <= 6
    assert len(anyio.get_running_tasks()) == tasks_before
    assert server.wait_until(lambda: server.open == stats.open_connections)
    server.play(kit.ok)
    assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "hello"
    with anyio.CancelScope() as scope:
        scope.cancel()
        await sender.aclose()  # closing under cancellation leaves nothing open either
    assert sender.stats().open_connections == 0
    assert server.wait_until(lambda: server.open == 0)


async def test_a_task_that_is_cancelled_twice(kit: Any, server: Any, make_sender: Any) -> None:
    def silent(peer: Any) -> bool:
        kit.hear(peer)
        return bool(peer.hold())

    server.play(silent)
    sender = make_sender(server.url)
    for inner_first in (True, False):
        with anyio.CancelScope() as outer, anyio.CancelScope() as inner:
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: sender.send(kit.kor, BODY, seconds=16))
                await anyio.sleep(0.05)
                for scope in (inner, outer) if inner_first else (outer, inner):
                    scope.cancel()
    assert (sender.stats().in_flight, sender.stats().open_connections) == (0, 0)
    server.play(kit.ok)
    assert (await sender.send(kit.kor, BODY, seconds=3)).attempts == 1
    await sender.aclose()


async def test_tls(kit: Any, tls_server: Any, make_sender: Any, trusting: Any) -> None:
    sender = make_sender(tls_server.url, ssl_context=trusting)
    # Session tickets lie in a connection that was opened ahead: they do not make it look closed.
    assert await sender.warm(1) == 1
    await anyio.sleep(0.05)
    for body in (BODY, bytes(3_000_000)):
        assert (await sender.send(kit.kor, body, seconds=3)).recognition.text == "hello"
        assert tls_server.requests[-1][1] == body
    assert tls_server.connections == 1
    await sender.aclose()


async def test_a_certificate_that_is_not_trusted_is_not_tried_again(
    kit: Any, tls_server: Any, make_sender: Any
) -> None:
    sender = make_sender(tls_server.url)
    with pytest.raises(
        e.ConnectError, match=r"is not trusted.*certificate.*SSL_CERT_FILE or pass ssl_context"
    ) as caught:
        await sender.send(kit.kor, BODY, seconds=3)
    assert len(caught.value.attempts) == 1
    assert tls_server.requests == []
    assert sender.stats().open_connections == 0
    await sender.aclose()
