"""What an MP3 says of its own length, so that it can be held against what is there. Pure: bytes in, numbers out.

libsndfile stops where the length in the first frame says that the end is, or, without one, where it guesses that it is
from the first frame's bit rate; of a file with a changing bit rate it may hear half. So its length is hidden from it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ENDLESS", "Length", "length_of"]

_ENCODERS = (b"LAME", b"Lavf", b"Lavc", b"L3.9", b"GOGO")
"""Those that also tell how many samples they added before and behind the sound."""
ENDLESS = ((1 << 28) - 1).to_bytes(4, "big")
"""A count of frames that no file reaches, as it stands in one."""


@dataclass(frozen=True)
class Length:
    """Where the length stands in the file, and what it is."""

    at: int
    """Position of the count of frames."""
    samples: int
    """Of one channel, without what the encoder added at both ends; 0 where that cannot be."""


def length_of(head: bytes) -> Length | None:
    """The length that an MP3 file's first frame tells (tags Xing and Info), or None."""
    start = max(0, head.find(b"\xff"))
    at = max(head.find(b"Xing", start, start + 64), head.find(b"Info", start, start + 64))
    if at < 0 or len(head) < at + 160 or not head[at + 7] & 1:
        return None
    # Flags tell which fields follow: the count of frames, that of bytes, 100 bytes of contents, the quality.
    lame = at + 8 + sum(size for bit, size in ((1, 4), (2, 4), (4, 100), (8, 4)) if head[at + 7] & bit)
    samples = int.from_bytes(head[at + 8 : at + 12], "big") * (1152 if head[start + 1] >> 3 & 3 == 3 else 576)
    if head[lame : lame + 4] in _ENCODERS:
        both = int.from_bytes(head[lame + 21 : lame + 24], "big")
        samples -= (both >> 12) + (both & 0xFFF)
    return Length(at + 8, max(0, samples))
