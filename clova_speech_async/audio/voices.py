"""From blocks to spans of speech that are settled: convert, find pauses, plan, in one pass for every voice.

The law: memory is bounded by the planner's look-ahead, not by the recording.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from clova_speech_async.errors import AudioTooLongError, CorruptAudioError, EmptyAudioError

from .convert import Converter, Samples
from .decoded import Decoded
from .options import Splitting
from .plan import TICKS_PER_SECOND, Planner
from .samples import Block
from .silence import FRAME, Event, Silence

__all__ = ["Voice", "spans", "too_long"]


class Voice:
    """One voice on its way: its samples as far as they may still be needed, its pauses, its plan.

    Places are samples at 16 kHz from the beginning of the recording.
    """

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
        """The samples from `start` to `end`, places at 16 kHz, which `release` has not let go."""
        parts: list[Samples] = []
        at = self._first
        for part in self._held:
            if at < end and at + len(part) > start:
                parts.append(part[max(0, start - at) : end - at])
            at += len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def release(self, needed: float) -> None:
        """Let go the samples before `needed` that no piece to come can hold."""
        keep = min(needed, self.earliest)
        while self._held and self._first + len(self._held[0]) <= keep:
            self._first += len(self._held.popleft())


def spans(
    decoded: Decoded, splitting: Splitting, heard: Callable[[int, list[Voice], bool], None]
) -> Iterator[tuple[int, int, int, Voice]]:
    """Settled spans in order of time: start and end in samples at 16 kHz, the channel, its voice.

    A span must be taken from its voice before the next one is asked for. `heard`: called for every block with the
    frames decoded so far, the voices, and whether any sample was not zero. Raises `AudioTooLongError` beyond
    `max_duration` and `EmptyAudioError` where there are no samples. Where the recording breaks in its middle, the spans
    of all that came before are given, and then its error is raised.
    """
    converter = Converter(decoded.rate, decoded.channels, each=splitting.channels == "each")
    voices = [Voice(splitting) for _ in range(converter.voices)]
    waiting: list[tuple[int, int, int]] = []
    frames, sounded = 0, False
    limit = math.inf if splitting.max_duration is None else splitting.max_duration * decoded.rate
    broken: list[CorruptAudioError] = []
    for block in _until_broken(decoded, broken):
        frames += len(block)
        # Before it is mixed: two channels may cancel each other out.
        sounded = sounded or _is_sound(block)
        if frames > limit:
            raise too_long(decoded, splitting.max_duration or 0.0)
        for channel, samples in enumerate(converter.convert(block)):
            for start, end in voices[channel].feed(samples):
                heapq.heappush(waiting, (start, channel, end))
        heard(frames, voices, sounded)
        yield from _in_order(waiting, voices, min(voice.earliest for voice in voices))
    for channel, samples in enumerate(converter.finish()):
        for start, end in voices[channel].feed(samples) + voices[channel].finish():
            heapq.heappush(waiting, (start, channel, end))
    if not frames:
        raise broken.pop() if broken else EmptyAudioError(f"there are no samples in {decoded.name}")
    heard(frames, voices, sounded)
    yield from _in_order(waiting, voices, math.inf)
    if broken:
        # Not left in the list: it would hold its own traceback, and with that everything here, for longer.
        raise broken.pop()


def _in_order(
    waiting: list[tuple[int, int, int]], voices: list[Voice], horizon: float
) -> Iterator[tuple[int, int, int, Voice]]:
    """The spans that wait, as a heap, up to the moment before which none is still to come; then samples are let go."""
    while waiting and waiting[0][0] <= horizon:
        start, channel, end = heapq.heappop(waiting)
        yield start, end, channel, voices[channel]
    for number, voice in enumerate(voices):
        # Among many channels there is always a span that waits for its turn.
        voice.release(min((start for start, channel, _ in waiting if channel == number), default=math.inf))


def _is_sound(block: Block) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(block.any())


def _until_broken(decoded: Decoded, broken: list[CorruptAudioError]) -> Iterator[Block]:
    try:
        yield from decoded.blocks
    except CorruptAudioError as error:
        broken.append(error)


def too_long(decoded: Decoded, limit: float) -> AudioTooLongError:
    """The error for a recording of more than `limit` seconds, which `max_duration` sets."""
    return AudioTooLongError(
        f"{decoded.name} is longer than max_duration={limit!r} seconds", limit=limit, argument="max_duration"
    )
