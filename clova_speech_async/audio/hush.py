"""Silence on standard output and standard error while decoders run over damage.

libsndfile opens mpg123 without its quiet flag and gives no way to set it, so every damaged frame of an MP3 makes C code
print to standard error; its own reader of ALAC (in CAF) prints to standard output, where a program's results may go.
Redirecting file descriptors would swallow what other threads print. So only the variables `stdout` and `stderr` of the
C library are turned to the null device, and only during a call into such a decoder; Python's own `sys.stdout` and
`sys.stderr` do not use them. Done where these variables are known to be writable, which is glibc; elsewhere a damaged
file may still print.
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
        self._variables: list[Any] = []
        self._null: Any = None
        self._real: list[Any] = []

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
                self._variables = [ctypes.c_void_p.in_dll(libc, name) for name in ("stdout", "stderr")]
                self._null = null
        except (OSError, AttributeError, ValueError):
            self._variables = []

    def enter(self) -> None:
        with self._lock:
            if not self._tried:
                self._find()
            if self._depth == 0:
                self._real = [variable.value for variable in self._variables]
                for variable in self._variables:
                    variable.value = self._null
            self._depth += 1

    def leave(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                for variable, real in zip(self._variables, self._real, strict=True):
                    variable.value = real


_HUSH = _Hush()


@contextlib.contextmanager
def hushed(wanted: bool) -> Iterator[None]:
    """C code prints nothing to standard output and standard error within, where `wanted` and possible."""
    if not wanted:
        yield
        return
    _HUSH.enter()
    try:
        yield
    finally:
        _HUSH.leave()
