from __future__ import annotations

import contextlib
import math
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from clova_speech_async.errors import ConfigurationError, ConnectError
from clova_speech_async.http.exchange import Outgoing, Progress
from clova_speech_async.http.timeouts import Timeout
from clova_speech_async.http.tls import TLS
from clova_speech_async.http.translate import translate

pytestmark = pytest.mark.anyio


async def test_the_context_is_made_once_and_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    original = httpx.create_ssl_context

    def create(**options: Any) -> ssl.SSLContext:
        threads.append(threading.get_ident())
        return original(**options)

    monkeypatch.setattr(httpx, "create_ssl_context", create)
    tls = TLS()
    assert threads == []  # not when a client is made
    first = await tls.context()
    assert await tls.context() is first
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
    assert first.verify_mode is ssl.CERT_REQUIRED
    assert first.check_hostname


async def test_the_callers_context_is_used_as_it_is() -> None:
    context = ssl.create_default_context()
    assert await TLS(context).context() is context


async def test_authorities_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Any, tls_server: Any, make_sender: Any, kit: Any
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    sender = make_sender(tls_server.url, trust_env=True)
    assert (await sender.send(kit.kor, b"RIFF", seconds=1)).recognition.text == "hello"
    await sender.aclose()
    (tmp_path / "ca.pem").write_text("no certificate")
    broken = make_sender(tls_server.url, trust_env=True)
    with pytest.raises(ConfigurationError, match="check SSL_CERT_FILE and SSL_CERT_DIR, or pass ssl_context="):
        await broken.send(kit.kor, b"RIFF", seconds=1)


async def test_two_at_once_get_a_context_each_may_use() -> None:
    tls = TLS()
    contexts: list[ssl.SSLContext] = []

    async def one() -> None:
        contexts.append(await tls.context())

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        group.start_soon(one)
    assert len(contexts) == 2
    assert await tls.context() in contexts


# --- handshakes that fail -----------------------------------------------------------------------------

HELLO_OF_TLS_1_0 = bytes.fromhex("160301002a 02000026 0301") + bytes(32) + bytes.fromhex("00 002f 00")
"""What a server of long ago answers, which does not know the newer way of telling versions."""
ALERT = bytes.fromhex("1503030002 02")


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], tuple[str, list[bytes]]]]:
    """A server that answers the first bytes of every connection with these, and closes; its URL, and what it heard."""
    with contextlib.ExitStack() as stack:

        def start(answer: bytes) -> tuple[str, list[bytes]]:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            heard: list[bytes] = []

            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        sock, _ = listener.accept()
                        with sock:
                            heard.append(sock.recv(65536))
                            sock.sendall(answer)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            stack.callback(thread.join, 5)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)  # wakes the thread
            return f"https://127.0.0.1:{listener.getsockname()[1]}", heard

        yield start


@pytest.mark.parametrize("way", ["own", "httpx"])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            r"does not speak TLS \(\[SSL.*use http:// for an emulator",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", r"does not speak TLS.*check the host and port.*HTTPS_PROXY or proxy="),
        (b"GET / HTTP/1.1\r\n\r\n", r"does not speak TLS \(\[SSL"),
        (ALERT + bytes([70]), r"no version of TLS in common.*PROTOCOL_VERSION.*ssl_context="),
        (HELLO_OF_TLS_1_0, r"no version of TLS in common.*UNSUPPORTED_PROTOCOL"),
    ],
    ids=["HTTP", "SSH", "a request", "an alert", "TLS 1.0"],
)
async def test_who_speaks_no_tls_of_ours_is_not_asked_again(
    kit: Any, make_sender: Any, answering: Any, answer: bytes, words: str, way: str
) -> None:
    url, heard = answering(answer)
    async with contextlib.AsyncExitStack() as stack:
        own = {} if way == "own" else {"http_client": await stack.enter_async_context(httpx.AsyncClient())}
        sender = make_sender(url, **own)
        with pytest.raises(ConnectError, match=words) as caught:
            await sender.send(kit.kor, b"RIFF", seconds=1)
        assert "nothing was sent" in str(caught.value)
        assert not caught.value.retryable
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        assert (len(caught.value.attempts), len(heard)) == (1, 1)
        await sender.aclose()


async def test_openssl_3_2_has_other_words_for_it() -> None:
    said = ssl.SSLError(1, "[SSL] record layer failure (_ssl.c:1033)")
    foreign = httpx.ConnectError("")
    foreign.__cause__ = said
    ours = translate(foreign, Progress(Timeout(), math.inf), Outgoing("https://127.0.0.1:8080/recog/v1/stt", []))
    assert "127.0.0.1:8080 does not speak TLS ([SSL] record layer failure" in str(ours)
    assert isinstance(ours, ConnectError)
    assert not ours.retryable
    assert ours.__cause__ is said


async def test_a_context_that_allows_no_version(kit: Any, make_sender: Any, tls_server: Any) -> None:
    context = ssl.create_default_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.warns(DeprecationWarning, match="OP_NO"):
        context.options |= ssl.OP_NO_TLSv1_2
    sender = make_sender(tls_server.url, ssl_context=context)
    with pytest.raises(ConnectError, match=r"no version of TLS in common.*NO_PROTOCOLS_AVAILABLE") as caught:
        await sender.send(kit.kor, b"RIFF", seconds=1)
    assert len(caught.value.attempts) == 1
    await sender.aclose()


@pytest.mark.parametrize("answer", [b"", b"\x16\x03", ALERT + bytes([80])], ids=["closed", "cut off", "internal error"])
async def test_a_handshake_that_may_succeed_later_is_tried_again(
    kit: Any, make_sender: Any, answering: Any, answer: bytes
) -> None:
    url, heard = answering(answer)
    sender = make_sender(url)
    with pytest.raises(ConnectError, match="no connection to 127.0.0.1") as caught:
        await sender.send(kit.kor, b"RIFF", seconds=1)
    assert caught.value.retryable
    assert len(caught.value.attempts) == len(heard) == 4
    await sender.aclose()
