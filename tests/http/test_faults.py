"""Everything that can go wrong between here and the service, over real sockets: what flow-control says must happen."""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from clova_speech_async import errors as e
from clova_speech_async.http.retry import RetryPolicy
from clova_speech_async.http.timeouts import Timeout

pytestmark = pytest.mark.anyio
BODY = b"RIFF" + bytes(50_000)


# --- the behaviours ---------------------------------------------------------------------------------


def early_413(peer: Any) -> bool:
    """Answers before the body was read, reads nothing more, and closes with a reset."""
    peer.head()
    body = b'{"error": {"errorCode": "STT000", "message": "Request Entity Too Large"}}'
    peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
    time.sleep(0.1)  # the answer is on its way before the reset is
    return peer.reset()


def early_413_and_open(peer: Any) -> bool:
    """Answers before the body was read, reads nothing more, and leaves the connection open."""
    peer.head()
    body = b'{"error": {"errorCode": 430, "message": "Request Entity Too Large"}}'
    peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    peer.server.ended.wait(10)
    return False


def cut_short(peer: Any) -> bool:
    peer.body(peer.head())
    peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"text": "hel')
    return False


def cut_short_by_reset(peer: Any) -> bool:
    peer.body(peer.head())
    peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"text": "hel')
    time.sleep(0.05)
    return peer.reset()


def cut_in_head(peer: Any) -> bool:
    peer.body(peer.head())
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    return False


def not_http(peer: Any) -> bool:
    peer.body(peer.head())
    peer.send(b"220 smtp.example ESMTP a-key-that-must-not-be-shown\r\n\r\n")
    return False


def drip(peer: Any) -> bool:
    """A byte now and then: each one resets a time-out that is per read."""
    peer.body(peer.head())
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n")
    for i in range(27):
        if peer.server.ended.wait(0.05):
            break
        peer.send(b'{"text":"hello","quota":15}'[i : i + 1])
    return False


def endless(peer: Any) -> bool:
    peer.body(peer.head())
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    for _ in range(16 * 1024):
        peer.send(chunk)
    return False


def a_gigabyte_announced(peer: Any) -> bool:
    peer.body(peer.head())
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n" + bytes(1000))
    return peer.hold()


def bomb(peer: Any) -> bool:
    peer.body(peer.head())
    body = gzip.compress(b'{"text":"' + bytes(64 * 1024 * 1024), 9)
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return True


# --- the table --------------------------------------------------------------------------------------


@dataclass
class Fault:
    """What the server does, again and again, and what must come of it."""

    name: str
    script: list[Any]
    error: type[e.ClovaSpeechError] | None
    """None: the call succeeds."""
    tries: int
    ambiguous: int = 0
    body: bytes = BODY
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: Timeout = field(default_factory=lambda: Timeout(connect=5, read=5, write=5, total=60))
    says: str = ""


def build(kit: Any) -> list[Fault]:
    ok, answer, error = kit.ok, kit.answer, kit.error
    html = b"<html><body>Bad gateway</body></html>"
    strict = RetryPolicy(strict_billing=True)
    hasty = Timeout(connect=5, write=5, read=0.15, total=60)
    large = bytes(8_000_000)
    return [
        Fault("close after upload", [kit.close_after_upload], e.ConnectionLostError, 2, 2, says="may be billed"),
        Fault("close after upload, once", [kit.close_after_upload, ok], None, 2, 1),
        Fault("close after upload, strict", [kit.close_after_upload, ok], e.ConnectionLostError, 1, 1, policy=strict),
        Fault("reset after upload", [kit.reset_after_upload], e.ConnectionLostError, 2, 2),
        Fault("read hang", [kit.hang], e.ReplyTimeoutError, 2, 2, timeout=hasty, says="0.15 s"),
        Fault("read hang, once", [kit.hang, ok], None, 2, 1, timeout=hasty),
        Fault("read hang, strict", [kit.hang, ok], e.ReplyTimeoutError, 1, 1, timeout=hasty, policy=strict),
        Fault("reset in the upload", [kit.reset_in_upload], e.ConnectionLostError, 2, 2, body=large),
        Fault("reset in the upload, once", [kit.reset_in_upload, ok], None, 2, 1, body=large),
        Fault("early 413", [early_413], e.PayloadTooLargeError, 1, body=large, says="413/STT000"),
        Fault("early 413, left open", [early_413_and_open], e.PayloadTooLargeError, 1, body=large, says="413/430"),
        Fault("200 cut short", [cut_short], e.InvalidReplyError, 2, 2, says="before its announced length"),
        Fault("200 cut short, once", [cut_short, ok], None, 2, 1),
        Fault("200 cut short, strict", [cut_short, ok], e.InvalidReplyError, 1, 1, policy=strict),
        Fault("200 cut short by a reset", [cut_short_by_reset], e.InvalidReplyError, 2, 2),
        Fault("cut in the head", [cut_in_head], e.ConnectionLostError, 2, 2),
        Fault("non-HTTP", [not_http], e.ConnectionLostError, 2, 2, says="not"),
        Fault("200 with HTML", [answer(200, html)], e.InvalidReplyError, 2, 2, says="not JSON"),
        Fault("200 with []", [answer(200, b"[]")], e.InvalidReplyError, 2, 2),
        Fault("200 with no text", [answer(200, b'{"quota": 15}')], e.InvalidReplyError, 2, 2, says="text"),
        Fault("500 with an empty body", [answer(500, b"")], e.InternalServerError, 4, says="4 tries"),
        Fault("502 with HTML", [answer(502, html), ok], None, 2),
        Fault("503 with bad UTF-8", [answer(503, b"\xff\xfe\x00"), ok], None, 2),
        Fault("500 with an int code", [error(500, 900), ok], None, 2),
        Fault("500 STT998", [error(500, "STT998"), ok], None, 2),
        Fault("500 STT006", [error(500, "STT006"), ok], e.PreprocessingError, 1),
        Fault("504", [error(504, 510)], e.GatewayTimeoutError, 2, 2),
        Fault("408", [answer(408, b""), ok], None, 2),
        Fault("403", [error(403, 230), ok], e.PermissionDeniedError, 1),
        Fault("404", [error(404, 300), ok], e.NotFoundError, 1),
        Fault("413 STT001", [error(413, "STT001"), ok], e.SoundDataTooLongError, 1),
        Fault("400 STT003", [error(400, "STT003"), ok], e.EmptySoundDataError, 1),
        Fault("429/400", [error(429, 400), ok], e.QuotaExceededError, 1),
        Fault("429/410 storm", [error(429, 410), error(429, 420), answer(429, b""), ok], None, 4),
        Fault("endless 429", [error(429, "410")], e.ThrottledError, 4, says="4 tries: 1. ThrottledError (429/410)"),
        Fault("slow drip", [drip], e.ReplyTimeoutError, 2, 2, timeout=hasty, says="the rest of the reply"),
        Fault("endless body", [endless, ok], e.ReplyTooLargeError, 1, 1),
        Fault("1 GB reply", [a_gigabyte_announced, ok], e.ReplyTooLargeError, 1, 1),
        Fault("gzip bomb", [bomb, ok], e.ReplyTooLargeError, 1, 1),
        Fault("gzip unasked", [answer(200, gzip.compress(kit.OK), Content_Encoding="gzip")], None, 1),
        Fault("gzip broken", [answer(200, b"no gzip", Content_Encoding="gzip")], e.InvalidReplyError, 2, 2),
        Fault(
            "gzip cut", [answer(200, gzip.compress(kit.OK)[:-4], Content_Encoding="gzip")], e.InvalidReplyError, 2, 2
        ),
        Fault("redirect", [answer(302, b"", Location="http://192.0.2.1/x"), ok], e.ServiceError, 1, says="redirect"),
        Fault("bad key", [error(401, 401), ok], e.AuthenticationError, 1, says="check the secret key"),
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "number" in metafunc.fixturenames:
        # The table needs the kit, which is a fixture; only its length and names are needed here.
        metafunc.parametrize("number", range(NUMBER))


NUMBER = 44


async def test_the_table_is_played_whole(kit: Any) -> None:
    assert len(build(kit)) == NUMBER


async def test_fault(number: int, kit: Any, server: Any, make_sender: Any) -> None:
    fault = build(kit)[number]
    server.play(*fault.script)
    sender = make_sender(server.url, retry=fault.policy, timeout=fault.timeout)
    caught: e.ClovaSpeechError | None = None
    try:
        sent = await sender.send(kit.kor, fault.body, seconds=16)
    except e.ClovaSpeechError as error:
        caught = error
    if fault.error is None:
        assert caught is None, f"{fault.name}: {caught!r}"
        assert sent.recognition.text == "hello"
        assert sent.attempts == fault.tries
    else:
        assert type(caught) is fault.error, f"{fault.name}: {caught!r}"
        assert len(caught.attempts) == fault.tries
        assert [attempt.number for attempt in caught.attempts] == list(range(1, fault.tries + 1))
        assert sum(attempt.ambiguous for attempt in caught.attempts) == fault.ambiguous
        assert fault.says in str(caught)
        for text in (str(caught), repr(caught), repr(caught.__cause__), repr(caught.__context__)):
            assert kit.KEY not in text
    stats = sender.stats()
    assert (stats.ambiguous, stats.maybe_billed_seconds) == (fault.ambiguous, 30.0 * fault.ambiguous)
    assert (stats.in_flight, stats.waiting) == (0, 0)
    assert stats.open_connections == stats.idle_connections
    # Whatever happened, the next request works.
    server.play(kit.ok)
    assert (await sender.send(kit.kor, b"RIFF", seconds=1)).recognition.text == "hello"
    await sender.aclose()
    assert sender.stats().open_connections == 0
