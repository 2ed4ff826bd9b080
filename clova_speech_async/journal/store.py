"""The journal's file: SQLite, blocking, for worker threads only.

Law of this file: all SQL and every `sqlite3` exception end here. A file that is not a journal is refused before SQLite
touches it; the schema is written in one transaction, so that a journal either is one or is an empty file. Two
connections, one for reading and one for writing, so that nobody who looks something up waits for a disk that syncs.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from clova_speech_async.errors import JournalError

from .locks import ClaimLocks
from .records import JournalEntry, JournalOverview, Row, Stored

__all__ = ["APPLICATION_ID", "SCHEMA", "Store"]

APPLICATION_ID = 0x434C5661
"""Bytes 68 to 71 of the file: ``CLVa``."""
SCHEMA = 1
"""Bytes 60 to 63 of the file. A journal with a higher number is from a newer release and is not touched."""

_CREATE = """
CREATE TABLE replies (
    number INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    body BLOB NOT NULL,
    lang TEXT NOT NULL,
    label TEXT NOT NULL,
    seconds REAL NOT NULL,
    billed_seconds INTEGER,
    stored_at REAL NOT NULL
)
"""
_GET = "SELECT body, billed_seconds, seconds, stored_at FROM replies WHERE key = ?"
_PUT = """
INSERT INTO replies (key, body, lang, label, seconds, billed_seconds, stored_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO NOTHING
"""
_PAGE = """
SELECT number, key, lang, label, body, billed_seconds, seconds, stored_at FROM replies
WHERE number > ? ORDER BY number LIMIT ?
"""
_OVERVIEW = """
SELECT count(*), coalesce(sum(seconds), 0.0), coalesce(sum(billed_seconds), 0), min(stored_at), max(stored_at)
FROM replies
"""


class Store:
    """One journal file. Opened at the first use; every method blocks and raises `JournalError`."""

    def __init__(self, path: str, *, busy_timeout: float, read_only: bool) -> None:
        self.path = Path(path)
        self.locks = ClaimLocks(self.path)
        self._busy_timeout = busy_timeout
        self._read_only = read_only
        self._opening = threading.Lock()
        self._closed = False
        self._reader: _Connection | None = None
        self._writer: _Connection | None = None

    # --- replies -----------------------------------------------------------------------------

    def get(self, keys: Sequence[bytes]) -> list[Stored | None]:
        """The replies under `keys`, None where there is none."""
        with self._use("read") as database:
            rows = [database.execute(_GET, (key,)).fetchone() for key in keys]
        return [None if row is None else Stored(*row) for row in rows]

    def put(self, rows: Sequence[Row]) -> list[None]:
        """Keep `rows`, all or none of them; on return they survive a crash and a power cut.

        A key that is there already keeps the reply it has.
        """
        values = [
            (row.key, kept.body, row.lang, row.label, kept.seconds, kept.billed_seconds, kept.stored_at)
            for row in rows
            for kept in (row.stored,)
        ]
        with self._use("written") as database, _transaction(database):
            database.executemany(_PUT, values)
        return [None] * len(values)

    def probe(self) -> None:
        """Raise what a write would raise now; nothing changes."""
        with self._use("written") as database, _transaction(database):
            database.execute(f"PRAGMA user_version = {SCHEMA}")

    # --- for people --------------------------------------------------------------------------

    def page(self, after: int, limit: int) -> list[JournalEntry]:
        """Up to `limit` entries whose number is over `after`, in order."""
        with self._use("read") as database:
            rows = database.execute(_PAGE, (after, limit)).fetchall()
        return [
            JournalEntry(number, key.hex(), lang, label, Stored(*stored)) for number, key, lang, label, *stored in rows
        ]

    def before_last(self, count: int) -> int:
        """The number before the last `count` entries; 0 where there are no more than that."""
        with self._use("read") as database:
            row = database.execute(
                "SELECT number FROM replies ORDER BY number DESC LIMIT 1 OFFSET ?", (count,)
            ).fetchone()
        return 0 if row is None else int(row[0])

    def overview(self) -> JournalOverview:
        """Counts and sums."""
        with self._use("read") as database:
            replies, seconds, billed, first, last = database.execute(_OVERVIEW).fetchone()
            (schema,) = database.execute("PRAGMA user_version").fetchone()
        size = sum(part.stat().st_size for part in (self.path, _beside(self.path, "-wal")) if part.exists())
        return JournalOverview(replies, seconds, billed, _when(first), _when(last), size, schema)

    def forget(self, numbers: Sequence[int] | None, before: float | None) -> int:
        """Delete the entries of these numbers, those stored before a time (Unix seconds), or, with neither, all."""
        with self._use("written") as database:
            with _transaction(database):
                if numbers is not None:
                    done = sum(
                        database.execute("DELETE FROM replies WHERE number = ?", (number,)).rowcount
                        for number in numbers
                    )
                elif before is not None:
                    done = database.execute("DELETE FROM replies WHERE stored_at < ?", (before,)).rowcount
                else:
                    done = database.execute("DELETE FROM replies").rowcount
            if done:
                database.execute("VACUUM")  # else the text that was to be forgotten stays in the file's free pages
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return done

    # --- opening and closing -----------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it has been opened and not closed."""
        return self._reader is not None

    def open(self) -> None:
        """Open, and create where there is no file; else raise what is wrong with it."""
        with self._opening:
            if self._closed:
                raise JournalError(f"the journal {self.path} is closed; make a new Journal to go on with it")
            if self._reader is not None:
                return
            refuse_strangers(self.path, create=not self._read_only)
            with _translated(self.path, "opened"):
                if self._read_only:
                    self._reader = self._look()
                    return
                writer = self._connect(f"{self.path.absolute().as_uri()}?mode=rw")
                try:
                    _prepare(self.path, writer.database)
                    self._reader = self._connect(f"{self.path.absolute().as_uri()}?mode=rw")
                except BaseException:
                    writer.database.close()
                    raise
                self._writer = writer
            self.locks.open()

    def close(self) -> None:
        """Close; a second time is nothing. The last to close a journal leaves one file, without a log beside it."""
        with self._opening:
            self._closed = True
            self.locks.close()
            for connection in (self._reader, self._writer):
                if connection is not None:
                    with connection.lock, _translated(self.path, "closed"):
                        connection.database.close()
            self._reader = self._writer = None

    def _look(self) -> _Connection:
        """A connection that only reads, also where nothing at all may be written, not even beside the file."""
        try:
            return self._checked(f"{self.path.absolute().as_uri()}?mode=ro")
        except sqlite3.OperationalError:
            log = _beside(self.path, "-wal")
            if log.exists() and log.stat().st_size:
                raise
            # Without a log the file is whole in itself, and nobody is writing to it.
            return self._checked(f"{self.path.absolute().as_uri()}?immutable=1")

    def _checked(self, address: str) -> _Connection:
        connection = self._connect(address)
        try:
            _check(self.path, connection.database)
        except BaseException:
            connection.database.close()
            raise
        return connection

    def _connect(self, address: str) -> _Connection:
        database = sqlite3.connect(
            address, uri=True, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            database.execute("PRAGMA synchronous = FULL")
        except BaseException:
            database.close()
            raise
        return _Connection(database)

    @contextmanager
    def _use(self, doing: str) -> Iterator[sqlite3.Connection]:
        self.open()
        connection = self._reader if doing == "read" else self._writer
        if connection is None:
            raise JournalError(f"the journal {self.path} was opened with read_only=True and takes no replies")
        with connection.lock, _translated(self.path, doing):
            yield connection.database


class _Connection:
    """A connection and the lock under which one thread at a time uses it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database
        self.lock = threading.Lock()


class _transaction:  # noqa: N801 - reads as a verb where it is used
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK where the block raised. Takes the write lock at once, or not at all."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")


def refuse_strangers(path: Path, *, create: bool) -> None:
    """Raise unless `path` is a journal by its first bytes, or an empty file, or (`create`) can be made one."""
    try:
        if create:
            # Whoever may read the transcripts is the owner's to decide, so the owner alone may at first.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with path.open("rb") as file:
            head = file.read(100)
    except IsADirectoryError as error:
        raise JournalError(f"the journal {path} is a folder; name a file in it, e.g. {path / 'run.db'}") from error
    except FileNotFoundError as error:
        what = f"there is no folder {path.parent}; make it first" if create else "there is no such file"
        raise JournalError(f"the journal {path} cannot be opened: {what}") from error
    except PermissionError as error:
        raise JournalError(
            f"the journal {path} cannot be opened for writing: no permission; change its mode or owner, "
            "or name another file. Nothing was sent."
        ) from error
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be opened: {error.strerror or error}") from error
    if head == b"" and create:
        return
    if not head.startswith(b"SQLite format 3\0") or int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        raise JournalError(
            f"{path} is not a journal of this library; it was left as it is. Name another file for the journal."
        )
    _refuse_newer(path, int.from_bytes(head[60:64], "big"))


def _refuse_newer(path: Path, schema: int) -> None:
    if schema > SCHEMA:
        raise JournalError(
            f"the journal {path} was written by a newer release (schema {schema}, this one knows {SCHEMA}); "
            "upgrade clova-speech-async, or name another file. It was left as it is."
        )


def _prepare(path: Path, database: sqlite3.Connection) -> None:
    """Make an empty file a journal, then switch to the write-ahead log, whose commits need one sync."""
    with _transaction(database):  # two processes may both find it empty: the second sees the first's work here
        if database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            database.execute(_CREATE)
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {SCHEMA}")
    _check(path, database)
    mode = _patiently(lambda: database.execute("PRAGMA journal_mode = WAL").fetchone())
    if mode != ("wal",):
        raise JournalError(
            f"the journal {path} cannot keep a write-ahead log (SQLite answered {mode[0]!r}); "
            "put it on a local disk, not on a network share"
        )


def _check(path: Path, database: sqlite3.Connection) -> None:
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (schema,) = database.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise JournalError(f"{path} is not a journal of this library. Name another file for the journal.")
    _refuse_newer(path, schema)


def _patiently(step: Callable[[], tuple[str]]) -> tuple[str]:
    """Try again for a second: SQLite does not wait its busy time-out for the lock that changes the journal mode."""
    for wait in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.3):
        try:
            return step()
        except sqlite3.OperationalError as error:  # noqa: PERF203 - it is the exceptional way
            if "locked" not in str(error):
                raise
            time.sleep(wait)
    return step()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _when(stored_at: float | None) -> datetime | None:
    return None if stored_at is None else datetime.fromtimestamp(stored_at, tz=timezone.utc)


_ADVICE = (
    ("locked", "another program holds its lock; end that program, or wait, and run again"),
    ("disk is full", "there is no room on the disk; make room and run again"),
    ("readonly", "it may not be written to; change its mode or owner, or name another file"),
    ("not a database", "it is damaged; put it aside and name another file"),
    ("malformed", "it is damaged; put it aside, or save what is left with `sqlite3 FILE .recover`"),
    ("disk I/O error", "the disk does not take or give its bytes; is it full, or a network share?"),
    ("unable to open", "it, or its folder, cannot be opened for reading and writing"),
)


@contextmanager
def _translated(path: Path, doing: str) -> Iterator[None]:
    """Turn what SQLite raises into a `JournalError` that says what to do."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:  # the last: a number beyond 64 bits
        advice = next((advice for words, advice in _ADVICE if words in str(error)), "see the cause")
        raise JournalError(f"the journal {path} cannot be {doing}: {error}; {advice}") from error
