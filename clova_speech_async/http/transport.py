"""The way to the service: a stack of connections, the warmest on top.

The law of this file: **a connection belongs to one request or lies on the stack, and one that has met anything but a
whole reply is closed**. The limiter says how many requests there are, so there is no pool to search, no lock and no
queue here, and opening and closing cost the same however many connections there are.

What has been idle too long, at the bottom of the stack, is closed by the next request, and by `tend` while that runs.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

import anyio
import anyio.lowlevel
import httpcore

from clova_speech_async.errors import ClovaSpeechError

from .exchange import Outgoing, Phase, Progress
from .receive import HEAD_ROOM, receive
from .sockets import SocketStream, connect
from .timeouts import Timeout, seconds
from .tls import TLS
from .translate import FOREIGN, timed_out, translate
from .wire import REPLY_LIMIT, Reply

__all__ = ["Connections", "Transport"]


_LATER = 0.001
"""Seconds after its time in which an idle connection is surely too old."""


class Transport(Protocol):
    """A way of sending one try of a request."""

    async def exchange(
        self, query: str, body: bytes, progress: Progress, timeout: Timeout, *, fresh: bool = False
    ) -> Reply:
        """Send a request and return the whole reply; `fresh`: on a new connection.

        Raises a `NetworkError` when no whole reply came, an `InvalidReplyError` for one that is too large.
        """
        ...

    async def warm(self, count: int, timeout: Timeout) -> int:
        """Open connections ahead, up to `count` idle ones; return how many are idle then."""
        ...

    async def aclose(self) -> None:
        """Close what is idle now, and what is in use as it comes back."""
        ...

    @property
    def open_connections(self) -> int:
        """How many connections are open, where that is known."""
        ...

    @property
    def idle_connections(self) -> int:
        """How many of them carry no request."""
        ...


class _Unlocked:
    """Stands where httpcore has a lock."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *error: object) -> None: ...


class _HTTP11(httpcore.AsyncHTTP11Connection):
    """HTTP/1.1 for one request at a time: a lock would cost a turn of the event loop twice for each, for nothing."""

    def __init__(self, origin: httpcore.Origin, stream: SocketStream) -> None:
        super().__init__(origin, stream)
        self._state_lock = _Unlocked()  # type: ignore[assignment]

    @property
    def has_surplus(self) -> bool:
        """Whether more has been read than the reply."""
        return bool(self._h11_state.trailing_data[0])


class _Connection:
    """An open connection and the HTTP/1.1 on it."""

    __slots__ = ("http", "idle_since", "stream", "used")

    def __init__(self, stream: SocketStream, origin: httpcore.Origin) -> None:
        self.stream = stream
        self.http = _HTTP11(origin, stream)
        self.idle_since = 0.0
        self.used = False

    @property
    def has_surplus(self) -> bool:
        """Whether bytes have come that belong to no reply; they would be taken for the next one."""
        return self.http.has_surplus or self.stream.has_unread


class Connections:
    """The stack of connections to one address; see the head of this file."""

    def __init__(
        self,
        to: Outgoing,
        tls: TLS,
        *,
        idle_timeout: float,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._to = to
        self._tls = tls
        self._idle_timeout = idle_timeout
        self._clock = clock
        self._idle: deque[_Connection] = deque()
        self._open = 0
        self._closed = False
        self._loop: object = None
        self._tending: tuple[object, anyio.Event] | None = None
        """The event loop in which `tend` runs, and what it waits for."""
        self._tends_nothing = False
        """`tend` waits without end: nothing is idle."""

    # --- one try --------------------------------------------------------------------------------

    async def exchange(
        self, query: str, body: bytes, progress: Progress, timeout: Timeout, *, fresh: bool = False
    ) -> Reply:
        """Send a request on an idle connection, or a new one, and return the reply."""
        connection = None if fresh else self._take()
        if connection is None:
            progress.enter(Phase.CONNECTING)
            connection = await self._connect(progress)
        else:
            progress.reused = connection.used
        keep = False
        try:
            reply = await self._speak(connection, self._to.core_request(query, body, progress), progress)
            keep = connection.http.is_idle() and not connection.has_surplus
        finally:
            self._put_back(connection, keep)
        return reply

    async def _speak(self, connection: _Connection, request: httpcore.Request, progress: Progress) -> Reply:
        stream, http = connection.stream, connection.http
        stream.received = 0
        stream.hold = True
        stream.before_wait = progress.arm
        progress.upload_waits = False
        stream.limit = REPLY_LIMIT + HEAD_ROOM
        try:
            response = await http.handle_async_request(request)
        except FOREIGN as error:
            progress.reply_begun = stream.received > 0
            failure = translate(error, progress, self._to)
        else:
            reply = await receive(response.status, response.headers, response.stream, progress)  # type: ignore[arg-type]
            if not reply.truncated:
                with anyio.CancelScope(shield=True):  # a reply that is here, and paid for, is not lost any more
                    await response.aclose()
            return reply
        raise failure

    # --- the stack ------------------------------------------------------------------------------

    def _take(self) -> _Connection | None:
        """The warmest idle connection that is still open."""
        self._check_loop()
        self._close_expired()
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.stream.is_alive():
                return connection
            self._close(connection)
        return None

    def _close_expired(self) -> None:
        oldest = self._clock() - self._idle_timeout
        while self._idle and self._idle[0].idle_since < oldest:
            self._close(self._idle.popleft())

    async def tend(self) -> None:
        """Close what has been idle too long, as its time comes, until all is closed; in one event loop."""
        loop = anyio.lowlevel.current_token()
        while not self._closed:
            left = math.inf
            if self._loop == loop:  # else the connections belong to another one
                self._close_expired()
                if self._idle:
                    left = self._idle[0].idle_since + self._idle_timeout - self._clock() + _LATER
            self._tending = (loop, look := anyio.Event())
            self._tends_nothing = left == math.inf
            with anyio.move_on_after(left):
                await look.wait()

    def _have_tended(self) -> None:
        """Wake `tend`, where it runs in this event loop."""
        if self._tending is not None and self._tending[0] == anyio.lowlevel.current_token():
            self._tending[1].set()

    def _put_back(self, connection: _Connection, keep: bool) -> None:
        if keep and not self._closed:
            connection.used = True
            self._lay_down(connection)
        else:
            self._close(connection)

    def _lay_down(self, connection: _Connection) -> None:
        connection.idle_since = self._clock()
        self._idle.append(connection)
        if self._tends_nothing:  # else it will look by the time that this one is too old
            self._have_tended()

    def _close(self, connection: _Connection) -> None:
        connection.stream.close()
        self._open -= 1

    def _check_loop(self) -> None:
        """Forget the connections of an event loop that has ended: httpcore's locks are of its kind."""
        loop = anyio.lowlevel.current_token()
        if loop != self._loop:
            self._loop = loop
            while self._idle:
                self._close(self._idle.pop())

    # --- opening --------------------------------------------------------------------------------

    async def _connect(self, progress: Progress) -> _Connection:
        to = self._to
        try:
            context = await self._tls.context() if to.scheme == "https" else None
            stream = await connect(to.host, to.port, context)
        except FOREIGN as error:
            failure = translate(error, progress, to)
        else:
            self._open += 1
            return _Connection(stream, to.origin)
        raise failure

    async def warm(self, count: int, timeout: Timeout) -> int:
        """Open connections, side by side, until `count` are idle; return how many are.

        Raises `ConnectError`, `ConnectTimeoutError` or `DeadlineExceededError` when not one can be opened.
        """
        self._check_loop()
        self._close_expired()
        for connection in [one for one in self._idle if not one.stream.is_alive()]:
            self._idle.remove(connection)
            self._close(connection)
        deadline = anyio.current_time() + seconds(timeout.total)
        errors: list[ClovaSpeechError] = []

        async def one() -> None:
            progress = Progress(timeout, deadline)
            try:
                with progress.scope:
                    progress.enter(Phase.CONNECTING)
                    connection = await self._connect(progress)
                    if self._closed:
                        self._close(connection)
                    else:
                        self._lay_down(connection)
                if progress.scope.cancelled_caught:
                    errors.append(timed_out(progress, self._to))
            except ClovaSpeechError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(count - len(self._idle)):
                group.start_soon(one)
        if errors and not self._idle:
            raise errors[0]
        return len(self._idle)

    async def aclose(self) -> None:
        """Close every idle connection at once, and those in use as they come back."""
        self._closed = True
        while self._idle:
            self._close(self._idle.pop())
        self._have_tended()

    @property
    def open_connections(self) -> int:
        """Connections that are open, idle ones included."""
        return self._open

    @property
    def idle_connections(self) -> int:
        """Connections on the stack."""
        return len(self._idle)
