"""Sources, read lazily and by one task: the only place that knows whether they are an iterator or an async one.

Law of this file: no more is taken than is about to be worked on, the event loop is never blocked by somebody's
generator, and what a generator holds open is closed at the end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import anyio
from anyio import to_thread

from clova_speech_async.errors import ArgumentTypeError
from clova_speech_async.groups import comes_from_elsewhere

__all__ = ["Feed"]

_IN_MEMORY: tuple[type, ...] = (list, tuple, set, frozenset, range, type({}.keys()), type({}.values()))
"""Kinds whose next item is there at once; any other is asked for it in a worker thread."""
_QUICK = 0.001
"""Seconds for which a thread goes on taking what a fast generator gives."""
_ENOUGH = 1024 * 1024
"""Bytes of audio after which it stops taking, however fast they come."""


class Feed:
    """The sources of one batch as chunks of at most `ahead`; `error` is what they raised instead of ending."""

    def __init__(self, sources: object, *, ahead: int) -> None:
        refuse_single(sources)
        self._ahead = ahead
        self._async: AsyncIterator[Any] | None = None
        self._plain: Iterator[Any] | None = None
        if hasattr(sources, "__aiter__"):
            self._async = aiter(sources)
        else:
            assert isinstance(sources, Iterable)
            self._plain = iter(sources)
        self._in_memory = isinstance(sources, _IN_MEMORY)
        self._visit: _Visit | None = None
        self._over = False
        self.error: Exception | None = None

    async def take(self) -> list[Any]:
        """The next sources, at least one; none at the end, or where taking raised."""
        if self._over:
            return []
        if self._async is not None:
            return await self._take_async(self._async)
        assert self._plain is not None
        if self._in_memory:
            return list(islice(self._plain, self._ahead))
        return await self._take_elsewhere(self._plain)

    async def _take_elsewhere(self, sources: Iterator[Any]) -> list[Any]:
        """A generator may wait for ever, say for a keyboard: what it has given does not wait, nor does the end."""
        while True:
            if self._visit is None:
                self._visit = _Visit(sources, self._ahead)
            while not self._visit.begun:  # on a busy machine the time may be over before a thread has begun
                with anyio.move_on_after(2 * _QUICK):
                    await self._in_thread(self._visit.run)
            ended = self._visit.ended  # asked before, so that nothing is laid down between the two
            got = self._visit.collect()
            if ended:
                self.error, self._over = self._visit.error, self._visit.over
                self._visit = None
            if got or self._over:
                return got
            if self._visit is not None:
                await self._in_thread(self._visit.wait)

    async def _in_thread(self, function: Callable[[], None]) -> None:
        await to_thread.run_sync(function, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))

    async def _take_async(self, sources: AsyncIterator[Any]) -> list[Any]:
        try:
            return [await anext(sources)]
        except StopAsyncIteration:
            pass
        except Exception as error:  # noqa: BLE001 - it ends the batch, after what is under way
            self.error = error
        except anyio.get_cancelled_exc_class():
            if not comes_from_elsewhere():
                raise
            self.error = OSError("what they were waiting for has been cancelled")
        self._over = True
        return []

    def collect(self) -> list[Any]:
        """What a generator has given that nobody took, because the taking was cancelled."""
        return [] if self._visit is None else self._visit.collect()

    async def aclose(self) -> None:
        """End a generator, so that it closes what it holds open. One that is still being asked is left alone."""
        with anyio.move_on_after(5, shield=True):
            if self._async is not None:
                close = getattr(self._async, "aclose", None)
                if close is not None:
                    await close()
            elif self._visit is None or self._visit.ended:
                close = getattr(self._plain, "close", None)
                if close is not None:
                    await to_thread.run_sync(close, limiter=anyio.CapacityLimiter(1))


class _Visit:
    """A thread's visit to a generator: takes what comes quickly, at least one, and lays it down as it comes."""

    def __init__(self, sources: Iterator[Any], most: int) -> None:
        self._sources = sources
        self._most = most
        self._running = threading.Lock()
        self._changed = threading.Condition()
        self._got: list[Any] = []
        self.ended = False
        self.over = False
        """The generator has ended or raised."""
        self.error: Exception | None = None

    @property
    def begun(self) -> bool:
        """Whether a thread is, or was, in the generator."""
        return self._running.locked()

    def run(self) -> None:
        """Take; in a worker thread. A second one that comes has nothing to do."""
        if not self._running.acquire(blocking=False):
            return
        try:
            self.over = self._take()
        except Exception as error:  # noqa: BLE001 - it ends the batch, after what came before it
            self.error = error
            self.over = True
        except BaseException as error:  # noqa: BLE001 - raised in here it would end this thread, and be heard by nobody
            self.error = RuntimeError(f"{type(error).__name__}: {error}")
            self.error.__cause__ = error
            self.over = True
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _take(self) -> bool:
        size = 0
        until = time.monotonic() + _QUICK
        for count, source in enumerate(self._sources, 1):
            with self._changed:
                self._got.append(source)
                self._changed.notify_all()
            audio = getattr(source, "audio", source)
            size += len(audio) if isinstance(audio, (bytes, bytearray)) else 0
            if count >= self._most or size >= _ENOUGH or time.monotonic() >= until:
                return False
        return True

    def wait(self) -> None:
        """Return once there is something, or the visit has ended; in a worker thread."""
        with self._changed:
            self._changed.wait_for(lambda: self._got or self.ended)

    def collect(self) -> list[Any]:
        """What has been laid down since the last time."""
        with self._changed:
            got, self._got = self._got, []
        return got


def refuse_single(sources: object) -> None:
    """Raise where one source was given in the place of many, or a mapping, whose values would be lost."""
    if isinstance(sources, Mapping):
        raise ArgumentTypeError(
            f"sources must be an iterable or async iterable of audio, not {type(sources).__name__}, which would give "
            "its keys: pass batch.run(sources.values()), or, to know them apart, "
            "batch.run([Item(audio, id=name) for name, audio in sources.items()])",
            argument="sources",
        )
    single = isinstance(sources, (str, bytes, bytearray, memoryview, type)) or hasattr(sources, "read")
    if single or not (hasattr(sources, "__iter__") or hasattr(sources, "__aiter__")):
        raise ArgumentTypeError(
            f"sources must be an iterable or async iterable of audio, not {type(sources).__name__}; "
            "put a single one into a list: batch.run([audio])",
            argument="sources",
        )
