"""Every accepted input behind one interface: bytes read forwards, and a view that can be sought for who needs one.

The law: what the caller opened stays the caller's to close; what is opened here is closed in every case. Whatever
`Exception` a reader raises becomes the cause of an `AudioReadError`; a Ctrl-C and an exit are none, and pass as they
are. A stream is kept in memory only up to what one request may hold; what must be sought in and cannot be is written to
a temporary file, which has no name and ends with its handle.
"""

from __future__ import annotations

import inspect
import io
import os
import tempfile
from collections.abc import AsyncIterable, Callable
from typing import Any, TypeAlias

import numpy as np

from clova_speech_async.errors import ArgumentTypeError, AudioReadError, ClovaSpeechError

from .names import instead, name_of_bytes, name_of_file, shown, why_not_opened
from .options import MOST_BYTES
from .pcm import PCM, AsyncFile, BinaryFile
from .view import Memory, View

__all__ = ["AudioInput", "Source", "open_source", "takes_a_size"]


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
_CANCELLED = "CancelledError"
"""Of asyncio: that of what an object itself waits for. In the event loop it would pass for one of the caller's task."""


class Source:
    """Bytes in order. `read`, `skip` and `peek` go forwards; `view` can be sought in.

    `raw`: the file object. `name`: what it is called in messages. `own`: it was opened here, and is closed by `close`.
    Every method that reads raises `AudioReadError` where `raw` does, and `ArgumentTypeError` where its `read` must be
    awaited.
    """

    def __init__(self, raw: Any, name: str, *, seekable: bool, own: bool) -> None:
        self.name = name
        self.seekable = seekable
        self.at = 0
        """Bytes read or skipped so far."""
        self._raw = raw
        self._own = own
        self._base = self.call(raw.tell) if seekable else 0
        self._ahead = b""
        self._kept: list[bytes] | None = []
        self._kept_size = 0
        self._ended = False
        self._spool: Any = None
        self._spooled_from = 0

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
        held = self.peek(size)
        part, self._ahead = held[:size], held[size:]
        self.at += len(part)
        return part

    def skip(self, size: int) -> int:
        """Pass over the next `size` bytes without holding them; returns how many there were."""
        left = size
        while left > 0 and (part := self.read(min(left, _CHUNK))):
            left -= len(part)
        return size - left

    def forget(self) -> None:
        """The bytes read are not asked for again by `original`: keep them no longer."""
        self._kept = None

    def original(self) -> bytes | None:
        """All bytes from first to last; None where they are more than a request may hold, or no longer kept.

        What was read of it is read again; of a stream, what follows is read to its end.
        """
        if self._spool is not None:
            self._spool.seek(0)
            data = self._spool.read(MOST_BYTES + 1)
            return data if len(data) <= MOST_BYTES and not self._spooled_from else None
        if self.seekable:
            self.call(self._raw.seek, self._base)
            data = self._pull(MOST_BYTES + 1)
            return data if len(data) <= MOST_BYTES else None
        while self._kept is not None and self._pull(_CHUNK):
            pass
        return None if self._kept is None else b"".join(self._kept)

    def view(self, at: int) -> View:
        """Everything from byte `at` on as a file that can be sought in.

        Moves where the source stands: no `read` after it. A stream is written to a temporary file first; raises
        `AudioReadError` where that fails, or where what comes before the place it stands at is asked for, but no longer
        kept.
        """
        if self.seekable:
            return View(self._raw, self._base + at, self)
        if self._spool is None:
            self._write_out(at)
        return View(self._spool, at - self._spooled_from, self)

    def _write_out(self, at: int) -> None:
        """Write a stream to a temporary file, from byte `at` on where what comes before it is no longer there."""
        parts = self._kept
        if parts is None and at != self.at:
            raise AudioReadError(
                f"{self.name}: the beginning of the stream has been given away, which must be read again: save it to a "
                "file and give its path"
            )
        try:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the source)
            if parts is None:
                self._spooled_from, parts = at, [self._ahead]
            for part in parts:
                self._spool.write(part)
            self._kept = None
            while part := self._pull(_CHUNK):
                self._spool.write(part)
        except OSError as error:
            reason = error.strerror or error
            raise AudioReadError(
                f"{self.name}: it must be written to a temporary file, which fails ({reason}): set TMPDIR to a folder "
                "with room, or save it to a file and give its path"
            ) from error

    def _pull(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0 and not self._ended:
            part = self.take(self._raw, size)
            if not part:
                break
            parts.append(part)
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

    def take(self, raw: Any, size: int) -> bytes:
        """What one `raw.read(size)` gives, which may be more; nothing at the end."""
        part = self.call(raw.read, size)
        if isinstance(part, (bytes, bytearray, memoryview)):
            return bytes(part)
        if inspect.iscoroutine(part):
            part.close()
            raise ArgumentTypeError(f"{self.name} {_AWAITED}")
        got = "None (is it a non-blocking one?)" if part is None else f"{type(part).__name__}, not bytes"
        hint = ': open it with "rb"' if isinstance(part, str) else ""
        raise AudioReadError(f"{self.name}: its read() gave {got}{hint}")

    def call(self, function: Any, *args: Any) -> Any:
        """What a method of a file object returns; an exception that is none of ours becomes an `AudioReadError`."""
        try:
            return function(*args)
        except ClovaSpeechError:
            raise
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != _CANCELLED:
                raise
            raise AudioReadError(f"{self.name}: it cannot be read: {str(error) or type(error).__name__}") from error


def open_source(audio: Any) -> Source:
    """Open what is given, any `AudioInput` but `PCM`; nothing is read yet. Whoever calls this closes it.

    Raises `ArgumentTypeError` where it cannot be audio, `AudioReadError` where it cannot be opened.
    """
    if isinstance(audio, (bytes, bytearray, memoryview)):
        if isinstance(audio, memoryview) and not audio.c_contiguous:
            audio = audio.tobytes()
        return Source(Memory(audio), name_of_bytes(memoryview(audio).nbytes), seekable=True, own=True)
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
    """Whether `read` takes a number of bytes, as that of a file does, and that of an HTTP reply does not."""
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
