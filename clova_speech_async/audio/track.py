"""One file in libsndfile, read block by block; of a damaged FLAC also what follows the damage.

The law: what is given stays at its time. Where frames are lost, silence of their length is given in their place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import soundfile

from clova_speech_async.errors import CorruptAudioError

from .claims import NEXT, READ_AHEAD, Claim, find
from .ends import Account
from .flac import HEADER, Frame, Stream, first_frame, frames_from, has_begun
from .formats import FLAC, Kind
from .forward import Forward
from .options import Hole
from .samples import Block
from .straight import Straight, open_straight, read_block, reason_of, silence
from .view import Patch, View

__all__ = ["Opened", "Track", "damage"]

_NEAR = 1 << 18
"""Bytes in which the first frame of a FLAC from a pipe must lie, for the beginning of a pipe is not kept for long."""
_LEAST_FRAME, _MOST_SAMPLES = 10, 1 << 16
"""Of FLAC: bytes of the shortest frame, and samples of the longest. What claims to be further away is no frame."""
_MOST_TRIES = 1000
"""Of frames that are none, in a row."""
_ANYWHERE = 1 << 60


@dataclass
class Opened:
    """A file that libsndfile has opened."""

    rate: int
    channels: int
    blocks: Iterator[Block]
    announced: float | None = None
    """Seconds by its header."""
    honest: bool = True
    """It is as long as its header says, and one file. Final when all is decoded."""
    account: Account | None = None
    """What its container announces, beside its header."""
    heard: float = 0.0
    """Seconds decoded so far."""
    cut_off: bool = False
    """It ends within a frame. Final when all is decoded."""
    unended: bool = False
    """It lacks the mark of its end, as what was recorded from a running stream does, too. Final when all is decoded."""
    holes: tuple[Hole, ...] = ()
    """What was lost in its middle. Final when all is decoded."""


class Track:
    """One file as it is read; of a FLAC that is damaged, what follows the damage, with silence in its place.

    `opened` is told of holes and of a last frame that is not whole. `what`: name and format, for messages.
    """

    def __init__(self, opened: Opened, file: Straight, view: View | Forward, kind: Kind, what: str) -> None:
        self.file = file
        self._opened, self._view, self._kind, self._what = opened, view, kind, what
        self._begun = first_frame(view.at, _NEAR if isinstance(view, Forward) else _ANYWHERE) if kind is FLAC else None
        self._before = opened.heard
        self._given = self._silent = 0
        self._ready: Block | None = None

    def __enter__(self) -> Track:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self, frames: int) -> tuple[Block, soundfile.LibsndfileError | None]:
        """The next block, of `frames` samples or fewer, and the error that ended it, behind which nothing is left."""
        before = self._view.tell()
        if self._silent:
            block, error = silence(self.file, min(frames, self._silent)), None
            self._silent -= len(block)
        elif self._ready is not None:
            block, error, self._ready = self._ready, None, None
        else:
            block, error = read_block(self.file, self._view, frames, self._kind)
            # What the decoder gave last may be made of damage: all of it is decoded anew, frame by frame.
            if error is not None and self._begun is not None and self._resume(before, *self._begun):
                return self.read(frames)
        self._given += len(block)
        return block, error

    def look_at_end(self, claim: Claim) -> None:
        """Tell of a FLAC whether it ends within a frame: what is not whole gives no error where it is little."""
        if claim.samples and not self._opened.heard:
            # Nor does, in a pipe, nothing but damage.
            raise damage(self._opened, None, self._what)
        if self._begun is not None:
            stream, origin = self._begun
            begun = has_begun(self._view.tail(READ_AHEAD), stream, origin + self._given)
            self._opened.cut_off = self._opened.cut_off or begun

    def _resume(self, before: int, stream: Stream, origin: int) -> bool:
        """Go on with the next frame that is whole; `before`: how far the decoder had read when all was well."""
        view, tries = self._view, 0
        at = max(HEADER, before - READ_AHEAD, view.first)
        for place, frame in frames_from(view.at, at, stream):
            gap = frame.first - origin - self._given
            if not -frame.samples < gap <= ((place - at) // _LEAST_FRAME + 2) * _MOST_SAMPLES:
                continue
            read = view.tell()
            view.seek(before)
            following = find(view, NEXT[FLAC], place)
            if following is not None and following < place:
                # It is one of the next file's, the numbers of which begin anew.
                return False
            view.seek(read)
            block = self._begin(place, frame, stream)
            if block is not None:
                if gap > 0:
                    at_seconds = self._before + self._given / stream.rate
                    self._opened.holes += (Hole(at_seconds, gap / stream.rate),)
                self._opened.honest = False
                self._silent, self._ready = max(0, gap), block[max(0, -gap) :]
                return True
            tries += 1
            if tries == _MOST_TRIES:
                break
        return False

    def _begin(self, place: int, frame: Frame, stream: Stream) -> Block | None:
        """Let a new decoder begin with what looks like a frame, and give its samples; None where it is not a whole one.

        The decoder says so where its checksum is wrong, if it is asked for no more than this one frame.
        """
        view, patch, at, file = self._view, self._view.patch, self._view.tell(), None
        view.rebase(place - HEADER)
        view.patch = Patch(0, stream.opening)
        with contextlib.suppress(CorruptAudioError):
            file = open_straight(view, self._kind, self._what)
            block, error = read_block(file, view, frame.samples, self._kind)
            if error is None and len(block):
                self.file.close()
                self.file = file
                return block
        if file is not None:
            file.close()
        view.rebase(HEADER - place)
        view.patch = patch
        view.seek(at)
        return None


def damage(opened: Opened, error: Exception | None, what: str) -> CorruptAudioError:
    """The error for a file that cannot be decoded from where it has been heard on. `what`: its name and format."""
    reason = reason_of(error) if isinstance(error, soundfile.LibsndfileError) else "it is damaged"
    if not opened.heard:
        return CorruptAudioError(f"{what} that cannot be decoded: {reason}")
    whole = "" if opened.announced is None else f" of {opened.announced:.1f} s"
    return CorruptAudioError(
        f"{what} that cannot be decoded from {opened.heard:.1f} s{whole} on: {reason}; another decoder may read more: "
        "try ffmpeg -i FILE FILE.wav"
    )
