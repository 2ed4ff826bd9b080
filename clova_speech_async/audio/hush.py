"""Silence on standard error while the MP3 decoder runs over damaged frames.

libsndfile opens mpg123 without its quiet flag and gives no way to set it, so every damaged frame makes C code print.
Redirecting file descriptor 2 would swallow what other threads print. So only the variable `stderr` of the C library is
turned to the null device, and only during a call into the decoder; Python's own `sys.stderr` does not use it. Done
where that variable is known to be writable, which is glibc; elsewhere a damaged MP3 may still print.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["hushed"]


class _Hush:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._tried = False
        self._variable: Any = None
        self._null: Any = None
        self._real: Any = None

    def _find(self) -> None:
        self._tried = True
        if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
            return
        import ctypes

        try:
            libc = ctypes.CDLL(None)
            libc.fopen.restype = ctypes.c_void_p
            null = libc.fopen(os.devnull.encode(), b"w")
            if null:
                self._variable = ctypes.c_void_p.in_dll(libc, "stderr")
                self._null = null
        except (OSError, AttributeError, ValueError):
            self._variable = None

    def enter(self) -> None:
        with self._lock:
            if not self._tried:
                self._find()
            if self._depth == 0 and self._variable is not None:
                self._real = self._variable.value
                self._variable.value = self._null
            self._depth += 1

    def leave(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0 and self._variable is not None:
                self._variable.value = self._real


_HUSH = _Hush()


@contextlib.contextmanager
def hushed(wanted: bool) -> Iterator[None]:
    """C code prints nothing to standard error within, where `wanted` and possible."""
    if not wanted:
        yield
        return
    _HUSH.enter()
    try:
        yield
    finally:
        _HUSH.leave()
