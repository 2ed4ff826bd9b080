"""One request from one recording, for `recognize`: as it is where the service takes it so, else re-encoded to fit."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from clova_speech_async.billing import BILLED_UNIT
from clova_speech_async.errors import AudioTooLargeError, AudioTooLongError, EmptyAudioError

from .convert import Converter
from .cutting import close_decoded, cut_off
from .decode import open_audio
from .decoded import LEAST_RATE, Decoded
from .encode import digest_of, flac
from .options import LONGEST_REQUEST, MOST_BYTES, Piece
from .samples import RATE

__all__ = ["load", "quick", "quick_cut"]

_CANONICAL = struct.Struct("<4sI12sHHIIHH4sI")
"""The head of a plain WAV file, up to its first sample."""
_ZEROS = (bytes(16), b"\x80" * 16)
"""How silence may begin; that of 8 bits stands in the middle of what a byte holds."""


def load(
    audio: Any, *, max_seconds: float = LONGEST_REQUEST, max_bytes: int = MOST_BYTES, av: bool | None = None
) -> Piece:
    """The one upload of a recording that fits into one request. Blocks: use a thread.

    Raises `AudioTooLongError` beyond `max_seconds`, `AudioTooLargeError` where not even FLAC fits into `max_bytes`, the
    other kinds of `AudioError` for what cannot be read, `ArgumentTypeError` for what cannot be audio.
    """
    decoded = open_audio(audio, av=av)
    try:
        if decoded.claimed is not None:
            return _as_it_is(decoded, max_seconds, max_bytes)
        converter = Converter(decoded.rate, decoded.channels, each=False)
        parts, frames = [], 0
        for block in decoded.blocks:
            frames += len(block)
            if frames > max_seconds * decoded.rate:
                raise _too_long(decoded, max_seconds)
            parts += converter.convert(block)
        if not frames:
            raise EmptyAudioError(f"there are no samples in {decoded.name}")
        seconds = frames / decoded.rate
        if decoded.flaws.broken_off:
            raise cut_off(decoded, seconds)
        data = decoded.source.original() if decoded.passable and decoded.source is not None else None
        if data is not None and len(data) <= max_bytes:
            return Piece(0, 0.0, seconds, data, None, seconds, True)
        samples = np.concatenate(parts + converter.finish())[: int(max_seconds * RATE)]
        data = flac(samples)
        if len(data) > max_bytes:
            raise _too_large(decoded, len(data), max_bytes)
        return Piece(0, 0.0, seconds, data, None, len(samples) / RATE, False, digest_of(samples))
    finally:
        close_decoded(decoded)


def _as_it_is(decoded: Decoded, max_seconds: float, max_bytes: int) -> Piece:
    """What nothing here can decode, but the service takes; its own account of its length is all there is."""
    seconds = decoded.claimed or 0.0
    data = b"" if decoded.source is None else decoded.source.original() or b""
    if seconds > max_seconds:
        raise _too_long(decoded, max_seconds)
    if decoded.flaws.broken_off:
        raise cut_off(decoded, seconds)
    if len(data) > max_bytes:
        raise _too_large(decoded, len(data), max_bytes)
    return Piece(0, 0.0, seconds, data, None, seconds, True)


def _too_long(decoded: Decoded, limit: float) -> AudioTooLongError:
    return AudioTooLongError(
        f"{decoded.name} is longer than {limit:g} seconds, which is all that one request takes: use transcribe(), "
        "which takes any length",
        limit=limit,
    )


def _too_large(decoded: Decoded, size: int, limit: int) -> AudioTooLargeError:
    return AudioTooLargeError(
        f"{decoded.name} makes {size} bytes, more than the {limit} that one request takes: use transcribe()",
        size=size,
        limit=limit,
    )


def quick(audio: Any) -> Piece | None:
    """The upload for bytes that are a plain WAV of at most 60 seconds, in microseconds; else None: use `load`."""
    if type(audio) is not bytes or not _CANONICAL.size < len(audio) <= MOST_BYTES:
        return None
    riff, riff_size, wave, code, channels, rate, byte_rate, align, bits, tag, size = _CANONICAL.unpack_from(audio)
    if riff != b"RIFF" or wave != b"WAVEfmt \x10\x00\x00\x00" or tag != b"data" or code != 1:
        return None
    width = bits // 8
    if bits not in (8, 16, 24, 32) or not 1 <= channels <= 8 or align != channels * width:
        return None
    if not LEAST_RATE <= rate <= 192_000 or byte_rate != rate * align:
        return None
    if size == 0 or size % align or size > len(audio) - _CANONICAL.size or riff_size != len(audio) - 8:
        return None
    seconds = size / byte_rate
    return None if seconds > LONGEST_REQUEST else Piece(0, 0.0, seconds, audio, None, seconds, True)


def quick_cut(audio: Any) -> Piece | None:
    """The one piece of bytes that are a plain WAV file of at most 15 seconds, in microseconds; else None: use `cut`.

    15 seconds is what the service bills at least; of a longer file, leaving out silence may cost less, and `cut` knows,
    as it does of one that is nothing but zeros.
    """
    piece = quick(audio)
    if piece is None or piece.seconds > BILLED_UNIT or _is_zero(audio):
        return None
    return piece


def _is_zero(audio: bytes) -> bool:
    """Whether all samples of a plain WAV file are zero."""
    start = _CANONICAL.size
    if audio[start : start + 16] not in _ZEROS:
        return False
    *_, bits, _tag, size = _CANONICAL.unpack_from(audio)
    zero = b"\x80" * size if bits == 8 else bytes(size)
    return audio[start : start + size] == zero
