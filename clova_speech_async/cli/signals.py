"""Ctrl-C, and what a system sends to end a process: the first asks, the second ends it.

Law of this file: no signal is slept through, whatever the event loop and the threads wait for. After the second one
the process is gone within a second: a thread that waits for what never comes keeps nobody. What is paid for is given
before that.
"""

from __future__ import annotations

import _thread
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import FrameType
from typing import NoReturn

import anyio

from clova_speech_async.groups import plain_task_group

__all__ = ["GRACE", "Signals", "leave"]

GRACE = 1.5
"""Seconds that requests under way have to end after the first signal."""
POSIX = os.name == "posix"
ORDERLY = 0.4
"""Seconds after the second signal in which the run may still end by itself: it has been cancelled."""
LAST_WORDS = 0.4
"""Seconds for giving what there is, where it did not."""


class Signals:
    """SIGINT, SIGTERM and SIGHUP while a command runs; the last not where it is ignored, as by nohup.

    On Windows, and outside the main thread, they are left as they are.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """The first signal that came."""
        self.last_words: Callable[[], None] = lambda: None
        """Called in a thread before the process ends at the second signal; the event loop may be standing still."""
        self._count = 0

    @property
    def name(self) -> str:
        """What the first signal is called among people."""
        return "Ctrl-C" if self.number in (None, signal.SIGINT) else signal.Signals(self.number).name

    @property
    def status(self) -> int:
        """The exit status of a command that a signal ended: 128 and its number, so 130 after Ctrl-C."""
        return 128 + (self.number or signal.SIGINT)

    @asynccontextmanager
    async def heeded(self, react: Callable[[int], None]) -> AsyncIterator[None]:
        """In this block `react` is called in the event loop at every signal, with how many came."""
        if not POSIX or threading.current_thread() is not threading.main_thread():
            yield
            return
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.setblocking(False)
            heeded = [signal.SIGINT, signal.SIGTERM]
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
                heeded.append(signal.SIGHUP)
            handlers = {number: signal.signal(number, self._came) for number in heeded}
            before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
            try:
                async with plain_task_group() as group:
                    group.start_soon(self._listen, ours, react)
                    yield
                    group.cancel_scope.cancel()
            finally:
                signal.set_wakeup_fd(before)
                for number, handler in handlers.items():
                    signal.signal(number, handler)

    async def _listen(self, ours: socket.socket, react: Callable[[int], None]) -> None:
        told = 0
        while True:
            await anyio.wait_readable(ours)
            ours.recv(64)
            while told < self._count:
                told += 1
                react(told)

    def _came(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            self.number = number
        elif self._count == 2:
            # Not by threading: this interrupts the main thread, which may be holding a lock of it.
            _thread.start_new_thread(self._end, ())
        else:
            os._exit(self.status)

    def _end(self) -> None:
        time.sleep(ORDERLY)
        said = _thread.allocate_lock()
        said.acquire()
        _thread.start_new_thread(self._say, (said,))
        said.acquire(timeout=LAST_WORDS)
        os._exit(self.status)  # no flush: what was written to standard output was flushed then

    def _say(self, said: _thread.LockType) -> None:
        try:
            self.last_words()
        finally:
            said.release()


def leave(status: int) -> NoReturn:
    """End the process after a signal, without waiting for threads that were left to themselves."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
