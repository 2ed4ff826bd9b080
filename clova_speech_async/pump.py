"""Reads that may never end, each in a thread that can be left behind.

The law of this file: **such a thread stands in the caller's read and in nothing else**. A decoder is a C library that
calls back for bytes; a daemon thread that stands in one, when Python ends, crashes the process.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack
from contextvars import copy_context
from pathlib import Path
from typing import Any

__all__ = ["Pump"]


class Pump:
    """A file object over one that may block for ever: each read of it is done in a daemon thread, in plain Python.

    Over `raw`, which stays its owner's, or over what is at `path`, which that thread opens and closes.
    """

    closed = False

    def __init__(self, raw: Any, path: str | os.PathLike[str] | None = None) -> None:
        self._raw = raw
        self._path = path
        self.behind = raw if path is None else path
        """What it stands for."""
        self._changed = threading.Condition()
        self._begun = False
        self._called_off = False
        self._wanted: int | None = None
        self._answer: tuple[Any, BaseException | None] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def seekable(self) -> bool:
        """Whether `raw` is; what is opened here never is."""
        return self._path is None and bool(self._raw.seekable())

    def readable(self) -> bool:
        """Whether `raw` is."""
        return self._path is not None or bool(self._raw.readable())

    def read(self, size: int = -1) -> Any:
        """Return what `raw` reads; raises `OSError` when it is called off."""
        with self._changed:
            if not self._begun:
                self._begin()
            self._wanted = size
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._answer is not None or self._called_off)
            if self._answer is None:
                raise OSError("reading it was called off")
            (data, error), self._answer = self._answer, None
        if error is not None:
            raise error
        return data

    def call_off(self) -> None:
        """Let nobody wait for a read any more; the thread ends when the one that it is in comes back."""
        with self._changed:
            self._called_off = True
            self._changed.notify_all()

    def _begin(self) -> None:
        # The end of Python closes the standard input, unless somebody has it still, and for that it wants the lock that
        # a thread holds which reads from it for ever: without it, the program would be aborted.
        held = (sys.stdin, sys.__stdin__)
        context = copy_context()

        def work(_: object) -> None:
            context.run(self._work)

        threading.Thread(target=work, args=(held,), daemon=True, name="clova_speech read").start()
        self._begun = True

    def _work(self) -> None:
        with ExitStack() as stack:
            while (size := self._next()) is not None:
                answer: tuple[Any, BaseException | None]
                try:
                    if self._raw is None:
                        assert self._path is not None
                        self._raw = stack.enter_context(Path(self._path).open("rb"))
                    answer = (self._raw.read(size), None)
                except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                    answer = (None, error)
                with self._changed:
                    self._answer = answer
                    self._changed.notify_all()

    def _next(self) -> int | None:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted is not None or self._called_off)
            wanted, self._wanted = self._wanted, None
            return None if self._called_off else wanted
