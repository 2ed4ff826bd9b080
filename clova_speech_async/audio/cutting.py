"""From audio to pieces in one pass: decode, convert, find pauses, plan, encode. The only file that knows the whole way.

The law: memory is bounded by the planner's look-ahead, not by the recording; whatever was opened is closed when the
generator ends, is closed, or fails.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from clova_speech_async.billing import BILLED_UNIT, billed
from clova_speech_async.errors import AudioTooLongError, CorruptAudioError, EmptyAudioError

from .convert import Converter
from .decode import Decoded, open_audio
from .encode import digest_of, flac
from .options import Estimate, Flaws, Piece, Splitting
from .plan import TICKS_PER_SECOND, Planner
from .silence import FRAME, RATE, Event, Silence

__all__ = ["cut", "measure"]

Samples = npt.NDArray[np.int16]


class _Voice:
    """One voice on its way: its samples as far as they may still be needed, its pauses, its plan."""

    def __init__(self, splitting: Splitting) -> None:
        longest = int(splitting.longest_piece * TICKS_PER_SECOND)
        self._padding = round(splitting.padding * TICKS_PER_SECOND)
        self.silence = Silence(longest)
        self._planner = Planner(
            longest=longest, padding=self._padding, dropped=round(splitting.shortest_dropped_silence * TICKS_PER_SECOND)
        )
        self._held: deque[Samples] = deque()
        self._first = 0
        self.total = 0
        self._last_end = 0

    def feed(self, samples: Samples) -> list[tuple[int, int]]:
        """Take samples; give the pieces settled, as sample positions."""
        self._held.append(samples)
        self.total += len(samples)
        return self._plan(self.silence.feed(samples))

    def finish(self) -> list[tuple[int, int]]:
        return self._plan(self.silence.finish())

    def _plan(self, events: list[Event]) -> list[tuple[int, int]]:
        cuts: list[tuple[int, int]] = []
        for event in events:
            if event.kind == "pause":
                cuts += self._planner.pause(event.start, event.end)
            elif event.kind == "dip":
                cuts += self._planner.dip(event.start, event.end)
            elif event.kind == "begin":
                self._planner.begin(event.start, earliest=self._last_end)
            else:
                latest = -(-self.total // FRAME)
                cuts += self._planner.end(event.start, latest=latest)
                self._last_end = min(latest, event.start + self._padding)
        return [(start * FRAME, min(end * FRAME, self.total)) for start, end in cuts]

    @property
    def earliest(self) -> int:
        """No piece to come begins before this sample."""
        settled = self._planner.settled
        if settled is not None:
            return settled * FRAME
        since = self.silence.quiet_since
        now = self.silence.decided if since is None else max(since, self.silence.decided - self._padding)
        return max(0, max(self._last_end, now) * FRAME)

    def take(self, start: int, end: int) -> Samples:
        """The samples of a span; what lies before `end` and before any piece to come is let go by `release`."""
        parts: list[Samples] = []
        at = self._first
        for part in self._held:
            if at < end and at + len(part) > start:
                parts.append(part[max(0, start - at) : end - at])
            at += len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def release(self) -> None:
        keep = self.earliest
        while self._held and self._first + len(self._held[0]) <= keep:
            self._first += len(self._held.popleft())


def _spans(
    decoded: Decoded, splitting: Splitting, heard: Callable[[int, list[_Voice], bool], None]
) -> Iterator[tuple[int, int, int, _Voice]]:
    """Settled spans in order of time: start and end in samples at 16 kHz, the channel, its voice.

    Where the recording breaks in its middle, the spans of all that came before are given, and then its error is raised.
    """
    converter = Converter(decoded.rate, decoded.channels, each=splitting.channels == "each")
    voices = [_Voice(splitting) for _ in range(converter.voices)]
    waiting: list[tuple[int, int, int]] = []
    frames, sounded = 0, False
    limit = math.inf if splitting.max_duration is None else splitting.max_duration * decoded.rate

    def settled(last: bool) -> Iterator[tuple[int, int, int, _Voice]]:
        horizon = math.inf if last else min(voice.earliest for voice in voices)
        while waiting and waiting[0][0] <= horizon:
            start, channel, end = heapq.heappop(waiting)
            yield start, end, channel, voices[channel]
        if not waiting:
            for voice in voices:
                voice.release()

    broken: list[CorruptAudioError] = []
    for block in _until_broken(decoded, broken):
        frames += len(block)
        # Before it is mixed: two channels may cancel each other out.
        sounded = sounded or _is_sound(block)
        if frames > limit:
            raise _too_long(decoded, splitting.max_duration or 0.0)
        for channel, samples in enumerate(converter.convert(block)):
            for start, end in voices[channel].feed(samples):
                heapq.heappush(waiting, (start, channel, end))
        heard(frames, voices, sounded)
        yield from settled(last=False)
    for channel, samples in enumerate(converter.finish()):
        for start, end in voices[channel].feed(samples) + voices[channel].finish():
            heapq.heappush(waiting, (start, channel, end))
    if not frames:
        raise broken[0] if broken else EmptyAudioError(f"there are no samples in {decoded.name}")
    heard(frames, voices, sounded)
    yield from settled(last=True)
    if broken:
        raise broken[0]


def _is_sound(block: npt.NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(block.any())


def _until_broken(decoded: Decoded, broken: list[CorruptAudioError]) -> Iterator[npt.NDArray[Any]]:
    try:
        yield from decoded.blocks
    except CorruptAudioError as error:
        broken.append(error)


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
    close = getattr(decoded.blocks, "close", None)
    if close is not None:
        close()
    if decoded.source is not None:
        decoded.source.close()


def _too_long(decoded: Decoded, limit: float) -> AudioTooLongError:
    return AudioTooLongError(f"{decoded.name} is longer than max_duration={limit!r} seconds", limit=limit)


def _as_it_is(decoded: Decoded, splitting: Splitting, length: float) -> Piece | None:
    """The recording's own bytes as one piece, where they are few enough."""
    if splitting.max_duration is not None and length > splitting.max_duration:
        raise _too_long(decoded, splitting.max_duration)
    data = None if decoded.source is None else decoded.source.original()
    return None if data is None else Piece(0, 0.0, length, data, None, length, True)


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

    def heard(self, frames: int, voices: list[_Voice], sounded: bool) -> None:
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
        passed = _as_it_is(decoded, splitting, decoded.claimed)
        if passed is not None:
            yield passed
        return decoded.claimed
    whole = _Whole(decoded, splitting)
    held: list[Piece] = []
    try:
        for index, (start, end, channel, voice) in enumerate(_spans(decoded, splitting, whole.heard)):
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
            _as_it_is(decoded, splitting, decoded.claimed)
            return Estimate(decoded.claimed, 1, billed(decoded.claimed), decoded.claimed)
        whole = _Whole(decoded, splitting)
        costs = [billed((end - start) / RATE) for start, end, _, _ in _spans(decoded, splitting, whole.heard)]
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
