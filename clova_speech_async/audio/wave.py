"""RIFF/WAVE and RF64 read by ourselves, forwards only, by the bytes that are there and not by what the header claims.

Why not libsndfile: a pipe cannot be sought, ffmpeg writes 0xFFFFFFFF as the size of what it sends to a pipe, recorders
that lost power leave 0, and both must give the sound there is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from clova_speech_async.errors import CorruptAudioError, UnsupportedFormatError

from .pcm import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS
from .samples import Encoding, sample_format

__all__ = ["Header", "read_header"]

_STREAMED = 0x7FFF_0000
"""Bytes from which on a size of 32 bits is what writers to a pipe put there, each its own number."""
_UNKNOWN = 1 << 62
"""Bytes that no file has: a size of 64 bits that was left open."""
_MOST_BEFORE_DATA = 64 * 1024 * 1024
"""Bytes; pictures and logs of some MB stand there, a chunk that claims more is damage."""
_MOST_CHUNKS = 100_000
"""No writer puts more than some dozens before the samples; millions of empty ones would take minutes."""
_MOST_OF_CHUNK = 64
"""Bytes that are of interest in a chunk; the others are passed over."""
_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


@dataclass(frozen=True)
class Header:
    """What a WAV header says of its samples."""

    rate: int
    channels: int
    samples: Encoding | None
    """None for a compressed kind, which libsndfile must read."""
    data_size: int | None
    """Bytes of samples as claimed; None where the header leaves it open (0, 0x7FFFFFFF or 0xFFFFFFFF)."""
    integer: bool
    """Plain integer samples, the kind of WAV that every reader takes."""
    riff_size: int | None
    """What the first chunk claims, and an RF64 file elsewhere; None where that is left open (0 or 0xFFFFFFFF)."""

    @property
    def announced_size(self) -> int | None:
        """`data_size` where it can be believed, else None.

        It is not where one of both sizes was left open, as by who writes to a pipe and cannot come back; and where it
        is one of the great numbers that such writers put there (sox and espeak 0x7FFFF000, arecord 0x7FFFFF00, others
        2**32 less a header).
        """
        size = self.data_size
        return None if size is None or self.riff_size is None or _STREAMED <= size <= 0xFFFFFFFF else size


def read_header(read: Callable[[int], bytes], skip: Callable[[int], int], name: str) -> Header:
    """Read from the beginning of a WAV or RF64 file up to its first sample.

    `read(n)` gives n bytes, and `skip(n)` passes over n and gives n; both fewer only at the end. `name`: of the file,
    for messages. Raises `CorruptAudioError` where it ends before its samples, or its header claims what cannot be, and
    `UnsupportedFormatError` for a kind of plain samples that is not known.
    """
    start = _exactly(read, 12, name)
    riff_size = struct.unpack("<I", start[4:8])[0]
    offset, form, long_sizes = 12, b"", (0, 0)
    for _ in range(_MOST_CHUNKS):
        tag, size = struct.unpack("<4sI", _exactly(read, 8, name))
        offset += 8
        if tag == b"data":
            break
        if offset + size > _MOST_BEFORE_DATA:
            raise CorruptAudioError(f"{name}: a WAV file without samples: its chunk {tag!r} claims {size} bytes")
        body = _exactly(read, min(size, _MOST_OF_CHUNK) if tag in (b"fmt ", b"ds64") else 0, name)
        left = size + size % 2 - len(body)
        if skip(left) < left:
            raise _ends(name)
        offset += size + size % 2
        if tag == b"fmt ":
            form = body
        elif tag == b"ds64" and len(body) >= 16:
            long_sizes = struct.unpack("<QQ", body[:16])
    else:
        raise CorruptAudioError(f"{name}: a WAV file with {_MOST_CHUNKS} chunks, and no samples behind them")
    if len(form) < 16:
        raise CorruptAudioError(f"{name}: a WAV file without a format chunk before its samples")
    riff_size, size = (
        long if short == 0xFFFFFFFF and 0 < long < _UNKNOWN else short
        for short, long in zip((riff_size, size), long_sizes, strict=True)
    )
    known = None if size in (0, 0xFFFFFFFF, 0x7FFFFFFF) else size
    return _header(form, known, None if riff_size in (0, 0xFFFFFFFF) else riff_size, name)


def _header(form: bytes, size: int | None, riff_size: int | None, name: str) -> Header:
    code, channels, rate, _, align, bits = struct.unpack("<HHIIHH", form[:16])
    if code == _EXTENSIBLE and len(form) >= 40 and form[26:40] == _GUID_TAIL:
        code = struct.unpack("<H", form[24:26])[0]
    if not 1 <= channels <= MOST_CHANNELS or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise CorruptAudioError(f"{name}: the WAV header claims {channels} channels at {rate} Hz")
    width = align // channels
    kinds = {
        (_PCM, 1): "u8",
        (_PCM, 2): "s16le",
        (_PCM, 3): "s24le",
        (_PCM, 4): "s32le",
        (_FLOAT, 4): "f32le",
        (_FLOAT, 8): "f64le",
        (_ALAW, 1): "alaw",
        (_MULAW, 1): "mulaw",
    }
    kind = kinds.get((code, width))
    if align % channels or (kind is not None and bits > 8 * width):
        raise CorruptAudioError(f"{name}: the WAV header claims {align} bytes a frame for {channels} channels")
    if kind is None and code in (_PCM, _FLOAT):
        raise UnsupportedFormatError(f"{name}: a WAV file with samples of {bits} bits, which nobody here reads")
    samples = None if kind is None else sample_format(kind)
    return Header(rate, channels, samples, size, code == _PCM and bits in (8, 16, 24, 32), riff_size)


def _exactly(read: Callable[[int], bytes], size: int, name: str) -> bytes:
    data = read(size)
    if len(data) < size:
        raise _ends(name)
    return data


def _ends(name: str) -> CorruptAudioError:
    return CorruptAudioError(f"{name}: the WAV file ends within its header")
