"""A journal's file while it is open: two connections of SQLite, blocking, for worker threads only.

Law of this file: one connection is for reading and one for writing, so that nobody who looks something up waits for a
disk that syncs; every `sqlite3` exception ends in a `JournalError`; and no reply goes into a file that nobody would
find again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clova_speech_async.errors import JournalError

from . import opening
from .locks import ClaimLocks
from .opening import address, beside
from .problems import translated

__all__ = ["JournalFile"]


class JournalFile:
    """One file, opened at its first use; blocks, and raises `JournalError`."""

    def __init__(self, path: str, *, busy_timeout: float, read_only: bool) -> None:
        self.path = Path(path)
        self.real = self.path
        """Links followed, absolute: where SQLite has its log, whatever becomes of the current folder."""
        self.locks = ClaimLocks(self.path)
        self._files: list[tuple[int, int] | None] = []
        self._process = 0
        self._busy_timeout = busy_timeout
        self._read_only = read_only
        self._opening = threading.Lock()
        self._closed = False
        self._reader: _Connection | None = None
        self._writer: _Connection | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has been opened and not closed."""
        return self._reader is not None

    def open(self) -> None:
        """Open, and create where there is no file; else raise what is wrong with it."""
        if self._is_forked:
            raise opening.forked(self.path)
        with self._opening:
            if self._closed:
                raise JournalError(f"the journal {self.path} is closed; make a new Journal to go on with it")
            if self._reader is not None:
                return
            self._process = os.getpid()
            try:
                self._open()
            except BaseException:
                self._process = 0
                raise

    def _open(self) -> None:
        self.real = Path(os.path.realpath(self.path))
        opening.refuse_strangers(self.path, create=not self._read_only)
        opening.hold(self, self.real)
        try:
            with translated(self.path, "opened"):
                writer, reader = (None, self._look()) if self._read_only else self._both()
        except BaseException:
            opening.let_go(self)
            raise
        if writer is not None:
            self._files = opening.files(self.real)
            self.locks.open()
        # Last: who finds it open takes a lock at once, and does not wait for who is still opening it.
        self._writer, self._reader = writer, reader

    def close(self) -> None:
        """Close; a second time is nothing. The last to close a journal leaves one file, without a log beside it."""
        if self._is_forked:
            return  # it is the parent's, whose locks and log a process that was forked must not touch
        with self._opening:
            self._closed = True
            self.locks.close()
            both = [connection for connection in (self._reader, self._writer) if connection is not None]
            self._reader = self._writer = None
            with contextlib.ExitStack() as stack:
                if both:
                    stack.callback(self._forget)  # last: a process that is forked meanwhile has the file open
                for connection in both:
                    stack.enter_context(translated(self.path, "closed"))
                    stack.callback(connection.close)

    def _forget(self) -> None:
        opening.let_go(self)
        self._process = 0

    @property
    def _is_forked(self) -> bool:
        return self._process not in (0, os.getpid())

    def _both(self) -> tuple[_Connection, _Connection]:
        writer = self._connect(address(self.real, "mode=rw"))
        try:
            opening.prepare(self.path, writer.database)
            return writer, self._connect(address(self.real, "mode=rw"))
        except BaseException:
            writer.database.close()
            raise

    def _look(self) -> _Connection:
        """A connection that only reads, also where nothing at all may be written, not even beside the file."""
        try:
            return self._checked(address(self.real, "mode=ro"))
        except sqlite3.OperationalError:
            log = beside(self.real, "-wal")
            if log.exists() and log.stat().st_size:
                raise
            # Without a log the file is whole in itself, and nobody is writing to it.
            return self._checked(address(self.real, "immutable=1"))

    def _checked(self, where: str) -> _Connection:
        connection = self._connect(where)
        try:
            opening.check(self.path, connection.database)
        except BaseException:
            connection.database.close()
            raise
        return connection

    def _connect(self, where: str) -> _Connection:
        database = sqlite3.connect(
            where, uri=True, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA fullfsync = ON")  # macOS: into the disk, and not only as far as its cache
            database.execute("PRAGMA secure_delete = ON")
        except BaseException:
            database.close()
            raise
        return _Connection(database)

    @contextmanager
    def use(self, doing: str) -> Iterator[sqlite3.Connection]:
        """The connection for what is to be done (``"read"``, ``"written"``), for one thread at a time."""
        self.open()
        connection = self._reader if doing == "read" else self._writer
        if connection is None:
            reason = "is closed" if self._closed else "was opened with read_only=True and takes no replies"
            raise JournalError(f"the journal {self.path} {reason}")
        with connection.lock, translated(self.path, doing):  # in the lock: who closes takes the log away
            yield connection.database
            self._refuse_lost()

    def _refuse_lost(self) -> None:
        """Raise where the file is another one by now, or none: nobody would ever find what is in the old one."""
        if any(was not in (None, now) for was, now in zip(self._files, opening.files(self.real), strict=False)):
            raise JournalError(
                f"the journal {self.path} is not the file any more that was opened, or its log is not: something has "
                "deleted, moved or replaced it; leave it where it is while it is in use, and run again"
            )


class _Connection:
    """A connection and the lock under which one thread at a time uses it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database
        self.lock = threading.Lock()

    def close(self) -> None:
        """Close, once nobody uses it."""
        with self.lock:
            self.database.close()
