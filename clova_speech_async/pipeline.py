"""One recording on its way: pieces out to the service side by side, segments back in time order.

Bounded everywhere: as many pieces are in memory as requests are under way, and one more; as many segments wait for
their turn as that. A reader who is slow slows the requests, and those slow the decoding.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from .audio import Piece
from .errors import ClovaSpeechError
from .groups import plain_task_group
from .reading import Pull

__all__ = ["Pipeline"]

T = TypeVar("T")
Send = Callable[[Piece], Awaitable[T | None]]
Emit = Callable[[T], Awaitable[None]]


@dataclass
class _Failure:
    index: int
    error: ClovaSpeechError


class Pipeline(Generic[T]):
    """Runs the pieces that `pull` gives through `send`, `width` at a time, and emits their results in order.

    After a piece has failed no new one is sent; those under way are waited for, since they are paid for. Then the
    results before the failed one are emitted, and its error is raised; `late` has the others. `on_failure` is called,
    so that those which are not under way yet can be called off: `send` returns None for them.
    """

    def __init__(
        self, pull: Pull[Piece, float], send: Send[T], *, width: int, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        self._pull = pull
        self._send = send
        self._width = width
        self._on_failure = on_failure
        self._turn = anyio.Lock()
        self._room = anyio.Semaphore(2 * width)
        self._done: dict[int, T] = {}
        self._emitted = 0
        self._ended = False
        self._failures: list[_Failure] = []

    @property
    def late(self) -> list[T]:
        """After a failure: what was done behind the failed piece, in time order."""
        return [self._done[index] for index in sorted(self._done)]

    @property
    def errors(self) -> list[ClovaSpeechError]:
        """What the pieces met that failed, in time order; an error may hold a piece that was paid for (`partial`)."""
        return [failure.error for failure in sorted(self._failures, key=lambda failure: failure.index)]

    @property
    def is_failed(self) -> bool:
        """Whether a piece has failed; a recording that breaks off keeps what came before."""
        return any(failure.index != _END for failure in self._failures)

    async def run(self, emit: Emit[T]) -> None:
        """Send every piece and emit every segment.

        Raises the error of the first piece, in time, that failed.
        """
        try:
            first = await self._pull.next()
            if first is not None:
                await self._run_from(first, emit)
        finally:
            await self._pull.aclose()
        if self._failures:
            raise self.errors[0]

    async def _run_from(self, first: Piece, emit: Emit[T]) -> None:
        await self._room.acquire()
        if first.original:
            # The whole recording in one request, as most are: no task, no queue.
            await self._one(first, emit)
            if not self._failures:
                await self._pull.last()  # its end: all of it has been read
            return
        async with plain_task_group() as group:
            group.start_soon(self._work, first, emit)
            for _ in range(self._width - 1):
                piece = await self._next()
                if piece is None:
                    break
                group.start_soon(self._work, piece, emit)

    async def _work(self, piece: Piece | None, emit: Emit[T]) -> None:
        while piece is not None:
            await self._one(piece, emit)
            piece = await self._next()

    async def _next(self) -> Piece | None:
        """The next piece to send, once there is room for its segment; None when no more is to be sent."""
        await self._room.acquire()
        if self._ended or self._failures:
            return None
        try:
            piece = await self._pull.next()
        except ClovaSpeechError as error:
            # The recording broke in the middle: what came before it is kept. Behind a failure nobody waits for it.
            if not self._failures:
                self._fail(_END, error)
            return None
        if piece is None:
            self._ended = True
            self._room.release()
        return piece

    async def _one(self, piece: Piece, emit: Emit[T]) -> None:
        try:
            result = await self._send(piece)
        except ClovaSpeechError as error:
            self._fail(piece.index, error)
            return
        if result is None:
            return
        self._done[piece.index] = result
        async with self._turn:
            while self._emitted in self._done:
                await emit(self._done.pop(self._emitted))
                self._emitted += 1
                self._room.release()

    def _fail(self, index: int, error: ClovaSpeechError) -> None:
        self._failures.append(_Failure(index, error))
        for _ in range(self._width):
            # Those who wait for room would wait for a piece that never comes.
            self._room.release()
        if index != _END:
            self._on_failure()


_END = 2**62
"""The index of a failure behind every piece."""
