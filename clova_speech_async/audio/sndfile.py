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

from .formats import FLAC, HEAD, MP3, OGG, Kind
from .hush import hushed
from .mp3 import length_of
from .pcm import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS
from .source import Patch, Source, View

__all__ = ["Opened", "open_sound"]

Block = npt.NDArray[Any]
_SIXTEEN = {"PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "VOX_ADPCM", "ALAC_16"}


_NOT_READ = ("unsupported", "unimplemented", "unknown format", "unknown encoding")
"""In libsndfile's words for what it does not read; its "unknown error in flac decoder" is damage."""


_LEAST_HEAD = 64
"""Bytes; shorter than that is what was cut off within its header, whatever its format."""
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
    honest: bool = True
    """It is as long as its header says, and one file. Final when all is decoded."""


class _Forward:
    """A stream as the very long file that FLAC's and MP3's readers take it for: forwards, and zeros at its far end."""

    _LENGTH = 4_000_000_000
    _KEPT = 1 << 18

    def __init__(self, source: Source, skip: int, patch: Patch | None) -> None:
        self._source = source
        self.patch = patch
        self._at = 0
        self._first = 0
        self._held = bytearray()
        self.error: AudioError | None = None
        source.read(skip)

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
    head = source.peek(skip + HEAD)[skip:]
    claim = _claim(head, kind)
    # MP3 is always shown as a stream: of a file's length its reader makes a guess, and ends where it guessed.
    straight = kind is MP3 or (kind is FLAC and not source.seekable)
    view: View | _Forward = _Forward(source, skip, claim.patch) if straight else source.view(skip, claim.patch)
    what = f"{source.name}: {kind.name}"
    whole = len(head) >= _LEAST_HEAD and (kind is not FLAC or head[5:8] == _STREAMINFO)
    file = _open(view, kind, what, whole=whole)
    rate, channels = int(file.samplerate), int(file.channels)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or not 1 <= channels <= MOST_CHANNELS:
        file.close()
        raise CorruptAudioError(f"{what} whose header claims {channels} channels at {rate} Hz")
    opened = Opened(rate, channels, iter(()))
    opened.blocks = _links(opened, file, view, claim, kind, what)
    return opened


def _open(view: View | _Forward, kind: Kind, what: str, *, whole: bool = True) -> _Straight:
    """`whole`: its header may be a right one; else what libsndfile makes of it tells nothing."""
    try:
        with hushed(kind is MP3):
            return _Straight(view)
    except soundfile.LibsndfileError as error:
        if view.error is not None:
            raise view.error from error
        reason = _reason(error)
        if whole and any(word in reason.lower() for word in _NOT_READ):
            raise UnsupportedFormatError(f"{what} of a kind that cannot be read here: {reason}") from error
        raise CorruptAudioError(f"{what} that cannot be decoded: {reason}") from error


def _reason(error: soundfile.LibsndfileError) -> str:
    reason: str = error.error_string.rstrip(".").removeprefix("Error : ")
    return "it is damaged or cut off" if reason == "Unspecified internal error" else reason


def _links(
    opened: Opened, file: _Straight, view: View | _Forward, claim: _Claim, kind: Kind, what: str
) -> Iterator[Block]:
    """The blocks of a file, and of those that were simply appended to it, as FLAC and OGG allow."""
    yield from _blocks(opened, file, view, claim, kind, what)
    pattern = _NEXT.get(kind)
    while pattern is not None:
        at = _find(view, pattern)
        if at is None:
            return
        view.rebase(at)
        view.patch = None
        opened.honest = False
        head = bytearray(HEAD)
        claim = _claim(bytes(head[: view.readinto(head)]), kind)
        view.patch = claim.patch
        view.seek(0)
        file = _open(view, kind, what)
        if (int(file.samplerate), int(file.channels)) != (opened.rate, opened.channels):
            file.close()
            raise CorruptAudioError(
                f"{what} that changes in its middle from {opened.channels} channels at {opened.rate} Hz to "
                f"{file.channels} at {file.samplerate}: split it there"
            )
        yield from _blocks(opened, file, view, claim, kind, what)


def _blocks(
    opened: Opened, file: _Straight, view: View | _Forward, claim: _Claim, kind: Kind, what: str
) -> Iterator[Block]:
    """Block after block, and held against the claim: what is beyond it by no more than an encoder adds is left out."""
    dtype = "int16" if file.subtype in _SIXTEEN else "float32"
    counted, beyond = 0, np.zeros((0, opened.channels), np.float32)
    with file:
        while True:
            left = claim.samples - counted if claim.samples else 0
            if kind is FLAC and claim.samples and left == 0 and _find(view, _NEXT[FLAC], view.tell()) is not None:
                # Left to itself the decoder takes the next file's frames for more of this one's, whatever their rate.
                break
            block = _read(file, view, left if 0 < left < opened.rate else opened.rate, dtype, kind, what, left == 0)
            if not len(block):
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
    if claim.patch is not None and counted != claim.samples:
        opened.honest = False


def _read(
    file: _Straight, view: View | _Forward, frames: int, dtype: str, kind: Kind, what: str, complete: bool
) -> Block:
    try:
        with hushed(kind is MP3):
            block: Block = file.read(frames, dtype=dtype, always_2d=True)
    except soundfile.LibsndfileError as error:
        if view.error is not None:
            raise view.error from error
        if complete and kind is FLAC:
            # All that was announced has been heard; what follows is a tag or some other addition.
            return np.zeros((0, file.channels), np.int16)
        raise CorruptAudioError(f"{what} that cannot be decoded: {_reason(error)}") from error
    if view.error is not None:
        raise view.error
    return block


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
