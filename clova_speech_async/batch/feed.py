"""Sources, read lazily and by one task: the only place that knows whether they are an iterator or an async one.

Law of this file: no more is taken than is about to be worked on, the event loop is never blocked by somebody's
generator, and what a generator holds open is closed at the end.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import anyio
from anyio import to_thread

from clova_speech_async.errors import ArgumentTypeError

__all__ = ["Feed"]

_IN_MEMORY: tuple[type, ...] = (list, tuple, set, frozenset, dict, range, type({}.keys()), type({}.values()))
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
        self._asking = False
        self.error: Exception | None = None

    async def take(self) -> list[Any]:
        """The next sources, at least one; none at the end, or where taking raised."""
        if self.error is not None:
            return []
        if self._async is not None:
            return await self._take_async(self._async)
        assert self._plain is not None
        if self._in_memory:
            return _take(self._plain, self._ahead)[0]
        self._asking = True
        # A generator may wait for ever, say for somebody's keyboard; a batch that is cancelled does not wait with it.
        chunk, self.error = await to_thread.run_sync(
            _take, self._plain, self._ahead, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
        )
        self._asking = False
        return chunk

    async def _take_async(self, sources: AsyncIterator[Any]) -> list[Any]:
        try:
            return [await anext(sources)]
        except StopAsyncIteration:
            return []
        except Exception as error:  # noqa: BLE001 - it ends the batch, after what is under way
            self.error = error
            return []

    async def aclose(self) -> None:
        """End a generator, so that it closes what it holds open. One that is still being asked is left alone."""
        with anyio.move_on_after(5, shield=True):
            if self._async is not None:
                close = getattr(self._async, "aclose", None)
                if close is not None:
                    await close()
            elif not self._asking:
                close = getattr(self._plain, "close", None)
                if close is not None:
                    await to_thread.run_sync(close, limiter=anyio.CapacityLimiter(1))


def _take(sources: Iterator[Any], most: int) -> tuple[list[Any], Exception | None]:
    """What comes quickly, at least one, and what was raised instead of more."""
    chunk: list[Any] = []
    size = 0
    until = time.monotonic() + _QUICK
    try:
        for source in sources:
            chunk.append(source)
            audio = getattr(source, "audio", source)
            size += len(audio) if isinstance(audio, (bytes, bytearray)) else 0
            if len(chunk) >= most or size >= _ENOUGH or time.monotonic() >= until:
                break
    except Exception as error:  # noqa: BLE001 - it ends the batch, after what came before it
        return chunk, error
    return chunk, None


def refuse_single(sources: object) -> None:
    """Raise where one source was given in the place of many."""
    single = isinstance(sources, (str, bytes, bytearray, memoryview)) or hasattr(sources, "read")
    if single or not (hasattr(sources, "__iter__") or hasattr(sources, "__aiter__")):
        raise ArgumentTypeError(
            f"sources must be an iterable or async iterable of audio, not {type(sources).__name__}; "
            "put a single one into a list: batch.run([audio])"
        )
