"""The ways that somebody else provides: mocks, transports, clients, proxies, instrumentations."""

from __future__ import annotations

import gc
import gzip
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import respx

from clova_speech_async import errors as e
from clova_speech_async.http.limiter import Limiter
from clova_speech_async.http.parameters import Parameters
from clova_speech_async.http.retry import RetryPolicy
from clova_speech_async.http.seams import patched
from clova_speech_async.http.timeouts import Timeout

pytestmark = pytest.mark.anyio
BODY = b"RIFF" + bytes(50_000)
URL = "https://clovaspeech-gw.ncloud.com/recog/v1/stt"
GOOD = {"text": "mocked", "quota": 15}


# --- respx, as people use it ------------------------------------------------------------------------------


@pytest.mark.parametrize("using", ["httpcore", "httpx"])
async def test_respx_sees_every_request(kit: Any, make_sender: Any, using: str) -> None:
    sender = make_sender(URL)
    assert not patched()
    with respx.mock(base_url="https://clovaspeech-gw.ncloud.com", using=using) as mock:
        assert patched()
        route = mock.post("/recog/v1/stt", params={"lang": "Kor"}).respond(json=GOOD)
        for _ in range(3):
            assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "mocked"
        assert route.call_count == 3
        request = route.calls.last.request
        assert request.content == BODY
        assert request.headers["X-CLOVASPEECH-API-KEY"] == kit.KEY
        assert request.headers["Content-Type"] == "application/octet-stream"
        assert request.headers["Content-Length"] == str(len(BODY))
    assert not patched()
    await sender.aclose()


@respx.mock
async def test_respx_as_a_decorator(kit: Any, make_sender: Any) -> None:
    route = respx.post(URL).mock(
        side_effect=[httpx.Response(503), httpx.ConnectError("no"), httpx.Response(200, json=GOOD)]
    )
    sender = make_sender(URL)
    sent = await sender.send(kit.kor, BODY, seconds=3)
    assert (sent.recognition.text, sent.attempts, route.call_count) == ("mocked", 3, 3)
    await sender.aclose()


@respx.mock
@pytest.mark.parametrize(
    ("raised", "error", "tries", "ambiguous"),
    [
        (httpx.ConnectError("x"), e.ConnectError, 4, 0),
        (httpx.ConnectTimeout("x"), e.ConnectTimeoutError, 4, 0),
        (httpx.PoolTimeout("x"), e.ConnectTimeoutError, 4, 0),
        (httpx.ReadTimeout("x"), e.ReplyTimeoutError, 2, 2),
        (httpx.WriteTimeout("x"), e.ReplyTimeoutError, 2, 2),
        (httpx.ReadError("x"), e.ConnectionLostError, 2, 2),
        (httpx.RemoteProtocolError("x"), e.ConnectionLostError, 2, 2),
        (httpx.LocalProtocolError("Illegal header value b'a-key-that-must-not-be-shown'"), e.ConfigurationError, 1, 0),
    ],
)
async def test_what_httpx_raises_is_translated(
    kit: Any, make_sender: Any, raised: Exception, error: type[e.ClovaSpeechError], tries: int, ambiguous: int
) -> None:
    respx.post(URL).mock(side_effect=raised)
    sender = make_sender(URL)
    with pytest.raises(error) as caught:
        await sender.send(kit.kor, BODY, seconds=3)
    assert len(caught.value.attempts) == tries
    assert sender.stats().ambiguous == ambiguous
    chain: BaseException | None = caught.value
    while chain is not None:
        # httpx's errors hold the request with the key in its headers.
        assert not isinstance(chain, httpx.HTTPError)
        assert kit.KEY not in repr(chain)
        chain = chain.__cause__ or chain.__context__
    await sender.aclose()


async def test_a_request_that_respx_does_not_know_is_respxs_own_error(kit: Any, make_sender: Any) -> None:
    sender = make_sender(URL)
    with respx.mock(assert_all_called=False) as mock:
        mock.post("https://elsewhere.example/").respond(200)
        with pytest.raises(respx.models.AllMockedAssertionError):
            await sender.send(kit.kor, BODY, seconds=3)
    assert (sender.stats().in_flight, sender.stats().open_connections) == (0, 0)


async def test_respx_may_let_a_request_pass(kit: Any, server: Any, make_sender: Any) -> None:
    sender = make_sender(server.url)
    with respx.mock as mock:
        mock.route(host="127.0.0.1").pass_through()
        for _ in range(3):
            assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "hello"
    assert server.connections == 1  # one client, and its connection, lay on the stack between them
    assert (sender.stats().open_connections, sender.stats().idle_connections) == (1, 1)
    await sender.aclose()
    assert sender.stats().open_connections == 0
    assert server.wait_until(lambda: server.open == 0)


@pytest.mark.filterwarnings("ignore:unclosed")  # the sockets of a loop that has ended: nobody can close them
@pytest.mark.parametrize("backends", [("asyncio", "asyncio"), ("asyncio", "trio"), ("trio", "asyncio")])
def test_clients_of_a_loop_that_has_ended_are_forgotten(
    kit: Any, server: Any, make_sender: Any, backends: tuple[str, str]
) -> None:
    sender = make_sender(server.url)

    async def one() -> None:
        await sender.send(kit.kor, BODY, seconds=3)

    with respx.mock as mock:
        mock.route(host="127.0.0.1").pass_through()
        anyio.run(one, backend=backends[0])
        assert sender.stats().open_connections == 1
        anyio.run(sender.aclose, backend=backends[1])
    assert (sender.stats().open_connections, sender.stats().idle_connections) == (0, 0)
    gc.collect()


async def test_idle_clients_are_closed_side_by_side_whatever_that_raises(
    kit: Any, server: Any, make_sender: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = make_sender(server.url)
    closing: list[int] = []
    together = anyio.Event()

    async def aclose(self: Any) -> None:
        closing.append(1)
        if len(closing) == 3:
            together.set()
        await together.wait()
        raise RuntimeError("the event loop is closed")

    with respx.mock as mock:
        mock.post(server.url).respond(json=GOOD)
        way = sender._routes.now()
        way._loop = anyio.lowlevel.current_token()
        for _ in range(3):
            way._idle.append((await way._make(), time.monotonic()))
        assert sender.stats().open_connections == 3
        with monkeypatch.context() as patch:
            patch.setattr(httpx.AsyncClient, "aclose", aclose)
            with anyio.fail_after(0.9):
                await sender.aclose()
    assert len(closing) == 3
    assert sender.stats().open_connections == 0


@pytest.mark.parametrize(
    ("owner", "name"),
    [(httpx.AsyncHTTPTransport, "handle_async_request"), (httpx.AsyncClient, "send")],
)
async def test_an_instrumentation_sees_every_request(
    kit: Any, server: Any, make_sender: Any, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    seen: list[str] = []
    original = getattr(owner, name)

    async def instrumented(self: Any, request: httpx.Request, **kwargs: Any) -> httpx.Response:
        seen.append(str(request.url))
        response: httpx.Response = await original(self, request, **kwargs)
        return response

    sender = make_sender(server.url)
    await sender.send(kit.kor, BODY, seconds=3)
    monkeypatch.setattr(owner, name, instrumented)
    await sender.send(kit.kor, BODY, seconds=3)
    assert seen == [f"{server.url}?lang=Kor"]
    assert server.requests[0] == server.requests[1]  # the same bytes, either way
    await sender.aclose()


# --- the caller's own transport -----------------------------------------------------------------------------


async def test_a_transport_of_the_callers_own(kit: Any, make_sender: Any) -> None:
    class Transport(httpx.AsyncBaseTransport):
        closed = False

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.body = await request.aread()
            self.timeout = request.extensions["timeout"]
            return httpx.Response(200, json=GOOD)

        async def aclose(self) -> None:
            self.closed = True

    transport = Transport()
    sender = make_sender(URL, transport=transport, timeout=Timeout(connect=1, read=2, write=3))
    assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "mocked"
    assert transport.body == BODY
    assert transport.timeout == {"connect": 1, "read": 2, "write": 3, "pool": 1}
    assert await sender.warm(3) == 0
    await sender.aclose()
    assert not transport.closed


async def test_a_reply_that_streams_breaks_off_or_has_no_end(kit: Any, make_sender: Any) -> None:
    class Body(httpx.AsyncByteStream):
        def __init__(self, number: int, error: Exception | None) -> None:
            self.number, self.error, self.closed = number, error, False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(self.number):
                yield bytes(1 << 20)
            if self.error is not None:
                raise self.error

        async def aclose(self) -> None:
            self.closed = True

    bodies: list[Body] = []

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=bodies[-1])

    sender = make_sender(URL, transport=httpx.MockTransport(handler), retry=RetryPolicy(max_attempts=1))
    bodies.append(Body(2, httpx.ReadError("x")))
    with pytest.raises(e.InvalidReplyError, match="before its announced length") as caught:
        await sender.send(kit.kor, BODY, seconds=3)
    assert caught.value.truncated
    announced = httpx.Response(200, headers={"Content-Length": "9000000000"}, stream=Body(0, None))
    large = make_sender(URL, transport=httpx.MockTransport(lambda _: announced))
    with pytest.raises(e.ReplyTooLargeError):
        await large.send(kit.kor, BODY, seconds=3)
    assert bodies[0].closed


async def test_a_slow_transport_is_timed_out_in_its_phase(kit: Any, make_sender: Any) -> None:
    class Slow(httpx.AsyncBaseTransport):
        read = False

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if self.read:
                await request.aread()
            await anyio.sleep_forever()
            raise AssertionError

    slow = Slow()
    limiter = Limiter(8, pause=(0, 0))
    sender = make_sender(
        URL,
        transport=slow,
        limiter=limiter,
        timeout=Timeout(connect=0.02, read=0.03),
        retry=RetryPolicy(max_attempts=1),
    )
    with pytest.raises(e.ConnectTimeoutError, match=r"within 0.02 s; nothing was sent"):
        await sender.send(kit.kor, BODY, seconds=3)
    slow.read = True
    with pytest.raises(e.ReplyTimeoutError, match=r"no reply came .* within 0.03 s of the upload"):
        await sender.send(kit.kor, BODY, seconds=3)
    assert sender.stats().in_flight == 0


# --- the caller's own client ----------------------------------------------------------------------------------


async def test_a_client_of_the_callers_own(kit: Any, server: Any, make_sender: Any) -> None:
    seen: list[str] = []

    async def hook(request: httpx.Request) -> None:
        seen.append(request.method)

    async with httpx.AsyncClient(
        headers={"X-Corporate": "yes", "Accept-Encoding": "gzip"}, event_hooks={"request": [hook]}, trust_env=False
    ) as client:
        sender = make_sender(server.url, http_client=client)
        for body in (BODY, bytes(1_000_000)):
            assert (await sender.send(kit.kor, body, seconds=3)).recognition.text == "hello"
            assert server.requests[-1][1] == body
        head = server.requests[0][0].decode().lower()
        assert "x-corporate: yes" in head
        assert "accept-encoding: identity" in head
        assert head.count("accept-encoding") == 1
        assert "content-type: application/octet-stream" in head
        assert "transfer-encoding" not in head
        assert f"x-clovaspeech-api-key: {kit.KEY}" in head
        assert seen == ["POST", "POST"]
        assert await sender.warm(3) == 0
        await sender.aclose()
        assert not client.is_closed
        second = make_sender(server.url, http_client=client)
    with pytest.raises(e.ConfigurationError, match="http_client= has been closed"):
        await second.send(kit.kor, BODY, seconds=3)


async def test_a_hook_that_reads_the_reply_takes_nothing_from_it(kit: Any, server: Any, make_sender: Any) -> None:
    read: list[bytes] = []

    async def hook(response: httpx.Response) -> None:
        read.append(await response.aread())

    async with httpx.AsyncClient(event_hooks={"response": [hook]}, trust_env=False) as client:
        sender = make_sender(server.url, http_client=client)
        with anyio.fail_after(20):
            assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "hello"
        await sender.aclose()
    assert (len(read), len(server.requests)) == (1, 1)


async def test_a_hook_that_reads_an_error_and_raises_leaves_its_code_to_be_read(
    kit: Any, server: Any, make_sender: Any
) -> None:
    body = gzip.compress(b'{"error": {"errorCode": "400", "message": "quota"}}')

    async def answer(request: httpx.Request) -> httpx.Response:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        return httpx.Response(429, headers=headers, content=body)

    async def hook(response: httpx.Response) -> None:
        await response.aread()
        response.raise_for_status()

    async with httpx.AsyncClient(
        transport=httpx.MockTransport(answer), event_hooks={"response": [hook]}, trust_env=False
    ) as client:
        sender = make_sender(server.url, http_client=client)
        with pytest.raises(e.QuotaExceededError):
            await sender.send(kit.kor, BODY, seconds=3)
        await sender.aclose()


async def test_a_hook_that_fails_elsewhere_says_nothing_of_our_request(kit: Any, server: Any, make_sender: Any) -> None:
    async def hook(response: httpx.Response) -> None:
        raise httpx.ConnectError("no", request=httpx.Request("POST", "http://metrics.example/"))

    async with httpx.AsyncClient(event_hooks={"response": [hook]}, trust_env=False) as client:
        sender = make_sender(server.url, http_client=client, retry=RetryPolicy(max_attempts=4, strict_billing=True))
        with pytest.raises(e.ConnectionLostError, match="a hook of the http_client raised ConnectError"):
            await sender.send(kit.kor, BODY, seconds=3)
        assert (len(server.requests), sender.stats().maybe_billed_seconds) == (1, 15)
        await sender.aclose()


async def test_parameters_of_the_callers_client_are_sent_beside_ours(kit: Any, server: Any, make_sender: Any) -> None:
    async with httpx.AsyncClient(params={"team": "a"}, trust_env=False) as client:
        sender = make_sender(server.url, http_client=client)
        await sender.send(kit.kor, BODY, seconds=3)
        await sender.aclose()
    line = server.requests[0][0].split(b"\r\n")[0].decode()
    assert "lang=Kor" in line
    assert "team=a" in line


async def test_redirects_are_not_followed_even_by_a_client_that_would(kit: Any, server: Any, make_sender: Any) -> None:
    server.play(kit.answer(307, b"", Location="http://127.0.0.1:1/elsewhere"))
    async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as client:
        sender = make_sender(server.url, http_client=client)
        with pytest.raises(e.ServiceError, match="redirects are never followed"):
            await sender.send(kit.kor, BODY, seconds=3)
    assert len(server.requests) == 1


@pytest.mark.parametrize("way", ["direct", "client", "patched"])
async def test_no_text_of_the_user_is_in_httpxs_log(
    kit: Any, server: Any, make_sender: Any, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    caplog.set_level(logging.DEBUG)
    parameters = Parameters.check(lang="Eng", assessment=True, utterance="secret sentence")
    async with httpx.AsyncClient(trust_env=False) as client:
        if way == "patched":
            with respx.mock as mock:
                mock.route(host="127.0.0.1").pass_through()
                sender = make_sender(server.url)
                await sender.send(parameters, BODY, seconds=3)
                await sender.aclose()
        else:
            sender = make_sender(server.url, **({"http_client": client} if way == "client" else {}))
            await sender.send(parameters, BODY, seconds=3)
            await sender.aclose()
        assert ("HTTP Request: POST" in caplog.text) == (way != "direct")
        for text in ("utterance", "secret", kit.KEY):
            assert text not in caplog.text
        # The requests of others are none of our affair.
        await client.post(f"{server.url}?theirs=yes", content=b"x")
        assert "theirs=yes" in caplog.text
