"""The border between the event loop and what blocks: generators run in worker threads, async input read from them.

The rooms of `audio` block and know no event loop; `client` never blocks. Only this file stands between.
"""

from __future__ import annotations

import inspect
import io
import os
import stat
import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Generic, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from .audio import PCM
from .background import plain_task_group
from .errors import ArgumentTypeError

__all__ = ["Pull", "blocking_reader", "decoders", "is_async_input", "is_at_hand", "run_blocking"]

T = TypeVar("T")
R = TypeVar("R")
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


class Pull(Generic[T, R]):
    """A blocking generator that is advanced in worker threads, one step at a time.

    `reader`: what the generator reads from; where that is a `blocking_reader`, `aclose` wakes a step that waits in it.
    """

    def __init__(
        self, generator: Generator[T, None, R], limiter: anyio.CapacityLimiter | None = None, reader: object = None
    ) -> None:
        self._generator = generator
        self._limiter = limiter
        self._reader = reader
        self._lock = anyio.Lock()
        # asyncio's own `Task.cancel` ends the wait for a thread, but not the thread: its step goes on, and a generator
        # that runs cannot be advanced or closed.
        self._running = threading.Lock()
        self._result: list[R] = []

    async def next(self) -> T | None:
        """Return the next item, or None at the end."""
        async with self._lock:
            return await run_blocking(self._step, limiter=self._limiter)

    def _step(self) -> T | None:
        try:
            with self._running:
                return next(self._generator)
        except StopIteration as end:
            if not self._result:
                self._result.append(end.value)
            return None

    def _close(self) -> None:
        with self._running:
            self._generator.close()

    @property
    def result(self) -> R:
        """What the generator returned at its end; there is none before."""
        return self._result[0]

    async def aclose(self) -> None:
        """End the generator, so that it closes what it opened; not to be cancelled."""
        reader = _source_of(self._reader)
        if isinstance(reader, _AsyncReader):
            reader.stop()
        with anyio.CancelScope(shield=True):
            await run_blocking(self._close, limiter=self._limiter)


def decoders(audio: object) -> anyio.CapacityLimiter:
    """Return what bounds the threads that decode at once in this event loop: one a processor, at most four.

    Every thread that computes takes its turns from the event loop, so with many of them the loop stands still for
    their sum. Audio that has yet to come, from a network or a pipe, has a thread of its own: a slow sender would keep
    everybody else waiting, and a sender that itself needs a worker thread (`anyio.open_file`, an upload of Starlette's)
    would wait for ever, were they all, anyio's usual 40, taken by readers that wait for it.
    """
    if not is_at_hand(audio):
        return anyio.CapacityLimiter(1)
    try:
        return _DECODERS.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(max(1, min(4, os.cpu_count() or 1)))
        _DECODERS.set(limiter)
        return limiter


def _source_of(audio: object) -> Any:
    """What the bytes come from."""
    return audio.data if isinstance(audio, PCM) else audio


def is_at_hand(audio: object) -> bool:
    """Whether `audio` is there already, or on a disk: nobody who sends it at a pace of their own is waited for."""
    source = _source_of(audio)
    if isinstance(source, (io.BufferedReader, io.BufferedRandom, io.FileIO)):
        try:
            return stat.S_ISREG(os.fstat(source.fileno()).st_mode)
        except (OSError, ValueError):
            return False
    return isinstance(source, io.BytesIO) or not (hasattr(source, "read") or is_async_input(source))


def is_async_input(audio: object) -> bool:
    """Whether `audio` gives its bytes by ``async for``, or by an ``await`` of its `read`, as Starlette's uploads do."""
    return hasattr(audio, "__aiter__") or inspect.iscoroutinefunction(getattr(audio, "read", None))


def _chunks(source: Any) -> AsyncIterator[bytes]:
    """The bytes of an async input: in chunks where it can be asked for them, since most streams iterate over lines."""
    read = getattr(source, "read", None)
    if inspect.iscoroutinefunction(read) and _takes_a_size(read):
        return _read_on(read)
    return aiter(source)


def _takes_a_size(read: Callable[..., object]) -> bool:
    try:
        inspect.signature(read).bind(_CHUNK)
    except TypeError:
        return False
    return True


async def _read_on(read: Callable[[int], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    while chunk := await read(_CHUNK):
        yield chunk


@asynccontextmanager
async def blocking_reader(audio: Any) -> AsyncIterator[Any]:
    """Give `audio` as something that worker threads can read: itself, or a reader over an async iterable."""
    source = _source_of(audio)
    if not is_async_input(source):
        yield audio
        return
    reader = _AsyncReader(source)
    async with plain_task_group() as group:
        group.start_soon(reader.fill)
        try:
            yield replace(audio, data=reader) if isinstance(audio, PCM) else reader
        finally:
            group.cancel_scope.cancel()


class _AsyncReader:
    """A binary file object over an async iterable of bytes: read in a worker thread, filled in one task.

    One task takes the whole of the iterable, since async generators may not be moved between tasks.
    """

    closed = False

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source = source
        self._buffer = bytearray()
        self._ended = False
        self._error: BaseException | None = None
        self._changed = anyio.Event()

    async def fill(self) -> None:
        """Take chunks until the source ends or raises; waits while enough lie unread."""
        source: AsyncIterator[bytes] | None = None
        try:
            source = _chunks(self._source)
            async for chunk in source:
                if not isinstance(chunk, (bytes, bytearray, memoryview)):
                    raise ArgumentTypeError(
                        f"audio: the async iterable gave {type(chunk).__name__}; it must give bytes"
                    )
                self._buffer += chunk
                self._wake()
                while len(self._buffer) >= _BUFFERED:
                    await self._changed.wait()
        except Exception as error:  # noqa: BLE001 - raised again where it is read
            self._error = error
        finally:
            self.stop()
            if inspect.isasyncgen(source):
                # Left in the middle it would end when it is collected, in some other task, and trio warns of it.
                with anyio.move_on_after(_CLOSING, shield=True):
                    await source.aclose()

    def stop(self) -> None:
        """Let nobody wait any more for what has not come; to be called in the event loop."""
        self._ended = True
        self._wake()

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, at least one unless the source has ended; blocks a worker thread."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(_BUFFERED), b""))
        if size == 0:
            return b""
        return anyio.from_thread.run(self._take, size)

    async def _take(self, size: int) -> bytes:
        while not self._buffer and not self._ended:
            await self._changed.wait()
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
