from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from clova_speech_async.errors import JournalError
from clova_speech_async.journal.problems import may_be_one_rows, translated


def translation(error: Exception) -> JournalError:
    with pytest.raises(JournalError) as caught, translated(Path("run.db"), "written"):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (sqlite3.OperationalError("database is locked"), "another program holds its lock; end that program, or wait"),
        (sqlite3.OperationalError("database is locked"), "On a network share, which may have no locks: put it on a lo"),
        (sqlite3.OperationalError("locking protocol"), "its disk does not keep locks"),
        (sqlite3.OperationalError("database or disk is full"), "there is no room on the disk; make room"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "change its mode or owner"),
        (sqlite3.OperationalError("disk I/O error"), "is it full, or a network share?"),
        (sqlite3.OperationalError("unable to open database file"), "it, or its folder, cannot be opened"),
        (sqlite3.DatabaseError("database disk image is malformed"), "put it aside, or save what is left"),
        (sqlite3.DatabaseError("file is not a database"), "it is damaged; put it aside"),
        (sqlite3.IntegrityError("two is refused"), "see the cause"),
        (OverflowError("Python int too large to convert to SQLite INTEGER"), "see the cause"),
    ],
)
def test_every_problem_says_what_it_is_and_what_to_do(error: Exception, advice: str) -> None:
    message = str(translation(error))
    assert message.startswith(f"the journal run.db cannot be written: {error}; ")
    assert advice in message


def test_what_is_no_problem_of_sqlites_comes_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), translated(Path("run.db"), "read"):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "one"),
    [
        (sqlite3.IntegrityError("refused"), True),
        (sqlite3.DataError("string or blob too big"), True),
        (OverflowError("too large"), True),
        (sqlite3.OperationalError("database or disk is full"), True),
        (sqlite3.OperationalError("database is locked"), False),
        (sqlite3.OperationalError("disk I/O error"), False),
        (sqlite3.DatabaseError("database disk image is malformed"), False),
    ],
)
def test_which_may_be_one_rows_fault(error: Exception, one: bool) -> None:
    assert may_be_one_rows(translation(error)) is one
    assert not may_be_one_rows(JournalError("it is closed"))
