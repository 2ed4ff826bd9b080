"""A server that misbehaves, over real sockets, and a sender whose waits cost no time."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from clova_speech_async.http.credentials import SecretKey
from clova_speech_async.http.limiter import Limiter
from clova_speech_async.http.parameters import Parameters
from clova_speech_async.http.retry import RetryPolicy
from clova_speech_async.http.sender import Sender
from clova_speech_async.http.timeouts import Timeout

KEY = "a-key-that-must-not-be-shown"
OK = b'{"text":"hello","quota":15}'

WAV = struct.pack("<4sI12sHHIIHH4sI", b"RIFF", 2036, b"WAVEfmt \x10\0\0\0", 1, 1, 16000, 32000, 2, 16, b"data", 2000)
WAV += b"\1\0" * 1000
"""A sixteenth of a second."""

Behaviour = Callable[["Peer"], bool]
"""Plays one request of a connection; returns whether the connection stays open."""


def reply_bytes(status: int, body: bytes, headers: dict[str, str]) -> bytes:
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode("latin-1") + body


class Peer:
    """The server's end of a connection."""

    def __init__(self, sock: socket.socket, server: FaultServer) -> None:
        self.sock = sock
        self.server = server
        self.buffer = b""
        self.in_flight = False

    def head(self) -> bytes:
        """Read a request's head; empty when the client closed."""
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                return b""
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    def body(self, head: bytes) -> bytes:
        size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(self.buffer) < size:
            data = self.sock.recv(65536)
            if not data:
                break
            self.buffer += data
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return body

    def send(self, data: bytes) -> None:
        # Before and not after: who has the reply may be faster with the next request than this thread.
        self.count(False)
        self.sock.sendall(data)

    def count(self, in_flight: bool) -> None:
        """Book the beginning or the end of a request, once."""
        server = self.server
        with server.lock:
            server.in_flight += in_flight - self.in_flight
            server.most_in_flight = max(server.in_flight, server.most_in_flight)
            self.in_flight = in_flight

    def reset(self) -> bool:
        """Close with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def hold(self) -> bool:
        """Keep the connection open, without a word, until the client or the test ends."""
        self.sock.settimeout(0.05)
        while not self.server.ended.is_set():
            try:
                if not self.sock.recv(65536):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        return False


class FaultServer:
    """Plays a script, one behaviour a request (its last one again and again), in threads of its own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: list[Behaviour] = [ok]
        self.requests: list[tuple[bytes, bytes]] = []
        self.connections = 0
        self.open = 0
        self.most_in_flight = 0
        self.in_flight = 0
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/recog/v1/stt"

    def play(self, *script: Behaviour) -> None:
        self.script = list(script)

    def next(self) -> Behaviour:
        with self.lock:
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with self.lock:
            self.connections += 1
            self.open += 1
            self._sockets.append(sock)
        try:
            sock.settimeout(30)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            peer = Peer(sock, self)
            while not self.ended.is_set() and self._one(peer):
                pass
        except (OSError, ssl.SSLError, StopIteration):
            pass
        finally:
            sock.close()
            with self.lock:
                self.open -= 1

    def _one(self, peer: Peer) -> bool:
        first = peer.buffer or peer.sock.recv(65536)
        if not first:
            return False
        peer.buffer = first
        peer.count(True)
        try:
            return self.next()(peer)
        finally:
            peer.count(False)

    def wait_until(self, condition: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Wait, in real time, for something that another thread must do."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True

    def stop(self) -> None:
        """Take no connections any more, and end those that are open."""
        self.ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        with self.lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


def hear(peer: Peer) -> bytes:
    """Read a whole request and book it; return its head."""
    head = peer.head()
    if not head:
        raise OSError("the client closed")
    body = peer.body(head)
    with peer.server.lock:
        peer.server.requests.append((head, body))
    return head


def answer(status: int = 200, body: bytes = OK, *, stay: bool = True, **headers: str) -> Behaviour:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}

    def play(peer: Peer) -> bool:
        hear(peer)
        peer.send(reply_bytes(status, body, fields))
        return stay

    return play


ok = answer()


def error(status: int, code: str | int | None, **headers: str) -> Behaviour:
    """An error in the service's own form."""
    inner = {str: f'"{code}"', int: f"{code}"}.get(type(code), "null")
    body = f'{{"timestamp": 1700536699045, "error": {{"errorCode": {inner}, "message": "what it says"}}}}'
    return answer(status, body.encode(), **headers)


def hang(peer: Peer) -> bool:
    """Hears everything and says nothing."""
    hear(peer)
    return peer.hold()


def close_after_upload(peer: Peer) -> bool:
    hear(peer)
    return False


def reset_after_upload(peer: Peer) -> bool:
    hear(peer)
    return peer.reset()


def reset_in_upload(peer: Peer) -> bool:
    peer.head()
    return peer.reset()


class Kit:
    """What the behaviours are made of, for the test modules."""

    KEY = KEY
    OK = OK
    WAV = WAV
    ok = staticmethod(ok)
    answer = staticmethod(answer)
    error = staticmethod(error)
    hear = staticmethod(hear)
    hang = staticmethod(hang)
    close_after_upload = staticmethod(close_after_upload)
    reset_after_upload = staticmethod(reset_after_upload)
    reset_in_upload = staticmethod(reset_in_upload)
    reply_bytes = staticmethod(reply_bytes)
    kor = Parameters.check(lang="Kor")


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    return Kit


@pytest.fixture
def server() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.stop()


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        # Deadlines are by the event loop's clock, which counts from the machine's start: this one is always before it.
        self.now = -1_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_sender(clock: Clock) -> Callable[..., Sender]:
    """A sender with random numbers of 0.5, no pause after a throttle, and waits that pass on the virtual clock."""

    def make(url: str, **options: Any) -> Sender:
        concurrency = options.pop("concurrency", 8)
        limiter = options.pop("limiter", None) or Limiter(concurrency, pause=(0, 0), clock=clock)
        options.setdefault("timeout", Timeout(connect=5, read=5, write=5, total=60))
        options.setdefault("retry", RetryPolicy())
        options.setdefault("trust_env", False)
        return Sender(
            url=url, credentials=SecretKey(KEY), limiter=limiter, sleep=clock.sleep, random=lambda: 0.5, **options
        )

    return make


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import trustme

    return trustme.CA()


@pytest.fixture
def tls_server(authority: Any) -> Iterator[FaultServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    server = FaultServer(context)
    yield server
    server.stop()


@pytest.fixture
def trusting(authority: Any) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
