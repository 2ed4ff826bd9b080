"""MPEG audio (MP3) as its whole frames, one behind the other, with what is damaged left out. Forwards only.

The law: what a decoder gets from here it can read from end to end. mpg123 stops where a header is not at its place, and
libsndfile takes that for the end; so the next frame is looked for here, and silence of about the length of what was
lost is put in its place, that the times of all that follows stay right. Tags between frames are passed over. Frames of
another rate or another number of channels are those of the next file.
"""

from __future__ import annotations

import re
from typing import Protocol

from .formats import id3_size, mp3_frame, mp3_seconds
from .options import Hole

__all__ = ["Frames"]

_SURE = 3
"""Headers in a row, each where the one before it says, that are no chance."""
_FAR = 8192
"""Bytes in which `_SURE` frames of any kind end."""
_BLOCK = 1 << 16
_SILENT_AT_ONCE = 64
_CANDIDATE = re.compile(rb"\xff[\xe2-\xff]|TAG|APETAGEX|ID3[\x02-\x04]")
_FORMAT = 0xFFFE0C00
"""The bits of a header that are the same in all frames of a file: version, layer, sample rate."""
_LENGTH = 0xFFFEFEC0
"""The bits that tell the format and a frame's length."""


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Frames:
    """The frames in a stream: `read` gives those of one format, `turn` goes on to those of another."""

    def __init__(self, source: _Reader) -> None:
        self.holes: list[Hole] = []
        self.cut_off = False
        """Its last frame is not whole, or much that is no sound stands behind it."""
        self.clean = True
        """There is nothing but frames and tags in it."""
        self._source = source
        self._buffer = b""
        self._at = 0
        self._ended = False
        self._ready = bytearray()
        self._silent = (0, b"")
        self._format: int | None = None
        self._lengths: dict[int, int] = {}
        self._each = self._seconds = 0.0
        self._frames = self._bytes = 0
        self._other = False
        self._seek()

    def peek(self, size: int) -> bytes:
        """The next bytes, at least `size` of them unless there are fewer; they are read again later."""
        while len(self._ready) < size and self._more():
            pass
        return bytes(self._ready[:size])

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of frames of one format; none at its end."""
        part = self.peek(size)
        del self._ready[: len(part)]
        return part

    def turn(self) -> bool:
        """Go on to the frames of another format; False where there are none."""
        if not self._other:
            return False
        self._ready.clear()
        self._other, self._format = False, None
        return self._seek()

    def _fill(self) -> int:
        """Have `_FAR` bytes from here on in the buffer, and give their number: fewer at the end."""
        if len(self._buffer) - self._at < _FAR and not self._ended:
            more = self._source.read(_BLOCK)
            self._ended = len(more) < _BLOCK
            self._buffer = self._buffer[self._at :] + more
            self._at = 0
        return len(self._buffer) - self._at

    def _more(self) -> bool:
        """Put more frames behind those that are ready; False where there are none of this format."""
        if self._silent[0]:
            self._hush()
            return True
        if self._other or self._format is None or self._fill() < 4:
            return False
        size, begin, at, count, buffer = 0, self._at, self._at, 0, self._buffer
        while at + 4 <= len(buffer):
            size = self._length(int.from_bytes(buffer[at : at + 4], "big") & _LENGTH)
            if not size or at + size > len(buffer):
                break
            at += size
            count += 1
        if count:
            self._ready += buffer[begin:at]
            self._at = at
            self._bytes += at - begin
            self._frames += count
            self._seconds += count * self._each
            return True
        if not size:
            return self._seek()
        self.cut_off = True
        self._at = len(buffer)
        return False

    def _length(self, header: int) -> int:
        """Bytes of a frame with this header; 0 where it is none of this format."""
        length = self._lengths.get(header)
        if length is None:
            same = _format(header) == self._format
            # There are few headers of a format; the others are not kept.
            length = mp3_frame(header.to_bytes(4, "big"), 0) if same else 0
            if same:
                self._lengths[header] = length
        return length

    def _seek(self) -> bool:
        """Go to where frames surely begin again, over tags and damage; False where there are none of this format."""
        lost = 0
        while self._fill():
            judged = len(self._buffer) if self._ended else len(self._buffer) - _FAR + 1
            match = _CANDIDATE.search(self._buffer, self._at)
            at = judged if match is None else min(match.start(), judged)
            lost += at - self._at
            self._at = at
            if at == judged:
                continue
            tag = _tag(self._buffer[at : at + 32])
            if tag:
                self._pass(tag)
            elif self._is_sure(at):
                return self._resume(lost)
            else:
                self._at += 1
                lost += 1
        self.clean = self.clean and not lost
        self.cut_off = self.cut_off or lost > _FAR
        return False

    def _pass(self, size: int) -> None:
        while size > 0 and (there := self._fill()):
            self._at += min(size, there)
            size -= there

    def _is_sure(self, at: int) -> bool:
        """Whether frames begin at `at`: several in a row, or up to the end or a tag."""
        first = _format(int.from_bytes(self._buffer[at : at + 4], "big"))
        for number in range(_SURE):
            head = self._buffer[at : at + 32]
            if number and (not head or _tag(head)):
                return True
            if len(head) < 4 or _format(int.from_bytes(head[:4], "big")) != first:
                return False
            size = mp3_frame(head, 0)
            if not size or at + size > len(self._buffer):
                # The last one may be cut off.
                return bool(size) and number > 0
            at += size
        return True

    def _resume(self, lost: int) -> bool:
        head = self._buffer[self._at : self._at + 4]
        form = _format(int.from_bytes(head, "big"))
        self.clean = self.clean and not lost
        if self._format is None:
            self._format, self._each = form, mp3_seconds(head)
            self._lengths.clear()
            self._frames = self._bytes = 0
            return True
        missing = round(lost * self._frames / self._bytes) if self._bytes else 0
        if lost:
            # The frame before is hurt, too, where nothing else is missing.
            self.holes.append(Hole(self._seconds, max(1, missing) * self._each))
        if form != self._format:
            self._other = True
            return False
        # A header without a checksum, and zeros: silence in all layers.
        quiet = bytes((head[0], head[1] | 1, head[2], head[3]))
        self._silent = (missing, quiet.ljust(mp3_frame(quiet, 0), b"\0"))
        self._seconds += missing * self._each
        return True

    def _hush(self) -> None:
        count, frame = self._silent
        now = min(count, _SILENT_AT_ONCE)
        self._ready += frame * now
        self._silent = (count - now, frame)


def _format(header: int) -> int:
    """What is the same in all headers of a file; one channel or two, too."""
    return header & _FORMAT | (header >> 6 & 3 == 3)


def _tag(head: bytes) -> int:
    """Length in bytes of the tag (ID3v1, ID3v2, APE) that these bytes begin with, or 0."""
    if head[:3] == b"TAG":
        return 128
    if head[:8] == b"APETAGEX" and len(head) == 32:
        # A header tells what follows it; a footer stands alone.
        return 32 + (int.from_bytes(head[12:16], "little") if head[23] & 0x20 else 0)
    return id3_size(head)
