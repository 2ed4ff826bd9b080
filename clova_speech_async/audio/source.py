"""Every accepted input behind one interface: bytes read forwards, and a view that can be sought for who needs one.

The law: what the caller opened stays the caller's to close; what is opened here is closed in every case. No reader
raises anything but `AudioReadError` from its cause. A stream is kept in memory only up to what one request may hold;
what must be sought in and cannot be is written to a temporary file, which has no name and ends with its handle.
"""

from __future__ import annotations

import inspect
import io
import os
import tempfile
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from clova_speech_async.errors import ArgumentTypeError, AudioReadError, ClovaSpeechError

from .names import instead, name_of_bytes, name_of_file, shown, why_not_opened
from .options import MOST_BYTES
from .pcm import PCM, AsyncFile, BinaryFile

__all__ = ["AudioInput", "Patch", "Pipe", "Source", "View", "open_source"]


AudioInput: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile | AsyncIterable[bytes] | AsyncFile | PCM"
)
"""What may be transcribed: a path, the bytes of a file, a binary or async file object, an async stream of bytes, or
samples."""

_ACCEPTED = (
    "a path (str or PathLike), the bytes of an audio file (bytes, bytearray, memoryview), a binary file object, "
    "an async iterable of bytes or an async file object, or PCM(...) for raw samples and numpy arrays"
)
_AWAITED = "is read with await: give the bytes, await file.read(), or the file in it (of an UploadFile: .file)"
_CHUNK = 1 << 16


class Source:
    """Bytes in order. `read` and `peek` go forwards; `view` can be sought in."""

    def __init__(self, raw: Any, name: str, *, seekable: bool, own: bool) -> None:
        self.name = name
        self._raw = raw
        self._own = own
        self._base = 0
        self.seekable = seekable
        self._ahead = b""
        self._kept: list[bytes] | None = []
        self._kept_size = 0
        self._ended = False
        self._spool: Any = None
        if seekable:
            self._base = self._call(raw.tell)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def start(self) -> int:
        """Where a file object stood when it was given: bytes from its beginning; 0 where it cannot be sought."""
        return self._base

    def close(self) -> None:
        """Close what was opened here."""
        if self._spool is not None:
            self._spool.close()
        if self._own:
            self._raw.close()

    def peek(self, size: int) -> bytes:
        """The next bytes, at least `size` of them unless there are fewer; they are read again later."""
        if len(self._ahead) < size:
            self._ahead += self._pull(size - len(self._ahead))
        return self._ahead

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        ahead, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(ahead) < size:
            ahead += self._pull(size - len(ahead))
        return ahead

    def forget(self) -> None:
        """The bytes read are not asked for again by `original`: keep them no longer."""
        self._kept = None

    def original(self) -> bytes | None:
        """All bytes from first to last, or None where they are more than a request may hold."""
        if self._spool is not None:
            self._spool.seek(0)
            data = self._spool.read(MOST_BYTES + 1)
            return data if len(data) <= MOST_BYTES else None
        if self.seekable:
            self._call(self._raw.seek, self._base)
            data = self._pull(MOST_BYTES + 1)
            return data if len(data) <= MOST_BYTES else None
        while self._kept is not None and self._pull(_CHUNK):
            pass
        return None if self._kept is None else b"".join(self._kept)

    def view(self, skip: int, patch: Patch | None = None) -> View:
        """Everything behind the first `skip` bytes, as a file that can be sought in, with `patch` applied to it."""
        if self.seekable:
            return View(self._raw, self._base + skip, self, patch)
        if self._spool is None:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the source)
            if self._kept is None:
                raise AudioReadError(f"{self.name}: the beginning of the stream has been given away")
            for part in self._kept:
                self._spool.write(part)
            self._kept = None
            while part := self._pull(_CHUNK):
                self._spool.write(part)
        return View(self._spool, skip, self, patch)

    def _pull(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0 and not self._ended:
            part = self._call(self._raw.read, size)
            if not isinstance(part, (bytes, bytearray, memoryview)):
                if inspect.iscoroutine(part):
                    part.close()
                    raise ArgumentTypeError(f"{self.name} {_AWAITED}")
                got = "None (is it a non-blocking one?)" if part is None else f"{type(part).__name__}, not bytes"
                hint = ': open it with "rb"' if isinstance(part, str) else ""
                raise AudioReadError(f"{self.name}: its read() gave {got}{hint}")
            if not part:
                break
            parts.append(bytes(part))
            size -= len(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if not self.seekable:
            self._ended = size > 0
            self._keep(data)
        return data

    def _keep(self, data: bytes) -> None:
        if self._kept is None:
            return
        self._kept_size += len(data)
        self._kept.append(data)
        if self._kept_size > MOST_BYTES:
            self._kept = None

    def _call(self, function: Any, *args: Any) -> Any:
        try:
            return function(*args)
        except ClovaSpeechError:
            raise
        except BaseException as error:  # a cancellation, too: the C library that calls back would swallow it
            raise AudioReadError(f"{self.name}: it cannot be read: {str(error) or type(error).__name__}") from error


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
    """A part of a seekable file for a C library that calls back: it never raises, it ends and keeps the error."""

    def __init__(self, raw: Any, base: int, source: Source, patch: Patch | None = None) -> None:
        super().__init__()
        self.patch = patch
        self._raw = raw
        self._base = base
        self._at = 0
        self.error: AudioReadError | None = None
        self._source = source
        self._size = max(0, source._call(raw.seek, 0, os.SEEK_END) - base)
        source._call(raw.seek, base)

    @property
    def at_end(self) -> bool:
        """Whether everything has been read."""
        return bool(self._at >= self._size)

    @property
    def first(self) -> int:
        """The place from which on bytes are there: all of them."""
        return 0

    @property
    def size(self) -> int:
        """Bytes of it."""
        return int(self._size)

    def tail(self, size: int) -> bytes:
        """The last bytes of it."""
        return self.at(max(0, self._size - size), size)

    def at(self, at: int, size: int) -> bytes:
        """So many bytes from that place on, fewer only at the end; `tell` tells the same as before."""
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
            self._source._call(self._raw.seek, self._base + min(self._at, self._size))
        except AudioReadError as error:
            self.error = error
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        done = 0
        try:
            while done < len(view) and self.error is None:
                part = self._source._call(self._raw.read, len(view) - done)
                if not part:
                    break
                view[done : done + len(part)] = part
                done += len(part)
        except AudioReadError as error:
            self.error = error
        if self.patch is not None:
            self.patch.apply(view[:done], self._at)
        self._at += done
        return done


class Pipe:
    """A stream for a library that reads forwards only: it never raises, it ends and keeps the error.

    `kept`: so many of the last bytes read are kept in `tail`, and a few more.
    """

    def __init__(self, source: Source, kept: int = 0) -> None:
        self._source = source
        self._kept = kept
        self.tail = bytearray()
        self.size = 0
        self.error: AudioReadError | None = None
        self._ended = False

    @property
    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self._ended

    def read(self, size: int) -> bytes:
        try:
            part = b"" if self.error is not None else self._source.read(size)
        except AudioReadError as error:
            self.error = error
            return b""
        self.size += len(part)
        self._ended = len(part) < size
        self.tail += part
        if len(self.tail) > 2 * self._kept:
            del self.tail[: len(self.tail) - self._kept]
        return part


class _Memory:
    """Bytes as a file, without a copy of them all."""

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


def open_source(audio: Any) -> Source:
    """Open what is given; `ArgumentTypeError` where it cannot be audio, `AudioReadError` where it cannot be read."""
    if isinstance(audio, (bytes, bytearray, memoryview)):
        if isinstance(audio, memoryview) and not audio.c_contiguous:
            audio = audio.tobytes()
        return Source(_Memory(audio), name_of_bytes(memoryview(audio).nbytes), seekable=True, own=True)
    if isinstance(audio, (str, os.PathLike)):
        return _open_path(audio)
    if isinstance(audio, np.ndarray):
        raise ArgumentTypeError(
            "a numpy array does not tell its sample rate: wrap it, PCM(array, sample_rate=…), shape (frames,) or "
            "(frames, channels)"
        )
    if callable(getattr(audio, "read", None)) and not isinstance(audio, type):
        return _open_file(audio)
    hint = instead(audio)
    told = f"{hint}. Accepted are" if hint else "give"
    raise ArgumentTypeError(f"audio of type {type(audio).__name__} is not accepted: {told} {_ACCEPTED}")


def _open_path(audio: str | os.PathLike[str]) -> Source:
    path = os.fspath(audio)
    try:
        raw = open(path, "rb")  # noqa: SIM115, PTH123  (closed with the source; bytes paths are paths, too)
    except (OSError, ValueError) as error:
        raise AudioReadError(why_not_opened(path, error)) from error
    return Source(raw, shown(path), seekable=_can_seek(raw), own=True)


def _open_file(audio: Any) -> Source:
    name = name_of_file(audio)
    if isinstance(audio, io.TextIOBase):
        raise ArgumentTypeError(f"{name} is open as text: open it with 'rb'")
    if getattr(audio, "closed", False) is True:
        raise AudioReadError(f"{name} is closed: open it again, and close it after the call")
    if inspect.iscoroutinefunction(audio.read):
        raise ArgumentTypeError(f"{name} {_AWAITED}")
    if not takes_a_size(audio.read):
        raise ArgumentTypeError(f"{name} is no file, for its read() takes no size: pass the bytes that it gives")
    if _is_write_only(audio):
        raise AudioReadError(f"{name} was not opened for reading: open it with 'rb'")
    return Source(audio, name, seekable=_can_seek(audio), own=False)


def takes_a_size(read: Callable[..., object]) -> bool:
    """Whether a `read` can be asked for so many bytes, as that of a file can, and that of an HTTP reply cannot."""
    try:
        inspect.signature(read).bind(1)
    except TypeError:
        return False
    except ValueError:  # it tells nothing of its parameters
        return True
    return True


def _is_write_only(file: Any) -> bool:
    try:
        return file.readable() is False
    except Exception:  # noqa: BLE001  (a reader without this method says nothing of it)
        return False


def _can_seek(raw: Any) -> bool:
    try:
        return bool(raw.seekable()) and isinstance(raw.tell(), int)
    except Exception:  # noqa: BLE001  (a reader without these methods is one that cannot be sought)
        return False
