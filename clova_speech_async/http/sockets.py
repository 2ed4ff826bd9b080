"""A connection: one non-blocking socket, plain or TLS, as httpcore's network stream.

The law of this file: **closing never waits**. A socket that is closed by a plain call cannot leak under
cancellation, needs no shield and no bound. It is also why the stream is not one of anyio's or trio's, and it makes a
request cheaper: no time-out, lock or buffer per read and write, TLS records straight from OpenSSL to the socket, and
a reply that came before the upload ended can still be read. Time-outs are the caller's, by one cancel scope.
"""

from __future__ import annotations

import math
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpcore

from .timeouts import TIMED_TOGETHER

__all__ = ["ReplyTooLarge", "SocketStream", "connect", "reason"]

_HEAD_START = 0.25
"""Seconds an address has to itself before the next one is tried beside it (RFC 8305)."""
_CHUNK = 8 * 1024
"""Bytes read at once; what is read before other tasks have their turn may be thousands of parts of a reply."""
_LONGEST_HEAD = 100 * 1024
"""Bytes; of a reply's head httpcore takes no more."""
_INTERIM = b"HTTP/1.1 1"
"""How a reply begins after which another one comes, such as 100 Continue."""
_BREATH = 512 * 1024
"""Bytes written in one go before other tasks have their turn."""
_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError)


class ReplyTooLarge(httpcore.ReadError):
    """More has come in than a reply may have."""


class SocketStream(httpcore.AsyncNetworkStream):
    """An open connection; counts what comes in, closes at once."""

    __slots__ = (
        "_ahead",
        "_heard",
        "_held",
        "_is_busy",
        "_recv",
        "_send",
        "_sendmsg",
        "_sock",
        "_wait_first",
        "_writable",
        "before_wait",
        "hold",
        "limit",
        "received",
    )

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._recv = sock.recv
        self._send = sock.send
        # TLS sockets have none, nor has Windows.
        self._sendmsg = None if isinstance(sock, ssl.SSLSocket) else getattr(sock, "sendmsg", None)
        self._wait_first = False
        self._is_busy = False
        """The last read had not to wait."""
        self._writable: anyio.Event | None = None
        self._heard: anyio.Event | None = None
        self._ahead = b""
        self._held = b""
        self.hold = False
        """The next thing written waits for the one after it: head and body of a request leave together."""
        self.received = 0
        """Bytes since the caller last set it to 0."""
        self.before_wait: Callable[[], None] | None = None
        """Called when an upload has to wait, and as it goes on; the caller's time-out may begin there."""
        self.limit: float = math.inf
        """`ReplyTooLarge` is raised once more bytes than this have come."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come, at least one byte; ``b""`` at the end. Time-outs are the caller's affair."""
        if self._held:
            await self.write(b"")  # a head without a body
        if self._is_busy:
            # What comes without an end, and in small parts, would else hold up all other tasks, and time-outs.
            await anyio.lowlevel.checkpoint()
        self._is_busy = True
        max_bytes = min(max_bytes, _CHUNK)
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        if self._wait_first:
            # Just after a request nothing can be there yet: asking first saves a call that must fail.
            self._wait_first = False
            if not _pending(self._sock):
                self._is_busy = False
                await anyio.wait_readable(self._sock)
        while True:
            try:
                data = self._recv(max_bytes)
            except _WOULD_BLOCK:  # noqa: PERF203 - it blocks anew each time
                self._is_busy = False
                await anyio.wait_readable(self._sock)
            except ssl.SSLWantWriteError:
                await anyio.wait_writable(self._sock)
            except OSError as error:
                raise httpcore.ReadError(reason(error)) from error
            else:
                self.received += len(data)
                if self.received > self.limit:
                    raise ReplyTooLarge(f"more than {self.limit} bytes")
                return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Hand all of `buffer` to the operating system. Time-outs are the caller's affair.

        Raises `httpcore.WriteError` when the other end answers or closes before it has taken everything; httpcore
        then goes on to read, so that an early refusal (413) is heard.
        """
        if self.hold:
            self.hold = False
            self._held = buffer
            return
        head, self._held = self._held, b""
        if self._sendmsg is None:
            head, buffer = b"", head + buffer
        self._wait_first = True
        try:
            # A body may be large: it is handed over as it is, without a copy that the head is in front of.
            sent = self._sendmsg((head, buffer)) if head and self._sendmsg is not None else self._send(buffer)
        except (*_WOULD_BLOCK, ssl.SSLWantWriteError):
            sent = 0
        except OSError as error:
            raise httpcore.WriteError(reason(error)) from error
        if sent < len(head):
            head, buffer, sent = b"", head[sent:] + buffer, 0
        if sent < len(head) + len(buffer):
            await self._write_rest(memoryview(buffer)[sent - len(head) :])

    async def _write_rest(self, view: memoryview) -> None:
        if self.before_wait is not None:
            self.before_wait()
        problem: str | None = "the other end answered, or closed, before the upload ended"
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen, group.cancel_scope)
            problem = await self._push(view)
            group.cancel_scope.cancel()
        if problem is not None:
            raise httpcore.WriteError(problem)

    async def _listen(self, upload: anyio.CancelScope) -> None:
        """End an upload as soon as the other end answers or closes: it will not read the rest."""
        while True:
            await anyio.wait_readable(self._sock)
            try:
                data = self._recv_and_tell()
            except _WOULD_BLOCK:
                continue  # TLS housekeeping
            except ssl.SSLWantWriteError:
                await self._wait_writable()
                continue
            except OSError:
                break  # the write, or the read after it, meets the same error and reports it
            self.received += len(data)
            self._ahead = _without_interim(self._ahead + data)
            more = self._ahead.startswith(_INTERIM) or _INTERIM.startswith(self._ahead)
            if not data or not more or self.received > self.limit or len(self._ahead) > _LONGEST_HEAD:
                break
        upload.cancel()

    async def _push(self, view: memoryview) -> str | None:
        """Write until all is taken; return what went wrong."""
        taken = timed = 0
        while view:
            try:
                sent = self._send(view)
            except (BlockingIOError, InterruptedError, ssl.SSLWantWriteError):  # noqa: PERF203 - the same
                await self._wait_writable()
            except ssl.SSLWantReadError:
                self._heard = anyio.Event()
                await self._heard.wait()  # `_listen` reads what it waits for
            except OSError as error:
                return reason(error)
            else:
                view = view[sent:]
                taken += sent
                timed += sent
                if timed >= TIMED_TOGETHER and self.before_wait is not None:
                    timed = 0
                    self.before_wait()
                if taken > _BREATH:
                    taken = 0
                    await anyio.lowlevel.checkpoint()
        return None

    def _recv_and_tell(self) -> bytes:
        """Read, and let the upload try again where TLS had to read before it could write."""
        try:
            return self._recv(_CHUNK)
        finally:
            if self._heard is not None:
                self._heard.set()

    async def _wait_writable(self) -> None:
        """Wait until the socket takes something, as `_push` and, for TLS, `_listen` may: the system bears one."""
        if self._writable is not None:
            await self._writable.wait()
            return
        event = self._writable = anyio.Event()
        try:
            await anyio.wait_writable(self._sock)
        finally:
            self._writable = None
            event.set()

    @property
    def has_unread(self) -> bool:
        """Whether bytes have been taken from the socket that nobody has read."""
        return bool(self._ahead)

    def is_alive(self) -> bool:
        """Whether an idle connection is still open at the other end.

        A server that ended it has sent an end of stream; any byte it sent between two requests belongs to none.
        TLS session tickets are taken in here and are no such bytes.
        """
        try:
            self._recv(1)
        except _WOULD_BLOCK:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close at once; a second time does nothing."""
        self._sock.close()

    async def aclose(self) -> None:
        """Close at once, for httpcore."""
        self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        """Answer what httpcore asks of a stream."""
        if info == "ssl_object":
            return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
        return self._sock if info == "socket" else None


def _without_interim(data: bytes) -> bytes:
    """What has come, without the whole replies in front that only say that another one will come."""
    while data.startswith(_INTERIM) and b"\r\n\r\n" in data:
        data = data.partition(b"\r\n\r\n")[2]
    return data


def _pending(sock: socket.socket) -> bool:
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


def reason(error: OSError) -> str:
    """Return what happened, in the system's words, without addresses or data."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    return error.strerror or type(error).__name__


# --- opening ----------------------------------------------------------------------------------------


async def connect(host: str, port: int, tls: ssl.SSLContext | None) -> SocketStream:
    """Return an open connection, its TLS handshake done.

    Raises `OSError` (`ssl.SSLError` among them) when none of the host's addresses can be reached or trusted.
    """
    sock = await _open(await _addresses(host, port))
    if tls is not None:
        sock = await _handshake(sock, tls, host)
    return SocketStream(sock)


_Address = tuple[int, Any]


async def _addresses(host: str, port: int) -> list[_Address]:
    """The host's addresses, IPv6 and IPv4 in turn (RFC 8305), as many as there are."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    by_family: dict[int, list[_Address]] = {}
    for family, _, _, _, address in found:
        by_family.setdefault(family, []).append((family, address))
    rows = list(by_family.values())
    return [row[i] for i in range(max(map(len, rows))) for row in rows if i < len(row)]


async def _open(addresses: list[_Address]) -> socket.socket:
    """Try the addresses, each with a head start before the next; the first that opens wins."""
    if len(addresses) == 1:
        return await _open_one(addresses[0])
    won: list[socket.socket] = []
    errors: list[OSError] = []

    async def attempt(address: _Address, failed: anyio.Event, scope: anyio.CancelScope) -> None:
        try:
            sock = await _open_one(address)
        except OSError as error:
            errors.append(error)
            failed.set()
            return
        if won:
            sock.close()
            return
        won.append(sock)
        scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            for address in addresses:
                failed = anyio.Event()
                group.start_soon(attempt, address, failed, group.cancel_scope)
                with anyio.move_on_after(_HEAD_START):
                    await failed.wait()
    except BaseException:
        for sock in won:
            sock.close()
        raise
    if not won:
        raise errors[0]
    return won[0]


async def _open_one(address: _Address) -> socket.socket:
    sock = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect(address[1])
        except (BlockingIOError, InterruptedError):
            await anyio.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code)) from None
        return sock
    except BaseException:
        sock.close()
        raise


async def _handshake(sock: socket.socket, context: ssl.SSLContext, hostname: str | None) -> ssl.SSLSocket:
    """Put TLS on an open socket, which is closed when it fails."""
    try:
        secure = context.wrap_socket(sock, server_hostname=hostname, do_handshake_on_connect=False)
    except BaseException:
        sock.close()
        raise
    try:
        while True:
            try:
                secure.do_handshake()
                return secure
            except ssl.SSLWantReadError:  # noqa: PERF203 - the same
                await anyio.wait_readable(secure)
            except ssl.SSLWantWriteError:
                await anyio.wait_writable(secure)
    except BaseException:
        secure.close()
        raise
