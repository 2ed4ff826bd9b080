from __future__ import annotations

import math
import zlib

import anyio
import pytest

from clova_speech_async.errors import ConfigurationError, ReplyTooLargeError
from clova_speech_async.http.exchange import Outgoing, Phase, Progress, Upload, check_announced, make_reply
from clova_speech_async.http.timeouts import Timeout
from clova_speech_async.http.wire import REPLY_LIMIT

pytestmark = pytest.mark.anyio


async def test_pulling_an_upload_tells_how_far_the_request_has_come() -> None:
    progress = Progress(Timeout(write=3, read=7, total=None), math.inf)
    body = bytes(range(256)) * 2500  # 640 000 bytes: three pieces
    upload = Upload(body, progress)
    assert not progress.heard
    got = b""
    async for piece in upload:
        got += piece
        assert progress.phase is Phase.SENDING
        assert progress.scope.deadline == pytest.approx(anyio.current_time() + 3, abs=0.5)
        assert progress.limit() == 3
    assert got == body
    assert progress.phase is Phase.RECEIVING
    assert progress.scope.deadline == pytest.approx(anyio.current_time() + 7, abs=0.5)
    assert b"".join([piece async for piece in upload]) == body  # again, for whoever must send it again
    assert repr(upload) == "<Upload of 640000 bytes>"
    pieces = upload.__aiter__()
    assert pieces.__aiter__() is pieces
    assert [piece async for piece in Upload(b"", progress)] == []


async def test_no_phase_outlives_the_deadline() -> None:
    now = anyio.current_time()
    progress = Progress(Timeout(), now + 5)
    for phase in Phase:
        progress.enter(phase)
        assert progress.scope.deadline <= now + 5
    assert not progress.past_deadline
    assert Progress(Timeout(), now).past_deadline


@pytest.mark.parametrize(
    ("url", "place", "host"),
    [
        (
            "https://clovaspeech-gw.ncloud.com/recog/v1/stt",
            "clovaspeech-gw.ncloud.com:443",
            b"clovaspeech-gw.ncloud.com",
        ),
        ("http://localhost:8080/x/recog/v1/stt", "localhost:8080", b"localhost:8080"),
        ("http://[::1]:99/recog/v1/stt", "::1:99", b"[::1]:99"),
    ],
)
async def test_the_address(url: str, place: str, host: bytes) -> None:
    to = Outgoing(url, [(b"X-Key", b"k")])
    assert to.place == place
    progress = Progress(Timeout(), math.inf)
    core, other = (
        to.core_request("lang=Kor", b"abc", progress),
        to.httpx_request("lang=Kor", b"abc", progress, Timeout()),
    )
    assert dict(core.headers)[b"Host"] == host
    assert [(name.lower(), value) for name, value in core.headers] == [
        (name.lower(), value) for name, value in other.headers.raw
    ]
    assert core.url.target == other.url.raw_path
    assert core.method == other.method.encode() == b"POST"


def test_what_is_announced_over_the_cap_is_not_read() -> None:
    check_announced(200, [(b"Content-Length", b"%d" % REPLY_LIMIT), (b"X", b"y")])
    check_announced(200, [(b"Content-Length", b"nonsense")])
    with pytest.raises(ReplyTooLargeError, match="answered 200 with more than 8388608 bytes"):
        check_announced(200, [(b"content-length", b"%d" % (REPLY_LIMIT + 1))])


@pytest.mark.parametrize("coding", [b"deflate", b"DEFLATE"])
def test_compressed_replies(coding: bytes) -> None:
    body = b"x" * 1000
    packed = zlib.compress(body)
    headers = [(b"Content-Encoding", coding)]
    assert make_reply(200, headers, packed, truncated=False).body == body
    assert make_reply(200, headers, packed[:-1], truncated=False).truncated
    assert make_reply(200, headers, packed, truncated=True).truncated
    assert make_reply(200, [(b"content-encoding", b"br")], packed, truncated=False).body == packed
    most = zlib.compress(bytes(REPLY_LIMIT))
    assert len(make_reply(200, headers, most, truncated=False).body) == REPLY_LIMIT
    with pytest.raises(ReplyTooLargeError):
        make_reply(200, headers, zlib.compress(bytes(REPLY_LIMIT + 1)), truncated=False)


@pytest.mark.parametrize("host", ["xn--.com", "xn--a.example"])
def test_a_host_that_cannot_be_is_told_when_the_client_is_made(host: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'https://{host}/recog/v1/stt'"):
        Outgoing(f"https://{host}/recog/v1/stt", [])
