from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from typing import Any

import anyio
import httpcore
import pytest

from clova_speech_async.http import sockets
from clova_speech_async.http.sockets import ReplyTooLarge, SocketStream, connect, reason

pytestmark = pytest.mark.anyio


@pytest.fixture
def pair() -> Any:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield SocketStream(ours), theirs
    ours.close()
    theirs.close()


async def test_reading(pair: Any) -> None:
    stream, other = pair
    other.sendall(b"abcdef")
    assert await stream.read(4) == b"abcd"
    assert await stream.read(4) == b"ef"
    assert stream.received == 6
    async with anyio.create_task_group() as group:

        async def later() -> None:
            await anyio.sleep(0.01)
            other.sendall(b"g")
            other.close()

        group.start_soon(later)
        assert await stream.read(100) == b"g"
    assert await stream.read(100) == b""


async def test_a_reply_over_the_limit_is_not_read_to_its_end(pair: Any) -> None:
    stream, other = pair
    stream.limit = 5
    other.sendall(b"123456")
    with pytest.raises(ReplyTooLarge):
        await stream.read(100)


async def test_a_closed_stream_says_so_in_httpcores_words(pair: Any) -> None:
    stream, _ = pair
    stream.close()
    stream.close()
    await stream.aclose()
    with pytest.raises(httpcore.ReadError, match="Bad file descriptor"):
        await stream.read(1)
    with pytest.raises(httpcore.WriteError, match="Bad file descriptor"):
        await stream.write(b"x")
    assert not stream.is_alive()


async def test_a_long_upload_comes_over_whole(pair: Any) -> None:
    stream, other = pair
    data = os.urandom(6_000_000)
    got = bytearray()

    def take() -> None:
        while len(got) < len(data):
            got.extend(other.recv(1 << 16))

    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, take)
        await stream.write(data)
    assert got == data


async def test_head_and_body_leave_together(pair: Any) -> None:
    stream, other = pair
    other.setblocking(False)
    stream.hold = True
    await stream.write(b"head ")
    with pytest.raises(BlockingIOError):
        other.recv(100)
    await stream.write(b"body")
    await stream.write(b"")
    assert other.recv(100) == b"head body"
    stream.hold = True
    await stream.write(b"head alone")
    other.sendall(b"reply")
    assert await stream.read(100) == b"reply"
    assert other.recv(100) == b"head alone"


async def test_an_answer_ends_the_upload_and_is_read(pair: Any) -> None:
    stream, other = pair
    other.sendall(b"HTTP/1.1 413 Too Large\r\n")
    with pytest.raises(httpcore.WriteError, match="before the upload ended"):
        await stream.write(bytes(10_000_000))
    assert await stream.read(100) == b"HTTP/1.1 413 Too Large\r\n"


async def test_a_hundred_and_continue_does_not_end_the_upload(pair: Any) -> None:
    stream, other = pair
    other.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    with anyio.move_on_after(0.05) as scope:
        await stream.write(bytes(10_000_000))
    assert scope.cancelled_caught
    other.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    assert await stream.read(100) == b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too Large\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 413 Too Large\r\n\r\n"],
        [
            b"HTT",
            b"P/1.1 100 Continue\r\nX: y\r\n",
            b"\r\nHTTP/1.1 102 Processing\r\n\r",
            b"\nHTTP/1.1 413 Too Large\r\n\r\n",
        ],
    ],
)
async def test_a_refusal_behind_a_hundred_and_continue_ends_the_upload(pair: Any, said: list[bytes]) -> None:
    stream, other = pair

    async def refuse() -> None:
        for part in said:
            other.sendall(part)
            await anyio.sleep(0.01)

    async with anyio.create_task_group() as group:
        group.start_soon(refuse)
        with anyio.fail_after(10), pytest.raises(httpcore.WriteError, match="answered"):
            await stream.write(bytes(10_000_000))
    assert (await stream.read(100)).startswith(b"HTTP/1.1 413")


async def test_what_comes_during_an_upload_is_bounded(pair: Any) -> None:
    stream, other = pair
    stream.limit = 1_000_000
    flood = b"HTTP/1.1 102 Processing\r\n\r\n" * 1000

    def send() -> None:
        with contextlib.suppress(OSError):
            other.settimeout(5)
            while True:
                other.sendall(flood)

    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, send)
        with anyio.fail_after(20), pytest.raises(httpcore.WriteError):
            await stream.write(bytes(10_000_000))
        assert stream.limit < stream.received < 2 * stream.limit
        assert not stream.has_unread or len(await stream.read(1 << 20)) < 100
        stream.close()


async def test_the_other_end_closing_ends_the_upload(pair: Any) -> None:
    stream, other = pair
    async with anyio.create_task_group() as group:

        async def later() -> None:
            await anyio.sleep(0.02)
            other.close()

        group.start_soon(later)
        with pytest.raises(httpcore.WriteError):
            await stream.write(bytes(10_000_000))


class Moody:
    """A socket that wants to read before it writes, or to write before it reads, as TLS may."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.wants_read = False
        self.wants_write = 0
        self.has_written = threading.Event()
        self.sends = 0
        self.fileno = sock.fileno
        self.close = sock.close

    def send(self, data: Any) -> int:
        self.sends += 1
        if self.wants_read:
            raise ssl.SSLWantReadError
        return self.sock.send(data)

    def recv(self, size: int) -> bytes:
        if self.wants_write:
            self.wants_write -= 1
            self.has_written.set()
            raise ssl.SSLWantWriteError
        if self.wants_read:
            self.sock.recv(1)  # what the upload was waiting for
            self.wants_read = False
            raise ssl.SSLWantReadError
        return self.sock.recv(size)


async def test_an_upload_that_waits_for_the_other_ends_tls_does_not_spin(pair: Any) -> None:
    stream, other = pair
    moody = Moody(stream.get_extra_info("socket"))
    moody.wants_read = True
    stream = SocketStream(moody)  # type: ignore[arg-type]
    async with anyio.create_task_group() as group:
        group.start_soon(stream.write, b"upload")
        await anyio.sleep(0.05)
        assert moody.sends <= 2
        other.sendall(b"k")
    assert other.recv(100) == b"upload"


async def test_tls_that_has_to_write_in_order_to_read_is_no_end_of_the_connection(pair: Any) -> None:
    stream, other = pair
    moody = Moody(stream.get_extra_info("socket"))
    stream = SocketStream(moody)  # type: ignore[arg-type]
    data = os.urandom(3_000_000)
    got = bytearray()

    def take() -> None:
        assert moody.has_written.wait(5)  # so the upload is still on its way when it happens
        other.settimeout(5)
        while len(got) < len(data):
            got.extend(other.recv(1 << 16))

    other.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    moody.wants_write = 1
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, take)
        await stream.write(data)
    assert got == data
    assert moody.wants_write == 0
    assert stream.received == len(b"HTTP/1.1 100 Continue\r\n\r\n")


async def test_what_an_idle_connection_tells_of_itself(pair: Any) -> None:
    stream, other = pair
    assert stream.is_alive()
    other.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert not stream.is_alive()
    assert stream.get_extra_info("socket").fileno() > 0
    assert stream.get_extra_info("ssl_object") is None
    assert stream.get_extra_info("server_addr") is None


def test_the_systems_words() -> None:
    assert reason(ConnectionRefusedError(111, "Connection refused")) == "Connection refused"
    assert reason(OSError()) == "OSError"
    untrusted = ssl.SSLCertVerificationError(1, "long")
    untrusted.verify_message = "self-signed certificate"
    assert reason(untrusted) == "its certificate is not trusted (self-signed certificate)"


# --- opening ------------------------------------------------------------------------------------------------


async def test_the_first_address_that_opens_wins(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = closed.getsockname()[1]
    good, bad = ("127.0.0.1", server.port), ("127.0.0.1", dead)
    for addresses in ([bad, good], [bad, bad, good], [good, bad], [good, good]):
        given(monkeypatch, [(socket.AF_INET, address) for address in addresses])
        stream = await connect("two-faced.example", 1, None)
        assert stream.get_extra_info("socket").getpeername() == good
        assert stream.is_alive()
        stream.close()
    given(monkeypatch, [(socket.AF_INET, bad), (socket.AF_INET, bad)])
    with pytest.raises(ConnectionRefusedError):
        await connect("two-faced.example", 1, None)
    assert server.wait_until(lambda: server.open == 0)


async def test_an_address_that_does_not_answer_does_not_hold_up_the_next(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[Any] = []
    original = sockets._open_one

    async def open_one(address: Any) -> socket.socket:
        attempts.append(address)
        if address[1] == "silent":
            await anyio.sleep_forever()
        return await original(address)

    monkeypatch.setattr(sockets, "_open_one", open_one)
    monkeypatch.setattr(sockets, "_HEAD_START", 0.01)
    given(monkeypatch, [(socket.AF_INET, "silent"), (socket.AF_INET, ("127.0.0.1", server.port))])
    stream = await connect("x.example", 1, None)
    assert len(attempts) == 2
    stream.close()
    # Cancelled while two attempts run: neither leaves a socket.
    given(monkeypatch, [(socket.AF_INET, "silent")] * 2)
    with anyio.move_on_after(0.05) as scope:
        await connect("x.example", 1, None)
    assert scope.cancelled_caught


async def test_addresses_of_both_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    given(monkeypatch, [(six, "6a"), (six, "6b"), (six, "6c"), (four, "4a")])
    assert await sockets._addresses("x", 1) == [(six, "6a"), (four, "4a"), (six, "6b"), (six, "6c")]


def given(monkeypatch: pytest.MonkeyPatch, addresses: list[tuple[int, Any]]) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in addresses]

    monkeypatch.setattr(anyio, "getaddrinfo", getaddrinfo)


async def test_a_handshake_that_fails_leaves_no_socket(server: Any, trusting: ssl.SSLContext) -> None:
    def not_tls(peer: Any) -> bool:
        peer.send(b"this is no TLS at all")
        return False

    server.play(not_tls)
    with pytest.raises(ssl.SSLError):
        await connect("127.0.0.1", server.port, trusting)
    assert server.wait_until(lambda: server.connections == 1 and server.open == 0)

    def silent(peer: Any) -> bool:
        return bool(peer.hold())

    server.play(silent)
    with anyio.move_on_after(0.05) as scope:
        await connect("127.0.0.1", server.port, trusting)
    assert scope.cancelled_caught
    assert server.wait_until(lambda: server.connections == 2 and server.open == 0)


async def test_tls_reads_what_openssl_has_ready(tls_server: Any, trusting: ssl.SSLContext) -> None:
    """Several records may come as one: the second lies in OpenSSL, where the socket does not show it."""

    def two_words(peer: Any) -> bool:
        peer.sock.recv(100) if not peer.buffer else None
        peer.buffer = b""
        peer.send(b"one")
        peer.send(b"two")
        return bool(peer.hold())

    tls_server.play(two_words)
    stream = await connect("127.0.0.1", tls_server.port, trusting)
    await stream.write(b"hello")
    got = b""
    with anyio.fail_after(5):
        while len(got) < 6:
            got += await stream.read(2)
    assert got == b"onetwo"
    assert stream.is_alive()
    assert stream.get_extra_info("ssl_object").version().startswith("TLS")
    stream.close()
