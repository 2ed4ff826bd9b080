"""One try of a request: what goes out, how far it came, what came back.

The parts that every way of sending has in common; nothing here opens or closes anything.
"""

from __future__ import annotations

import enum
import math
import zlib
from collections.abc import AsyncIterator, Sequence

import anyio
import httpcore
import httpx

from clova_speech_async.errors import ConfigurationError, InvalidReplyError, ReplyTooLargeError

from .timeouts import TIMED_TOGETHER, Timeout, seconds
from .wire import REPLY_LIMIT, Reply

__all__ = ["Outgoing", "Phase", "Progress", "Upload", "check_announced", "make_reply", "too_large"]


class Phase(enum.IntEnum):
    """How far a try has come."""

    WAITING = 0
    """In line for a slot."""
    CONNECTING = 1
    SENDING = 2
    RECEIVING = 3
    """All of the request is with the operating system."""


class Progress:
    """How far a try has come, and when it must have come farther: the one place that knows all its deadlines."""

    __slots__ = ("_limits", "deadline", "phase", "proxied", "reply_begun", "reused", "scope", "status", "upload_waits")

    def __init__(self, timeout: Timeout, deadline: float) -> None:
        self.deadline = deadline
        """Of the call, by the event loop's clock."""
        self._limits = (math.inf, seconds(timeout.connect), seconds(timeout.write), seconds(timeout.read))
        self.scope = anyio.CancelScope()
        """Has no deadline before something waits: a timer that is never needed costs as much as one that is."""
        self.phase = Phase.WAITING
        self.upload_waits = True
        """Whether each piece of the upload is to be timed; else whoever sends it calls `arm` when it has to wait."""
        self.proxied = False
        """A proxy may stand between."""
        self.reused = False
        """The connection had carried a request before."""
        self.reply_begun = False
        self.status: int | None = None
        """HTTP status, or None where no reply came."""

    @property
    def heard(self) -> bool:
        """Whether a byte of the request may have left."""
        return self.phase >= Phase.SENDING

    def enter(self, phase: Phase) -> None:
        """Go on to a phase, whose time-out runs from now."""
        self.phase = phase
        self.arm()

    def arm(self, now: float | None = None) -> None:
        """Let the time-out of the phase, and the deadline of the call, run from now."""
        deadline = min(self.deadline, (anyio.current_time() if now is None else now) + self._limits[self.phase])
        if deadline != self.scope.deadline:  # a timer that is not to be moved need not be set anew
            self.scope.deadline = deadline

    def limit(self) -> float:
        """Return the time-out of the phase, in seconds."""
        return self._limits[self.phase]

    @property
    def timed_out_connecting(self) -> bool:
        """Whether no connection came in time."""
        return self.phase is Phase.CONNECTING and anyio.current_time() >= self.scope.deadline < self.deadline

    @property
    def past_deadline(self) -> bool:
        """Whether it is the deadline of the whole call that has passed."""
        return anyio.current_time() >= self.deadline


class Upload(httpx.AsyncByteStream):
    """The body of one try. Whoever sends it pulls it, and so tells how far the request has come."""

    def __init__(self, body: bytes, progress: Progress) -> None:
        self._body = body
        self._progress = progress

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Pieces(self._body, self._progress)

    def __repr__(self) -> str:
        return f"<Upload of {len(self._body)} bytes>"


class _Pieces:
    """Not a generator: one that an error leaves unfinished would have to be closed by whoever pulled it."""

    __slots__ = ("_body", "_position", "_progress")

    def __init__(self, body: bytes, progress: Progress) -> None:
        self._body = body
        self._progress = progress
        self._position = 0

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        start, body = self._position, self._body
        if start >= len(body):
            self._progress.enter(Phase.RECEIVING)
            raise StopAsyncIteration
        self._progress.phase = Phase.SENDING
        if self._progress.upload_waits:
            self._progress.arm()
            self._position = start + TIMED_TOGETHER
        else:
            self._position = len(body)
        return body[start : self._position]  # all of it is no copy


class Outgoing:
    """What is the same for all tries of all requests, made ready once: address and headers."""

    def __init__(self, url: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.url = url
        try:
            address = httpx.URL(url)
            address.host  # noqa: B018 - decodes it, which not every name allows
        except (httpx.InvalidURL, UnicodeError) as error:
            raise ConfigurationError(f"the Invoke URL names a host that cannot be: {url!r}") from error
        self.scheme = address.scheme
        self.host = address.host
        self.port = address.port or (443 if self.scheme == "https" else 80)
        self._path = address.raw_path
        self._parts = (address.raw_scheme, address.raw_host, address.port)
        self._last = ("", httpcore.URL(url))
        self.origin = httpcore.Origin(address.raw_scheme, address.raw_host, self.port)
        self._headers = [
            (b"Host", address.netloc),
            (b"Accept", b"application/json"),
            # A compressed reply of a few bytes can be gigabytes when read.
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", b"clova-speech-async"),
            (b"Content-Type", b"application/octet-stream"),
            *headers,
        ]

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        return f"{self.host}:{self.port}"

    def core_request(self, query: str, body: bytes, progress: Progress) -> httpcore.Request:
        """Return the request in httpcore's form."""
        if query != self._last[0]:
            scheme, host, port = self._parts
            target = b"%b?%b" % (self._path, query.encode("ascii"))
            self._last = (query, httpcore.URL(scheme=scheme, host=host, port=port, target=target))
        request = httpcore.Request(b"POST", self._last[1], content=Upload(body, progress))
        # Set afterwards: they are bytes already, and httpcore would check each of them for each request.
        request.headers = [*self._headers, (b"Content-Length", b"%d" % len(body))]
        return request

    def httpx_request(self, query: str, body: bytes, progress: Progress, timeout: Timeout) -> httpx.Request:
        """Return the request in httpx's form."""
        limits = {"connect": timeout.connect, "read": timeout.read, "write": timeout.write, "pool": timeout.connect}
        return httpx.Request(
            "POST",
            f"{self.url}?{query}",
            headers=[*self._headers, (b"Content-Length", b"%d" % len(body))],
            stream=Upload(body, progress),
            extensions={"timeout": limits},
        )


# --- what came back ---------------------------------------------------------------------------------


def too_large(status: int) -> InvalidReplyError:
    """Return the error for a reply over the cap."""
    return ReplyTooLargeError(
        f"the service answered {status} with more than {REPLY_LIMIT} bytes, and no reply of it is that large: "
        "check the Invoke URL",
        status=status,
    )


def check_announced(status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise `ReplyTooLargeError` when a reply says itself that it is over the cap."""
    for name, value in headers:
        # So many digits are more than Python turns into a number.
        if name.lower() == b"content-length" and value.isdigit() and (len(value) > 20 or int(value) > REPLY_LIMIT):
            raise too_large(status)


def make_reply(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, *, truncated: bool) -> Reply:
    """Return the reply, decompressed when it came compressed though that was not asked for.

    Raises `ReplyTooLargeError` when one of success is over the cap after that.
    """
    for name, value in headers:
        if name.lower() == b"content-encoding" and value.lower() in (b"gzip", b"x-gzip", b"deflate"):
            body, whole = _decompress(body)
            truncated = truncated or not whole
    if len(body) > REPLY_LIMIT:
        if 200 <= status < 300:
            raise too_large(status)
        truncated = True
    return Reply(status=status, headers=headers, body=body, truncated=truncated)


def _decompress(data: bytes) -> tuple[bytes, bool]:
    """The data decompressed, and whether it was whole; hardly more than the cap in memory."""
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, by its first bytes
    try:
        return decoder.decompress(data, REPLY_LIMIT + 1), decoder.eof
    except zlib.error:
        return b"", False
