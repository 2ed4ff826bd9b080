"""From audio to pieces in one pass: decode, find what is to be sent, encode. The only file that knows the whole way.

The law: whatever was opened is closed when the generator ends, is closed, or fails.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from clova_speech_async.billing import BILLED_UNIT, billed
from clova_speech_async.errors import CorruptAudioError, UnsupportedFormatError

from .convert import Samples
from .decode import open_audio
from .decoded import Decoded
from .encode import digest_of, flac
from .options import Estimate, Flaws, Piece, Splitting
from .samples import RATE
from .silence import FRAME
from .voices import Voice, spans, too_long

__all__ = ["close_decoded", "cut", "cut_off", "measure"]


def cut(
    audio: Any, splitting: Splitting | None = None, *, av: bool | None = None, flaws: Flaws | None = None
) -> Generator[Piece, None, float]:
    """The pieces of a recording of any length, each ready to be sent, as soon as it is settled. Blocks: use a thread.

    Returns, at its end, the length of the whole recording in seconds.

    A recording that the service takes as it is stays one piece of its own bytes, unless leaving out silence bills less.
    Silence of more than 15 s gives no piece. Raises `AudioError` in all its kinds, `ArgumentTypeError`; of a long
    recording that breaks in its middle, all pieces before that come first.
    `flaws`: filled in at the end. Without it, a recording that breaks off within a frame, or has less than its header
    announces, raises `CorruptAudioError` at its end, lest it be taken for a whole one.
    Closing the generator closes what it opened; a file object of the caller's stays open.
    """
    splitting = Splitting() if splitting is None else splitting
    decoded = open_audio(audio, av=av)
    try:
        return (yield from _cut(decoded, splitting, flaws))
    finally:
        close_decoded(decoded)


def close_decoded(decoded: Decoded) -> None:
    """Close what `open_audio` opened; a file object of the caller's stays open."""
    close = getattr(decoded.blocks, "close", None)
    if close is not None:
        close()
    if decoded.source is not None:
        decoded.source.close()


def _as_it_is(decoded: Decoded, splitting: Splitting, length: float) -> Piece | None:
    """The recording's own bytes as one piece, where they are few enough."""
    if splitting.max_duration is not None and length > splitting.max_duration:
        raise too_long(decoded, splitting.max_duration)
    data = None if decoded.source is None else decoded.source.original()
    return None if data is None else Piece(0, 0.0, length, data, None, length, True)


def _unheard(decoded: Decoded, splitting: Splitting, length: float) -> Piece | None:
    """The recording as it is, where nothing here can decode it, so that its channels cannot be told apart."""
    if splitting.channels == "each":
        raise UnsupportedFormatError(
            f"{decoded.name}: to transcribe each channel by itself it must be decoded, which needs an extra: "
            "pip install 'clova-speech-async[av]'"
        )
    return _as_it_is(decoded, splitting, length)


class _Whole:
    """Whether a recording may still go as it is; what it was found to hold."""

    def __init__(self, decoded: Decoded, splitting: Splitting) -> None:
        self.each = splitting.channels == "each" and decoded.channels > 1
        self.possible = decoded.passable and not self.each
        self.length = 0.0
        self.speech = 0.0
        self._sounded = False
        self._decoded = decoded
        self._splitting = splitting
        if not self.possible:
            self._give_up()

    def heard(self, frames: int, voices: list[Voice], sounded: bool) -> None:
        """So much has been decoded; whether any of it was not zero."""
        self._sounded = sounded
        self.length = frames / self._decoded.rate
        self.speech = sum(voice.silence.speech_frames for voice in voices) * FRAME / RATE
        if self.possible and self.length > self._splitting.longest_piece:
            self._give_up()

    def best(self, costs: int) -> Piece | None:
        """The whole recording as it is, where that bills no more than the pieces, which bill `costs` seconds.

        A recording of one billed unit goes as it is even where no speech was found in it, unless all of it is zero:
        the way without decoding (`single.quick`) knows no more, and the same recording must cost the same however it
        comes.
        """
        least = BILLED_UNIT if self._sounded else 0
        if not self.possible or not self._decoded.passable or billed(self.length) > max(costs, least):
            return None
        return _as_it_is(self._decoded, self._splitting, self.length)

    def _give_up(self) -> None:
        self.possible = False
        if self._decoded.source is not None:
            self._decoded.source.forget()


def _cut(decoded: Decoded, splitting: Splitting, flaws: Flaws | None) -> Generator[Piece, None, float]:
    if decoded.claimed is not None:
        if flaws is not None:
            flaws.take(decoded.flaws)
        elif decoded.flaws.lacks_end:
            raise cut_off(decoded, decoded.claimed)
        passed = _unheard(decoded, splitting, decoded.claimed)
        if passed is not None:
            yield passed
        return decoded.claimed
    whole = _Whole(decoded, splitting)
    held: list[Piece] = []
    try:
        for index, (start, end, channel, voice) in enumerate(spans(decoded, splitting, whole.heard)):
            held.append(_piece(index, voice.take(start, end), start, channel if whole.each else None))
            if not whole.possible:
                yield from held
                held.clear()
    except CorruptAudioError as error:
        # Of a short recording nothing has been given, and nothing is: it can be got anew and costs nothing until then.
        raise error if whole.possible else CorruptAudioError(f"{error}; {_KEPT}") from error.__cause__
    if flaws is not None:
        flaws.take(decoded.flaws)
    elif decoded.flaws.lacks_end and whole.possible:
        raise cut_off(decoded, whole.length)
    original = whole.best(sum(piece.billed_seconds for piece in held))
    yield from held if original is None else [original]
    if flaws is None and decoded.flaws.lacks_end:
        raise CorruptAudioError(f"{cut_off(decoded, whole.length)}; {_KEPT}")
    return whole.length


_KEPT = "what was recognised of it is in this error's partial"


def cut_off(decoded: Decoded, length: float) -> CorruptAudioError:
    """What is raised where nobody would be told otherwise that the end of a recording is not there."""
    announced = decoded.flaws.announced
    whole = "" if announced is None else f" of the {announced:.1f} s that it announces"
    return CorruptAudioError(
        f"{decoded.name} was cut off: only {length:.1f} s{whole} can be read; get it anew, or "
        "transcribe() what there is of it"
    )


def _piece(index: int, samples: Samples, start: int, channel: int | None) -> Piece:
    return Piece(
        index=index,
        start=start / RATE,
        end=(start + len(samples)) / RATE,
        data=flac(samples),
        channel=channel,
        seconds=len(samples) / RATE,
        original=False,
        sound_digest=digest_of(samples),
    )


def measure(audio: Any, splitting: Splitting | None = None, *, av: bool | None = None) -> Estimate:
    """What transcribing a recording would cost; nothing is encoded and nothing sent. Blocks: use a thread.

    Raises the errors that `cut` raises.
    """
    splitting = Splitting() if splitting is None else splitting
    decoded = open_audio(audio, av=av)
    try:
        if decoded.claimed is not None:
            _unheard(decoded, splitting, decoded.claimed)
            claimed, truncated = decoded.claimed, decoded.flaws.truncated
            return Estimate(claimed, 1, billed(claimed), claimed, truncated=truncated)
        whole = _Whole(decoded, splitting)
        costs = [billed((end - start) / RATE) for start, end, _, _ in spans(decoded, splitting, whole.heard)]
        if whole.best(sum(costs)) is not None:
            costs = [billed(whole.length)]
        flaws = decoded.flaws
        return Estimate(
            whole.length,
            len(costs),
            sum(costs),
            whole.speech,
            announced_duration=flaws.announced,
            truncated=flaws.truncated,
            lost_seconds=flaws.lost_seconds,
        )
    finally:
        close_decoded(decoded)
