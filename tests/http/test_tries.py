"""Faults that are no single reply: refused, stale, throttled, late, and many at once."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from clova_speech_async import errors as e
from clova_speech_async.http.limiter import Limiter
from clova_speech_async.http.retry import RetryPolicy
from clova_speech_async.http.timeouts import Timeout

pytestmark = pytest.mark.anyio
BODY = b"RIFF" + bytes(50_000)


async def test_connection_refused(kit: Any, server: Any, make_sender: Any, clock: Any) -> None:
    server.stop()
    sender = make_sender(server.url)
    with pytest.raises(e.ConnectError, match=rf"127.0.0.1:{server.port} .*refused.*nothing was sent") as caught:
        await sender.send(kit.kor, BODY, seconds=3)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert len(caught.value.attempts) == 4
    assert clock.slept == [0.5, 1.0, 2.0]  # half of 1, 2 and 4
    assert sender.stats().maybe_billed_seconds == 0


@pytest.mark.parametrize("reset", [False, True])
async def test_an_idle_connection_that_the_server_closed_is_not_used(
    kit: Any, server: Any, make_sender: Any, reset: bool
) -> None:
    def then_close(peer: Any) -> bool:
        kit.ok(peer)
        return peer.reset() if reset else False

    server.play(then_close, kit.ok)
    sender = make_sender(server.url)
    await sender.send(kit.kor, BODY, seconds=3)
    assert server.wait_until(lambda: server.open == 0)
    sent = await sender.send(kit.kor, BODY, seconds=3)
    assert (sent.attempts, server.connections) == (1, 2)
    assert sender.stats().ambiguous == 0
    await sender.aclose()


@pytest.mark.parametrize("behaviour", ["close_after_upload", "reset_after_upload", "reset_in_upload"])
async def test_a_reused_connection_that_breaks_is_tried_again_at_once_on_a_fresh_one(
    kit: Any, server: Any, make_sender: Any, clock: Any, behaviour: str
) -> None:
    server.play(kit.ok, kit.ok, getattr(kit, behaviour), kit.ok)
    sender = make_sender(server.url)
    async with anyio.create_task_group() as group:  # two idle connections
        group.start_soon(lambda: sender.send(kit.kor, BODY, seconds=3))
        group.start_soon(lambda: sender.send(kit.kor, BODY, seconds=3))
    before = server.connections
    sent = await sender.send(kit.kor, BODY, seconds=3)
    assert (sent.attempts, sent.maybe_billed_seconds) == (2, 15)
    assert server.connections == before + 1
    assert clock.slept == []
    assert sender.stats().retry_budget == 80
    await sender.aclose()


async def test_strict_billing_does_not_even_trust_a_stale_connection(kit: Any, server: Any, make_sender: Any) -> None:
    server.play(kit.ok, kit.close_after_upload, kit.ok)
    sender = make_sender(server.url, retry=RetryPolicy(strict_billing=True))
    await sender.send(kit.kor, BODY, seconds=3)
    with pytest.raises(e.ConnectionLostError, match="billing is strict"):
        await sender.send(kit.kor, BODY, seconds=3)
    await sender.aclose()


@pytest.mark.parametrize(
    ("value", "waited"),
    [
        ("nan", 1.0),
        ("-1", 1.0),
        ("1e309", 1.0),
        ("Mon, 99 Foo 2026 99:99:99 GMT", 1.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1.05),
        ("3", 3.15),
        ("120", 126.0),
    ],
)
async def test_retry_after(kit: Any, server: Any, make_sender: Any, clock: Any, value: str, waited: float) -> None:
    server.play(kit.error(429, 410, Retry_After=value), kit.ok)
    sender = make_sender(server.url, timeout=Timeout(total=1000))
    assert (await sender.send(kit.kor, BODY, seconds=3)).attempts == 2
    assert clock.slept == [pytest.approx(waited)]
    await sender.aclose()


async def test_a_retry_after_that_is_too_long_ends_the_call_at_once(kit: Any, server: Any, make_sender: Any) -> None:
    server.play(kit.error(429, 410, Retry_After="121"), kit.ok)
    sender = make_sender(server.url)
    with pytest.raises(e.ThrottledError, match="wait 121 s, more than the 120 s") as caught:
        await sender.send(kit.kor, BODY, seconds=3)
    assert caught.value.retry_after == 121
    assert len(server.requests) == 1
    await sender.aclose()


async def test_a_retry_after_beyond_the_deadline_ends_the_call_at_once(
    kit: Any, server: Any, make_sender: Any, clock: Any
) -> None:
    server.play(kit.error(429, 410, Retry_After="100"), kit.ok)
    sender = make_sender(server.url, timeout=Timeout(total=50))
    with pytest.raises(e.DeadlineExceededError, match=r"in 105 s, but only .* are left.*ThrottledError") as caught:
        await sender.send(kit.kor, BODY, seconds=3)
    assert isinstance(caught.value.__cause__, e.ThrottledError)
    assert caught.value.retry_after == 100
    assert [attempt.code for attempt in caught.value.attempts] == ["410"]
    assert clock.slept == []
    await sender.aclose()


async def test_one_bad_reply_among_many_fails_alone(kit: Any, server: Any, make_sender: Any) -> None:
    server.play(*[kit.ok] * 5, kit.error(401, 401), *[kit.ok] * 10)
    sender = make_sender(server.url)
    outcomes: list[object] = []

    async def one() -> None:
        try:
            outcomes.append((await sender.send(kit.kor, BODY, seconds=3)).recognition.text)
        except e.AuthenticationError as error:
            outcomes.append(error.code)

    async with anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(one)
    assert sorted(map(str, outcomes)) == ["401", *["hello"] * 11]
    await sender.aclose()


async def test_a_total_outage_is_not_answered_with_a_storm(kit: Any, server: Any, make_sender: Any) -> None:
    server.play(kit.error(503, 500))
    sender = make_sender(server.url)
    failures: list[e.ClovaSpeechError] = []
    for _ in range(30):
        with pytest.raises(e.ServiceUnavailableError) as caught:
            await sender.send(kit.kor, b"RIFF", seconds=3)
        failures.append(caught.value)
    assert len(server.requests) == 30 + 10
    assert "retry budget is used up" in str(failures[-1])
    assert sender.stats().retries == 10
    await sender.aclose()


async def test_the_deadline_spans_all_tries_and_the_wait_for_the_reply(kit: Any, server: Any, make_sender: Any) -> None:
    server.play(kit.error(503, 500), kit.hang)
    sender = make_sender(server.url, timeout=Timeout(total=0.4, read=30), retry=RetryPolicy(base_delay=0))
    with pytest.raises(e.DeadlineExceededError, match=r"while waiting for the reply; it may be billed") as caught:
        await sender.send(kit.kor, BODY, seconds=3)
    assert [attempt.status for attempt in caught.value.attempts] == [503, None]
    assert caught.value.attempts[1].ambiguous
    assert sender.stats().maybe_billed_seconds == 15
    assert isinstance(caught.value, TimeoutError)
    await sender.aclose()


async def test_the_deadline_counts_the_time_in_line(kit: Any, server: Any, make_sender: Any) -> None:
    server.play(kit.hang)
    sender = make_sender(server.url, limiter=Limiter(1), timeout=Timeout(read=30))
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: sender.send(kit.kor, BODY, seconds=3))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(e.DeadlineExceededError, match="in line for a slot") as caught:
            await sender.send(kit.kor, BODY, seconds=3, timeout=Timeout(total=0.05))
        assert caught.value.attempts == ()
        group.cancel_scope.cancel()
    await sender.aclose()


async def test_an_upload_that_nobody_takes_times_out(kit: Any, server: Any, make_sender: Any) -> None:
    def deaf(peer: Any) -> bool:
        peer.server.ended.wait(10)
        return False

    server.play(deaf)
    sender = make_sender(server.url, timeout=Timeout(write=0.1), retry=RetryPolicy(max_attempts=1))
    with pytest.raises(e.ReplyTimeoutError, match=r"took nothing more of the upload within 0.1 s"):
        await sender.send(kit.kor, bytes(20_000_000), seconds=3)
    assert sender.stats().open_connections == 0
    await sender.aclose()


async def test_a_connection_that_does_not_come_in_time(kit: Any, make_sender: Any) -> None:
    import socket

    # A listener whose backlog is full answers no connection.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            limiter = Limiter(8, pause=(0, 0))
            sender = make_sender(
                f"http://127.0.0.1:{address[1]}/recog/v1/stt",
                timeout=Timeout(connect=0.1),
                limiter=limiter,
                retry=RetryPolicy(max_attempts=2),
            )
            with pytest.raises(e.ConnectTimeoutError, match=r"within 0.1 s; nothing was sent") as caught:
                await sender.send(kit.kor, BODY, seconds=3)
    assert [attempt.ambiguous for attempt in caught.value.attempts] == [False, False]
    assert sender.stats().open_connections == 0


async def test_a_proxy_that_fails(kit: Any, server: Any, make_sender: Any) -> None:
    def bad_gateway(peer: Any) -> bool:
        assert peer.head().startswith(b"CONNECT")
        peer.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        return False

    server.play(bad_gateway)
    sender = make_sender(
        "https://clova.example/recog/v1/stt", proxy=f"http://user:hidden-password@127.0.0.1:{server.port}"
    )
    with pytest.raises(
        e.ConnectError, match="proxy gave no connection to clova.example:443; nothing was sent"
    ) as caught:
        await sender.send(kit.kor, BODY, seconds=3)
    assert len(caught.value.attempts) == 4
    assert "hidden-password" not in str(caught.value)
    assert sender.stats().maybe_billed_seconds == 0
    await sender.aclose()


@pytest.mark.parametrize("at", [1, 20, 90, 91, 92, 200, 5_000, 50_000])
async def test_a_reset_at_any_byte_of_the_request(kit: Any, server: Any, make_sender: Any, at: int) -> None:
    def play(peer: Any) -> bool:
        got = len(peer.buffer)
        while got < at and (data := peer.sock.recv(at - got)):
            got += len(data)
        return bool(peer.reset())

    server.play(play, kit.ok)
    sender = make_sender(server.url)
    sent = await sender.send(kit.kor, BODY, seconds=3)
    assert (sent.attempts, sent.maybe_billed_seconds) == (2, 15)
    assert sender.stats().open_connections == 1
    await sender.aclose()


@pytest.mark.parametrize("reset", [False, True])
async def test_an_end_at_any_byte_of_the_reply(kit: Any, server: Any, make_sender: Any, reset: bool) -> None:
    reply = kit.reply_bytes(200, kit.OK, {})
    head = reply.index(b"\r\n\r\n") + 4
    cuts = sorted({*range(0, len(reply), 7), 1, head - 4, head - 1, head, head + 1, len(reply) - 1})
    for at in cuts:

        def play(peer: Any, at: int = at) -> bool:
            kit.hear(peer)
            peer.send(reply[:at])
            return bool(reset and peer.reset())

        server.play(play)
        sender = make_sender(server.url)
        # A reset may overtake what was sent before it; what has come is then lost with the connection.
        wanted = (
            (e.ConnectionLostError, e.InvalidReplyError)
            if reset
            else (e.InvalidReplyError if at >= head else e.ConnectionLostError)
        )
        with pytest.raises(wanted) as caught:
            await sender.send(kit.kor, b"RIFF", seconds=3)
        assert [attempt.ambiguous for attempt in caught.value.attempts] == [True, True], at
        assert sender.stats().open_connections == 0
        await sender.aclose()
