"""Who may send what, among all who have a journal open, in this process and in others.

Law of this file: a lock is the operating system's, so that it is gone the moment its process is, however that died;
nothing here waits; and where there are no such locks, nothing is locked: two processes may then both pay for what both
have under way at the same time, which is all that can go wrong.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import weakref
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["ClaimLocks"]

_BY_OPENING = sys.platform == "linux" and sys.maxsize > 2**32 and hasattr(fcntl, "F_OFD_SETLK")
"""Whether locks can belong to one opening of a file; else they belong to a process, and keep out other ones only."""

_OPEN = 2**55
"""The byte, behind those of all keys, in which everybody who has the file open shares a lock."""
_TRIES = 1000
"""How often the file is opened anew when it is taken away meanwhile."""


class ClaimLocks:
    """Locks of single bytes in an empty file beside the journal, one byte for each request."""

    def __init__(self, path: Path) -> None:
        self._journal = path
        self._path = path
        self._number: int | None = None
        _all.add(self)

    def __del__(self) -> None:
        self._give_up()

    def open(self) -> None:
        """Make the file, where locks can be had at all: beside the journal itself, whatever link leads to it."""
        real = Path(os.path.realpath(self._journal))
        self._path = real.with_name(real.name + "-claims")
        if fcntl is not None:
            with contextlib.suppress(OSError):
                for _ in range(_TRIES):
                    self._number = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                    if self._settle_in():
                        return
                    self._give_up()

    def _settle_in(self) -> bool:
        """Keep the file from being taken away; False where that has just happened."""
        try:
            self._set(fcntl.F_RDLCK, _OPEN, 1)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:
            return True  # no locks here: `take` will find out, too
        return self._is_there()

    def _is_there(self) -> bool:
        """Whether the file that is open is the one that others will open."""
        assert self._number is not None
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._number), self._path.stat())
        return False

    @property
    def exclude_all(self) -> bool:
        """Whether nobody else can have the same lock: no other process, and no other journal in this one."""
        return self._number is not None and _BY_OPENING

    def take(self, key: bytes) -> bool:
        """Whether the lock of `key` is this journal's now; it must not have had it before."""
        if self._number is None:
            return True
        try:
            self._set(fcntl.F_WRLCK, _place(key), 1)
        except (BlockingIOError, PermissionError):  # systems differ in how they say that another one has it
            return False
        except OSError:
            self._give_up()  # no locks here, e.g. on a network share
        return True

    def release(self, key: bytes) -> None:
        """Give the lock of `key` back."""
        if self._number is not None:
            with contextlib.suppress(OSError):
                self._set(fcntl.F_UNLCK, _place(key), 1)

    def close(self) -> None:
        """Give everything back; the last one takes the file away."""
        if self._number is not None:
            with contextlib.suppress(OSError):
                self._set(fcntl.F_WRLCK, 0, 0)  # all of the file: nobody else has it open
                if self._is_there():
                    self._path.unlink()
        self._give_up()

    def _set(self, kind: int, start: int, length: int) -> None:
        assert self._number is not None
        if _BY_OPENING:
            wish = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)
            fcntl.fcntl(self._number, fcntl.F_OFD_SETLK, wish)
        else:
            commands = {
                fcntl.F_UNLCK: fcntl.LOCK_UN,
                fcntl.F_RDLCK: fcntl.LOCK_SH | fcntl.LOCK_NB,
                fcntl.F_WRLCK: fcntl.LOCK_EX | fcntl.LOCK_NB,
            }
            fcntl.lockf(self._number, commands[kind], length, start)

    def _give_up(self) -> None:
        number, self._number = self._number, None
        if number is not None:
            with contextlib.suppress(OSError):
                os.close(number)


_all: weakref.WeakSet[ClaimLocks] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """In a process that was forked: the locks are the parent's, and shall be gone with it, not live on in here."""
    for locks in _all:
        locks._give_up()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def _place(key: bytes) -> int:
    """A byte far out in the file, another one for each key."""
    return int.from_bytes(key[:7], "big") & (2**55 - 1)
