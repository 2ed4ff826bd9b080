"""Many calls, one worker thread: what comes while the thread is busy goes together in its next round.

Law of this file: no task and no thread of its own, so there is nothing to start and nothing to stop. The first caller
leads: it takes a worker thread through one round, for all who are waiting; then it appoints the oldest who came
meanwhile. A round that has begun is seen through whatever cancels its leader, an anyio scope or asyncio's own
`Task.cancel`, because the others' calls, and replies that were paid for, are in it. So a call always ends by being
done; a cancellation that came meanwhile is raised after that.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import anyio
from anyio import to_thread

__all__ = ["Call", "Grouped", "once_for_all", "see_through"]

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


class Call(Generic[_Job, _Result]):
    """One job and, once `done`, either its `result` or the `error` that its round met."""

    __slots__ = ("done", "error", "job", "result", "turn")

    def __init__(self, job: _Job) -> None:
        self.job = job
        self.turn = anyio.Event()
        self.done = False
        self.result: _Result | None = None
        self.error: Exception | None = None


class Grouped(Generic[_Job, _Result]):
    """Runs `work` on the jobs of all who call, at most `most` at a time, one round after the other.

    `work` gets a list of jobs in a worker thread and returns their results in the same order, an exception where a job
    has failed alone, or raises for all of them. `gather`: seconds the thread waits before it takes its jobs, so that
    more come together.
    """

    def __init__(
        self, work: Callable[[list[_Job]], Sequence[_Result | Exception]], *, gather: float = 0.0, most: int = 1024
    ) -> None:
        self._work = work
        self._gather = gather
        self._most = most
        self._waiting: deque[Call[_Job, _Result]] = deque()
        self._led = False
        self._settled: anyio.Event | None = None

    async def settle(self) -> None:
        """Return, or raise a cancellation, once nothing that was submitted is left undone."""
        while self._led:
            settled = self._settled = self._settled or anyio.Event()
            await see_through(settled.wait, settled.is_set)

    async def submit(self, call: Call[_Job, _Result]) -> None:
        """Returns, or raises a cancellation, once `call` is done; its error is not raised but kept on it."""
        self._waiting.append(call)
        try:
            if self._led:
                await see_through(call.turn.wait, call.turn.is_set)
        finally:
            if not call.done:
                await self._lead(call)

    async def _lead(self, own: Call[_Job, _Result]) -> None:
        self._led = True
        current = _Round(self._waiting, self._work, self._gather, self._most)
        try:
            await see_through(current.step, current.ended.is_set)
        finally:
            for call in current.calls:
                call.done = True
                call.turn.set()
            if not own.done:  # no thread could be had; the error of that is on its way to the caller
                self._waiting.remove(own)
            self._led = bool(self._waiting)
            if self._waiting:
                self._waiting[0].turn.set()
            elif self._settled is not None:
                self._settled.set()
                self._settled = None


class _Round(Generic[_Job, _Result]):
    """One trip through a worker thread."""

    def __init__(
        self,
        waiting: deque[Call[_Job, _Result]],
        work: Callable[[list[_Job]], Sequence[_Result | Exception]],
        gather: float,
        most: int,
    ) -> None:
        self.calls: list[Call[_Job, _Result]] = []
        self.ended = threading.Event()
        self._waiting = waiting
        self._work = work
        self._gather = gather
        self._most = most
        self._begun = threading.Lock()

    async def step(self) -> None:
        """Begin the round, or wait for its end where it has begun and the wait for it was cancelled."""
        # A limiter of its own: a round must never queue behind threads that wait for the journal themselves.
        await to_thread.run_sync(self._run, limiter=anyio.CapacityLimiter(1))

    def _run(self) -> None:
        # asyncio's Task.cancel ends the wait for a thread, but not the thread, and a thread that has not begun may
        # never begin: whoever gets the lock does the work, any other only waits for its end.
        if not self._begun.acquire(blocking=False):
            self.ended.wait()
            return
        try:
            if self._gather:
                time.sleep(self._gather)
            while self._waiting and len(self.calls) < self._most:
                self.calls.append(self._waiting.popleft())
            self._do()
        finally:
            self.ended.set()

    def _do(self) -> None:
        try:
            results = self._work([call.job for call in self.calls])
        except Exception as error:  # noqa: BLE001 - it is handed to every caller, none of whom is in this thread
            for call in self.calls:
                call.error = error
        else:
            for call, result in zip(self.calls, results, strict=True):
                if isinstance(result, Exception):
                    call.error = result
                else:
                    call.result = result


def once_for_all(step: Callable[[], None]) -> Callable[[list[None]], list[None]]:
    """Work of which all callers of a round want the same: it is done once, and what it raises is raised for all."""

    def work(jobs: list[None]) -> list[None]:
        step()
        return jobs

    return work


async def see_through(step: Callable[[], Awaitable[object]], done: Callable[[], bool]) -> None:
    """Await `step()` until `done()`, come what may; a cancellation that came meanwhile is raised at the end."""
    try:
        await step()  # mostly nobody cancels, and a scope costs more than all the rest
        if done():
            return
        cancelled: BaseException | None = None
    except anyio.get_cancelled_exc_class() as error:
        cancelled = error
    with anyio.CancelScope(shield=True):  # keeps anyio's cancellations out; asyncio's own come all the same
        while not done():
            try:
                await step()
            except anyio.get_cancelled_exc_class() as error:  # noqa: PERF203 - it is the exceptional way
                cancelled = error
    if cancelled is not None:
        raise cancelled
