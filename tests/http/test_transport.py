"""Connections: opened ahead, kept, closed, and never leaked, whatever is cancelled when."""

from __future__ import annotations

import random
import time
from typing import Any

import anyio
import pytest
import trio.testing

from clova_speech_async import ClovaSpeechClient
from clova_speech_async import errors as e
from clova_speech_async.http import transport
from clova_speech_async.http.credentials import SecretKey
from clova_speech_async.http.events import (
    Event,
    RequestFinished,
)
from clova_speech_async.http.sender import Sender
from clova_speech_async.http.timeouts import Timeout

pytestmark = pytest.mark.anyio
BODY = b"RIFF" + bytes(50_000)


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


async def test_warming_ends_with_an_error_when_no_connection_comes_in_the_clients_own_time(
    make_sender: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> Any:
        await anyio.sleep_forever()

    monkeypatch.setattr(transport, "connect", never)
    slow = make_sender("http://127.0.0.1:9/recog/v1/stt", timeout=Timeout(connect=0.02))
    with anyio.fail_after(5), pytest.raises(e.ConnectTimeoutError, match=r"within 0.02 s; nothing was sent"):
        await slow.warm(3)
    slow = make_sender("http://127.0.0.1:9/recog/v1/stt", timeout=Timeout(total=0.02))
    with anyio.fail_after(5), pytest.raises(e.DeadlineExceededError, match="while connecting"):
        await slow.warm(3)
    assert slow.stats().open_connections == 0


@pytest.mark.parametrize(
    ("count", "error"),
    [
        (-1, e.InvalidArgumentError),
        (2.0, e.ArgumentTypeError),
        (True, e.ArgumentTypeError),
        ("3", e.ArgumentTypeError),
    ],
)
async def test_what_is_no_number_of_connections_is_refused(make_sender: Any, count: Any, error: type) -> None:
    sender = make_sender("http://127.0.0.1:9/recog/v1/stt")
    with pytest.raises(error, match="connections must be"):
        await sender.warm(count)
    assert await sender.warm(0) == 0


async def test_of_an_entered_client_idle_connections_are_closed_in_time(kit: Any, server: Any) -> None:
    """Also those that come later, and nothing runs on after the client."""
    async with ClovaSpeechClient(kit.KEY, invoke_url=server.url, idle_timeout=0.02) as client:
        for _ in range(2):
            assert await client.warm(3) == 3
            with anyio.fail_after(10):
                while client.stats().open_connections or server.open:
                    await anyio.sleep(0.001)
        await client.warm(1)
    assert client.stats().open_connections == 0


@pytest.mark.parametrize("other", ["asyncio", "trio"])
async def test_an_entered_client_may_be_used_in_another_threads_loop_while_it_is_idle(
    kit: Any, server: Any, other: str
) -> None:
    """What tends its connections stays in the loop that it was entered in."""
    async with ClovaSpeechClient(kit.KEY, invoke_url=server.url, idle_timeout=0.02) as client:

        async def ask() -> None:
            assert (await client.recognize(kit.WAV, lang="Kor")).text == "hello"

        def elsewhere() -> None:
            anyio.run(ask, backend=other)

        await anyio.to_thread.run_sync(elsewhere)
        await ask()
        with anyio.fail_after(10):
            while client.stats().open_connections:
                await anyio.sleep(0.001)


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})])
async def test_a_virtual_clock_goes_on_to_when_idle_connections_are_closed_and_no_further(
    kit: Any, server: Any
) -> None:
    async with ClovaSpeechClient(kit.KEY, invoke_url=server.url, idle_timeout=30) as client:
        began = anyio.current_time()
        await client.warm(1)
        await anyio.sleep(1000)
        assert anyio.current_time() - began < 1001
        assert client.stats().open_connections == 0


async def test_an_idle_connection_is_kept_until_its_time(kit: Any, server: Any) -> None:
    async with ClovaSpeechClient(kit.KEY, invoke_url=server.url, idle_timeout=float("inf")) as client:
        await client.warm(2)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert client.stats().idle_connections == 2


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


async def test_a_cancelled_request_may_be_billed_when_it_was_heard(kit: Any, server: Any, make_sender: Any) -> None:
    events: list[Event] = []

    server.play(kit.hang)
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
    assert (stats.requests, stats.cancelled) == (1, 1)
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
    server.play(kit.hang)
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
