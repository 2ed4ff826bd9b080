"""A request through all its tries, over real sockets: what is sent, the books, hooks, order, life."""

from __future__ import annotations

import json
import math
from typing import Any

import anyio
import pytest

from clova_speech_async import errors as e
from clova_speech_async.http.credentials import SecretKey
from clova_speech_async.http.events import (
    Event,
    RequestFinished,
)
from clova_speech_async.http.limiter import Limiter
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
    found = stats.to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found == {name: getattr(stats, name) for name in stats.__dataclass_fields__}
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
        await sender.enter()
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
    assert seen == [1, 1]  # before each try
    before = sender.stats()
    with pytest.raises(Enough):
        await sender.send(kit.kor, BODY, seconds=3, right_before=enough)
    with pytest.raises(e.JournalError, match="^the disk is full$"):
        await sender.send(kit.kor, BODY, seconds=3, right_before=journal_broken)
    assert len(server.requests) == 2
    stats = sender.stats()
    assert (stats.in_flight, stats.attempts) == (0, 2)
    # What was given up before anything was sent is no request; what met an error of ours has failed.
    assert (before.requests, stats.requests, stats.succeeded, stats.failed, stats.cancelled) == (1, 2, 1, 1, 0)
    await sender.aclose()


async def test_what_ends_a_call_between_two_tries_is_told_with_the_first(
    kit: Any, server: Any, make_sender: Any
) -> None:
    class Enough(Exception):
        pass

    tries = 0

    async def once() -> None:
        nonlocal tries
        tries += 1
        if tries % 2 == 0:
            raise e.BatchStoppedError("not sent again") if tries == 2 else Enough

    server.play(kit.error(503, 500), kit.error(503, 500))
    sender = make_sender(server.url)
    with pytest.raises(e.BatchStoppedError, match="not sent again") as caught:
        await sender.send(kit.kor, BODY, seconds=3, right_before=once)
    assert [attempt.status for attempt in caught.value.attempts] == [503]
    with pytest.raises(Enough):
        await sender.send(kit.kor, BODY, seconds=3, right_before=once)
    stats = sender.stats()
    assert (stats.requests, stats.failed, stats.attempts, stats.in_flight) == (2, 2, 2, 0)
    assert len(server.requests) == 2
    await sender.aclose()


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
        with anyio.fail_after(5):
            while not outcomes:
                await anyio.lowlevel.checkpoint()
        go.set()
    assert outcomes == ["closed", "hello"]
    assert sender.stats().open_connections == 0


@pytest.mark.parametrize("idle_timeout", [-1, math.nan])
def test_an_idle_timeout_that_cannot_be(idle_timeout: float, kit: Any) -> None:
    with pytest.raises(e.InvalidArgumentError, match="idle_timeout must be at least 0 seconds"):
        Sender(url="http://127.0.0.1:1/x", credentials=SecretKey(kit.KEY), idle_timeout=idle_timeout)


def test_making_one_costs_next_to_nothing(kit: Any) -> None:
    """No file is read, no context made, no thread started: an event loop that makes one does not stall."""
    import threading
    import time

    threads = threading.active_count()
    best = math.inf
    for _ in range(5):
        began = time.perf_counter()
        Sender(url="https://service.example/recog/v1/stt", credentials=SecretKey(kit.KEY))
        best = min(best, time.perf_counter() - began)
    assert best < 0.02
    assert threading.active_count() == threads


async def test_a_long_line_does_not_slow_down_those_at_its_head(kit: Any, server: Any, make_sender: Any) -> None:
    """With thousands in line a request takes what it takes with none, in steps of the event loop's own clock."""
    import time

    sender = make_sender(server.url, concurrency=2)

    async def once(waiting: int) -> float:
        """The longest time that the event loop was away while so many waited."""
        worst = 0.0
        async with anyio.create_task_group() as group:
            for _ in range(waiting // 50):
                for _ in range(50):
                    group.start_soon(lambda: sender.send(kit.kor, b"RIFF", seconds=3))
                await anyio.lowlevel.checkpoint()
            last = time.perf_counter()
            for _ in range(200):
                await anyio.lowlevel.checkpoint()
                now = time.perf_counter()
                worst, last = max(worst, now - last), now
            assert sender.stats().waiting > waiting // 2
            group.cancel_scope.cancel()
        return worst

    assert min([await once(2_000) for _ in range(2)]) < 0.02
    await sender.aclose()


async def test_who_is_cancelled_already_sends_nothing(kit: Any, server: Any, make_sender: Any) -> None:
    sender = make_sender(server.url)
    await sender.warm(1)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await sender.send(kit.kor, BODY, seconds=3)
    assert scope.cancelled_caught
    assert (server.requests, sender.stats().maybe_billed_seconds, sender.stats().in_flight) == ([], 0, 0)
    await sender.aclose()
