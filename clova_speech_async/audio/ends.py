"""Where a file ends by the account of its container, held against where it ends. Pure: a reader in, numbers out.

The law: a file is said to be cut off only where that is sure. What a writer to a pipe leaves open, since it cannot come
back, announces nothing: 0, all ones, or one of the greatest numbers there are.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .lengths import FRAMES

__all__ = [
    "OGG_TAIL",
    "TAIL",
    "Account",
    "Boxes",
    "account_of",
    "boxes_of",
    "ends_within_frame",
    "has_last_page",
    "mended",
]

Reader = Callable[[int, int], bytes]
"""`read(at, size)`: bytes of the file, fewer only at its end."""

_STREAMED = 0x7F00_0000
"""Bytes from which on a size of 32 bits was left open (sox: 0x7F000008 in AIFF, 0x7FFFF000 in WAV)."""
_UNKNOWN = 1 << 62
"""The same of 64 bits (ffmpeg: 0x7FFFFFFFFFFFFFFF in W64, all ones in CAF)."""
_MOST_CHUNKS = 1000
TAIL = 1 << 16
"""Bytes at the end of a file that `ends_within_frame` needs."""
OGG_TAIL = 1 << 17
"""Bytes at the end of an OGG that `has_last_page` needs: a page has at most half of that, and a tag may follow it."""
_SURE = 3
"""Frames in a row that are no chance."""
_HEADER = 7
"""Bytes of the longer of both headers."""


@dataclass(frozen=True)
class Account:
    """What a container says of its samples, and what there is."""

    announced: int
    """Bytes of samples."""
    there: int
    """Bytes of them that are in the file."""

    def seconds(self, heard: float) -> float:
        """Seconds announced, of a file of which `heard` seconds could be decoded.

        All these formats have a constant bit rate, so that bytes stand for seconds.
        """
        return heard * self.announced / self.there if self.there else heard


def account_of(read: Reader, size: int, name: str) -> Account | None:
    """What the container in a file of `size` bytes announces of its samples; None where it leaves that open.

    `name`: its format, that of a `Kind`. None, too, of a format that has no such count, and of what has no samples.
    """
    find = _FINDERS.get(name)
    span = None if find is None else find(read)
    if span is None or not span[0] < span[1] or span[0] >= size:
        return None
    return Account(span[1] - span[0], min(size, span[1]) - span[0])


def _chunks(read: Reader, at: int, form: struct.Struct, pad: int, more: int) -> Iterator[tuple[int, bytes, int]]:
    """Place, name and size of each chunk; `more`: bytes that a chunk has beside its size."""
    for _ in range(_MOST_CHUNKS):
        head = read(at, form.size)
        if len(head) < form.size:
            return
        name, size = form.unpack(head)
        yield at, name, size
        at += max(form.size, size + more)
        at += -at % pad


def _riff(read: Reader) -> tuple[int, int] | None:
    big = read(0, 4) == b"RIFX"
    form = struct.Struct(">4sI" if big else "<4sI")
    return _samples(read, form, b"data")


def _aiff(read: Reader) -> tuple[int, int] | None:
    found = _samples(read, struct.Struct(">4sI"), b"SSND")
    # Two numbers stand before the samples.
    return None if found is None else (found[0] + 8, found[1])


def _samples(read: Reader, form: struct.Struct, wanted: bytes) -> tuple[int, int] | None:
    """The chunk of samples in a file of the family of IFF, where neither its size nor that of the whole is open."""
    head = read(0, form.size)
    whole = form.unpack(head)[1] if len(head) == form.size else 0
    for at, name, size in _chunks(read, 12, form, 2, form.size):
        if name == wanted:
            left_open = not 0 < size < _STREAMED or whole in (0, 0xFFFFFFFF)
            return None if left_open else (at + form.size, at + form.size + size)
    return None


def _au(read: Reader) -> tuple[int, int] | None:
    head = read(0, 12)
    offset, size = struct.unpack(">II", head[4:12]) if len(head) == 12 else (0, 0)
    return (offset, offset + size) if offset >= 24 and 0 < size < _STREAMED else None


def _caf(read: Reader) -> tuple[int, int] | None:
    for at, name, size in _chunks(read, 8, struct.Struct(">4sQ"), 1, 12):
        if name == b"data":
            # A count of edits stands before the samples.
            return (at + 16, at + 12 + size) if size < _UNKNOWN else None
    return None


def _w64(read: Reader) -> tuple[int, int] | None:
    for at, name, size in _chunks(read, 40, struct.Struct("<16sQ"), 8, 0):
        if name[:4] == b"data":
            return (at + 24, at + size) if size < _UNKNOWN else None
    return None


def _nist(read: Reader) -> tuple[int, int] | None:
    head = read(0, 1024).partition(b"end_head")[0]
    start = re.match(rb"NIST_1A\n *(\d+)\n", head)
    numbers = {key: int(value) for key, value in re.findall(rb"(?m)^(\w+) -i (\d+)\s*$", head)}
    if start is None:
        return None
    # The count is that of each channel.
    size = numbers.get(b"sample_count", 0) * numbers.get(b"channel_count", 1) * numbers.get(b"sample_n_bytes", 1)
    return (int(start[1]), int(start[1]) + size) if size < _STREAMED else None


_FINDERS: dict[str, Callable[[Reader], tuple[int, int] | None]] = {
    "AIFF": _aiff,
    "AU": _au,
    "CAF": _caf,
    "NIST": _nist,
    "W64": _w64,
    "WAV": _riff,
    "WAV (big-endian)": _riff,
}


def mended(read: Reader, size: int, name: str) -> tuple[int, bytes] | None:
    """The place and the bytes that must stand there, so that libsndfile reads what there is of a file; else None.

    It refuses a CAF that does not say how long it is, or that is shorter, and a W64 that leaves that open. `size`:
    bytes of the file. `name`: its format, that of a `Kind`.
    """
    if name == "W64" and read(16, 8) == b"\xff" * 8:
        for at, chunk, _ in _chunks(read, 40, struct.Struct("<16sQ"), 8, 0):
            if chunk[:4] == b"data":
                return 16, struct.pack("<Q", size) + read(24, at - 8) + struct.pack("<Q", size - at)
    if name != "CAF":
        return None
    for at, chunk, length in _chunks(read, 8, struct.Struct(">4sQ"), 1, 12):
        if chunk == b"data" and at + 12 + length > size > at + 16:
            return at + 4, struct.pack(">Q", size - at - 12)
    return None


@dataclass(frozen=True)
class Boxes:
    """What is known of the boxes of a file of the family of MP4."""

    cut: bool
    """The file ends before its last box does."""
    fragments: bool = False
    """It is made of fragments, each with tables of its own; nothing tells how many there should be."""


def boxes_of(read: Reader, size: int) -> Boxes:
    """Whether the boxes in a file of `size` bytes are all there; behind damage, none is looked at."""
    at, fragments = 0, False
    for _ in range(100 * _MOST_CHUNKS):
        head = read(at, 16)
        if len(head) < 8:
            break
        length, name = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:
            # Up to the end of the file, or no box.
            break
        fragments = fragments or name == b"moof"
        if at + length > size:
            # Anything may stand behind the boxes; what these hold is missed.
            return Boxes(name in (b"mdat", b"moof", b"moov") and length < _UNKNOWN, fragments)
        at += length
    return Boxes(False, fragments)


def ends_within_frame(tail: bytes, whole: bool, name: str) -> bool:
    """Whether a file ends before its last frame does.

    `tail`: its last bytes, `TAIL` of them are enough. `whole`: these are all there are. `name`: "AAC" or "AC3".
    False where no frames are found in it.
    """
    frame, mark = FRAMES[name]
    start = tail.find(mark)
    while start >= 0:
        at, count = start, 0
        while found := frame(tail, at):
            at += found[0]
            count += 1
        if count >= _SURE or (count and whole):
            # What is left may be the beginning of a header, nothing at all, or a tag.
            return at > len(tail) or (len(tail) - at < _HEADER and tail[at:].startswith(mark))
        start = tail.find(mark, start + 1)
    return False


def has_last_page(tail: bytes) -> bool:
    """Whether the last page of an OGG is whole, and marked as the last one; `tail`: the end of the file."""
    at = tail.rfind(b"OggS")
    if at < 0:
        # What stands there is something else, and tells nothing.
        return True
    page = tail[at:]
    segments = page[26] if len(page) > 26 else 255
    return bool(page[5:6] and page[5] & 4) and len(page) >= 27 + segments + sum(page[27 : 27 + segments])
