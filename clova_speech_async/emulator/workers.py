"""A few worker processes with PocketSphinx in them, started when they are needed and never left behind.

Law of this file: a process belongs to its pool, the pool to its emulator; closing, collecting the garbage or ending
the interpreter ends them, and so does the end of their standard input. Works in any event loop, or in several.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import IO, Any, cast

import anyio
import anyio.lowlevel
import anyio.to_thread

_SCRIPT = Path(__file__).with_name("worker.py")
_NUMBERS = itertools.count()
"""One for each pool: older versions of anyio find a `RunVar` by its name."""


class WorkerError(RuntimeError):
    """A worker process could not do its work; the message says why."""


class _Worker:
    """One process; `call` blocks until it has answered."""

    def __init__(self, *, load: bool) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own script in our own interpreter
            [sys.executable, str(_SCRIPT), *(["--load"] if load else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, message: dict[str, Any], pcm: bytes) -> dict[str, Any]:
        source, sink = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        try:
            source.write(json.dumps(message | {"pcm": len(pcm)}).encode() + b"\n")
            source.write(pcm)
            source.flush()
            line = sink.readline()
        except (OSError, ValueError) as exc:
            raise WorkerError(f"the PocketSphinx process went away: {exc}") from exc
        if not line:
            raise WorkerError("the PocketSphinx process ended before it answered; what it printed says why")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise WorkerError(f"PocketSphinx failed: {answer['failed']}")
        return answer

    def kill(self) -> None:
        """End the process now; a `call` under way in another thread raises `WorkerError`."""
        self._process.kill()

    def close(self) -> None:
        """End the process and wait for its end."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            # Bytes that nobody will read may still be in the pipe's buffer.
            with contextlib.suppress(OSError):
                cast("IO[bytes]", pipe).close()


class _Call:
    """One call's claim on a worker, so that cancelling the call can end the worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._cancelled = False

    def claim(self, worker: _Worker) -> None:
        with self._lock:
            self._worker = worker
            if self._cancelled:
                worker.kill()

    def release(self) -> None:
        """Give the worker back, which has answered; raise `WorkerError` where the call has ended it meanwhile."""
        with self._lock:
            self._worker = None
            if self._cancelled:
                raise WorkerError("the call was cancelled")

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._worker is not None:
                self._worker.kill()


class WorkerPool:
    """At most ``size`` processes; a call beyond them waits its turn without holding a thread."""

    def __init__(self, size: int, *, load: bool) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._closed = False
        self._limiter: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar(
            f"{__name__}.{next(_NUMBERS)}"
        )
        self._size = size
        weakref.finalize(self, _close_all, self._all)

    @property
    def processes(self) -> tuple[int, ...]:
        """The process ids of those there are now."""
        with self._lock:
            return tuple(worker.pid for worker in self._all)

    def start(self) -> None:
        """Start one process, which loads its models while the caller goes on; nothing where there is one."""
        with self._lock:
            if not self._all and not self._closed:
                self._idle.append(self._spawn())

    async def call(self, message: dict[str, Any], pcm: bytes) -> dict[str, Any]:
        """What a worker answers; a cancelled call ends its worker, because PocketSphinx cannot be interrupted."""
        limiter = self._limiter.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(self._size)
            self._limiter.set(limiter)
        claim = _Call()
        try:
            return await anyio.to_thread.run_sync(
                self._call, claim, message, pcm, limiter=limiter, abandon_on_cancel=True
            )
        except anyio.get_cancelled_exc_class():
            claim.cancel()
            raise

    def _call(self, claim: _Call, message: dict[str, Any], pcm: bytes) -> dict[str, Any]:
        with self._lock:
            if self._closed:
                raise WorkerError("this emulator was closed")
            worker = self._idle.pop() if self._idle else self._spawn()
        claim.claim(worker)
        try:
            answer = worker.call(message, pcm)
            claim.release()  # from here on it is another call's, which this one's cancellation must not end
        except BaseException:
            worker.close()
            with self._lock:
                self._all.discard(worker)
            raise
        with self._lock:
            self._idle.append(worker)
        return answer

    def _spawn(self) -> _Worker:
        worker = _Worker(load=self._load)
        self._all.add(worker)
        return worker

    def close(self) -> None:
        """End every process; calls under way raise `WorkerError`."""
        with self._lock:
            self._closed = True
            self._idle.clear()
            mine = list(self._all)
            self._all.clear()
        _close_all(mine)


def _close_all(workers: Any) -> None:
    for worker in list(workers):
        worker.close()
