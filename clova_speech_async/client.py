"""`ClovaSpeechClient`: one request, one recording of any length, or its segments as they come.

Thin: what a request says is decided in `http`, what a piece is in `audio`; here they are put together.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal


from .audio import AudioInput, Estimate, Piece, Splitting, cut, load, measure, quick
from .background import BackgroundStream, Host
from .errors import ArgumentTypeError, ClovaSpeechError, InvalidArgumentError, JournalError
from .http.credentials import Credentials, SecretKey, from_environment
from .http.limiter import Adaptive, Limiter
from .http.parameters import URL_VARIABLE, Parameters, endpoint
from .http.retry import RetryPolicy
from .http.sender import Sender, Stats, Timeout
from .http.wire import Reply, parse_reply
from .journal import Journal, journal_key
from .models import Language, Recognition
from .pipeline import Pipeline
from .threads import Pull, blocking_reader, run_blocking
from .transcript import Segment, Transcript

if TYPE_CHECKING:
    import ssl

    import httpx
    from typing_extensions import Self

    from .http.events import Event

__all__ = ["ClovaSpeechClient", "estimate"]

JournalInput = Journal | str | os.PathLike[str]
Channels = Literal["mix", "each"]


@dataclass
class Usage:
    """What one call has cost so far; filled while it runs."""

    tries: int = 0
    """Requests sent."""
    billed_seconds: int = 0
    """Seconds that the service billed for it."""
    saved_seconds: int = 0
    """Seconds that would have been billed, had the journal not held the reply."""
    before_send: Callable[[Piece], None] | None = field(default=None, repr=False)
    """Called before a request is sent, with its piece; what it raises ends the call."""


class ClovaSpeechClient:
    """A client of CLOVA Speech short sentence recognition; one for the whole life of a program.

    Works under asyncio and trio. Made anywhere, also outside an event loop; nothing is opened before the first
    request. Enter it with ``async with``, or call `aclose` at the end.

    Args:
        secret_key: the domain's secret key, or credentials such as `CSRKeys`; from ``CLOVA_SPEECH_SECRET_KEY`` where
            not given.
        invoke_url: the domain's Invoke URL in any form (host, base, full path); from ``CLOVA_SPEECH_INVOKE_URL``,
            else the service's common address.
        timeout: seconds over all tries and waits of one request, or a `Timeout` with a figure for each phase.
        retry: when to try again, and how long to wait before.
        concurrency: requests under way at once; a number, `Adaptive()` that finds it out, or a `Limiter` that
            several clients share.
        requests_per_second: the most requests started in a second, or None.
        max_waiting: how many calls may wait for a slot; the next one gets `QueueFullError` at once. None: any number.
        transport: an httpx transport of the caller's own (`httpx.ASGITransport`, a mock); it stays the caller's.
        http_client: an `httpx.AsyncClient` of the caller's own; it stays the caller's.
        ssl_context: a TLS context of the caller's own.
        idle_timeout: seconds after which an unused connection is closed.
        on_event: called with small frozen events of every request; what it raises is logged and goes no further.

    Raises:
        ConfigurationError: the key or the URL is missing or malformed (also a `ValueError`); the key is not shown.
    """

    def __init__(
        self,
        secret_key: str | Credentials | None = None,
        *,
        invoke_url: str | None = None,
        timeout: float | Timeout | None = None,
        retry: RetryPolicy | None = None,
        concurrency: int | Adaptive | Limiter = 8,
        requests_per_second: float | None = None,
        max_waiting: int | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        http_client: httpx.AsyncClient | None = None,
        ssl_context: ssl.SSLContext | None = None,
        idle_timeout: float = 30.0,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        credentials = _credentials(secret_key)
        self._url = endpoint(invoke_url or os.environ.get(URL_VARIABLE) or credentials.default_url)
        self._limiter = _limiter(concurrency, requests_per_second, max_waiting)
        self._sender = Sender(
            url=self._url,
            credentials=credentials,
            timeout=Timeout.of(timeout),
            retry=RetryPolicy() if retry is None else retry,
            limiter=self._limiter,
            transport=transport,
            http_client=http_client,
            ssl_context=ssl_context,
            idle_timeout=idle_timeout,
            on_event=on_event,
        )
        self._host = Host()
        self._journals: dict[str, Journal] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url}>"

    # --- life ---------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._host.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._host.exit()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close every connection and journal that this client opened; safe to call twice."""
        try:
            await self._sender.aclose()
        finally:
            journals, self._journals = list(self._journals.values()), {}
            for journal in journals:
                await journal.aclose()

    async def warm(self, connections: int) -> None:
        """Open `connections` connections ahead of the first request."""
        await self._sender.warm(connections)

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
        timeout: float | Timeout | None = None,
        journal: JournalInput | None = None,
    ) -> Recognition:
        """Recognise at most 60 seconds of audio in one request.

        Args:
            audio: a path, bytes, a binary file object, an async iterable of bytes, or `PCM` samples.
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
        parameters = Parameters.check(
            lang=lang, assessment=assessment, utterance=utterance, graph=graph, boostings=boostings
        )
        piece = quick(audio)
        if piece is None:
            async with blocking_reader(audio) as readable:
                piece = await run_blocking(load, readable)
        return await self._send(piece, parameters, self._journal(journal), _timeout(timeout), Usage())

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
        timeout: float | Timeout | None = None,
        journal: JournalInput | None = None,
    ) -> Transcript:
        """Transcribe audio of any length: in pieces of at most 60 seconds, side by side, put together in time order.

        Args:
            audio: a path, bytes, a binary file object, an async iterable of bytes, or `PCM` samples.
            lang: as for `recognize`.
            boostings: as for `recognize`.
            channels: ``"mix"`` (the default) mixes them; ``"each"`` transcribes every channel by itself.
            max_duration: seconds; a longer recording is an `AudioTooLongError`. For what a stranger uploads.
            splitting: how to cut, for those who tune it.
            timeout: as in the client, for each request of this call.
            journal: a `Journal`, or the path of one: what it holds is not sent, nor paid for, again.

        Raises:
            what `recognize` raises. A failed piece ends the call after those under way: its error has what was
            recognised, and paid for, in `partial`.
        """
        parameters = Parameters.check(lang=lang, boostings=boostings)
        return await self._transcribe(
            audio,
            parameters,
            splitting=_splitting(splitting, channels, max_duration),
            timeout=_timeout(timeout),
            journal=self._journal(journal),
            usage=Usage(),
        )

    def stream(
        self,
        audio: AudioInput,
        *,
        lang: str | Language,
        boostings: Iterable[str] | None = None,
        channels: Channels | None = None,
        max_duration: float | None = None,
        splitting: Splitting | None = None,
        timeout: float | Timeout | None = None,
        journal: JournalInput | None = None,
    ) -> BackgroundStream[Segment]:
        """Transcribe like `transcribe`, giving each segment as soon as it and all before it are there.

        Read it with ``async for`` in an entered client, or under ``async with client.stream(…) as segments``. A slow
        reader slows the requests; leaving the loop cancels them.

        Raises, while it is read, what `transcribe` raises; `partial` then has the segments not given yet.
        """
        parameters = Parameters.check(lang=lang, boostings=boostings)
        options = _splitting(splitting, channels, max_duration)
        kept, limit = self._journal(journal), _timeout(timeout)

        async def work(emit: Callable[[Segment], Awaitable[None]]) -> None:
            await self._pieces(audio, parameters, options, limit, kept, Usage(), emit)

        return BackgroundStream(work, self._host)

    # --- how ------------------------------------------------------------------------------------------

    async def _transcribe(
        self,
        audio: AudioInput,
        parameters: Parameters,
        *,
        splitting: Splitting,
        timeout: Timeout | None,
        journal: Journal | None,
        usage: Usage,
    ) -> Transcript:
        segments: list[Segment] = []

        async def keep(segment: Segment) -> None:
            segments.append(segment)

        try:
            duration = await self._pieces(audio, parameters, splitting, timeout, journal, usage, keep)
        except ClovaSpeechError as error:
            late = error.partial.segments if isinstance(error.partial, Transcript) else ()
            if segments or late:
                error.partial = _transcript([*segments, *late], parameters.lang, None)
            raise
        return _transcript(segments, parameters.lang, duration)

    async def _pieces(
        self,
        audio: AudioInput,
        parameters: Parameters,
        splitting: Splitting,
        timeout: Timeout | None,
        journal: Journal | None,
        usage: Usage,
        emit: Callable[[Segment], Awaitable[None]],
    ) -> float | None:
        """Send every piece of `audio`, emit every segment; return the recording's length in seconds."""

        async def send(piece: Piece) -> Segment:
            recognition = await self._send(piece, parameters, journal, timeout, usage)
            return _segment(piece, recognition)

        whole = quick(audio) if splitting == _DEFAULT else None
        if whole is not None:
            await emit(await send(whole))
            return whole.end
        async with blocking_reader(audio) as readable:
            cutter = cut(readable, splitting)
            # One more than can be under way: the next piece is ready when a slot gets free.
            pipeline = Pipeline(Pull(cutter), send, width=min(self._limiter.limit, _WIDEST) + 1)
            try:
                await pipeline.run(emit)
            except ClovaSpeechError as error:
                if pipeline.late:
                    error.partial = _transcript(pipeline.late, parameters.lang, None)
                raise
            return cutter.duration

    async def _send(
        self, piece: Piece, parameters: Parameters, journal: Journal | None, timeout: Timeout | None, usage: Usage
    ) -> Recognition:
        if journal is None:
            return (await self._request(piece, parameters, timeout, usage))[0]
        async with journal.claim(journal_key(piece.digest, self._url, parameters.query)) as claim:
            if claim.stored is not None:
                usage.saved_seconds += claim.stored.billed_seconds or piece.billed_seconds
                return parse_reply(Reply(200, (), claim.stored.body))
            recognition, body = await self._request(piece, parameters, timeout, usage)
            try:
                await claim.put(body, billed_seconds=recognition.quota, seconds=piece.seconds)
            except JournalError as error:
                # Paid for, but not kept: the reply must reach the caller all the same.
                error.partial = _transcript([_segment(piece, recognition)], parameters.lang, None)
                raise
            return recognition

    async def _request(
        self, piece: Piece, parameters: Parameters, timeout: Timeout | None, usage: Usage
    ) -> tuple[Recognition, bytes]:
        if usage.before_send is not None:
            usage.before_send(piece)
        try:
            sent = await self._sender.send(parameters, piece.data, seconds=piece.seconds, timeout=timeout)
        except ClovaSpeechError as error:
            usage.tries += len(error.attempts)
            raise
        usage.tries += sent.attempts
        usage.billed_seconds += piece.billed_seconds if sent.recognition.quota is None else sent.recognition.quota
        return sent.recognition, sent.body

    def _journal(self, journal: JournalInput | None) -> Journal | None:
        """The journal itself, or the one of this client at that path: opened once, closed with the client."""
        if journal is None or isinstance(journal, Journal):
            return journal
        if not isinstance(journal, (str, os.PathLike)):
            raise ArgumentTypeError(f"journal must be a path or a Journal, not {type(journal).__name__}")
        path = str(Path(journal).absolute())
        if path not in self._journals:
            self._journals[path] = Journal(path)
        return self._journals[path]


_WIDEST = 16
"""Pieces of one recording in memory at once; each is at most 10 MB, mostly under 2."""
_DEFAULT = Splitting()


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
    async with blocking_reader(audio) as readable:
        return await run_blocking(measure, readable, _splitting(splitting, channels, max_duration))


# --- small decisions ----------------------------------------------------------------------------------


def _credentials(secret_key: str | Credentials | None) -> Credentials:
    if secret_key is None:
        return from_environment(dict(os.environ))
    if isinstance(secret_key, str):
        return SecretKey(secret_key)
    if isinstance(secret_key, Credentials):
        return secret_key
    raise ArgumentTypeError(f"secret_key must be a string or credentials, not {type(secret_key).__name__}")


def _limiter(
    concurrency: int | Adaptive | Limiter, requests_per_second: float | None, max_waiting: int | None
) -> Limiter:
    if not isinstance(concurrency, Limiter):
        return Limiter(concurrency, requests_per_second=requests_per_second, max_waiting=max_waiting)
    if requests_per_second is not None or max_waiting is not None:
        raise InvalidArgumentError("requests_per_second and max_waiting: set them on the Limiter that you pass")
    return concurrency


def _timeout(timeout: float | Timeout | None) -> Timeout | None:
    return None if timeout is None else Timeout.of(timeout)


def _splitting(splitting: Splitting | None, channels: Channels | None, max_duration: float | None) -> Splitting:
    options = Splitting() if splitting is None else splitting
    if not isinstance(options, Splitting):
        raise ArgumentTypeError(f"splitting must be a Splitting, not {type(splitting).__name__}")
    changes: dict[str, Any] = {"channels": channels, "max_duration": max_duration}
    return replace(options, **{name: value for name, value in changes.items() if value is not None})


def _segment(piece: Piece, recognition: Recognition) -> Segment:
    return Segment(
        start=piece.start,
        end=piece.end,
        text=recognition.text,
        channel=piece.channel,
        billed_seconds=piece.billed_seconds if recognition.quota is None else recognition.quota,
        recognition=recognition,
    )


def _transcript(segments: list[Segment], lang: Language, duration: float | None) -> Transcript:
    ordered = sorted(segments, key=lambda segment: (segment.start, segment.channel or 0))
    return Transcript(
        segments=tuple(ordered),
        language=lang.value,
        duration=max((segment.end for segment in ordered), default=0.0) if duration is None else duration,
        billed_seconds=sum(segment.billed_seconds or 0 for segment in ordered),
    )
