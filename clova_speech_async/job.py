"""One call as it is carried out: audio to pieces, a piece to its reply, from the journal or from the service.

What `ClovaSpeechClient` and the batch share. The law of this file: **what was paid for reaches the caller**, as a
result, or in the `partial` of the error that stands in its place.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from itertools import chain

import anyio

from .audio import AudioInput, Flaws, Piece, Splitting, cut, load, quick, quick_cut
from .errors import (
    ClovaSpeechError,
    ConnectError,
    ConnectTimeoutError,
    JournalError,
    ServiceUnavailableError,
    ThrottledError,
)
from .held import Held
from .http.door import Place
from .http.limiter import Limiter
from .http.sender import Sender
from .http.wire import Reply, parse_reply
from .journal import Claim, Stored, journal_key
from .journals import Journals
from .order import Guard, Order
from .outcome import Done, Outcome, to_segment
from .pipeline import Pipeline
from .reading import Pull, Reading, reading
from .threads import decoders, run_blocking
from .transcript import Transcript

__all__ = ["Job"]

_WIDEST = 16
"""Pieces of one recording in memory at once; each is at most 10 MB, mostly under 2."""
_DIGESTED_AT_ONCE = 256 * 1024
"""Bytes of which the event loop computes a digest itself, in a fraction of a millisecond."""
_DEFAULT = Splitting()


class _CalledOffError(ClovaSpeechError):
    """Another piece of the recording has failed; nobody but the pipeline and hooks see it."""


class FoundInJournal(Exception):  # noqa: N818 - no error, and only hooks see its name
    """The reply came into the journal while the call stood in line."""


class Job:
    """Carries out one order.

    `place`: that of the call, until its first request stands in line: who is refused is refused before any work.
    `outcome` is filled as it runs.
    """

    def __init__(
        self,
        sender: Sender,
        limiter: Limiter,
        journals: Journals,
        url: str,
        order: Order,
        place: Place,
        guard: Guard | None,
        outcome: Outcome,
    ) -> None:
        self._sender = sender
        self._limiter = limiter
        self._journals = journals
        self._url = url
        self._order = order
        self._place: Place | None = place
        self._guard = guard
        self._outcome = outcome
        self._pipeline: Pipeline[Done] | None = None
        outcome.lang = order.parameters.lang

    # --- what is asked for ----------------------------------------------------------------------

    async def recognize(self, audio: AudioInput) -> Done:
        """Recognise `audio` in one request."""
        piece = quick(audio)
        if piece is None:
            async with self._reading(audio) as source:
                piece = await source.run(load)
        return await self._send(piece)

    async def transcribe(self, audio: AudioInput) -> Transcript:
        """Recognise `audio` of any length; a failure carries what was done beside it in `partial`."""
        done: list[Done] = []
        outcome, lang = self._outcome, self._order.parameters.lang

        async def keep(one: Done) -> None:
            done.append(one)

        try:
            duration = await self._pieces(audio, keep, outcome.flaws)
        except ClovaSpeechError as error:
            late = () if error.partial is None else error.partial.segments
            if done or late:
                error.partial = outcome.transcript([*map(to_segment, done), *late], lang)
            raise
        return outcome.transcript(map(to_segment, done), lang, duration)

    async def stream(self, audio: AudioInput, emit: Callable[[Done], Awaitable[None]]) -> None:
        """Recognise `audio` of any length, and emit every piece of it in time order.

        A failure carries what was done and not emitted in `partial`. What is cut off raises at its end: who has had
        its pieces would take them for the whole.
        """
        await self._pieces(audio, emit, None)

    # --- in pieces ------------------------------------------------------------------------------

    async def _pieces(self, audio: AudioInput, emit: Callable[[Done], Awaitable[None]], flaws: Flaws | None) -> float:
        """Send every piece of `audio`, emit each when it is done; return the recording's length in seconds.

        `flaws` is told what the audio lacks; without it, what is cut off raises at its end.
        """
        splitting = self._order.splitting
        whole = _quick_cut(audio, splitting)
        if whole is not None:
            if flaws is not None:
                flaws.announced = whole.end  # its header was held against its bytes
            await emit(await self._send(whole))
            return whole.end
        async with self._reading(audio) as source:
            pull = Pull(lambda readable: cut(readable, splitting, flaws=flaws), source)
            # One more than can be under way: the next piece is ready when a slot gets free.
            self._pipeline = pipeline = Pipeline(
                pull,
                self._send_unless_failed,
                width=min(self._limiter.maximum, _WIDEST) + 1,
                # Pieces stand in line, never at the door, where there may be very many.
                on_failure=lambda: self._sender.look_again(at_door=False),
            )
            try:
                await pipeline.run(emit)
            except ClovaSpeechError as error:
                self._tell_late(error, pipeline)
                raise
            return pull.result

    async def _send_unless_failed(self, piece: Piece) -> Done | None:
        try:
            return await self._send(piece)
        except _CalledOffError:
            return None

    def _tell_late(self, error: ClovaSpeechError, pipeline: Pipeline[Done]) -> None:
        """Write into the error what was done and not emitted, and into the outcome what other pieces met."""
        self._outcome.errors = pipeline.errors
        # Replies that were paid for and could not be kept are in the errors of their own pieces.
        unkept = [failed.partial.segments for failed in pipeline.errors if failed.partial is not None]
        late = [*map(to_segment, pipeline.late), *chain.from_iterable(unkept)]
        if late:
            error.partial = self._outcome.transcript(late, self._order.parameters.lang)

    def _reading(self, audio: AudioInput) -> AbstractAsyncContextManager[Reading]:
        async def wait(done: anyio.Event) -> None:
            while not done.is_set():
                self._check()  # first: who was told to look again before this wait began is not told in it
                with self._sender.resting():
                    await done.wait()

        # What may be long in coming lets others in.
        return reading(audio, None if self._place is None else self._place.step_aside, wait)

    # --- one piece ------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise when the call is to go no further, where nothing has been sent of what it waits for."""
        self._sender.may_go_on()
        self._may_go_on(False)

    def _may_go_on(self, again: bool) -> None:
        if self._guard is not None:
            self._guard.may_go_on(again)
        if self._pipeline is not None and self._pipeline.is_failed:
            raise _CalledOffError(f"not sent{' again' if again else ''}: another piece of the recording has failed")

    async def _send(self, piece: Piece) -> Done:
        """Get the reply to a piece: from the journal where it is there, else from the service."""
        while True:
            try:
                done = await self._reply(piece)
                break
            except ClovaSpeechError as error:
                if self._guard is None or not _may_pass(error):
                    raise
                # Here, where no claim is held: who else wants the same piece need not wait for this one's rest.
                await self._guard.on_setback(error)
        if self._outcome.done is not None:
            self._outcome.done.append(done)
        return done

    async def _reply(self, piece: Piece) -> Done:
        order = self._order
        place, self._place = self._place, None
        if order.journal is None:
            return (await self._request(piece, place))[0]
        key = journal_key(await _digest(piece), self._url, order.parameters.query)

        def on_wait() -> None:
            if place is not None:
                # Whoever has it may take minutes, and nobody behind this call has to wait for that.
                place.step_aside()
            self._check()

        claim = order.journal.claim(key, lang=order.parameters.lang.value, label=order.label, on_wait=on_wait)
        patience = math.inf
        if place is not None and not order.patient:
            patience = self._sender.total(order.timeout) - place.waited
        async with self._journals.use(order.journal), Held(claim, self._sender, self._check, place, patience):
            if claim.stored is None:
                try:
                    done, body = await self._request(piece, place, claim)
                except FoundInJournal:
                    pass
                else:
                    await _keep(claim, done, body)
                    return done
            assert claim.stored is not None
            if place is not None:
                place.leave()  # a stream that is read slowly must not keep the others out
            return self._from_journal(piece, claim.stored)

    async def _request(self, piece: Piece, place: Place | None, claim: Claim | None = None) -> tuple[Done, bytes]:
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
            if self._guard is not None:
                self._guard.before_send(piece)

        order, outcome = self._order, self._outcome
        sent = await self._sender.send(
            order.parameters,
            piece.data,
            seconds=piece.seconds,
            timeout=order.timeout,
            right_before=right_before,
            may_go_on=self._may_go_on,
            place=place,
            patient=order.patient or place is None,
            bill=outcome,
        )
        quota = sent.recognition.quota
        billed = piece.billed_seconds if quota is None else quota
        outcome.billed_seconds += billed
        return Done(piece.index, piece.start, piece.end, piece.channel, sent.recognition, billed), sent.body

    def _from_journal(self, piece: Piece, stored: Stored) -> Done:
        saved = piece.billed_seconds if stored.billed_seconds is None else stored.billed_seconds
        self._outcome.saved_seconds += saved
        recognition = parse_reply(Reply(200, (), stored.body))
        return Done(piece.index, piece.start, piece.end, piece.channel, recognition, 0)


# --- small decisions ----------------------------------------------------------------------------


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
