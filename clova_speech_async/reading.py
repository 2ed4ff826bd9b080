"""Where a person's audio is read: in which threads, and what becomes of a read that does not end.

The law of this file: **no read outlives the patience of who asked for it**. A read from a disk is waited for, also by
who is cancelled, for it ends soon and leaves nothing half done. A read from a pipe, a socket or an object of the
caller's may never end, and nothing can end it from outside: who is cancelled waits a moment and goes, and leaves a
thread behind that does nothing but this one read and keeps no program from ending. Who decodes is not left behind: a
decoder is a C library that calls back for bytes, and a thread that stands in one crashes the end of Python. The one
exception are objects without a descriptor, whose read may need a thread of anyio's.
"""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, Generic, TypeVar, cast

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from .audio import PCM
from .groups import plain_task_group
from .pump import Pump
from .threads import AsyncReader, blocking_reader, decoders, is_async_input, run_blocking, source_of

__all__ = ["Pull", "Reading", "is_at_hand", "reading"]

T = TypeVar("T")
R = TypeVar("R")
Run = Callable[[Callable[[], Any]], Awaitable[Any]]
Wait = Callable[[anyio.Event], Awaitable[None]]
_MOMENT = 0.5
"""Seconds for which a cancelled call waits for a read that may not end, so that most have let go of their file."""


def is_at_hand(audio: object) -> bool:
    """Whether `audio` is there already, or on a disk: nobody who sends it at a pace of their own is waited for.

    Of a path this is an assumption; whoever opens it finds out.
    """
    source = source_of(audio)
    if isinstance(source, (io.BufferedReader, io.BufferedRandom, io.FileIO)):
        try:
            return stat.S_ISREG(os.fstat(source.fileno()).st_mode)
        except (OSError, ValueError):
            return False
    # An upload in a SpooledTemporaryFile has come; asked for its descriptor, it would be written to the disk.
    there = isinstance(source, (io.BytesIO, SpooledTemporaryFile))
    return there or not (hasattr(source, "read") or is_async_input(source))


class Reading:
    """One audio while it is read; made by `reading`."""

    def __init__(self, audio: Any, on_wait: Callable[[], None] | None = None, wait: Wait | None = None) -> None:
        self.audio = audio
        """What functions that are run here can read."""
        self._on_wait = on_wait or _nothing
        self._wait = wait or _wait
        self.may_not_end = False
        """Whether a read is left behind by who does not wait for it."""
        source = source_of(audio)
        self._async_reader = source if isinstance(source, AsyncReader) else None
        self._pump: Pump | None = None
        self._path = source if isinstance(source, (str, os.PathLike)) else None
        """As long as it is not known what is there."""
        self._run = self._choose(source)

    def _choose(self, source: Any) -> Run:
        if is_at_hand(source):
            return partial(run_blocking, limiter=decoders())
        # A thread of its own each: a slow sender would keep everybody else waiting, and a sender that itself needs a
        # worker thread would wait for ever, were all of anyio's usual 40 taken by readers that wait for it.
        if self._async_reader is not None:
            self._on_wait()
            return partial(run_blocking, limiter=anyio.CapacityLimiter(1))
        return self._choose_for_ever(Pump(source) if _has_bytes_of_a_descriptor(source) else None)

    def _choose_for_ever(self, pump: Pump | None) -> Run:
        self._on_wait()
        self._pump = pump
        if pump is None:
            self.may_not_end = True
            return lambda function: _until_called_off(function, self._wait, _nothing)
        self.audio = replace(self.audio, data=pump) if isinstance(self.audio, PCM) else pump
        return lambda function: _until_called_off(function, self._wait, pump.call_off)

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function` with the audio, which it reads, and `args` in a thread. One at a time."""
        if self._path is not None:
            found = await self._run(partial(_where_it_ends, self._path, partial(function, self.audio, *args)))
            if found is not _MAY_NOT_END:
                self._path = None
                return cast("T", found)
            self._run = self._choose_for_ever(Pump(None, self._path))
            self._path = None
        try:
            return cast("T", await self._run(partial(function, self.audio, *args)))
        except Exception:
            if self._async_reader is not None:
                await anyio.lowlevel.checkpoint_if_cancelled()  # that is why it broke off
                if self._async_reader.refusal is not None:
                    raise self._async_reader.refusal from None
            raise

    async def run_last(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function`, which reads nothing any more, in a thread, and wait for its end, whatever others are told."""
        self._wait = _wait
        return await self.run(function, *args)

    def wake(self) -> None:
        """Let no read wait any more for what has not come, where that can be done."""
        if self._async_reader is not None:
            self._async_reader.stop()
        if self._pump is not None:
            self._pump.call_off()


@asynccontextmanager
async def reading(
    audio: object, on_wait: Callable[[], None] | None = None, wait: Wait | None = None
) -> AsyncIterator[Reading]:
    """Make `audio` readable in threads.

    `on_wait` is called as soon as it is known that its sender sets the pace. `wait` waits for the event that is set at
    the end of a read that may not end; what it raises, `Reading.run` raises, unless the read ends within a moment.
    """
    async with blocking_reader(audio, wait) as readable:
        found = Reading(readable, on_wait, wait)
        try:
            yield found
        finally:
            found.wake()


def _nothing() -> None:
    pass


async def _wait(end: anyio.Event) -> None:
    await end.wait()


# --- threads that may be left behind ------------------------------------------------------------------


_MAY_NOT_END = object()


def _where_it_ends(path: str | os.PathLike[str], function: Callable[[], object]) -> object:
    """Run `function`, unless there is a pipe, a socket or a device at `path`."""
    with suppress(OSError, ValueError):  # what opens it says what is wrong
        kind = Path(path).stat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            return _MAY_NOT_END
    return function()


def _has_bytes_of_a_descriptor(source: Any) -> bool:
    try:
        return isinstance(source.fileno(), int) and not isinstance(source, io.TextIOBase)
    except Exception:  # noqa: BLE001 - the caller's object: whatever it raises, it has none
        return False


async def _until_called_off(function: Callable[[], T], wait: Wait, call_off: Callable[[], None]) -> T:
    """Run `function` in a thread, and `wait` for its end; who is to go, for a moment more, then it is called off.

    The thread is one of anyio's: an object of the caller's may call back into the event loop by `anyio.from_thread`.
    Under asyncio it keeps the interpreter from ending as long as it waits, where `call_off` does not end that.
    """
    await anyio.lowlevel.checkpoint_if_cancelled()  # what is read from a pipe is gone
    outcome: list[tuple[T | None, BaseException | None]] = []
    done = anyio.Event()
    parting = threading.Lock()
    gone = broken_off = False
    called_off: Exception | None = None

    def work() -> None:
        result: tuple[T | None, BaseException | None]
        try:
            result = (function(), None)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            result = (None, error)
        with parting:
            outcome.append(result)
            is_waited_for = not gone
        if is_waited_for:
            with suppress(RuntimeError):  # the event loop has been ended meanwhile
                portal.start_task_soon(done.set)

    in_thread = partial(anyio.to_thread.run_sync, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
    async with plain_task_group() as group:
        async with anyio.from_thread.BlockingPortal() as portal:
            try:
                group.start_soon(in_thread, work)
                await wait(done)
            except Exception as refusal:  # noqa: BLE001 - raised below: the portal would make a group of it
                called_off = refusal
            finally:
                if not outcome:
                    with anyio.move_on_after(_MOMENT, shield=True):
                        await done.wait()
                if not outcome:
                    broken_off = True
                    call_off()
                    with anyio.move_on_after(_MOMENT, shield=True):
                        await done.wait()
                with parting:
                    gone = True
                if outcome and not done.is_set():  # it is being told so: not to a portal that is closed
                    with anyio.CancelScope(shield=True):
                        await done.wait()
        group.cancel_scope.cancel()  # a thread that has not ended is left behind
    # What has been read is not thrown away: it may be the end, and all the rest is paid for.
    result, error = outcome.pop() if outcome else (None, called_off)
    if error is not None and broken_off:
        error = called_off
    try:
        if error is not None:
            raise error
        return cast("T", result)
    finally:
        del error, called_off  # they know this frame: until garbage is collected, audio would be kept alive


# --- step by step -------------------------------------------------------------------------------------


class Pull(Generic[T, R]):
    """A blocking generator that is advanced in threads, one step at a time.

    `make` makes it, of the audio that `source` reads.
    """

    def __init__(self, make: Callable[[Any], Generator[T, None, R]], source: Reading | None = None) -> None:
        self._make = make
        self._generator: Generator[T, None, R] | None = None
        self._source = Reading(b"") if source is None else source
        self._lock = anyio.Lock()
        # A thread may be left behind in a step, and a generator that runs cannot be advanced or closed.
        self._running = threading.Lock()
        self._closed = False
        self._result: list[R] = []

    async def next(self) -> T | None:
        """Return the next item, or None at the end."""
        async with self._lock:
            return await self._source.run(self._step)

    async def last(self) -> T | None:
        """The same for a step that reads nothing any more."""
        async with self._lock:
            return await self._source.run_last(self._step)

    def _step(self, audio: Any) -> T | None:
        try:
            with self._running:
                if self._closed:
                    return None
                if self._generator is None:
                    self._generator = self._make(audio)
                return next(self._generator)
        except StopIteration as end:
            if not self._result:
                self._result.append(end.value)
            return None

    def _close(self, _: Any = None) -> None:
        with self._running:
            if self._generator is not None:
                self._generator.close()

    @property
    def result(self) -> R:
        """What the generator returned at its end; there is none before."""
        return self._result[0]

    async def aclose(self) -> None:
        """End the generator, so that it closes what it opened; not to be cancelled."""
        self._closed = True
        self._source.wake()
        if self._source.may_not_end and self._running.locked():
            threading.Thread(target=self._close, daemon=True, name="clova_speech close").start()
            return
        with anyio.CancelScope(shield=True):
            await self._source.run_last(self._close)
