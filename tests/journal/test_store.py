from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clova_speech_async.errors import JournalError
from clova_speech_async.journal.opening import SCHEMA
from clova_speech_async.journal.records import Row, Stored
from clova_speech_async.journal.store import Store

REPLY = Stored(b'{"text": "hello", "quota": 15}', 15, 2.5, 1_700_000_000.0)


def test_what_was_put_is_got_also_by_a_later_store(
    store: Store, path: Path, key: Callable[[int], bytes], open_store: Any, row: Any
) -> None:
    store.put([row(key(1)), row(key(2), Stored(b"", None, 0.5, 5.0))])
    assert store.get([key(2), key(3), key(1)]) == [Stored(b"", None, 0.5, 5.0), None, REPLY]
    store.file.close()
    again = open_store(str(path))
    assert again.get([key(1)]) == [REPLY]
    again.file.close()


def test_the_first_reply_to_a_request_stays(store: Store, key: Callable[[int], bytes], row: Any) -> None:
    store.put([row(key(1))])
    store.put([row(key(1), Stored(b"other", 30, 1.0, 1.0))])
    assert store.get([key(1)]) == [REPLY]


def test_a_damaged_journal_says_so(
    store: Store, path: Path, key: Callable[[int], bytes], open_store: Any, row: Any
) -> None:
    store.put([row(key(n)) for n in range(200)])
    store.file.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    damaged = open_store(str(path))
    with closing(damaged.file), pytest.raises(JournalError, match=r"cannot be read: .*malformed.*put it aside"):
        damaged.get([key(1)])


def test_a_locked_journal_says_so(store: Store, path: Path, key: Callable[[int], bytes], row: Any) -> None:
    store.put([row(key(1))])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="cannot be written: database is locked; another program holds its lock"):
        store.put([row(key(2))])
    assert store.get([key(1), key(2)]) == [REPLY, None]  # who reads is not held up
    other.execute("COMMIT")
    other.close()
    store.put([row(key(2))])


def test_a_full_disk_says_so_and_keeps_what_was_there(store: Store, key: Callable[[int], bytes], row: Any) -> None:
    store.put([row(key(1))])
    assert store.file._writer is not None
    (pages,) = store.file._writer.database.execute("PRAGMA page_count").fetchone()
    store.file._writer.database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalError, match=r"cannot be written: database or disk is full; there is no room"):
        store.put([row(key(2)), row(key(3), Stored(b"x" * 100_000, 15, 1.0, 1.0))])
    assert store.get([key(1), key(2), key(3)]) == [REPLY, None, None]
    store.file._writer.database.execute("PRAGMA max_page_count = 1000000")
    store.put([row(key(2))])
    assert store.get([key(2)]) == [REPLY]


def test_pages_and_sums(store: Store, key: Callable[[int], bytes], row: Any) -> None:
    assert store.overview().replies == 0
    assert (store.overview().first, store.overview().last) == (None, None)
    store.put([row(key(n), Stored(b"x", 15, 2.0, float(n))) for n in range(5)])
    store.put([row(key(9), Stored(b"x", None, 1.0, 9.0))])
    overview = store.overview()
    assert (overview.replies, overview.seconds, overview.billed_seconds, overview.schema) == (6, 11.0, 75, SCHEMA)
    assert overview.first is not None
    assert overview.last is not None
    assert (overview.first.timestamp(), overview.last.timestamp()) == (0.0, 9.0)
    assert overview.size > 8192
    assert [entry.number for entry in store.page(0, 4)] == [1, 2, 3, 4]
    (last,) = store.page(5, 4)
    assert (last.key, last.lang, last.label, last.stored.stored_at) == (key(9).hex(), "Kor", "talk.wav", 9.0)


def test_what_is_forgotten_is_gone_from_the_file(
    store: Store, path: Path, key: Callable[[int], bytes], row: Any
) -> None:
    secret = b'{"text": "my very private words"}'
    store.put([row(key(n), Stored(secret if n == 3 else b"x", 15, 2.0, float(n))) for n in range(6)])
    assert store.forget([4, 77], None) == 1
    assert store.get([key(2), key(3)])[1] is None
    assert store.forget(None, 2.0) == 2
    everything = b"".join(part.read_bytes() for part in path.parent.iterdir())
    assert b"private words" not in everything
    assert [entry.number for entry in store.page(0, 9)] == [3, 5, 6]
    assert store.forget(None, None) == 3
    assert store.overview().replies == 0


REFUSES_TWO = """
CREATE TRIGGER no_two BEFORE INSERT ON replies WHEN NEW.label = 'two'
BEGIN SELECT RAISE(ABORT, 'two is refused'); END
"""


def labelled(key: bytes, label: str, body: bytes = b"x") -> Row:
    return Row(key, "Kor", label, Stored(body, 15, 1.0, 1.0))


def test_a_row_that_is_refused_keeps_no_other_out(
    store: Store, path: Path, key: Callable[[int], bytes], foreign: Any
) -> None:
    store.file.open()
    foreign(path, REFUSES_TWO)
    rows = [labelled(key(number), label) for number, label in enumerate(("one", "two", "three", "two"))]
    outcomes = store.put_each(rows)
    assert [outcome is None for outcome in outcomes] == [True, False, True, False]
    assert all("cannot be written: two is refused" in str(outcome) for outcome in outcomes if outcome)
    assert outcomes[1] is not outcomes[3]
    assert [entry.label for entry in store.page(0, 9)] == ["one", "three"]
    assert store.put_each([]) == []


def test_rows_that_all_can_be_kept_are_written_together(
    store: Store, key: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch, row: Any
) -> None:
    rounds: list[int] = []
    put = Store.put

    def counted(self: Store, rows: Sequence[Row]) -> list[None]:
        rounds.append(len(rows))
        return put(self, rows)

    monkeypatch.setattr(Store, "put", counted)
    assert store.put_each([row(key(number)) for number in range(5)]) == [None] * 5
    assert rounds == [5]


def test_on_a_full_disk_what_still_has_room_is_kept(store: Store, key: Callable[[int], bytes], row: Any) -> None:
    store.put([row(key(0))])
    assert store.file._writer is not None
    (pages,) = store.file._writer.database.execute("PRAGMA page_count").fetchone()
    store.file._writer.database.execute(f"PRAGMA max_page_count = {pages}")
    large = labelled(key(1), "large", b"x" * 100_000)
    outcomes = store.put_each([large, row(key(2)), large, row(key(3))])
    assert [outcome is None for outcome in outcomes] == [False, True, False, True]
    assert store.get([key(1), key(2), key(3)]) == [None, REPLY, REPLY]


def test_a_lock_is_waited_for_once_and_not_once_for_each_row(
    store: Store, path: Path, key: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch, row: Any
) -> None:
    store.file.open()
    tries: list[int] = []
    put = Store.put

    def counted(self: Store, rows: Sequence[Row]) -> list[None]:
        tries.append(len(rows))
        return put(self, rows)

    monkeypatch.setattr(Store, "put", counted)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        outcomes = store.put_each([row(key(number)) for number in range(50)])
        other.execute("ROLLBACK")
    assert tries == [50]
    assert len(outcomes) == 50
    assert all("database is locked" in str(outcome) for outcome in outcomes)


def test_a_lock_that_comes_between_two_rows_ends_the_tries(
    store: Store, path: Path, key: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch, foreign: Any
) -> None:
    store.file.open()
    foreign(path, REFUSES_TWO)
    other = sqlite3.connect(path, isolation_level=None)
    tries: list[int] = []
    put = Store.put

    def lock_after_the_second(self: Store, rows: Sequence[Row]) -> list[None]:
        tries.append(len(rows))
        if len(tries) == 3:
            other.execute("BEGIN IMMEDIATE")
        return put(self, rows)

    monkeypatch.setattr(Store, "put", lock_after_the_second)
    outcomes = store.put_each([labelled(key(n), label) for n, label in enumerate(("one", "two", "three", "four"))])
    other.close()
    assert tries == [4, 1, 1]
    assert outcomes[0] is None
    assert all("database is locked" in str(outcome) for outcome in outcomes[1:])


def everything_in(folder: Path) -> bytes:
    return b"".join(part.read_bytes() for part in folder.iterdir())


def test_what_is_forgotten_is_gone_also_where_the_file_cannot_be_made_smaller(
    store: Store, path: Path, key: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch, row: Any
) -> None:
    class Unable(sqlite3.Connection):
        def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
            if statement == "VACUUM":
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(statement, *arguments)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Unable))
    store.put([row(key(n), Stored(b"my very private words" * 500, 15, 2.0, float(n))) for n in range(6)])
    assert store.forget([1, 2, 3, 4, 5, 6], None) == 6
    assert b"private words" not in everything_in(path.parent)


def test_what_could_not_be_taken_out_of_the_log_is_said_and_taken_out_the_next_time(
    store: Store, path: Path, key: Callable[[int], bytes], caplog: pytest.LogCaptureFixture, row: Any
) -> None:
    store.put([row(key(1), Stored(b"my very private words", 15, 2.0, 1.0))])
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM replies").fetchone()
        assert store.forget(None, None) == 1
        assert b"private words" in everything_in(path.parent)
        assert "is in use: what was forgotten stays in" in caplog.text
        reader.execute("ROLLBACK")
    assert store.forget(None, None) == 0
    assert b"private words" not in everything_in(path.parent)
