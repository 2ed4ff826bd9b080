"""Frames of FLAC: what their headers say, and where the next one begins behind damage. Pure: bytes in, numbers out.

The law: a frame's header tells its place on the time line to the sample and has a checksum of its own; so where one is
found, all that follows can be heard at its time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["HEADER", "Frame", "Stream", "first_frame", "frames_from", "has_begun", "stream_of"]

HEADER = 42
"""Bytes of a header with its first block alone."""
_LONGEST = 16
"""Bytes of the longest header of a frame."""
_MOST_BLOCKS = 1000
_WINDOW = 1 << 16
_CANDIDATE = re.compile(rb"\xff[\xf8\xf9]")
_RATES = (0, 88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
_BITS = (0, 8, 12, 0, 16, 20, 24, 32)


def _table(polynomial: int) -> tuple[int, ...]:
    """The checksum of every byte."""
    rows = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> 7 else 0)
        rows.append(value)
    return tuple(rows)


_CRC8 = _table(0x107)


@dataclass(frozen=True)
class Stream:
    """What the first block of a FLAC (STREAMINFO) says of its frames."""

    rate: int
    channels: int
    bits: int
    samples: int
    """In every frame but the last; 0 where they differ."""
    opening: bytes
    """A whole header of a file of such frames that tells no length."""


class Frame(NamedTuple):
    """What the header of a frame says."""

    first: int
    """The place of its first sample on the time line."""
    samples: int


def stream_of(head: bytes) -> Stream | None:
    """What `head`, at least the first 42 bytes of a file, says; None where it does not begin as FLAC does."""
    if len(head) < HEADER or head[:4] != b"fLaC" or head[4] & 0x7F or head[5:8] != b"\0\0\x22":
        return None
    packed = int.from_bytes(head[18:26], "big")
    least, most = int.from_bytes(head[8:10], "big"), int.from_bytes(head[10:12], "big")
    # No sizes of frames, no length and no digest: they are those of the whole.
    opening = b"fLaC\x80" + head[5:12] + bytes(6) + (packed >> 36 << 36).to_bytes(8, "big") + bytes(16)
    return Stream(
        rate=packed >> 44,
        channels=(packed >> 41 & 7) + 1,
        bits=(packed >> 36 & 31) + 1,
        samples=least if least == most else 0,
        opening=opening,
    )


def first_frame(read: Callable[[int, int], bytes], most: int) -> tuple[Stream, int] | None:
    """What a file says of its frames, and the place of its first one on the time line, which a copied part has, too.

    None where that is not within the first `most` bytes, or no frame. `read(at, size)` gives bytes, fewer only at the
    end.
    """
    stream, at = stream_of(read(0, HEADER)), 4
    for _ in range(_MOST_BLOCKS):
        head = read(at, 4)
        at += 4 + int.from_bytes(head[1:], "big")
        if len(head) < 4 or at > most or stream is None:
            return None
        if head[0] & 0x80:
            frame = _frame(read(at, _LONGEST), stream)
            return None if frame is None else (stream, frame.first)
    return None


def frames_from(read: Callable[[int, int], bytes], at: int, stream: Stream) -> Iterator[tuple[int, Frame]]:
    """Every place from `at` on where a frame of `stream` begins by its header, and what that says.

    `read(at, size)` gives bytes, fewer only at the end.
    """
    while len(window := read(at, _WINDOW + _LONGEST)) >= _LONGEST:
        for match in _CANDIDATE.finditer(window, 0, _WINDOW + 1):
            frame = _frame(window[match.start() : match.start() + _LONGEST], stream)
            if frame is not None:
                yield at + match.start(), frame
        at += _WINDOW


def has_begun(tail: bytes, stream: Stream, first: int) -> bool:
    """Whether the frame of which `first` is the first sample begins in `tail`, the end of a file; its header, at least.

    That of a part that was copied ends with a frame, and the next one has not begun.
    """
    found = list(frames_from(lambda at, size: tail[at : at + size], 0, stream))
    if not found or any(frame.first == first for _, frame in found):
        return bool(found)
    # A header that is not whole: the kind of numbering and the rate are the same in all. Less of one may be chance.
    place = found[-1][0]
    cut = tail[max(place + 1, len(tail) - _LONGEST) :]
    at = cut.rfind(tail[place : place + 2])
    return 0 <= at < len(cut) - 2 and cut[at + 2] & 15 == tail[place + 2] & 15


def _frame(head: bytes, stream: Stream) -> Frame | None:
    """What the header that `head` begins with says; None where it is none, or one of other sound."""
    if len(head) < 6 or head[1] & 2 or head[3] & 1:
        return None
    sized, rated, voices, deep = head[2] >> 4, head[2] & 15, head[3] >> 4, head[3] >> 1 & 7
    if not sized or rated == 15 or voices > 10 or deep == 3:
        return None
    if (2 if voices > 7 else voices + 1) != stream.channels or (deep and _BITS[deep] != stream.bits):
        return None
    if 0 < rated < len(_RATES) and _RATES[rated] != stream.rate:
        return None
    number = _number(head[4:])
    if number is None:
        return None
    value, size = number
    end = 4 + size + {6: 1, 7: 2}.get(sized, 0) + {12: 1, 13: 2, 14: 2}.get(rated, 0)
    if end >= len(head) or _crc8(head[:end]) != head[end]:
        return None
    samples = _block(sized, head[4 + size : end])
    # With one size for all, frames are counted, and the last one may be shorter.
    return Frame(value if head[1] & 1 else value * (stream.samples or samples), samples)


def _block(sized: int, extra: bytes) -> int:
    """Samples in the frame of a header."""
    if sized == 1:
        return 192
    if sized < 6:
        return 576 << sized - 2
    return int.from_bytes(extra[: sized - 5], "big") + 1 if sized < 8 else 256 << sized - 8


def _number(data: bytes) -> tuple[int, int] | None:
    """A number in the way of UTF-8, up to 36 bits, and its length in bytes."""
    first = data[0]
    if first < 0x80:
        return first, 1
    size = 8 - (first ^ 0xFF).bit_length()
    if not 2 <= size <= 7 or len(data) < size or any(byte >> 6 != 2 for byte in data[1:size]):
        return None
    value = first & (0x7F >> size)
    for byte in data[1:size]:
        value = value << 6 | byte & 0x3F
    return value, size


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value
