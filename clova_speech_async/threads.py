"""The border between the event loop and what blocks: worker threads, and async input that is read in them.

The rooms of `audio` block and know no event loop; `client` never blocks. Between them stand this file, `reading`, which
says where an audio is read, and `pump`, for reads that may never end.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from .audio import PCM
from .audio.source import takes_a_size
from .errors import ArgumentTypeError
from .groups import comes_from_elsewhere, plain_task_group

__all__ = ["AsyncReader", "blocking_reader", "decoders", "is_async_input", "run_blocking", "source_of"]

T = TypeVar("T")
_DECODERS: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar("clova_speech_decoders")
_BUFFERED = 1024 * 1024
"""Bytes of an async input that may lie unread before its producer is slowed down."""
_CHUNK = 64 * 1024
_CLOSING = 5.0
"""Seconds that an async generator may take to close after it has been left early."""


async def run_blocking(function: Callable[..., T], *args: Any, limiter: anyio.CapacityLimiter | None = None) -> T:
    """Run `function` in a worker thread. A cancellation waits for its end, so that it leaves nothing half done.

    Only asyncio's own ``Task.cancel`` (a Ctrl-C, `asyncio.wait_for`) does not wait: the thread then ends by itself.
    """
    return await anyio.to_thread.run_sync(function, *args, limiter=limiter)


def decoders() -> anyio.CapacityLimiter:
    """Return what bounds the threads that decode at once in this event loop: one a processor, at most four.

    Every thread that computes takes its turns from the event loop, so with many of them the loop stands still for
    their sum.
    """
    try:
        return _DECODERS.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(max(1, min(4, os.cpu_count() or 1)))
        _DECODERS.set(limiter)
        return limiter


def source_of(audio: object) -> Any:
    """What the bytes come from."""
    return audio.data if isinstance(audio, PCM) else audio


def is_async_input(audio: object) -> bool:
    """Whether `audio` gives its bytes by ``async for``, or by an ``await`` of its `read`, as Starlette's uploads do."""
    return hasattr(audio, "__aiter__") or inspect.iscoroutinefunction(getattr(audio, "read", None))


def _chunks(source: Any) -> AsyncIterator[bytes]:
    """The bytes of an async input: in chunks where it can be asked for them, since most streams iterate over lines."""
    read = getattr(source, "read", None)
    if inspect.iscoroutinefunction(read) and takes_a_size(read):
        return _read_on(read)
    if not hasattr(source, "__aiter__"):
        kind = type(source).__name__
        raise ArgumentTypeError(
            f"audio: a {kind} is no file, its read() takes no size: pass the bytes that it gives, await audio.read()",
            argument="audio",
        )
    return aiter(source)


async def _read_on(read: Callable[[int], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    while chunk := await read(_CHUNK):
        yield chunk


@asynccontextmanager
async def blocking_reader(
    audio: Any, wait: Callable[[anyio.Event], Awaitable[None]] | None = None
) -> AsyncIterator[Any]:
    """Give `audio` as something that worker threads can read: itself, or a reader over an async iterable.

    `wait` waits for the event that is set at the end of an async iterable; when it raises, nobody waits for that.
    """
    source = source_of(audio)
    if not is_async_input(source):
        yield audio
        return
    reader = AsyncReader(source)
    async with plain_task_group() as group:
        group.start_soon(reader.fill)
        if wait is not None:
            group.start_soon(reader.watch, wait)
        try:
            yield replace(audio, data=reader) if isinstance(audio, PCM) else reader
        finally:
            group.cancel_scope.cancel()


class AsyncReader:
    """A binary file object over an async iterable of bytes: read in a worker thread, filled in one task.

    One task takes the whole of the iterable, since async generators may not be moved between tasks.
    """

    closed = False

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source = source
        self._buffer = bytearray()
        self._end = anyio.Event()
        self._error: BaseException | None = None
        self.refusal: Exception | None = None
        """Why it was not read to its end, where `watch` was told so; a read behind what has come then raises."""
        self._changed = anyio.Event()

    async def fill(self) -> None:
        """Take chunks until the source ends or raises; waits while enough lie unread."""
        source: AsyncIterator[bytes] | None = None
        try:
            source = _chunks(self._source)
            async for chunk in source:
                if not isinstance(chunk, (bytes, bytearray, memoryview)):
                    raise ArgumentTypeError(
                        f"audio: the async iterable gave {type(chunk).__name__}; it must give bytes", argument="audio"
                    )
                self._buffer += chunk
                self._wake()
                while len(self._buffer) >= _BUFFERED:
                    await self._changed.wait()
        except Exception as error:  # noqa: BLE001 - raised again where it is read
            self._error = error
        except anyio.get_cancelled_exc_class():
            if not comes_from_elsewhere():
                raise
            self._error = OSError("what it was waiting for has been cancelled")
        finally:
            self.stop()
            if inspect.isasyncgen(source):
                # Left in the middle it would end when it is collected, in some other task, and trio warns of it.
                with anyio.move_on_after(_CLOSING, shield=True):
                    await source.aclose()

    async def watch(self, wait: Callable[[anyio.Event], Awaitable[None]]) -> None:
        """`wait` for the end; when that raises, let no read wait any more."""
        try:
            await wait(self._end)
        except Exception as refusal:  # noqa: BLE001 - raised where it is read
            if not self._end.is_set():
                self.refusal = refusal
                # Not itself: a library that calls back for the next bytes is to see what every failed read looks like.
                self._error = OSError(str(refusal))
                self.stop()

    def stop(self) -> None:
        """Let nobody wait any more for what has not come; to be called in the event loop."""
        self._end.set()
        self._wake()

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, at least one unless the source has ended; blocks a worker thread."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(_BUFFERED), b""))
        if size == 0:
            return b""
        chunk = anyio.from_thread.run(self._take, size)
        if chunk is None:
            # A cancellation, were it raised here, would be printed and lost by a C library that calls back for bytes.
            raise OSError("reading it was cancelled")
        return chunk

    async def _take(self, size: int) -> bytes | None:
        """The next bytes; None where who reads is cancelled."""
        try:
            while not self._buffer and not self._end.is_set():
                await self._changed.wait()
        except anyio.get_cancelled_exc_class():
            return None
        if not self._buffer and self._error is not None:
            raise self._error
        chunk = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._wake()
        return chunk

    def _wake(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """False: what was read is gone."""
        return False
