"""libsndfile, kept to what it does well: reading straight through.

The law: never seek. soundfile asks for the position after every read where a file can be sought in; in MP3 that makes
the decoder inside print to standard error. So it is told that no file can be sought in. Foreign errors end here.

FLAC and MP3 are read from a pipe, too: both readers look at the end of a file when they open it, and are satisfied
with a file of a very great length that has zeros there. The others need a real end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from clova_speech_async.errors import AudioError, CorruptAudioError, UnsupportedFormatError

from .convert import alike
from .ends import Account, account_of, mended
from .formats import FLAC, HEAD, MP3, OGG, Kind
from .frames import Frames
from .hush import hushed
from .mp3 import length_of
from .options import Hole
from .pcm import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS
from .source import Patch, Source, View

__all__ = ["Opened", "open_sound"]

Block = npt.NDArray[Any]
_SIXTEEN = {"PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "VOX_ADPCM", "ALAC_16"}


_NOT_READ = ("unsupported", "unimplemented", "unknown format", "unknown encoding")
"""In libsndfile's words for what it does not read; its "unknown error in flac decoder" is damage."""


_LEAST_HEAD = 64
"""Bytes; shorter than that is what was cut off within its header, whatever its format."""
_UNKNOWN = 1 << 60
_STREAMINFO = b"\0\0\x22"
"""Length of the first block of every FLAC."""


class _Straight(soundfile.SoundFile):  # type: ignore[misc]
    def seekable(self) -> bool:
        return False


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


class _Forward:
    """A stream as the very long file that FLAC's and MP3's readers take it for: forwards, and zeros at its far end."""

    _LENGTH = 4_000_000_000
    _KEPT = 1 << 18

    def __init__(self, source: Source | Frames, patch: Patch | None) -> None:
        self._source = source
        self.patch = patch
        self._at = 0
        self._first = 0
        self._held = bytearray()
        self.error: AudioError | None = None

    @property
    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self._at >= self._first + len(self._held) and not self._source.peek(1)

    def rebase(self, at: int) -> None:
        """From now on the file begins at what is now `at`."""
        del self._held[: at - self._first]
        self._first = self._at = 0

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._LENGTH}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        offset = self._at - self._first
        if offset > len(self._held) + self._KEPT:
            size = max(0, min(len(view), self._LENGTH - self._at))
            view[:size] = bytes(size)
        else:
            size = self._real(view, offset)
        self._at += size
        return size

    def _real(self, view: memoryview, offset: int) -> int:
        missing = offset + len(view) - len(self._held)
        try:
            if missing > 0 and self.error is None:
                self._held += self._source.read(max(missing, 8192))
        except AudioError as error:
            self.error = error
        data = self._held[max(0, offset) : offset + len(view)] if offset >= 0 else b""
        view[: len(data)] = data
        if self.patch is not None:
            self.patch.apply(view[: len(data)], self._at)
        if len(self._held) > 4 * self._KEPT:
            drop = len(self._held) - self._KEPT
            self._first += drop
            del self._held[:drop]
        return len(data)


def open_sound(source: Source, skip: int, kind: Kind) -> Opened:
    """Open the file in `source` behind its first `skip` bytes; the blocks are about a second each."""
    what = f"{source.name}: {kind.name}"
    frames: Frames | None = None
    account: Account | None = None
    view: View | _Forward
    if kind is MP3:
        source.read(skip)
        frames = Frames(source)
        head = frames.peek(HEAD)
        claim = _claim(head, kind)
        view = _Forward(frames, claim.patch)
    else:
        head = source.peek(skip + HEAD)[skip:]
        claim = _claim(head, kind)
        if kind is FLAC and not source.seekable:
            source.read(skip)
            view = _Forward(source, claim.patch)
        else:
            view = source.view(skip, claim.patch)
            account = account_of(view.at, view.size, kind.name)
            mend = mended(view.at, view.size, kind.name)
            view.patch = claim.patch if mend is None else Patch(*mend)
    whole = len(head) >= _LEAST_HEAD and (kind is not FLAC or head[5:8] == _STREAMINFO)
    file = _open(view, kind, what, whole=whole)
    rate, channels = int(file.samplerate), int(file.channels)
    opened = Opened(rate, channels, iter(()), _announced(file, claim, kind))
    opened.account = account
    opened.blocks = _links(opened, file, view, claim, kind, what, frames)
    return opened


def _announced(file: _Straight, claim: _Claim, kind: Kind) -> float | None:
    """Seconds by its header, or by the last page of an OGG."""
    samples = int(file.frames) if kind is OGG else claim.samples
    return samples / int(file.samplerate) if 0 < samples < _UNKNOWN else None


def _open(view: View | _Forward, kind: Kind, what: str, *, whole: bool = True) -> _Straight:
    """`whole`: its header may be a right one; else what libsndfile makes of it tells nothing."""
    try:
        with hushed(kind is MP3):
            file = _Straight(view)
    except soundfile.LibsndfileError as error:
        if view.error is not None:
            raise view.error from error
        reason = _reason(error)
        if whole and any(word in reason.lower() for word in _NOT_READ):
            raise UnsupportedFormatError(f"{what} of a kind that cannot be read here: {reason}") from error
        raise CorruptAudioError(f"{what} that cannot be decoded: {reason}") from error
    rate, channels = int(file.samplerate), int(file.channels)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or not 1 <= channels <= MOST_CHANNELS:
        file.close()
        raise CorruptAudioError(f"{what} whose header claims {channels} channels at {rate} Hz")
    return file


def _reason(error: soundfile.LibsndfileError) -> str:
    reason: str = error.error_string.rstrip(".").removeprefix("Error : ")
    return "it is damaged or cut off" if reason == "Unspecified internal error" else reason


def _links(
    opened: Opened, file: _Straight, view: View | _Forward, claim: _Claim, kind: Kind, what: str, frames: Frames | None
) -> Iterator[Block]:
    """The blocks of a file, and of those that were simply appended to it, as FLAC, OGG and MP3 allow."""
    yield from _blocks(opened, file, view, claim, kind, what)
    if frames is not None and not view.at_end:
        # Never seen; but it would be speech that vanishes.
        raise _damage(opened, None, what)
    while (following := _next(view, kind, frames)) is not None:
        view, claim = following
        opened.honest = False
        file = _open(view, kind, what)
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


def _has_end(view: View | _Forward) -> bool:
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


def _next(view: View | _Forward, kind: Kind, frames: Frames | None) -> tuple[View | _Forward, _Claim] | None:
    """The next file in this one, ready to be opened, or None."""
    if frames is not None:
        if not frames.turn():
            return None
        claim = _claim(frames.peek(HEAD), kind)
        return _Forward(frames, claim.patch), claim
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


def _blocks(
    opened: Opened, file: _Straight, view: View | _Forward, claim: _Claim, kind: Kind, what: str
) -> Iterator[Block]:
    """Block after block, and held against the claim: what is beyond it by no more than an encoder adds is left out."""
    rate = int(file.samplerate)
    counted, beyond = 0, np.zeros((0, int(file.channels)), np.float32)
    with file:
        while True:
            left = claim.samples - counted if claim.samples else 0
            if kind is FLAC and claim.samples and left == 0 and _find(view, _NEXT[FLAC], view.tell()) is not None:
                # Left to itself the decoder takes the next file's frames for more of this one's, whatever their rate.
                break
            block, error = _read(file, view, left if 0 < left < rate else rate, kind)
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
                if not opened.heard or not view.at_end:
                    raise _damage(opened, error, what) from error
                opened.cut_off = True
                break
    if claim.patch is not None and counted != claim.samples:
        opened.honest = False


def _damage(opened: Opened, error: Exception | None, what: str) -> CorruptAudioError:
    reason = _reason(error) if isinstance(error, soundfile.LibsndfileError) else "it is damaged"
    if not opened.heard:
        return CorruptAudioError(f"{what} that cannot be decoded: {reason}")
    whole = "" if opened.announced is None else f" of {opened.announced:.1f} s"
    return CorruptAudioError(
        f"{what} that cannot be decoded from {opened.heard:.1f} s{whole} on: {reason}; another decoder may read more: "
        "try ffmpeg -i FILE FILE.wav"
    )


def _read(
    file: _Straight, view: View | _Forward, frames: int, kind: Kind
) -> tuple[Block, soundfile.LibsndfileError | None]:
    """The next block, and the error that ended it, with what was decoded before it."""
    dtype = np.int16 if file.subtype in _SIXTEEN else np.float32
    block: Block = np.zeros((frames, int(file.channels)), dtype)
    try:
        with hushed(kind is MP3):
            block, error = file.read(out=block), None
    except soundfile.LibsndfileError as damage:
        # How many samples came before it is not told; what is still zero is silence in any case.
        block, error = block[: _used(block)], damage
    if view.error is not None:
        # Its own cause tells more than what the decoder made of it.
        raise view.error
    return block, error


def _used(block: Block) -> int:
    """Rows up to the last one that is not all zero."""
    with np.errstate(invalid="ignore"):
        (rows,) = np.nonzero(block.any(axis=1))
    return int(rows[-1]) + 1 if len(rows) else 0


def _find(view: View | _Forward, pattern: re.Pattern[bytes], end: int | None = None) -> int | None:
    """Where the next file in this one begins, or None; looks a little back, for the reader has read ahead.

    Looks no further than `end`, and leaves the view where it was.
    """
    before = view.tell()
    at = max(8, before - (1 << 17))
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
        return _Claim(packed & (1 << 36) - 1, Patch(18, (packed >> 36 << 36).to_bytes(8, "big")))
    return _Claim()


_NEXT = {FLAC: re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"), OGG: re.compile(rb"OggS\x00[\x02\x06]")}
"""How the next file in a file begins."""
