"""How a call is carried out: audio to pieces, a piece to its reply, from the journal or from the service.

What `ClovaSpeechClient` and the batch share. Arguments come here checked.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from itertools import chain
from types import TracebackType
from typing import Any

import anyio

from .audio import AudioInput, Flaws, Piece, Splitting, cut, load, quick, quick_cut
from .errors import (
    ClovaSpeechError,
    ConnectError,
    ConnectTimeoutError,
    DeadlineExceededError,
    JournalError,
    ServiceUnavailableError,
    ThrottledError,
)
from .http.call import MayGoOn
from .http.door import Place
from .http.limiter import Limiter
from .http.parameters import Parameters
from .http.sender import Sender
from .http.timeouts import Timeout
from .http.wire import Reply, parse_reply
from .journal import Claim, Journal, Stored, journal_key
from .journals import Journals
from .pipeline import Pipeline
from .reading import Pull, Reading, reading
from .threads import decoders, run_blocking
from .transcript import Transcript
from .usage import Done, Usage, to_segment, to_transcript

__all__ = ["Engine"]

_WIDEST = 16
"""Pieces of one recording in memory at once; each is at most 10 MB, mostly under 2."""
_DIGESTED_AT_ONCE = 256 * 1024
"""Bytes of which the event loop computes a digest itself, in a fraction of a millisecond."""
_DEFAULT = Splitting()


class _CalledOffError(ClovaSpeechError):
    """Another piece of the recording has failed; nobody but the pipeline and hooks see it."""


class FoundInJournal(Exception):  # noqa: N818 - no error, and only hooks see its name
    """The reply came into the journal while the call stood in line."""


class Engine:
    """Carries out the calls of one client."""

    def __init__(self, sender: Sender, limiter: Limiter, url: str, journals: Journals) -> None:
        self._sender = sender
        self._limiter = limiter
        self._url = url
        self._journals = journals

    def enter_patiently(self, usage: Usage) -> Coroutine[Any, Any, Place]:
        """Wait until work may begin for a `patient` call; every call does so first and has its place in its `Usage`."""
        return self._sender.enter_patiently(usage.may_go_on)

    @property
    def was_answered(self) -> bool:
        """Whether any request has ever had a reply, of whatever status."""
        return self._sender.was_answered

    def look_again(self) -> None:
        """Have every call that waits ask whether it may go on."""
        self._sender.look_again()

    async def recognize(
        self,
        audio: AudioInput,
        parameters: Parameters,
        *,
        timeout: Timeout | None,
        journal: Journal | None,
        usage: Usage,
    ) -> Done:
        """Recognise `audio` in one request."""
        piece = quick(audio)
        if piece is None:
            async with self._reading(audio, usage) as source:
                piece = await source.run(load)
        return await self._send(piece, parameters, timeout, journal, usage)

    async def transcribe(
        self,
        audio: AudioInput,
        parameters: Parameters,
        *,
        splitting: Splitting,
        timeout: Timeout | None,
        journal: Journal | None,
        usage: Usage,
    ) -> Transcript:
        """Recognise `audio` of any length; a failure carries what was done before it in `partial`."""
        done: list[Done] = []

        async def keep(one: Done) -> None:
            done.append(one)

        try:
            duration = await self.pieces(audio, parameters, splitting, timeout, journal, usage, keep, usage.flaws)
        except ClovaSpeechError as error:
            late = error.partial.segments if isinstance(error.partial, Transcript) else ()
            if done or late:
                error.partial = to_transcript([*map(to_segment, done), *late], parameters.lang, usage)
            raise
        return to_transcript(map(to_segment, done), parameters.lang, usage, duration)

    async def pieces(
        self,
        audio: AudioInput,
        parameters: Parameters,
        splitting: Splitting,
        timeout: Timeout | None,
        journal: Journal | None,
        usage: Usage,
        emit: Callable[[Done], Awaitable[None]],
        flaws: Flaws | None = None,
    ) -> float:
        """Send every piece of `audio`, emit each when it is done; return the recording's length in seconds.

        `flaws` is told what the audio lacks; without it, what is cut off raises at its end.
        """

        async def send(piece: Piece) -> Done | None:
            try:
                return await self._send(piece, parameters, timeout, journal, usage)
            except _CalledOffError:
                return None

        whole = _quick_cut(audio, splitting)
        if whole is not None:
            if flaws is not None:
                flaws.announced = whole.end  # its header was held against its bytes
            await emit(await self._send(whole, parameters, timeout, journal, usage))
            return whole.end
        async with self._reading(audio, usage) as source:
            pull = Pull(lambda readable: cut(readable, splitting, flaws=flaws), source)
            # One more than can be under way: the next piece is ready when a slot gets free.
            pipeline = Pipeline(
                pull,
                send,
                width=min(self._limiter.maximum, _WIDEST) + 1,
                # Pieces stand in line, never at the door, where there may be very many.
                on_failure=lambda: self._sender.look_again(at_door=False),
            )
            usage.may_go_on = _unless_failed(pipeline, usage.may_go_on)
            try:
                await pipeline.run(emit)
            except ClovaSpeechError as error:
                usage.errors = pipeline.errors
                # Replies that were paid for and could not be kept are in the errors of their own pieces.
                unkept = [failed.partial.segments for failed in usage.errors if failed.partial is not None]
                late = [*map(to_segment, pipeline.late), *chain.from_iterable(unkept)]
                if late:
                    error.partial = to_transcript(late, parameters.lang, usage)
                raise
            return pull.result

    def _reading(self, audio: AudioInput, usage: Usage) -> AbstractAsyncContextManager[Reading]:
        async def wait(done: anyio.Event) -> None:
            while not done.is_set():
                self._check(usage)  # first: who was told to look again before this wait began is not told in it
                with self._sender.resting():
                    await done.wait()

        # What may be long in coming lets others in.
        return reading(audio, None if usage.place is None else usage.place.step_aside, wait)

    def _check(self, usage: Usage) -> None:
        """Raise when the call is to go no further, where nothing has been sent of what it waits for."""
        self._sender.may_go_on()
        if usage.may_go_on is not None:
            usage.may_go_on(False)

    async def _send(
        self, piece: Piece, parameters: Parameters, timeout: Timeout | None, journal: Journal | None, usage: Usage
    ) -> Done:
        """Get the reply to a piece: from the journal where it is there, else from the service."""
        while True:
            try:
                done = await self._reply(piece, parameters, timeout, journal, usage)
                break
            except ClovaSpeechError as error:
                if usage.on_setback is None or not _may_pass(error):
                    raise
                # Here, where no claim is held: who else wants the same piece need not wait for this one's rest.
                await usage.on_setback(error)
        if usage.done is not None:
            usage.lang = parameters.lang
            usage.done.append(done)
        return done

    async def _reply(
        self, piece: Piece, parameters: Parameters, timeout: Timeout | None, journal: Journal | None, usage: Usage
    ) -> Done:
        if journal is None:
            return (await self._request(piece, parameters, timeout, usage, usage.take_place()))[0]
        key = journal_key(await _digest(piece), self._url, parameters.query)
        place = usage.take_place()

        def on_wait() -> None:
            if place is not None:
                # Whoever has it may take minutes, and nobody behind this call has to wait for that.
                place.step_aside()
            self._check(usage)

        claim = journal.claim(key, lang=parameters.lang.value, label=usage.label, on_wait=on_wait)
        patience = math.inf
        if place is not None and not usage.patient:
            patience = self._sender.total(timeout) - place.waited
        held = _Held(claim, self._sender, partial(self._check, usage), place, patience)
        async with self._journals.use(journal), held:
            if claim.stored is None:
                try:
                    done, body = await self._request(piece, parameters, timeout, usage, place, claim)
                except FoundInJournal:
                    pass
                else:
                    await _keep(claim, done, body)
                    return done
            assert claim.stored is not None
            if place is not None:
                place.leave()  # a stream that is read slowly must not keep the others out
            return _from_journal(piece, claim.stored, usage)

    async def _request(
        self,
        piece: Piece,
        parameters: Parameters,
        timeout: Timeout | None,
        usage: Usage,
        place: Place | None,
        claim: Claim | None = None,
    ) -> tuple[Done, bytes]:
        looked = claim is None

        def right_before() -> Awaitable[None] | None:
            """With the slot in hand; where there is nothing to wait for, no timer is set for it."""
            if not looked:
                return look()
            announce()
            return None

        async def look() -> None:
            nonlocal looked
            # While this call stood in line, another process may have paid for the same.
            if claim is not None and await claim.recheck() is not None:
                raise FoundInJournal
            looked = True
            announce()

        def announce() -> None:
            if usage.before_send is not None:
                usage.before_send(piece)

        sent = await self._sender.send(
            parameters,
            piece.data,
            seconds=piece.seconds,
            timeout=timeout,
            right_before=right_before,
            may_go_on=usage.may_go_on,
            place=place,
            patient=usage.patient or place is None,
            bill=usage,
        )
        quota = sent.recognition.quota
        billed = piece.billed_seconds if quota is None else quota
        usage.billed_seconds += billed
        return Done(piece.index, piece.start, piece.end, piece.channel, sent.recognition, billed), sent.body


class _Held:
    """The claim of a piece, held: with the reply, or with the right to ask the service for it.

    The wait for it ends after `patience` seconds, and looks up when all calls are to `look_again`.
    """

    __slots__ = ("_check", "_claim", "_patience", "_place", "_sender")

    def __init__(
        self, claim: Claim, sender: Sender, check: Callable[[], None], place: Place | None, patience: float
    ) -> None:
        self._claim = claim
        self._sender = sender
        self._check = check
        self._place = place
        self._patience = patience

    async def __aenter__(self) -> None:
        began = anyio.current_time()
        while True:
            with self._sender.resting(began + self._patience):
                await self._claim.__aenter__()
                if self._place is not None:
                    self._place.waited += anyio.current_time() - began
                return
            self._check()
            if anyio.current_time() >= began + self._patience:
                raise DeadlineExceededError(
                    "the time-out over all tries ran out while another call was getting the same; nothing was sent"
                )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._claim.__aexit__(kind, error, trace)


def _unless_failed(pipeline: Pipeline[Done], may_go_on: MayGoOn | None) -> MayGoOn:
    def check(again: bool) -> None:
        if may_go_on is not None:
            may_go_on(again)
        if pipeline.is_failed:
            raise _CalledOffError(f"not sent{' again' if again else ''}: another piece of the recording has failed")

    return check


def _quick_cut(audio: AudioInput, splitting: Splitting) -> Piece | None:
    """The one piece of a short plain WAV, for which no thread is needed; None where `cut` has to look at it."""
    limit = splitting.max_duration
    if splitting != _DEFAULT and splitting != replace(_DEFAULT, max_duration=limit):
        return None
    whole = quick_cut(audio)
    return whole if whole is None or limit is None or whole.end <= limit else None


def _may_pass(error: ClovaSpeechError) -> bool:
    """Whether a request failed in all its tries for what is not its audio's fault, and was not heard."""
    if isinstance(error, (ConnectError, ConnectTimeoutError)):
        return error.retryable
    return isinstance(error, (ThrottledError, ServiceUnavailableError)) or error.out_of_retry_budget


async def _digest(piece: Piece) -> bytes:
    if piece.sound_digest is not None or len(piece.data) <= _DIGESTED_AT_ONCE:
        return piece.digest
    return await run_blocking(lambda: piece.digest, limiter=decoders())


async def _keep(claim: Claim, done: Done, body: bytes) -> None:
    try:
        await claim.put(body, billed_seconds=done.recognition.quota, seconds=done.end - done.start)
    except JournalError as error:
        # Paid for, but not kept: the reply must reach the caller all the same.
        error.partial = Transcript(segments=(to_segment(done),), duration=done.end, billed_seconds=done.billed_seconds)
        raise


def _from_journal(piece: Piece, stored: Stored, usage: Usage) -> Done:
    usage.saved_seconds += piece.billed_seconds if stored.billed_seconds is None else stored.billed_seconds
    recognition = parse_reply(Reply(200, (), stored.body))
    return Done(piece.index, piece.start, piece.end, piece.channel, recognition, 0)
