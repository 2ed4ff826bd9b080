"""libsndfile, kept to what it does well: reading straight through.

The law: never seek. soundfile asks for the position after every read where a file can be sought in; in MP3 that makes
the decoder inside print to standard error. So it is told that no file can be sought in. Foreign errors end here.

FLAC and MP3 are read from a pipe, too: both readers look at the end of a file when they open it, and are satisfied
with a file of a very great length that has zeros there. The others need a real end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import soundfile

from clova_speech_async.errors import AudioError, CorruptAudioError, UnsupportedFormatError

from .formats import FLAC, MP3, Kind
from .hush import hushed
from .pcm import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS
from .source import Patch, Source, View

__all__ = ["Opened", "open_sound"]

_SIXTEEN = {"PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "VOX_ADPCM", "ALAC_16"}


class _Straight(soundfile.SoundFile):  # type: ignore[misc]
    def seekable(self) -> bool:
        return False


@dataclass(frozen=True)
class Opened:
    """A file that libsndfile has opened."""

    rate: int
    channels: int
    claimed: int | None
    """Frames by its header; None where it leaves that open, or the format has no such header."""
    blocks: Iterator[npt.NDArray[Any]]


def _flac_length(head: bytes) -> tuple[int | None, Patch | None]:
    """How many samples a FLAC header claims, and a patch that makes it claim nothing.

    The decoder stops where the header says that the end is, even where six hours follow; told nothing, it reads on.
    """
    if len(head) < 26 or head[4] & 0x7F != 0:
        return None, None
    packed = int.from_bytes(head[18:26], "big")
    rest, claimed = packed >> 36 << 36, packed & (1 << 36) - 1
    return claimed or None, Patch(18, rest.to_bytes(8, "big"))


class _Forward:
    """A stream as the very long file that FLAC's and MP3's readers take it for: forwards, and zeros at its far end."""

    _LENGTH = 4_000_000_000
    _KEPT = 1 << 18

    def __init__(self, source: Source, skip: int, patch: Patch | None) -> None:
        self._source = source
        self._patch = patch
        self._at = 0
        self._first = 0
        self._held = bytearray()
        self.error: AudioError | None = None
        source.read(skip)

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
        if self._patch is not None:
            self._patch.apply(view[: len(data)], self._at)
        if len(self._held) > 4 * self._KEPT:
            drop = len(self._held) - self._KEPT
            self._first += drop
            del self._held[:drop]
        return len(data)


def open_sound(source: Source, skip: int, kind: Kind) -> Opened:
    """Open the file in `source` behind its first `skip` bytes; the blocks are about a second each."""
    claimed, patch = _flac_length(source.peek(skip + 26)[skip:]) if kind is FLAC else (None, None)
    straight = kind in (FLAC, MP3) and not source.seekable
    view: View | _Forward = _Forward(source, skip, patch) if straight else source.view(skip, patch)
    name = source.name
    try:
        with hushed(kind is MP3):
            file = _Straight(view)
    except soundfile.LibsndfileError as error:
        if view.error is not None:
            raise view.error from error
        reason = error.error_string.rstrip(".")
        if any(word in reason.lower() for word in ("unsupported", "unimplemented", "unknown", "not implemented")):
            raise UnsupportedFormatError(f"{name}: {kind.name} of a kind that cannot be read here: {reason}") from error
        raise CorruptAudioError(f"{name}: {kind.name} that cannot be decoded: {reason}") from error
    rate, channels = int(file.samplerate), int(file.channels)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or not 1 <= channels <= MOST_CHANNELS:
        file.close()
        raise CorruptAudioError(f"{name}: its {kind.name} header claims {channels} channels at {rate} Hz")
    return Opened(rate, channels, claimed, _blocks(file, view, kind, name))


def _blocks(file: _Straight, view: View | _Forward, kind: Kind, name: str) -> Iterator[npt.NDArray[Any]]:
    dtype = "int16" if file.subtype in _SIXTEEN else "float32"
    with file:
        while True:
            try:
                with hushed(kind is MP3):
                    block = file.read(file.samplerate, dtype=dtype, always_2d=True)
            except soundfile.LibsndfileError as error:
                if view.error is not None:
                    raise view.error from error
                raise CorruptAudioError(
                    f"{name}: {kind.name} that cannot be decoded: {error.error_string.rstrip('.')}"
                ) from error
            if view.error is not None:
                raise view.error
            if not len(block):
                return
            yield block
