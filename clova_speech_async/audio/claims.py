"""What a header says of the length of its file, and where the next file in it begins.

The law: a decoder would end where the header says so; what is there is heard, and held against the claim afterwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .formats import FLAC, MP3, OGG, Kind
from .forward import Forward
from .mp3 import ENDLESS, length_of
from .view import Patch, View

__all__ = ["NEXT", "READ_AHEAD", "Claim", "claim_of", "find"]

NEXT = {FLAC: re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"), OGG: re.compile(rb"OggS\x00[\x02\x06]")}
"""How the next file in a file begins, of the formats that may simply be appended to each other."""
READ_AHEAD = 1 << 17
"""Bytes that a decoder may have read beyond what it has decoded."""


@dataclass(frozen=True)
class Claim:
    """What a header says of the length, and how to keep it from the decoder, which would end there."""

    samples: int = 0
    """Of each channel; 0 where it says nothing."""
    patch: Patch | None = None
    margin: int = 0
    """Up to so many samples more of each channel are what the encoder added."""


def claim_of(head: bytes, kind: Kind) -> Claim:
    """What the header of a FLAC or MP3 that begins with `head` says; nothing of other formats."""
    if kind is MP3:
        length = length_of(head)
        return Claim() if length is None else Claim(length.samples, Patch(length.at, ENDLESS), 4 * 1152)
    if kind is FLAC and len(head) >= 26 and head[4] & 0x7F == 0:
        packed = int.from_bytes(head[18:26], "big")
        patch = Patch(18, (packed >> 36 << 36).to_bytes(8, "big"))
        return Claim(packed & (1 << 36) - 1, patch)
    return Claim()


def find(view: View | Forward, pattern: re.Pattern[bytes], end: int | None = None) -> int | None:
    """The place where `pattern`, one of `NEXT`, is found, or None; looks a little back, for the reader has read ahead.

    Looks no further than `end`, and leaves the view where it was.
    """
    before = view.tell()
    at = max(8, before - READ_AHEAD, view.first)
    view.seek(at)
    chunk, kept, found = bytearray(1 << 16), b"", None
    while found is None and (end is None or at < end) and (size := view.readinto(chunk)):
        match = pattern.search(kept + chunk[:size])
        found = at - len(kept) + match.start() if match else None
        kept = (kept + chunk[:size])[-16:]
        at += size
    view.seek(before)
    return found
