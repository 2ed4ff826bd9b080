"""libsndfile, kept to what it does well: reading straight through.

The law: never seek. soundfile asks for the position after every read where a file can be sought in; in MP3 that makes
the decoder inside print to standard error. So it is told that no file can be sought in. Foreign errors end here.

FLAC and MP3 are read from a pipe, too (forward.py). The others need a real end.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from clova_speech_async.errors import CorruptAudioError

from .convert import alike
from .ends import Account, account_of, mended
from .flac import HEADER, Frame, Stream, first_frame, frames_from, has_begun
from .formats import FLAC, HEAD, MP3, OGG, Kind
from .forward import Forward
from .frames import Frames
from .mp3 import length_of
from .options import Hole
from .source import Patch, Source, View
from .straight import Straight, open_straight, read_block, reason_of, silence

__all__ = ["Opened", "open_sound"]

Block = npt.NDArray[Any]
_LEAST_HEAD = 64
"""Bytes; shorter than that is what was cut off within its header, whatever its format."""
_UNKNOWN = 1 << 60
_NEAR = 1 << 18
"""Bytes in which the first frame of a FLAC from a pipe must lie, for the beginning of a pipe is not kept for long."""
_READ_AHEAD = 1 << 17
"""Bytes that a decoder may have read beyond what it has decoded."""
_LEAST_FRAME, _MOST_SAMPLES = 10, 1 << 16
"""Of FLAC: bytes of the shortest frame, and samples of the longest. What claims to be further away is no frame."""
_MOST_TRIES = 1000
"""Of frames that are none, in a row."""
_STREAMINFO = b"\0\0\x22"
"""Length of the first block of every FLAC."""


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


def open_sound(source: Source, skip: int, kind: Kind) -> Opened:
    """Open the file in `source` behind its first `skip` bytes; the blocks are about a second each."""
    what = f"{source.name}: {kind.name}"
    frames: Frames | None = None
    account: Account | None = None
    view: View | Forward
    if kind is MP3:
        source.read(skip)
        frames = Frames(source)
        head = frames.peek(HEAD)
        claim = _claim(head, kind)
        view = Forward(frames, claim.patch)
    else:
        head = source.peek(skip + HEAD)[skip:]
        claim = _claim(head, kind)
        if kind is FLAC and not source.seekable:
            source.read(skip)
            view = Forward(source, claim.patch)
        else:
            view = source.view(skip, claim.patch)
            account = account_of(view.at, view.size, kind.name)
            mend = mended(view.at, view.size, kind.name)
            view.patch = claim.patch if mend is None else Patch(*mend)
    whole = len(head) >= _LEAST_HEAD and (kind is not FLAC or head[5:8] == _STREAMINFO)
    file = open_straight(view, kind, what, whole=whole)
    rate, channels = int(file.samplerate), int(file.channels)
    opened = Opened(rate, channels, iter(()), _announced(file, claim, kind))
    opened.account = account
    opened.blocks = _links(opened, file, view, claim, kind, what, frames)
    return opened


def _announced(file: Straight, claim: _Claim, kind: Kind) -> float | None:
    """Seconds by its header, or by the last page of an OGG."""
    samples = int(file.frames) if kind is OGG else claim.samples
    return samples / int(file.samplerate) if 0 < samples < _UNKNOWN else None


def _links(
    opened: Opened, file: Straight, view: View | Forward, claim: _Claim, kind: Kind, what: str, frames: Frames | None
) -> Iterator[Block]:
    """The blocks of a file, and of those that were simply appended to it, as FLAC, OGG and MP3 allow."""
    yield from _blocks(opened, file, view, claim, kind, what)
    if frames is not None and not view.at_end:
        # Never seen; but it would be speech that vanishes.
        raise _damage(opened, None, what)
    while (following := _next(view, kind, frames)) is not None:
        view, claim = following
        opened.honest = False
        file = open_straight(view, kind, what)
        further = _announced(file, claim, kind)
        known = opened.announced is not None and further is not None
        opened.announced = (opened.announced or 0.0) + (further or 0.0) if known else None
        blocks = _blocks(opened, file, view, claim, kind, what)
        yield from alike(blocks, int(file.samplerate), opened.rate, opened.channels)
    if frames is not None:
        opened.holes, opened.cut_off = tuple(frames.holes), opened.cut_off or frames.cut_off
        opened.honest = opened.honest and frames.clean and not frames.cut_off
    elif kind is OGG:
        opened.unended = not _has_end(view)
    elif opened.account is not None:
        opened.announced = opened.account.seconds(opened.heard)


def _has_end(view: View | Forward) -> bool:
    """Whether the last page of an OGG is whole, and marked as the last one."""
    size = view.seek(0, os.SEEK_END)
    view.seek(max(0, size - (1 << 17)))
    tail = bytearray(1 << 17)
    tail = tail[: view.readinto(tail)]
    at = tail.rfind(b"OggS")
    if at < 0:
        # What stands there is something else, and tells nothing.
        return True
    page = tail[at:]
    segments = page[26] if len(page) > 26 else 255
    return bool(page[5:6] and page[5] & 4) and len(page) >= 27 + segments + sum(page[27 : 27 + segments])


def _next(view: View | Forward, kind: Kind, frames: Frames | None) -> tuple[View | Forward, _Claim] | None:
    """The next file in this one, ready to be opened, or None."""
    if frames is not None:
        if not frames.turn():
            return None
        claim = _claim(frames.peek(HEAD), kind)
        return Forward(frames, claim.patch), claim
    pattern = _NEXT.get(kind)
    at = None if pattern is None else _find(view, pattern)
    if at is None:
        return None
    view.rebase(at)
    view.patch = None
    head = bytearray(HEAD)
    claim = _claim(bytes(head[: view.readinto(head)]), kind)
    view.patch = claim.patch
    view.seek(0)
    return view, claim


class _Track:
    """One file as it is read; of a FLAC that is damaged, what follows the damage, with silence in its place."""

    def __init__(self, opened: Opened, file: Straight, view: View | Forward, kind: Kind, what: str) -> None:
        self.file = file
        self._opened, self._view, self._kind, self._what = opened, view, kind, what
        self._begun = first_frame(view.at, _NEAR if isinstance(view, Forward) else _UNKNOWN) if kind is FLAC else None
        self._before = opened.heard
        self._given = self._silent = 0
        self._ready: Block | None = None

    def __enter__(self) -> _Track:
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

    def look_at_end(self, claim: _Claim) -> None:
        """Tell of a FLAC whether it ends within a frame: what is not whole gives no error where it is little."""
        if claim.samples and not self._opened.heard:
            # Nor does, in a pipe, nothing but damage.
            raise _damage(self._opened, None, self._what)
        if self._begun is not None:
            stream, origin = self._begun
            begun = has_begun(self._view.tail(_READ_AHEAD), stream, origin + self._given)
            self._opened.cut_off = self._opened.cut_off or begun

    def _resume(self, before: int, stream: Stream, origin: int) -> bool:
        """Go on with the next frame that is whole; `before`: how far the decoder had read when all was well."""
        view, tries = self._view, 0
        at = max(HEADER, before - _READ_AHEAD, view.first)
        for place, frame in frames_from(view.at, at, stream):
            gap = frame.first - origin - self._given
            if not -frame.samples < gap <= ((place - at) // _LEAST_FRAME + 2) * _MOST_SAMPLES:
                continue
            read = view.tell()
            view.seek(before)
            following = _find(view, _NEXT[FLAC], place)
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


def _blocks(
    opened: Opened, file: Straight, view: View | Forward, claim: _Claim, kind: Kind, what: str
) -> Iterator[Block]:
    """Block after block, and held against the claim: what is beyond it by no more than an encoder adds is left out."""
    rate = int(file.samplerate)
    counted, beyond = 0, np.zeros((0, int(file.channels)), np.float32)
    track = _Track(opened, file, view, kind, what)
    with track:
        while True:
            left = claim.samples - counted if claim.samples else 0
            if kind is FLAC and claim.samples and left == 0 and _find(view, _NEXT[FLAC], view.tell()) is not None:
                # Left to itself the decoder takes the next file's frames for more of this one's, whatever their rate.
                break
            block, error = track.read(left if 0 < left < rate else rate)
            # Where all that was announced has been heard, what follows in a FLAC is a tag or some other addition.
            broken = error is not None and not (kind is FLAC and left == 0)
            if not len(block) and not broken:
                break
            if claim.margin and left == 0 and len(beyond) + len(block) <= claim.margin:
                beyond = np.concatenate((beyond, block))
                continue
            if len(beyond):
                counted += len(beyond)
                yield beyond
                beyond = beyond[:0]
            counted += len(block)
            yield block
            opened.heard += len(block) / rate
            if broken:
                ends = view.at_end or (kind is FLAC and _find(view, _NEXT[FLAC]) is not None)
                if not opened.heard or not ends:
                    raise _damage(opened, error, what) from error
                opened.cut_off = True
                break
        if kind is FLAC and (not claim.samples or counted < claim.samples):
            track.look_at_end(claim)
    if claim.patch is not None and counted != claim.samples:
        opened.honest = False


def _damage(opened: Opened, error: Exception | None, what: str) -> CorruptAudioError:
    reason = reason_of(error) if isinstance(error, soundfile.LibsndfileError) else "it is damaged"
    if not opened.heard:
        return CorruptAudioError(f"{what} that cannot be decoded: {reason}")
    whole = "" if opened.announced is None else f" of {opened.announced:.1f} s"
    return CorruptAudioError(
        f"{what} that cannot be decoded from {opened.heard:.1f} s{whole} on: {reason}; another decoder may read more: "
        "try ffmpeg -i FILE FILE.wav"
    )


def _find(view: View | Forward, pattern: re.Pattern[bytes], end: int | None = None) -> int | None:
    """Where the next file in this one begins, or None; looks a little back, for the reader has read ahead.

    Looks no further than `end`, and leaves the view where it was.
    """
    before = view.tell()
    at = max(8, before - (1 << 17), view.first)
    view.seek(at)
    chunk, kept, found = bytearray(1 << 16), b"", None
    while found is None and (end is None or at < end) and (size := view.readinto(chunk)):
        match = pattern.search(kept + chunk[:size])
        found = at - len(kept) + match.start() if match else None
        kept = (kept + chunk[:size])[-16:]
        at += size
    view.seek(before)
    return found


@dataclass(frozen=True)
class _Claim:
    """What a header says of the length, and how to keep it from the decoder, which would end there."""

    samples: int = 0
    """0: nothing."""
    patch: Patch | None = None
    margin: int = 0
    """So many samples more are what the encoder added."""


def _claim(head: bytes, kind: Kind) -> _Claim:
    if kind is MP3:
        length = length_of(head)
        return _Claim() if length is None else _Claim(length.samples, Patch(length.at, length.endless), 4 * 1152)
    if kind is FLAC and len(head) >= 26 and head[4] & 0x7F == 0:
        packed = int.from_bytes(head[18:26], "big")
        patch = Patch(18, (packed >> 36 << 36).to_bytes(8, "big"))
        return _Claim(packed & (1 << 36) - 1, patch)
    return _Claim()


_NEXT = {FLAC: re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"), OGG: re.compile(rb"OggS\x00[\x02\x06]")}
"""How the next file in a file begins."""
