"""How long AAC, AC3 and M4A are by their own account, for passing them on where nothing here can decode them.

This file is pure: bytes in, seconds out, or None where they tell nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from .formats import adts_frame, id3_size

__all__ = ["FRAMES", "claimed_seconds"]

_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AC3_RATES = (48000, 44100, 32000)
_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)


def claimed_seconds(data: bytes, name: str) -> float | None:
    """Seconds of a whole file of the format `name`: frames counted (AAC, AC3), or what its header says (M4A)."""
    if name == "M4A":
        return _m4a(data)
    if name in FRAMES:
        return _frames(data, id3_size(data[:10]), FRAMES[name][0])
    return None


_Frame = Callable[[bytes, int], "tuple[int, float] | None"]


def _frames(data: bytes, at: int, one: _Frame) -> float | None:
    seconds = 0.0
    while at < len(data):
        found = one(data, at)
        if found is None:
            break
        at += found[0]
        seconds += found[1]
    # A tag or some padding may follow; if most of it was not understood, neither was its length.
    return seconds if seconds and at > 0.9 * len(data) else None


def _adts(data: bytes, at: int) -> tuple[int, float] | None:
    length = adts_frame(data, at)
    return (length, 1024 * ((data[at + 6] & 3) + 1) / _AAC_RATES[data[at + 2] >> 2 & 15]) if length else None


def _ac3(data: bytes, at: int) -> tuple[int, float] | None:
    head = data[at : at + 6]
    if len(head) < 6 or head[:2] != b"\x0b\x77" or head[4] >> 6 == 3 or (head[4] & 63) >> 1 >= len(_AC3_KBITS):
        return None
    if head[5] >> 3 > 10:
        # E-AC3, the header of which is another one.
        return None
    rate, kbits = _AC3_RATES[head[4] >> 6], _AC3_KBITS[(head[4] & 63) >> 1]
    words = kbits * 96_000 // rate + (head[4] & 1 if rate == 44_100 else 0)
    return 2 * words, 1536 / rate


FRAMES: dict[str, tuple[_Frame, bytes]] = {"AAC": (_adts, b"\xff"), "AC3": (_ac3, b"\x0b\x77")}
"""Length in bytes and seconds of the frame at a place, or None; and what frames begin with."""


def _m4a(data: bytes) -> float | None:
    moov = _box(data, 0, len(data), b"moov")
    header = _box(data, *moov, b"mvhd") if moov else None
    if header is None or header[1] - header[0] < 32:
        return None
    body = data[header[0] : header[1]]
    scale, length = struct.unpack(">IQ", body[20:32]) if body[0] == 1 else struct.unpack(">II", body[12:20])
    unknown = length in (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
    return None if unknown or not scale else float(length) / float(scale)


def _box(data: bytes, at: int, end: int, wanted: bytes) -> tuple[int, int] | None:
    while at + 8 <= end:
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif size == 0:
            size = end - at
        if size < head:
            return None
        if kind == wanted:
            return at + head, min(end, at + size)
        at += size
    return None
