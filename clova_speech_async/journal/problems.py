"""What SQLite raises, as a `JournalError` that says what to do. Pure but for the one that translates."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clova_speech_async.errors import JournalError

__all__ = ["is_at_the_moment", "may_be_one_rows", "translated"]

_LOCAL = "On a network share, which may have no locks: put it on a local disk"
_ADVICE = (
    ("locked", "another program holds its lock; end that program, or wait, and run again. " + _LOCAL),
    ("locking protocol", "its disk does not keep locks. " + _LOCAL),
    ("disk is full", "there is no room on the disk; make room and run again"),
    ("readonly", "it may not be written to; change its mode or owner, or name another file"),
    ("not a database", "it is damaged; put it aside and name another file"),
    ("malformed", "it is damaged; put it aside, or save what is left with `sqlite3 FILE .recover`"),
    ("disk I/O error", "the disk does not take or give its bytes; is it full, or a network share?"),
    ("unable to open", "it, or its folder, cannot be opened for reading and writing"),
)
_OF_A_ROW = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError)


@contextmanager
def translated(path: Path, doing: str) -> Iterator[None]:
    """Turn what SQLite raises into a `JournalError` that says what to do."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:  # the last: a number beyond 64 bits
        advice = next((advice for words, advice in _ADVICE if words in str(error)), "see the cause")
        raise JournalError(f"the journal {path} cannot be {doing}: {error}; {advice}") from error


def is_at_the_moment(error: JournalError) -> bool:
    """Whether it was SQLite that could not: the path is right, and the same journal may open another time."""
    return isinstance(error.__cause__, sqlite3.Error)


def may_be_one_rows(error: JournalError) -> bool:
    """Whether what kept several rows out may be the fault of one of them, and the others could be kept.

    On a disk that is full, a small one may have room where a large one has not. A lock or a broken disk is met by all,
    and each of them would wait for it.
    """
    cause = error.__cause__
    return isinstance(cause, _OF_A_ROW) or (isinstance(cause, sqlite3.Error) and "disk is full" in str(cause))
