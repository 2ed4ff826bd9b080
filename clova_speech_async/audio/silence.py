"""Loudness per frame of 10 ms, and from it pauses, quiet moments, and where speech begins and ends.

The law: all that is compared here are sums of squares of 16-bit samples, times a frame's length, so that taking off
the mean stays a matter of whole numbers. They fit into the 53 bits of a float64, so every order of summation gives the
same bits, and every later step is one IEEE operation: the same samples give the same pauses on every machine. No
logarithm, which differs by the last bit from one C library to another.

Two loudnesses are followed side by side: that of the samples, less their mean, which is what a cheap sound card adds;
and that of their first differences, in which mains hum and rumble all but vanish. A frame is quiet where both are at
most their threshold. The threshold follows
- the floor: the quietest tenth of a second within 2.5 s on either side; it may rise by no more than 1 dB a second, so
  that a held vowel or a note of music does not become "noise"; a frame up to 6 dB over the floor is quiet: not more,
  or in a noisy recording whole syllables are;
- the level: the loudest frame within 10 s on either side; 50 dB below it is quiet even in a recording without noise;
- the peak, which is the level that fades by 3 dB a minute: what is within 12 dB of it is never quiet, however steady.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["FRAME", "Event", "Silence"]

FRAME = 160
"""Samples of a frame, which is a tick of the planner: 10 ms."""

_CELL = 10
"""Frames over which floor and level move together: 100 ms."""
_FLOOR_REACH = 25
"""Cells on either side: 2.5 s."""
_LEVEL_REACH = 100
"""Cells on either side, and so the look-ahead: 10 s."""
_STEP = 50
"""Cells that are decided at once: 5 s."""
_RISE = 1.0232929922807541
"""A cell's share of 1 dB a second."""
_FADE = 0.9988493699365052
"""A cell's share of -3 dB a minute."""
_OVER_FLOOR = 4.0
_UNDER_LEVEL = 1e-5
_UNDER_PEAK = 1 / 16
_ROOM = FRAME * FRAME * 60.0 * 60.0
"""-55 dBFS: what steadily lies below this is noise, even before anything louder was heard."""
_SHORTEST = 8
"""Frames of the shortest pause told. A gap of 100 ms always holds that many whole quiet frames."""
_DIP = 50
"""Frames of which the quietest moment is told as a dip: 0.5 s. A moment is 150 ms, the middle of which weighs most, so
that a gap between words is quieter than the one frame of a word that noise happens to leave out."""

Array = npt.NDArray[np.float64]


class Event(NamedTuple):
    """`begin` and `end` of speech at `start`, a `pause` from `start` to `end`, a `dip` at `start` of loudness `end`.

    Times in frames. After an `end` follows silence of the longest length, or nothing.
    """

    kind: Literal["begin", "pause", "dip", "end"]
    start: int
    end: int = 0


class Silence:
    """Finds the pauses of one voice in one pass, looking ten seconds ahead.

    `longest`: frames; a silence of this length is told as the end of speech while it still goes on.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = np.zeros(0, np.int16)
        self._last = 0
        self._raw = _Threshold()
        self._differences = _Threshold()
        self._marks = _Marks(longest)

    @property
    def speech_frames(self) -> int:
        """Frames decided so far that are not in a pause."""
        return self._marks.speech

    @property
    def decided(self) -> int:
        """Frames decided so far."""
        return self._marks.now

    @property
    def quiet_since(self) -> int | None:
        """The frame at which the silence began that goes on where the decision has come to."""
        return self._marks.quiet_since

    def feed(self, samples: npt.NDArray[np.int16]) -> list[Event]:
        """Take the next samples (16 kHz, one channel); tell what has been decided."""
        if len(self._rest):
            samples = np.concatenate((self._rest, samples))
        whole = len(samples) - len(samples) % FRAME
        self._rest = samples[whole:].copy()
        if whole:
            self._measure(samples[:whole])
        return self._decide(last=False)

    def finish(self) -> list[Event]:
        """There are no more samples; tell the rest."""
        if len(self._rest):
            # Half a frame is as loud as its samples, not half as loud: the rest of it is not silence.
            self._measure(np.resize(self._rest, FRAME))
        return self._decide(last=True) + self._marks.finish()

    def _measure(self, samples: npt.NDArray[np.int16]) -> None:
        x = samples.astype(np.float64)
        d = np.empty_like(x)
        d[0] = x[0] - self._last
        np.subtract(x[1:], x[:-1], out=d[1:])
        self._last = int(samples[-1])
        x, d = x.reshape(-1, FRAME), d.reshape(-1, FRAME)
        sums = x.sum(axis=1)
        self._raw.add(FRAME * np.einsum("ij,ij->i", x, x) - sums * sums)
        self._differences.add(FRAME * np.einsum("ij,ij->i", d, d))

    def _decide(self, *, last: bool) -> list[Event]:
        events: list[Event] = []
        while True:
            raw = self._raw.decide(last=last)
            differences = self._differences.decide(last=last)
            if raw is None or differences is None:
                return events
            events += self._marks.add(raw[1] & differences[1], raw[0] + differences[0])


class _Threshold:
    """What is quiet in one measure of loudness."""

    def __init__(self) -> None:
        self._frames: Array = np.zeros(0)
        self._behind = 0
        self._floor = -1.0
        self._peak = 0.0

    def add(self, energies: Array) -> None:
        self._frames = np.concatenate((self._frames, energies))

    def decide(self, *, last: bool) -> tuple[Array, npt.NDArray[np.bool_]] | None:
        """The next frames' loudness and whether they are quiet, or None until the look-ahead is there."""
        frames, behind = self._frames, self._behind * _CELL
        ready = len(frames) - behind - (0 if last else _LEVEL_REACH * _CELL)
        if (ready < _STEP * _CELL and not last) or ready <= 0:
            return None
        count = min(_STEP * _CELL, ready)
        cells = -(-len(frames) // _CELL)
        whole = np.pad(frames, (0, cells * _CELL - len(frames)), mode="edge").reshape(cells, _CELL)
        # The sum of ten exact integers is exact as well; a cell's loudness is ten times a frame's.
        lowest = _window(whole.sum(1), _FLOOR_REACH, np.minimum) / _CELL
        highest = _window(whole.max(1), _LEVEL_REACH, np.maximum)
        mine = slice(self._behind, self._behind + -(-count // _CELL))
        limits = np.array(
            [self._limit(*pair) for pair in zip(lowest[mine].tolist(), highest[mine].tolist(), strict=True)]
        )
        now = frames[behind : behind + count]
        quiet = now <= np.repeat(limits, _CELL)[:count]
        self._keep(count)
        return now, quiet

    def _limit(self, lowest: float, highest: float) -> float:
        self._floor = lowest if self._floor < 0 else min(lowest, max(self._floor, 1.0) * _RISE)
        self._peak = max(highest, self._peak * _FADE)
        return min(max(self._floor * _OVER_FLOOR, highest * _UNDER_LEVEL), max(self._peak * _UNDER_PEAK, _ROOM))

    def _keep(self, count: int) -> None:
        behind = self._behind + -(-count // _CELL)
        surplus = max(0, behind - _LEVEL_REACH)
        self._frames = self._frames[surplus * _CELL :]
        self._behind = behind - surplus


def _window(cells: Array, reach: int, fold: Any) -> Array:
    """Minimum or maximum over `reach` cells on either side, by doubling: reach is covered in log2 steps."""
    span, width, out = 1, 2 * reach + 1, cells
    padded = np.pad(out, reach, mode="edge")
    while span * 2 <= width:
        padded = fold(padded[:-span], padded[span:])
        span *= 2
    rest = width - span
    return np.asarray(fold(padded[: len(cells)], padded[rest : rest + len(cells)]))


def _smooth(frames: Array) -> Array:
    """64 times the mean over 15 frames, weighed as a triangle; both loudnesses of a frame times 64 are below 2**53."""
    for pad in ((3, 4), (4, 3)):
        padded = np.pad(frames, pad, mode="symmetric")
        for span in (1, 2, 4):
            padded = padded[:-span] + padded[span:]
        frames = padded
    return frames


class _Marks:
    """Makes events of flags."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._speaking = False
        self.now = 0
        self.speech = 0
        self.quiet_since: int | None = 0

    def add(self, quiet: npt.NDArray[np.bool_], loudness: Array) -> list[Event]:
        events: list[Event] = []
        edges = np.flatnonzero(quiet[1:] != quiet[:-1]) + 1
        moments = _smooth(loudness)
        begin, flag = 0, bool(quiet[0])
        for end in [*edges.tolist(), len(quiet)]:
            if flag:
                self._quiet(self.now + begin, self.now + end, events)
            else:
                self._loud(self.now + begin, events)
                self.speech += end - begin
                self._dips(moments[begin:end], self.now + begin, events)
            begin, flag = end, not flag
        self.now += len(quiet)
        return events

    def _quiet(self, start: int, end: int, events: list[Event]) -> None:
        if self.quiet_since is None:
            self.quiet_since = start
        if self._speaking and end - self.quiet_since >= self._longest:
            events.append(Event("end", self.quiet_since))
            self._speaking = False

    def _loud(self, start: int, events: list[Event]) -> None:
        since, self.quiet_since = self.quiet_since, None
        if not self._speaking:
            self._speaking = True
            events.append(Event("begin", start))
        elif since is not None:
            if start - since >= _SHORTEST:
                events.append(Event("pause", since, start))
            else:
                self.speech += start - since

    def _dips(self, loudness: Array, start: int, events: list[Event]) -> None:
        """Tell the quietest moment of every half second: cutting there is better than cutting anywhere."""
        for offset in range(0, len(loudness), _DIP):
            part = loudness[offset : offset + _DIP]
            where = int(part.argmin())
            # A logarithm by whole numbers: four steps to a doubling, 0 to 212.
            events.append(Event("dip", start + offset + where, (int(part[where]) ** 4).bit_length()))

    def finish(self) -> list[Event]:
        if not self._speaking:
            return []
        self._speaking = False
        end = self.now if self.quiet_since is None else self.quiet_since
        return [Event("end", end)]
