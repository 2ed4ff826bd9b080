"""Which way a request goes: proxies, and options that cannot be together."""

from __future__ import annotations

import gc
import socket
from typing import Any

import anyio
import httpx
import pytest

from clova_speech_async import errors as e
from clova_speech_async.http.retry import RetryPolicy

pytestmark = pytest.mark.anyio
BODY = b"RIFF" + bytes(50_000)
URL = "https://clovaspeech-gw.ncloud.com/recog/v1/stt"


def forward(kit: Any) -> Any:
    """A proxy for plain http: it answers itself."""

    def play(peer: Any) -> bool:
        head = kit.hear(peer)
        assert head.startswith(b"POST http://127.0.0.1:")
        peer.send(kit.reply_bytes(200, b'{"text": "by proxy"}', {}))
        return True

    return play


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", None])
async def test_a_proxy_is_used(
    kit: Any, server: Any, make_sender: Any, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    proxy = f"http://user:hidden-password@127.0.0.1:{server.port}"
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    server.play(forward(kit))
    if variable is None:
        sender = make_sender("http://127.0.0.1:9/recog/v1/stt", proxy=proxy)
    else:
        monkeypatch.setenv(variable, proxy)
        sender = make_sender("http://127.0.0.1:9/recog/v1/stt", trust_env=True)
    for _ in range(2):
        assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "by proxy"
    assert b"Proxy-Authorization: Basic" in server.requests[0][0]
    assert server.connections == 1
    await sender.aclose()
    assert server.wait_until(lambda: server.open == 0)


async def test_plain_http_to_this_machine_goes_through_no_proxy_elsewhere(
    kit: Any, server: Any, make_sender: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which would see the key in clear."""
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.example:8080")
    monkeypatch.delenv("NO_PROXY", raising=False)
    sender = make_sender(server.url, trust_env=True)
    assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "hello"
    await sender.aclose()


async def test_idle_connections_through_a_proxy_are_closed_in_time(
    kit: Any, server: Any, make_sender: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("clova_speech_async.http.through.time.monotonic", lambda: now)
    server.play(forward(kit))
    sender = make_sender("http://127.0.0.1:9/recog/v1/stt", proxy=f"http://127.0.0.1:{server.port}", idle_timeout=30)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(lambda: sender.send(kit.kor, BODY, seconds=3))
    assert sender.stats().idle_connections >= 1
    now += 31
    await sender.send(kit.kor, BODY, seconds=3)
    assert (sender.stats().open_connections, sender.stats().idle_connections) == (1, 1)
    assert server.wait_until(lambda: server.open == 1)
    await sender.aclose()


async def test_no_proxy_makes_an_exception(
    kit: Any, server: Any, make_sender: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    sender = make_sender(server.url, trust_env=True)
    assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "hello"
    assert await sender.warm(1) == 0
    await sender.aclose()


async def test_a_tunnel_through_a_proxy(
    kit: Any, server: Any, tls_server: Any, make_sender: Any, trusting: Any
) -> None:
    import socket
    import threading

    def tunnel(peer: Any) -> bool:
        assert peer.head().startswith(b"CONNECT 127.0.0.1:")
        with socket.create_connection(("127.0.0.1", tls_server.port)) as other:
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

            def pump(source: socket.socket, target: socket.socket) -> None:
                try:
                    while data := source.recv(65536):
                        target.sendall(data)
                    target.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

            back = threading.Thread(target=pump, args=(other, peer.sock), daemon=True)
            back.start()
            pump(peer.sock, other)
            back.join(5)
        return False

    server.play(tunnel)
    sender = make_sender(tls_server.url, proxy=f"http://127.0.0.1:{server.port}", ssl_context=trusting)
    for _ in range(2):
        assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "hello"
    assert (server.connections, tls_server.connections) == (1, 1)
    await sender.aclose()


@pytest.mark.parametrize(
    ("proxy", "problem"),
    [("http://nowhere.invalid:8080", "no address for the proxy"), ("http://127.0.0.1:9", "no connection to the proxy")],
)
async def test_a_proxy_that_is_not_reached_is_not_told_as_the_service(
    make_sender: Any, kit: Any, monkeypatch: pytest.MonkeyPatch, proxy: str, problem: str
) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    if "invalid" in proxy:
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    sender = make_sender(URL, proxy=proxy, retry=RetryPolicy(max_attempts=1))
    with pytest.raises(e.ConnectError, match=f"{problem}, or through it to .*check HTTPS_PROXY or proxy=") as caught:
        await sender.send(kit.kor, BODY, seconds=3)
    assert "OSError" not in str(caught.value)


async def test_a_proxy_that_closes_between_requests(kit: Any, server: Any, make_sender: Any) -> None:
    closing = forward(kit)

    def once(peer: Any) -> bool:
        closing(peer)
        return False

    server.play(once)
    sender = make_sender("http://127.0.0.1:9/recog/v1/stt", proxy=f"http://127.0.0.1:{server.port}")
    for _ in range(3):
        sent = await sender.send(kit.kor, BODY, seconds=3)
        assert sent.recognition.text == "by proxy"
        assert server.wait_until(lambda: server.open == 0)
    await sender.aclose()


async def test_a_proxy_that_cannot_be_used(make_sender: Any, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(e.InvalidArgumentError, match="proxy is not an address such as") as caught:
        make_sender(URL, proxy="ftp://user:hidden-password@x")
    assert "hidden-password" not in str(caught.value)
    monkeypatch.setenv("HTTPS_PROXY", "ftp://user:hidden-password@x")
    sender = make_sender(URL, trust_env=True)
    with pytest.raises(e.ConfigurationError, match="check HTTPS_PROXY") as found:
        await sender.send(kit.kor, BODY, seconds=3)
    assert "hidden-password" not in str(found.value)
    assert found.value.__cause__ is None


async def test_a_socks_proxy_needs_an_extra_of_httpx(
    kit: Any, make_sender: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "socksio", None)  # as if it were not installed
    sender = make_sender(URL, proxy="socks5://127.0.0.1:1")
    with pytest.raises(e.MissingDependencyError, match=r"pip install 'httpx\[socks\]'"):
        await sender.send(kit.kor, BODY, seconds=3)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_ended_takes_its_clients_with_it(kit: Any, server: Any, make_sender: Any) -> None:
    server.play(forward(kit))

    def open_after_two_loops() -> int:
        sender = make_sender("http://127.0.0.1:9/recog/v1/stt", proxy=f"http://127.0.0.1:{server.port}")

        async def one() -> None:
            assert (await sender.send(kit.kor, BODY, seconds=3)).recognition.text == "by proxy"

        anyio.run(one, backend="trio")
        anyio.run(one, backend="trio")
        return int(sender.stats().open_connections)

    assert open_after_two_loops() == 1
    gc.collect()  # a socket of a loop that has ended can only be dropped: here, and not in another test


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"transport": "x"}, e.ArgumentTypeError, "transport must be an httpx.AsyncBaseTransport, not str"),
        ({"http_client": httpx.Client}, e.ArgumentTypeError, "http_client must be an httpx.AsyncClient, not type"),
        ({"proxy": 3}, e.ArgumentTypeError, "proxy is of the wrong type, int"),
        ({"ssl_context": True}, e.ArgumentTypeError, "ssl_context is of the wrong type, bool"),
        ({"idle_timeout": "1"}, e.ArgumentTypeError, "idle_timeout must be a number of seconds, not '1'"),
        (
            {"transport": httpx.MockTransport(lambda _: httpx.Response(200)), "proxy": "http://p"},
            e.InvalidArgumentError,
            "proxy: set it on the transport that you pass",
        ),
    ],
)
def test_options_are_checked(make_sender: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make_sender(URL, **options)


async def test_a_transport_and_a_client_are_one_too_many(make_sender: Any) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(e.InvalidArgumentError, match="pass one of them"):
            make_sender(URL, transport=httpx.AsyncHTTPTransport(), http_client=client)
