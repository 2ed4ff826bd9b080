"""One request through all its tries: a slot, an exchange, a verdict, a wait, and again.

Thin: whether to try again is decided in `retry`, how many at once in `control`, what a reply means in `wire`, and the
books are kept in `call`. This file puts them in order and sees that every call ends once: with a recognition, an error
that tells of all its tries, or a cancellation.

The law of this file: **no slot is held while waiting**, and whatever may have been billed is counted.
"""

from __future__ import annotations

import math
import random as _random
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import httpx

from clova_speech_async.checks import check_whole
from clova_speech_async.errors import ClientClosedError, ClovaSpeechError, QueueFullError
from clova_speech_async.models import Recognition

from .call import Bill, Books, Call, MayGoOn, Sent
from .control import Signal
from .credentials import Credentials
from .door import Place, in_line_too_long
from .events import Event, Stats
from .exchange import Outgoing, Phase, Progress
from .limiter import Limiter
from .observe import Observer
from .parameters import Parameters
from .retry import RetryPolicy, signal_of
from .routes import Routes
from .timeouts import Timeout
from .timeouts import seconds as or_forever
from .translate import timed_out
from .verdict import Verdict
from .wire import Reply, Secrets, parse_reply

__all__ = ["Sender"]

RightBefore = Callable[[], Awaitable[None] | None]


class Sender:
    """Sends requests to one address; made anywhere, nothing is opened before the first request.

    `url` is the full address, `limiter` may be shared with other senders. `transport` and `http_client` are the
    caller's own and stay so; without them, `proxy`, `ssl_context` and, where `trust_env`, the environment say how to
    connect. Idle connections are closed after `idle_timeout` seconds while `tend` runs, else by the next request.

    Raises `InvalidArgumentError` or `ArgumentTypeError`, naming the argument, for options that cannot be.
    """

    def __init__(
        self,
        *,
        url: str,
        credentials: Credentials,
        timeout: Timeout = Timeout(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        limiter: Limiter | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        http_client: httpx.AsyncClient | None = None,
        proxy: str | httpx.Proxy | None = None,
        trust_env: bool = True,
        ssl_context: ssl.SSLContext | None = None,
        idle_timeout: float = 30.0,
        on_event: Callable[[Event], object] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._to = Outgoing(url, credentials.headers())
        self._routes = Routes(
            self._to,
            transport=transport,
            http_client=http_client,
            proxy=proxy,
            trust_env=trust_env,
            ssl_context=ssl_context,
            idle_timeout=idle_timeout,
        )
        self._keys = tuple(credentials.secrets())
        self._timeout = timeout
        self._patience = or_forever(timeout.total)
        self._limiter = Limiter() if limiter is None else limiter
        self._observer = Observer(on_event, url)
        self._clock = clock
        self._sleep = sleep
        self._books = Books()
        self._verdict = Verdict(retry, self._books, self._limiter, self._observer, random)
        self._resting: set[anyio.CancelScope] = set()
        """Of the waits between two tries, and for what another call is getting."""
        self._closed = False

    # --- one call -------------------------------------------------------------------------------

    def enter(self, timeout: Timeout | None = None) -> Coroutine[Any, Any, Place]:
        """Wait for the place of a call whose audio is yet to be read.

        Raises `QueueFullError` or `ClientClosedError`, or, when it is awaited, `DeadlineExceededError`.
        """
        if self._closed:
            self.may_go_on()
        try:
            return self._limiter.enter(self._patience if timeout is None else self.total(timeout), self)
        except QueueFullError as error:
            self.turned_away(error, anyio.current_time())
            raise

    def enter_patiently(self, may_go_on: MayGoOn | None = None) -> Coroutine[Any, Any, Place]:
        """Wait for a place, however long it takes; `may_go_on` as in `send`.

        Raises `ClientClosedError`, and `QueueFullError`, which is not booked: who has the time asks again.
        """
        self.may_go_on()
        return self._limiter.enter(math.inf, self if may_go_on is None else _Visitor(self, may_go_on))

    @property
    def was_answered(self) -> bool:
        """Whether any request has ever had a reply, of whatever status."""
        return self._books.replies > 0

    def may_go_on(self) -> None:
        """Raise `ClientClosedError` when this has been closed."""
        if self._closed:
            raise ClientClosedError("the client has been closed: make a new one, or send before it is closed")

    def turned_away(self, error: BaseException, began: float) -> None:
        """Book a call that ended without a place."""
        call = Call(self._books, 0.0, began)
        self._ended(call, call.end(error) if isinstance(error, ClovaSpeechError) else error)

    @contextmanager
    def resting(self, deadline: float = math.inf) -> Iterator[anyio.CancelScope]:
        """A wait of a call that has no slot: cut short at `deadline`, and when all are to `look_again`."""
        with anyio.CancelScope(deadline=deadline) as scope:
            self._resting.add(scope)
            try:
                yield scope
            finally:
                self._resting.discard(scope)

    def look_again(self, *, at_door: bool = True) -> None:
        """Have every call that waits, at the door, in line or between two tries, ask whether it may go on."""
        self._limiter.look_again(at_door=at_door)
        for scope in self._resting:
            scope.cancel()

    def total(self, timeout: Timeout | None) -> float:
        """Seconds that a call with `timeout` may take in all."""
        return self._patience if timeout is None else or_forever(timeout.total)

    async def send(
        self,
        parameters: Parameters,
        body: bytes,
        *,
        seconds: float,
        timeout: Timeout | None = None,
        right_before: RightBefore | None = None,
        may_go_on: MayGoOn | None = None,
        place: Place | None = None,
        patient: bool = False,
        bill: Bill | None = None,
    ) -> Sent:
        """Return what the service recognises in `body`, an audio file of `seconds` length.

        `right_before` is called before each try, with the slot in hand, and what it gives, if anything, awaited; what
        it raises ends the call.
        `may_go_on` is called when it has waited, and when it is to `look_again`, with whether it has been sent before;
        what it raises ends the call, too.
        `place`: what `enter` gave for it; left when it has its slot. `patient`: its time runs from its first slot.
        `bill`: what may be billed is written there, too, as it happens.

        Raises `ClientClosedError`, a `NetworkError`, an `InvalidReplyError` or a `ServiceError`;
        `attempts` on the error tells of every try.
        """
        began = anyio.current_time()
        if place is not None:
            place.ready()
            began -= place.waited
        timeout = self._timeout if timeout is None else timeout
        call = Call(self._books, seconds, began, place=place, may_go_on=may_go_on, bill=bill)
        if not patient:
            call.deadline = began + or_forever(timeout.total)
        try:
            reply, recognition = await self._try_until_done(call, parameters, body, timeout, right_before)
        except BaseException as error:
            self._ended(call, error)
            raise
        billed = call.succeed(recognition.quota)
        elapsed = anyio.current_time() - call.began
        self._observer.finished(call, None, reply.status, billed, elapsed)
        return Sent(
            recognition=recognition,
            body=reply.body,
            request=call.number,
            attempts=call.sent,
            elapsed=elapsed,
            billed_seconds=billed,
            maybe_billed_seconds=call.maybe_billed,
        )

    def _ended(self, call: Call, error: BaseException) -> None:
        if not isinstance(error, Exception):
            call.cancel()
        elif not isinstance(error, ClovaSpeechError):
            call.abandon()
        self._observer.finished(call, error)

    async def _try_until_done(
        self, call: Call, parameters: Parameters, body: bytes, timeout: Timeout, right_before: RightBefore | None
    ) -> tuple[Reply, Recognition]:
        fresh = False
        while True:
            progress = Progress(timeout, call.deadline)
            try:
                with progress.scope:
                    return await self._try(call, parameters, body, timeout, progress, right_before, fresh=fresh)
                failed: ClovaSpeechError = timed_out(progress, self._to)
            except ClovaSpeechError as error:
                failed = error
            except BaseException:
                if progress.heard:
                    call.may_be_billed()  # cancelled by the caller
                raise
            if progress.phase is Phase.WAITING:
                raise call.end(failed)  # in line: nothing of this try was sent
            again = self._verdict.another(call, failed, progress)
            fresh = fresh or again.fresh
            if again.wait:
                await self._rest(call, again.wait)

    async def _rest(self, call: Call, wait: float) -> None:
        """Wait before the next try, looking up when there is something to look at."""
        ends = anyio.current_time() + wait
        while True:
            try:
                self._check(call)  # first: who was told to look again while the request was under way is not told now
            except ClovaSpeechError as error:
                raise call.end(error) from None
            if wait <= 0:
                return
            with self.resting() as scope:
                await self._sleep(wait)
            wait = ends - anyio.current_time() if scope.cancelled_caught else 0.0

    def _check(self, call: Call) -> None:
        """Raise when the call is to go no further."""
        self.may_go_on()
        if call.may_go_on is not None:
            call.may_go_on(call.sent > 0)

    async def _try(
        self,
        call: Call,
        parameters: Parameters,
        body: bytes,
        timeout: Timeout,
        progress: Progress,
        right_before: RightBefore | None,
        *,
        fresh: bool,
    ) -> tuple[Reply, Recognition]:
        """One try: in line, with a slot, and the slot given back with what was met."""
        self.may_go_on()
        limiter = self._limiter
        waited = 0.0
        started = limiter.acquire_at_once()
        if started is None:
            asked = anyio.current_time()
            progress.arm(asked)
            started = await limiter.acquire(again=call.sent > 0, may_go_on=partial(self._check, call))
            waited = started - asked
        if call.place is not None:
            waited += call.place.waited
            call.place.leave()
            call.place = None
        signal = Signal.NOTHING
        try:
            self._check(call)
            if call.sent == 0 and call.deadline == math.inf:
                call.deadline = progress.deadline = started + or_forever(timeout.total)
            if started >= call.deadline:
                raise in_line_too_long()  # the event loop was held up: it would be billed, and thrown away
            if right_before is not None:
                waiting = right_before()
                if waiting is not None:
                    progress.arm()
                    await waiting
            await anyio.lowlevel.checkpoint_if_cancelled()  # who is cancelled already would pay for it, and not have it
            call.begin_try()
            self._observer.started(call, len(body), waited)
            reply = await self._routes.now().exchange(parameters.query, body, progress, timeout, fresh=fresh)
            self._books.replies += 1
            recognition = parse_reply(reply, now=self._clock(), secrets=Secrets(*self._keys, *parameters.private))
            signal = Signal.SUCCESS
        except ClovaSpeechError as error:
            signal = signal_of(error)
            self._verdict.hold_back(error)  # before the slot is given to the next one
            raise
        except BaseException:
            if progress.timed_out_connecting:
                signal = Signal.OVERLOAD
            raise
        finally:
            self._release(started, signal)
        return reply, recognition

    def _release(self, started: float, signal: Signal) -> None:
        limiter = self._limiter
        before = limiter.limit
        limiter.release(started, signal)
        self._observer.limit(before, limiter.limit, limiter.in_flight, limiter.waiting)

    # --- life -----------------------------------------------------------------------------------

    async def warm(self, connections: int) -> int:
        """Open connections ahead of the first request, until so many are idle; return how many are.

        Raises `ConnectError`, `ConnectTimeoutError` or `DeadlineExceededError` when not one can be opened in the
        client's own time-outs, `InvalidArgumentError` or `ArgumentTypeError` for what is no number of connections.
        """
        check_whole("connections", connections, least=0)
        self.may_go_on()
        return await self._routes.now().warm(connections, self._timeout)

    async def tend(self) -> None:
        """Close what has been idle too long, as its time comes, until this is closed."""
        await self._routes.tend()

    async def aclose(self) -> None:
        """Close every connection; a request that is under way ends first, one in line gets `ClientClosedError`.

        A second time does nothing; a cancellation does not leave anything open.
        """
        self._closed = True
        self.look_again()
        await self._routes.aclose()

    def stats(self) -> Stats:
        """Return what this sender does and has done; limit, in flight and waiting are those of its limiter."""
        books, limiter = self._books, self._limiter
        return Stats(
            in_flight=limiter.in_flight,
            waiting=limiter.waiting,
            limit=limiter.limit,
            open_connections=self._routes.open_connections,
            idle_connections=self._routes.idle_connections,
            requests=books.requests,
            succeeded=books.succeeded,
            failed=books.failed,
            cancelled=books.cancelled,
            attempts=books.attempts,
            retries=books.retries,
            ambiguous=books.ambiguous,
            throttled=books.throttled,
            billed_seconds=books.billed_seconds,
            maybe_billed_seconds=books.maybe_billed_seconds,
            retry_budget=books.budget.level,
        )


@dataclass(frozen=True, slots=True)
class _Visitor:
    """A call at the door that not only its sender may end."""

    sender: Sender
    check: MayGoOn

    def may_go_on(self) -> None:
        self.sender.may_go_on()
        self.check(False)

    def turned_away(self, error: BaseException, began: float) -> None:
        self.sender.turned_away(error, began)
