"""Bytes as a file object, and a source as one for libraries written in C, which call back for its bytes.

The law: nothing that they call raises, for C code would print it and go on. It ends as a file does and keeps what was
raised, a Ctrl-C, too; who called the C code raises that afterwards (`raise_kept`).
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Memory", "Patch", "Pipe", "View", "raise_kept"]


class _Source(Protocol):
    """As much of a `Source` as is needed here."""

    def read(self, size: int, /) -> bytes: ...

    def call(self, function: Any, /, *args: Any) -> Any: ...

    def take(self, raw: Any, size: int, /) -> bytes: ...


class _Keeping(Protocol):
    error: BaseException | None


def raise_kept(file: _Keeping) -> None:
    """Raise what a `View`, a `Pipe` or a `Forward` has kept, the same object; nothing where all went well.

    It is kept no longer: an error and a file that hold each other would both stay until the garbage collector comes.
    """
    if file.error is None:
        return
    error, file.error = file.error, None
    try:
        raise error from error.__cause__
    finally:
        del error


@dataclass(frozen=True)
class Patch:
    """Bytes that are shown in the place of those of the file."""

    at: int
    data: bytes

    def apply(self, view: memoryview, at: int) -> None:
        """Change `view`, which holds what the file has at `at`, where the two meet."""
        start, end = max(self.at, at), min(self.at + len(self.data), at + len(view))
        if start < end:
            view[start - at : end - at] = self.data[start - self.at : end - self.at]


class View(io.RawIOBase):
    """The bytes of a seekable file from `base` on; all places are counted from there.

    `raw`: the file object. `source`: whose it is; its ways of reading translate errors.
    """

    def __init__(self, raw: Any, base: int, source: _Source) -> None:
        super().__init__()
        self.patch: Patch | None = None
        """Shown in its place."""
        self.error: BaseException | None = None
        """What reading ended with; see `raise_kept`."""
        self._raw = raw
        self._base = base
        self._at = 0
        self._source = source
        source.call(raw.seek, 0, os.SEEK_END)
        # Not what seek() gives: that of some file objects gives nothing.
        self._size = max(0, int(source.call(raw.tell)) - base)
        source.call(raw.seek, base)

    @property
    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self._at >= self._size

    @property
    def first(self) -> int:
        """The place from which on bytes are there: all of them."""
        return 0

    @property
    def size(self) -> int:
        """Bytes of it."""
        return self._size

    def tail(self, size: int) -> bytes:
        """The last `size` bytes, or all where there are fewer."""
        return self.at(max(0, self._size - size), size)

    def at(self, at: int, size: int) -> bytes:
        """`size` bytes from the place `at` on, fewer only at the end; `tell` tells the same as before."""
        before = self._at
        self.seek(at)
        part = bytearray(size)
        part = part[: self.readinto(part)]
        self.seek(before)
        return bytes(part)

    def rebase(self, at: int) -> None:
        """From now on the file begins at what is now `at`."""
        self._base += at
        self._size = max(0, self._size - at)
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        try:
            # A damaged header may ask for a place that no file system has: what is beyond the end is the end.
            self._source.call(self._raw.seek, self._base + min(self._at, self._size))
        except BaseException as error:  # noqa: BLE001  (kept for `raise_kept`)
            self.error = error
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        done = 0
        try:
            while done < len(view) and self.error is None:
                part = self._source.take(self._raw, len(view) - done)
                if not part:
                    break
                fitting = part[: len(view) - done]
                view[done : done + len(fitting)] = fitting
                done += len(fitting)
                if len(part) > len(fitting):
                    # It gives more than it is asked for: back to behind what there was room for.
                    self._source.call(self._raw.seek, self._base + self._at + done)
        except BaseException as error:  # noqa: BLE001  (kept for `raise_kept`)
            self.error = error
        if self.patch is not None:
            self.patch.apply(view[:done], self._at)
        self._at += done
        return done


class Pipe:
    """A stream for a library that reads forwards only.

    `kept`: so many of the last bytes read are kept in `tail`, and a few more.
    """

    def __init__(self, source: _Source, kept: int = 0) -> None:
        self._source = source
        self._kept = kept
        self.tail = bytearray()
        self.size = 0
        """Bytes read so far."""
        self.error: BaseException | None = None
        """What reading ended with; see `raise_kept`."""
        self._ended = False

    @property
    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self._ended

    def read(self, size: int) -> bytes:
        """The next `size` bytes, never more, and fewer only at the end: the C code has room for no others."""
        try:
            part = b"" if self.error is not None else self._source.read(size)
        except BaseException as error:  # noqa: BLE001  (kept for `raise_kept`)
            self.error = error
            return b""
        self.size += len(part)
        self._ended = len(part) < size
        self.tail += part
        if len(self.tail) > 2 * self._kept:
            del self.tail[: len(self.tail) - self._kept]
        return part


class Memory:
    """Bytes as a file object, without a copy of them all."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data).cast("B")
        self._at = 0

    def read(self, size: int) -> bytes:
        part = bytes(self._data[self._at : self._at + size])
        self._at += len(part)
        return part

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0 if whence == os.SEEK_SET else len(self._data))
        return self._at

    def close(self) -> None:
        self._data.release()
