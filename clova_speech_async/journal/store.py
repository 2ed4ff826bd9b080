"""What is in a journal: the SQL for it, blocking, for worker threads only.

Law of this file: what is acknowledged is on the disk, and what is forgotten is not.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timezone
from types import TracebackType

from clova_speech_async.errors import JournalError

from .file import JournalFile
from .opening import SCHEMA, beside
from .problems import may_be_one_rows
from .records import JournalEntry, JournalOverview, Row, Stored

__all__ = ["Store"]

_log = logging.getLogger("clova_speech_async.journal")

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
    """What is in one journal file. Every method blocks, opens the file at its first use and raises `JournalError`."""

    def __init__(self, file: JournalFile) -> None:
        self.file = file

    # --- replies -----------------------------------------------------------------------------

    def get(self, keys: Sequence[bytes]) -> list[Stored | None]:
        """The replies under `keys`, None where there is none."""
        with self.file.use("read") as database:
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
        with self.file.use("written") as database, _transaction(database):
            database.executemany(_PUT, values)
        return [None] * len(values)

    def put_each(self, rows: Sequence[Row]) -> list[JournalError | None]:
        """Keep each of `rows` that can be kept, and say for each what kept it out, if anything did.

        Together, with one sync; where that fails for what may be one's own fault, one by one.
        """
        try:
            self.put(rows)
        except JournalError as error:
            if len(rows) == 1 or not may_be_one_rows(error):
                return [error] * len(rows)
        else:
            return [None] * len(rows)
        outcomes: list[JournalError | None] = []
        for row in rows:
            (outcome,) = self.put_each([row])
            outcomes.append(outcome)
            if outcome is not None and not may_be_one_rows(outcome):
                break  # the others would meet it, too
        return outcomes + outcomes[-1:] * (len(rows) - len(outcomes))

    def probe(self) -> None:
        """Raise what a write would raise now; nothing changes."""
        with self.file.use("written") as database, _transaction(database):
            database.execute(f"PRAGMA user_version = {SCHEMA}")

    # --- for people --------------------------------------------------------------------------

    def page(self, after: int, limit: int) -> list[JournalEntry]:
        """Up to `limit` entries whose number is over `after`, in order."""
        with self.file.use("read") as database:
            rows = database.execute(_PAGE, (after, limit)).fetchall()
        return [
            JournalEntry(number, key.hex(), lang, label, Stored(*stored)) for number, key, lang, label, *stored in rows
        ]

    def before_last(self, count: int) -> int:
        """The number before the last `count` entries; 0 where there are no more than that."""
        with self.file.use("read") as database:
            row = database.execute(
                "SELECT number FROM replies ORDER BY number DESC LIMIT 1 OFFSET ?", (count,)
            ).fetchone()
        return 0 if row is None else int(row[0])

    def overview(self) -> JournalOverview:
        """Counts and sums."""
        with self.file.use("read") as database:
            replies, seconds, billed, first, last = database.execute(_OVERVIEW).fetchone()
            (schema,) = database.execute("PRAGMA user_version").fetchone()
        size = sum(part.stat().st_size for part in (self.file.real, beside(self.file.real, "-wal")) if part.exists())
        return JournalOverview(replies, seconds, billed, _when(first), _when(last), size, schema)

    def forget(self, numbers: Sequence[int] | None, before: float | None) -> int:
        """Delete the entries of these numbers, those stored before a time (Unix seconds), or, with neither, all."""
        with self.file.use("written") as database:
            with _transaction(database):  # what is deleted is overwritten: see secure_delete
                if numbers is not None:
                    done = sum(
                        database.execute("DELETE FROM replies WHERE number = ?", (number,)).rowcount
                        for number in numbers
                    )
                elif before is not None:
                    done = database.execute("DELETE FROM replies WHERE stored_at < ?", (before,)).rowcount
                else:
                    done = database.execute("DELETE FROM replies").rowcount
            self._clean(database, shrink=done > 0)
        return done

    def _clean(self, database: sqlite3.Connection, *, shrink: bool) -> None:
        """Take what was deleted out of the log, too; also what an earlier try left there."""
        if shrink:
            with contextlib.suppress(sqlite3.OperationalError):  # no room, or a lock: then the file stays as large
                database.execute("VACUUM")
        (busy, _, _) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            _log.warning(
                "the journal %s is in use: what was forgotten stays in %s until all have closed it, or until forget() "
                "is called again",
                self.file.path,
                beside(self.file.real, "-wal"),
            )


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


def _when(stored_at: float | None) -> datetime | None:
    return None if stored_at is None else datetime.fromtimestamp(stored_at, tz=timezone.utc)
