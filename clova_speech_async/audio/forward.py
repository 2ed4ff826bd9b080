"""A pipe as a file that can be sought in, for readers that look at its end and then read straight through.

FLAC's and MP3's readers look at the end of a file when they open it, and are satisfied with a file of a very great
length that has zeros there. The law: little is kept of what was read, however long the pipe.
"""

from __future__ import annotations

import os
from typing import Any

from .frames import Frames
from .source import Source
from .view import Patch

__all__ = ["Forward"]


class Forward:
    """A stream as the very long file that FLAC's and MP3's readers take it for: forwards, and zeros at its far end.

    `source`: what is read on and on, from where it stands, which is byte 0 here. `patch`: shown in its place; may be
    set anew. The last megabyte that was read can be gone back to; from before `first` nothing is read, as at an end.
    """

    _LENGTH = 1 << 46
    _KEPT = 1 << 18
    _HELD = 1 << 20

    def __init__(self, source: Source | Frames, patch: Patch | None) -> None:
        self._source = source
        self.patch = patch
        self._at = 0
        self._first = 0
        self._held = bytearray()
        self.error: BaseException | None = None
        """What reading ended with; see `raise_kept`."""

    @property
    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self._at >= self._first + len(self._held) and not self._source.peek(1)

    @property
    def first(self) -> int:
        """The place from which on bytes are still there."""
        return self._first

    def tail(self, size: int) -> bytes:
        """The last `size` bytes that were read, fewer where there are fewer or where they are no longer held."""
        return bytes(self._held[-size:])

    def at(self, at: int, size: int) -> bytes:
        """`size` bytes from the place `at` on, fewer only at the end; `tell` tells the same as before.

        There is nothing before `first`.
        """
        before, self._at = self._at, at
        part = bytearray(size)
        part = part[: self.readinto(part)]
        self._at = before
        return bytes(part)

    def rebase(self, at: int) -> None:
        """From now on the file begins at what is now `at`."""
        self._first -= at
        self._at = 0

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
        except BaseException as error:  # noqa: BLE001  (kept for `raise_kept`)
            self.error = error
        data = self._held[offset : offset + len(view)] if offset >= 0 else b""
        view[: len(data)] = data
        if self.patch is not None:
            self.patch.apply(view[: len(data)], self._at)
        if len(self._held) > 2 * self._HELD:
            drop = len(self._held) - self._HELD
            self._first += drop
            del self._held[:drop]
        return len(data)
