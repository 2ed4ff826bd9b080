"""One request from one recording, for `recognize`: as it is where the service takes it so, else re-encoded to fit."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Any

import numpy as np

from ..errors import AudioTooLargeError, AudioTooLongError, EmptyAudioError
from .convert import Converter
from .cutting import close_decoded
from .decode import open_audio
from .encode import digest_of, flac
from .options import LONGEST_REQUEST, MOST_BYTES, Piece

__all__ = ["load", "quick"]

_RATE = 16_000


def load(
    audio: Any, *, max_seconds: float = LONGEST_REQUEST, max_bytes: int = MOST_BYTES, av: bool | None = None
) -> Piece:
    """The one upload of a recording that fits into one request. Blocks: use a thread.

    Raises `AudioTooLongError` beyond `max_seconds`, `AudioTooLargeError` where not even FLAC fits into `max_bytes`, the
    other kinds of `AudioError` for what cannot be read, `ArgumentTypeError` for what cannot be audio.
    """
    decoded = open_audio(audio, av=av)
    try:
        converter = Converter(decoded.rate, decoded.channels, each=False)
        parts, frames = [], 0
        for block in decoded.blocks:
            frames += len(block)
            if frames > max_seconds * decoded.rate:
                raise AudioTooLongError(
                    f"{decoded.name} is longer than {max_seconds:g} seconds, which is all that one request takes: "
                    "use transcribe(), which takes any length",
                    limit=max_seconds,
                )
            parts += converter.convert(block)
        if not frames:
            raise EmptyAudioError(f"{decoded.name} has no samples")
        seconds = frames / decoded.rate
        data = decoded.source.original() if decoded.passable and decoded.source is not None else None
        if data is not None and len(data) <= max_bytes:
            return Piece(0, 0.0, seconds, data, None, seconds, True, sha256(data).digest())
        samples = np.concatenate(parts + converter.finish())[: int(max_seconds * _RATE)]
        data = flac(samples)
        if len(data) > max_bytes:
            raise AudioTooLargeError(
                f"{decoded.name} makes {len(data)} bytes, more than the {max_bytes} that one request takes: use transcribe()",
                size=len(data),
                limit=max_bytes,
            )
        return Piece(0, 0.0, seconds, data, None, len(samples) / _RATE, False, digest_of(samples))
    finally:
        close_decoded(decoded)


def quick(audio: Any) -> Piece | None:
    """The upload for bytes that are a plain WAV file within all limits, in a few microseconds; else None: use `load`."""
    if type(audio) is not bytes or not 44 < len(audio) <= MOST_BYTES:
        return None
    riff, riff_size, wave, fmt_, code, channels, rate, byte_rate, align, bits, tag, size = _CANONICAL.unpack_from(audio)
    if riff != b"RIFF" or wave != b"WAVEfmt \x10\x00\x00\x00" or tag != b"data" or code != 1:
        return None
    width = bits // 8
    if bits not in (8, 16, 24, 32) or not 1 <= channels <= 8 or align != channels * width:
        return None
    if not 16_000 <= rate <= 192_000 or byte_rate != rate * align:
        return None
    if size == 0 or size % align or size > len(audio) - 44 or riff_size != len(audio) - 8:
        return None
    seconds = size / byte_rate
    if seconds > LONGEST_REQUEST:
        return None
    return Piece(0, 0.0, seconds, audio, None, seconds, True, sha256(audio).digest())


_CANONICAL = struct.Struct("<4sI12s0sHHIIHH4sI")
