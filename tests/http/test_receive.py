"""Replies as no good server sends them: of many parts, with more behind them, of errors that never end."""

from __future__ import annotations

import gzip
import threading
from typing import Any

import anyio
import httpx
import pytest

from clova_speech_async import errors as e
from clova_speech_async.http.control import Adaptive
from clova_speech_async.http.limiter import Limiter
from clova_speech_async.http.retry import RetryPolicy
from clova_speech_async.http.timeouts import Timeout
from clova_speech_async.http.wire import REPLY_LIMIT

pytestmark = pytest.mark.anyio
BODY = b"RIFF" + bytes(1000)
ONCE = RetryPolicy(max_attempts=1)


def raw(data: bytes, kit: Any, *, stay: bool = True) -> Any:
    def play(peer: Any) -> bool:
        kit.hear(peer)
        peer.send(data)
        return stay and not peer.hold()

    return play


@pytest.mark.parametrize(
    "surplus", [b"\r\n", b"}", b"HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n" + b'{"text":"bad!!","quota":15}']
)
async def test_what_follows_a_reply_is_not_taken_for_the_next_one(
    kit: Any, server: Any, make_sender: Any, surplus: bytes
) -> None:
    reply = kit.reply_bytes(200, kit.OK, {})

    def with_surplus(peer: Any) -> bool:
        kit.hear(peer)
        peer.send(reply + surplus)
        return True

    server.play(with_surplus, with_surplus, kit.ok)
    sender = make_sender(server.url)
    for _ in range(3):
        assert (await sender.send(kit.kor, BODY, seconds=1)).recognition.text == "hello"
    stats = sender.stats()
    assert (stats.attempts, stats.ambiguous, server.connections, stats.open_connections) == (3, 0, 3, 1)
    await sender.aclose()


@pytest.mark.parametrize("flood", ["chunks", "interim"])
async def test_many_small_parts_do_not_outlast_the_deadline(
    kit: Any, server: Any, make_sender: Any, flood: str
) -> None:
    """And other tasks go on meanwhile."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    many = head + b"1\r\na\r\n" * 300_000 if flood == "chunks" else b"HTTP/1.1 102 Processing\r\n\r\n" * 300_000
    server.play(raw(many, kit))
    sender = make_sender(server.url, retry=ONCE, timeout=Timeout(total=0.2, connect=5, read=5, write=5))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(others)
        with pytest.raises(e.DeadlineExceededError, match="reply"):
            await sender.send(kit.kor, BODY, seconds=1)
        group.cancel_scope.cancel()
    assert turns > 10
    assert sender.stats().open_connections == 0
    await sender.aclose()


async def test_a_body_in_a_million_parts_is_put_together(kit: Any, server: Any, make_sender: Any) -> None:
    text = "a" * 20_000
    chunks = b"".join(b"1\r\n%c\r\n" % letter for letter in f'{{"text":"{text}"}}'.encode())
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    server.play(raw(whole, kit))
    sender = make_sender(server.url)
    assert (await sender.send(kit.kor, BODY, seconds=1)).recognition.text == text
    await sender.aclose()


ERRORS = {401: e.AuthenticationError, 404: e.NotFoundError, 429: e.ThrottledError, 503: e.ServiceUnavailableError}


@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("body", ["stalls", "too large", "too large, chunked", "gzip bomb", "cut short"])
async def test_an_error_is_what_its_status_says_whatever_its_body_does(
    kit: Any, server: Any, make_sender: Any, status: int, body: str
) -> None:
    head = b"HTTP/1.1 %d X\r\nRetry-After: 7\r\n" % status
    large = REPLY_LIMIT + 1000
    said = {
        "stalls": b"Content-Length: 1000\r\n\r\n{",
        "too large": b"Content-Length: %d\r\n\r\n" % large + bytes(large),
        "too large, chunked": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % large + bytes(large) + b"\r\n0\r\n\r\n",
        "gzip bomb": b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n",
        "cut short": b"Content-Length: 1000\r\n\r\n{",
    }[body]
    if body == "gzip bomb":
        packed = gzip.compress(bytes(2 * REPLY_LIMIT))
        said = said % len(packed) + packed
    server.play(raw(head + said, kit, stay=body != "cut short"))
    sender = make_sender(server.url, retry=ONCE, timeout=Timeout(total=60, connect=5, read=0.5, write=5))
    with pytest.raises(ERRORS[status]) as caught:
        await sender.send(kit.kor, BODY, seconds=1)
    assert (caught.value.status, caught.value.retry_after) == (status, 7)
    stats = sender.stats()
    assert (stats.attempts, stats.ambiguous, stats.maybe_billed_seconds) == (1, 0, 0)
    assert (stats.open_connections, stats.throttled) == (0, status == 429)
    await sender.aclose()


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("framing", ["announced", "chunked", "until the end"])
async def test_the_cap_is_on_the_body_alone(kit: Any, server: Any, make_sender: Any, over: int, framing: str) -> None:
    body = b'{"text":"%b"}' % (b"a" * (REPLY_LIMIT - 11 + over))
    said = {
        "announced": b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        "until the end": b"\r\n" + body,
    }[framing]

    def play(peer: Any) -> bool:
        kit.hear(peer)
        peer.send(b"HTTP/1.1 200 OK\r\n" + said)
        return False

    server.play(play)
    sender = make_sender(server.url, retry=ONCE)
    if over:
        with pytest.raises(e.ReplyTooLargeError):
            await sender.send(kit.kor, BODY, seconds=1)
    else:
        assert len((await sender.send(kit.kor, BODY, seconds=1)).recognition.text) == REPLY_LIMIT - 11
    await sender.aclose()


async def test_a_hook_of_the_callers_client_that_raises_for_a_status_changes_nothing(
    kit: Any, server: Any, make_sender: Any
) -> None:
    """It is httpx's own recipe."""

    async def raise_for_status(response: httpx.Response) -> None:
        response.raise_for_status()

    async def read_and_raise(response: httpx.Response) -> None:
        await response.aread()
        response.raise_for_status()

    for hook, message in ((raise_for_status, "no message"), (read_and_raise, "what it says")):
        server.play(kit.error(401, 200))
        async with httpx.AsyncClient(event_hooks={"response": [hook]}) as client:
            sender = make_sender(server.url, http_client=client)
            with pytest.raises(e.AuthenticationError, match=message):
                await sender.send(kit.kor, BODY, seconds=1)
            assert (sender.stats().attempts, sender.stats().maybe_billed_seconds) == (1, 0)


async def test_what_a_hook_of_the_callers_client_asks_elsewhere_is_no_reply(
    kit: Any, server: Any, make_sender: Any
) -> None:
    """A token that cannot be had, say: nothing was sent to the service."""

    async def authorize(request: httpx.Request) -> None:
        httpx.Response(401, request=httpx.Request("POST", "https://tokens.example/new")).raise_for_status()

    async with httpx.AsyncClient(event_hooks={"request": [authorize]}) as client:
        sender = make_sender(server.url, http_client=client, retry=ONCE)
        with pytest.raises(e.ConnectError, match="nothing was sent"):
            await sender.send(kit.kor, BODY, seconds=1)
    assert server.requests == []


async def test_a_try_that_would_begin_behind_the_deadline_is_not_waited_for(
    kit: Any, server: Any, make_sender: Any
) -> None:
    """A hook cannot make it come sooner than a Retry-After, which holds all requests."""
    server.play(kit.error(503, None, Retry_After="100"))
    policy = RetryPolicy(hook=lambda decision: 0.1)
    sender = make_sender(server.url, retry=policy, timeout=Timeout(total=30, connect=5, read=5, write=5))
    with anyio.fail_after(10), pytest.raises(e.DeadlineExceededError, match="would begin in 105 s"):
        await sender.send(kit.kor, BODY, seconds=1)
    await sender.aclose()


@pytest.mark.parametrize("retry", [ONCE, RetryPolicy(hook=lambda decision: False), RetryPolicy()])
@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_retry_after_holds_everybody_whatever_becomes_of_who_got_it(
    kit: Any, server: Any, make_sender: Any, clock: Any, retry: RetryPolicy, status: int
) -> None:
    """From the moment on in which its slot is free for the next."""
    limiter = Limiter(Adaptive(4), pause=(0, 0), clock=clock)
    server.play(kit.error(status, None, Retry_After="30"))
    sender = make_sender(server.url, retry=retry, limiter=limiter)
    pauses: list[float] = []
    release = limiter.release

    def watched(*args: Any) -> bool:
        pauses.append(limiter.stats().pause)
        return release(*args)

    limiter.release = watched  # type: ignore[method-assign]
    with pytest.raises(e.ServiceError):
        await sender.send(kit.kor, BODY, seconds=1)
    assert pauses[0] == pytest.approx(31.5)
    assert limiter.stats().pause == pytest.approx(31.5)
    await sender.aclose()


async def test_what_a_hook_wants_of_one_request_holds_the_others_no_longer_than_a_retry_after_may(
    kit: Any, server: Any, make_sender: Any, clock: Any
) -> None:
    limiter = Limiter(4, pause=(0, 0), clock=clock)
    server.play(kit.error(503, None, Retry_After="1"), kit.ok)
    pauses: list[float] = []
    sleep = clock.sleep

    async def watched(seconds: float) -> None:
        pauses.append(limiter.stats().pause)
        await sleep(seconds)

    clock.sleep = watched
    policy = RetryPolicy(hook=lambda decision: 5000)
    sender = make_sender(
        server.url, limiter=limiter, retry=policy, timeout=Timeout(total=None, connect=5, read=5, write=5)
    )
    assert (await sender.send(kit.kor, BODY, seconds=1)).attempts == 2
    assert pauses == [pytest.approx(132)]
    assert clock.slept == [5000]
    await sender.aclose()


async def test_a_wish_that_is_too_long_holds_nobody(kit: Any, server: Any, make_sender: Any, clock: Any) -> None:
    limiter = Limiter(4, pause=(0, 0), clock=clock)
    server.play(kit.error(503, None, Retry_After="3600"))
    sender = make_sender(server.url, limiter=limiter)
    with pytest.raises(e.ServiceUnavailableError, match="3600"):
        await sender.send(kit.kor, BODY, seconds=1)
    assert limiter.stats().pause == 0
    await sender.aclose()


async def test_first_requests_side_by_side_make_one_tls_context(
    kit: Any, tls_server: Any, make_sender: Any, trusting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    may = threading.Event()

    def create(**_: Any) -> Any:
        made.append(1)
        assert may.wait(10)
        return trusting

    monkeypatch.setattr("clova_speech_async.http.tls.httpx.create_ssl_context", create)
    sender = make_sender(tls_server.url, concurrency=6)
    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(lambda: sender.send(kit.kor, BODY, seconds=1))
        while sender.stats().in_flight < 6:
            await anyio.lowlevel.checkpoint()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        may.set()
    assert (len(made), sender.stats().succeeded) == (1, 6)
    await sender.aclose()
