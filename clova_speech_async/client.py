"""`ClovaSpeechClient`: one request, one recording of any length, or its segments as they come.

Thin: what a request says is decided in `http`, what a piece is in `audio`; here they are put together.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING

from .audio import AudioInput, Channels, Estimate, Splitting, measure
from .background import BackgroundStream, Host
from .engine import Engine
from .errors import ArgumentTypeError, InvalidArgumentError
from .http.credentials import Credentials, CSRKeys, SecretKey, from_environment
from .http.limiter import Adaptive, Limiter
from .http.parameters import URL_VARIABLE, Parameters, endpoint
from .http.retry import RetryPolicy
from .http.sender import Sender
from .http.timeouts import Timeout
from .journal import Journal
from .journals import Journals
from .models import Language, Recognition
from .order import Order
from .outcome import Done, to_segment
from .reading import reading
from .transcript import Segment, Transcript

if TYPE_CHECKING:
    import ssl

    import httpx
    from typing_extensions import Self

    from .http.events import Event, Stats

__all__ = ["UNSET", "ClovaSpeechClient", "JournalInput", "TimeoutInput", "Unset", "estimate"]

JournalInput = Journal | str | os.PathLike[str]


class Unset(Enum):
    """Stands where an argument was not given and None has a meaning of its own."""

    UNSET = "the client's own"


UNSET = Unset.UNSET
TimeoutInput = float | Timeout | None


class ClovaSpeechClient:
    """A client of CLOVA Speech short sentence recognition; one for the whole life of a program.

    Works under asyncio and trio, in one event loop at a time: in threads, each makes its own. Made anywhere, also
    outside an event loop; nothing is opened before the first request. Enter it with ``async with``, or call `aclose`
    at the end.

    Args:
        secret_key: the domain's secret key, or credentials such as `CSRKeys`; from ``CLOVA_SPEECH_SECRET_KEY`` where
            not given.
        invoke_url: the domain's Invoke URL in any form (host, base, full path); from ``CLOVA_SPEECH_INVOKE_URL``,
            else the service's common address.
        timeout: seconds over all tries and waits of one request, a `Timeout` with a figure for each phase, or None
            for no bound at all. By default 600 s in all, 10 s to connect, 120 s for a reply.
        retry: when to try again, and how long to wait before.
        concurrency: requests under way at once; a number, `Adaptive()` that finds it out, or a `Limiter` that
            several clients share.
        requests_per_second: the most requests started in a second, or None.
        max_waiting: how many calls may wait for a slot; the next one gets `QueueFullError` at once. None: any number.
            A long recording that was let in is not refused halfway.
        transport: an httpx transport of the caller's own (`httpx.ASGITransport`, a mock); it stays the caller's.
        http_client: an `httpx.AsyncClient` of the caller's own; it stays the caller's.
        proxy: the address of a proxy; by default the environment's (``HTTPS_PROXY``, ``NO_PROXY``, …), as httpx has it.
        ssl_context: a TLS context of the caller's own.
        idle_timeout: seconds after which an unused connection is closed; where the client is not entered, or connects
            through a proxy, by the next request.
        on_event: called with small frozen events of every request; what it raises is logged and goes no further.

    Raises:
        ConfigurationError: the key or the URL is missing or malformed (also a `ValueError`); the key is not shown.
    """

    def __init__(
        self,
        secret_key: str | Credentials | None = None,
        *,
        invoke_url: str | None = None,
        timeout: TimeoutInput = Timeout(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        concurrency: int | Adaptive | Limiter = 8,
        requests_per_second: float | None = None,
        max_waiting: int | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        http_client: httpx.AsyncClient | None = None,
        proxy: str | httpx.Proxy | None = None,
        ssl_context: ssl.SSLContext | None = None,
        idle_timeout: float = 30.0,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        credentials = _credentials(secret_key)
        if invoke_url is None:
            # The variable names a domain of CLOVA Speech: the keys of the sibling service are not for that host.
            named = None if isinstance(credentials, CSRKeys) else os.environ.get(URL_VARIABLE)
            invoke_url = named or credentials.default_url
        self._url = endpoint(invoke_url)
        if not isinstance(retry, RetryPolicy):
            raise ArgumentTypeError(f"retry must be a RetryPolicy, not {type(retry).__name__}", argument="retry")
        if on_event is not None and not callable(on_event):
            raise ArgumentTypeError(f"on_event must be callable, not {type(on_event).__name__}", argument="on_event")
        if inspect.iscoroutinefunction(on_event):
            raise ArgumentTypeError(
                "on_event must be a plain function, not a coroutine function: it is called, not awaited; "
                "hand the event on with send_nowait or put_nowait",
                argument="on_event",
            )
        limiter = _limiter(concurrency, requests_per_second, max_waiting)
        self._sender = Sender(
            url=self._url,
            credentials=credentials,
            timeout=Timeout.of(timeout),
            retry=retry,
            limiter=limiter,
            transport=transport,
            http_client=http_client,
            proxy=proxy,
            ssl_context=ssl_context,
            idle_timeout=idle_timeout,
            on_event=on_event,
        )
        self._limiter = limiter
        self._journals = Journals()
        self._engine = Engine(self._sender, limiter, self._url, self._journals)
        self._host = Host()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url}>"

    # --- life ---------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._journals.check_open()
        await self._host.enter()
        self._host.start_soon(self._sender.tend)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._host.exit()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close every connection and journal that this client opened; safe to call twice.

        A request that is under way in another task ends first, and its reply is kept; one in line, and whatever is
        asked for after this, gets `ClientClosedError`.
        """
        try:
            await self._sender.aclose()
        finally:
            await self._journals.aclose()

    async def warm(self, connections: int) -> int:
        """Open connections ahead of the first request, until `connections` are idle; return how many are.

        None are opened, and 0 returned, where httpx connects: through a proxy, or by a `transport` or `http_client`.

        Raises `ConnectError`, `ConnectTimeoutError` or `DeadlineExceededError` when not one can be opened.
        """
        return await self._sender.warm(connections)

    def stats(self) -> Stats:
        """What this client is doing and has done, as a frozen snapshot."""
        return self._sender.stats()

    # --- one request ----------------------------------------------------------------------------------

    async def recognize(
        self,
        audio: AudioInput,
        *,
        lang: str | Language,
        assessment: bool = False,
        utterance: str | None = None,
        graph: bool = False,
        boostings: Iterable[str] | None = None,
        timeout: TimeoutInput | Unset = UNSET,
        journal: JournalInput | None = None,
    ) -> Recognition:
        """Recognise at most 60 seconds of audio in one request.

        Args:
            audio: a path, bytes, a binary file object, an async iterable of bytes or an object whose `read` is awaited
                (an upload of Starlette or FastAPI), or `PCM` samples.
            lang: ``"Kor"``, ``"Eng"``, ``"Jpn"``, ``"Chn"``, an ISO code such as ``"ko-KR"``, or a `Language`.
            assessment: score the pronunciation (`Eng` and `Kor` only).
            utterance: the text that was to be said; with `assessment` only.
            graph: return the two waveforms, 50 values a second.
            boostings: Korean keywords to favour, 512 characters in all; one under 3 characters has no effect.
            timeout: as in the client, for this call.
            journal: a `Journal`, or the path of one: what it holds is not sent again.

        Raises:
            ValueError, TypeError: an argument the service is known not to take; nothing was sent.
            AudioError: the audio cannot be read, or is too long or too large for one request; nothing was sent.
            ServiceError, NetworkError, InvalidReplyError: what came of the request, after its retries.
            QueueFullError: `max_waiting` calls are waiting already.
        """
        if not self._limiter.begins_at_once():
            await self._limiter.turn()
            self._limiter.go_in()
        parameters = Parameters.check(
            lang=lang, assessment=assessment, utterance=utterance, graph=graph, boostings=boostings
        )
        kept, limit = self._journals.get(journal), _timeout(timeout)
        with await self._sender.enter(limit) as place:
            order = Order(parameters, timeout=limit, journal=kept)
            done = await self._engine.job(order, place).recognize(audio)
        return done.recognition

    # --- any length -----------------------------------------------------------------------------------

    async def transcribe(
        self,
        audio: AudioInput,
        *,
        lang: str | Language,
        boostings: Iterable[str] | None = None,
        channels: Channels | None = None,
        max_duration: float | None = None,
        splitting: Splitting | None = None,
        timeout: TimeoutInput | Unset = UNSET,
        journal: JournalInput | None = None,
    ) -> Transcript:
        """Transcribe audio of any length: in pieces of at most 60 seconds, side by side, put together in time order.

        Args:
            audio: as for `recognize`.
            lang: as for `recognize`.
            boostings: as for `recognize`.
            channels: ``"mix"`` (the default) mixes them; ``"each"`` transcribes every channel by itself.
            max_duration: seconds; a longer recording is an `AudioTooLongError`. For what a stranger uploads.
            splitting: how to cut, for those who tune it.
            timeout: as in the client, for each request of this call; of all but the first without the time in line.
            journal: a `Journal`, or the path of one: what it holds is not sent, nor paid for, again.

        Raises:
            what `recognize` raises. A failed piece ends the call after those under way: its error has what was
            recognised, and paid for, in `partial`.
        """
        if not self._limiter.begins_at_once():
            await self._limiter.turn()
            self._limiter.go_in()
        parameters = Parameters.check(lang=lang, boostings=boostings)
        options = Splitting.of(splitting, channels, max_duration)
        kept, limit = self._journals.get(journal), _timeout(timeout)
        with await self._sender.enter(limit) as place:
            order = Order(parameters, splitting=options, timeout=limit, journal=kept)
            return await self._engine.job(order, place).transcribe(audio)

    def stream(
        self,
        audio: AudioInput,
        *,
        lang: str | Language,
        boostings: Iterable[str] | None = None,
        channels: Channels | None = None,
        max_duration: float | None = None,
        splitting: Splitting | None = None,
        timeout: TimeoutInput | Unset = UNSET,
        journal: JournalInput | None = None,
    ) -> BackgroundStream[Segment]:
        """Transcribe like `transcribe`, giving each segment as soon as it and all before it are there.

        Read it with ``async for`` in an entered client, or under ``async with client.stream(…) as segments``. A slow
        reader slows the requests. Leaving the block cancels them, and so does dropping the stream, as ``break`` in
        ``async for segment in client.stream(…)``; while an error is handled that came out of such a loop, Python
        still holds it.

        Raises, while it is read, what `transcribe` raises; `partial` then has the segments not given yet.
        """
        parameters = Parameters.check(lang=lang, boostings=boostings)
        options = Splitting.of(splitting, channels, max_duration)
        kept, limit = self._journals.get(journal), _timeout(timeout)
        order = Order(parameters, splitting=options, timeout=limit, journal=kept)

        async def work(emit: Callable[[Segment], Awaitable[None]]) -> None:
            async def give(done: Done) -> None:
                await emit(to_segment(done))

            if not self._limiter.begins_at_once():
                await self._limiter.turn()
                self._limiter.go_in()
            with await self._sender.enter(limit) as place:
                await self._engine.job(order, place).stream(audio, give)

        return BackgroundStream(work, self._host)


async def estimate(
    audio: AudioInput,
    *,
    channels: Channels | None = None,
    max_duration: float | None = None,
    splitting: Splitting | None = None,
) -> Estimate:
    """Return what transcribing `audio` would take, without sending anything: seconds, requests, billed seconds.

    Raises the same errors as `ClovaSpeechClient.transcribe` does for audio that cannot be read.
    """
    async with reading(audio) as source:
        return await source.run(measure, Splitting.of(splitting, channels, max_duration))


# --- small decisions ----------------------------------------------------------------------------------


def _credentials(secret_key: str | Credentials | None) -> Credentials:
    if secret_key is None:
        return from_environment(dict(os.environ))
    if isinstance(secret_key, str):
        return SecretKey(secret_key)
    if isinstance(secret_key, Credentials) and not isinstance(secret_key, type):
        return secret_key
    raise ArgumentTypeError(
        f"secret_key must be a string or credentials, not {type(secret_key).__name__}", argument="secret_key"
    )


def _limiter(
    concurrency: int | Adaptive | Limiter, requests_per_second: float | None, max_waiting: int | None
) -> Limiter:
    if not isinstance(concurrency, Limiter):
        return Limiter(concurrency, requests_per_second=requests_per_second, max_waiting=max_waiting)
    if requests_per_second is not None or max_waiting is not None:
        raise InvalidArgumentError("requests_per_second and max_waiting: set them on the Limiter that you pass")
    return concurrency


def _timeout(timeout: TimeoutInput | Unset) -> Timeout | None:
    """The time-outs of one call; None where they are the client's."""
    return None if isinstance(timeout, Unset) else Timeout.of(timeout)
