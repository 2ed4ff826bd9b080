from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from clova_speech_async.errors import JournalError
from clova_speech_async.journal.records import Row, Stored
from clova_speech_async.journal.store import APPLICATION_ID, SCHEMA, Store

REPLY = Stored(b'{"text": "hello", "quota": 15}', 15, 2.5, 1_700_000_000.0)


def row(key: bytes, stored: Stored = REPLY) -> Row:
    return Row(key, "Kor", "talk.wav", stored)


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(str(path), busy_timeout=0.05, read_only=False)
    yield store
    store.close()


def foreign(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def test_what_was_put_is_got_also_by_a_later_store(store: Store, path: Path, key: Callable[[int], bytes]) -> None:
    store.put([row(key(1)), row(key(2), Stored(b"", None, 0.5, 5.0))])
    assert store.get([key(2), key(3), key(1)]) == [Stored(b"", None, 0.5, 5.0), None, REPLY]
    store.close()
    again = Store(str(path), busy_timeout=1, read_only=False)
    assert again.get([key(1)]) == [REPLY]
    again.close()


def test_the_first_reply_to_a_request_stays(store: Store, key: Callable[[int], bytes]) -> None:
    store.put([row(key(1))])
    store.put([row(key(1), Stored(b"other", 30, 1.0, 1.0))])
    assert store.get([key(1)]) == [REPLY]


def test_a_closed_journal_is_one_file_of_its_owner(store: Store, path: Path, key: Callable[[int], bytes]) -> None:
    store.put([row(key(1))])
    store.close()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_syncs_at_every_commit(store: Store) -> None:
    store.open()
    assert store._writer is not None
    assert store._writer.database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._writer.database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_file_says_what_it_is_before_anything_is_in_it(store: Store, path: Path) -> None:
    store.open()
    head = path.read_bytes()[:100]
    assert int.from_bytes(head[68:72], "big") == APPLICATION_ID
    assert int.from_bytes(head[60:64], "big") == SCHEMA


@pytest.mark.parametrize("content", [b"some notes of mine\n", b"x", b"\0" * 5000], ids=["text", "byte", "zeros"])
def test_a_file_that_is_no_journal_is_left_as_it_is(store: Store, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"run\.db is not a journal .* Name another file"):
        store.open()
    assert path.read_bytes() == content
    assert len(list(path.parent.iterdir())) == 1


def test_the_database_of_another_program_is_left_as_it_is(store: Store, path: Path) -> None:
    foreign(path, "CREATE TABLE replies (a)", "PRAGMA application_id = 77")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="not a journal"):
        store.open()
    assert path.read_bytes() == before


def test_a_journal_of_a_newer_release_is_left_as_it_is(store: Store, path: Path) -> None:
    store.open()
    store.close()
    foreign(path, f"PRAGMA user_version = {SCHEMA + 1}")
    before = path.read_bytes()
    newer = Store(str(path), busy_timeout=1, read_only=False)
    with pytest.raises(JournalError, match=rf"newer release \(schema {SCHEMA + 1}, this one knows {SCHEMA}\); upgrade"):
        newer.open()
    assert path.read_bytes() == before


def test_a_stranger_that_came_between_the_look_and_the_opening_is_refused(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign(path, "CREATE TABLE notes (a)")
    monkeypatch.setattr("clova_speech_async.journal.store.refuse_strangers", lambda path, create: None)
    with pytest.raises(JournalError, match="not a journal"):
        store.open()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("notes",)]


def test_a_damaged_journal_says_so(store: Store, path: Path, key: Callable[[int], bytes]) -> None:
    store.put([row(key(n)) for n in range(200)])
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    damaged = Store(str(path), busy_timeout=1, read_only=False)
    with closing(damaged), pytest.raises(JournalError, match=r"cannot be read: .*malformed.*put it aside"):
        damaged.get([key(1)])


def test_an_empty_file_becomes_a_journal(store: Store, path: Path, key: Callable[[int], bytes]) -> None:
    path.touch()
    store.put([row(key(1))])
    assert store.get([key(1)]) == [REPLY]


def test_a_folder_is_refused(store: Store, path: Path) -> None:
    path.mkdir()
    with pytest.raises(JournalError, match=r"is a folder; name a file in it"):
        store.open()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"there is no folder .*absent; make it first"):
        Store(str(tmp_path / "absent" / "run.db"), busy_timeout=1, read_only=False).open()


def test_a_name_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be opened: File name too long"):
        Store(str(tmp_path / ("x" * 300)), busy_timeout=1, read_only=False).open()


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "#1.db", "메모.db", ":memory:"])
def test_any_file_name_is_taken_as_it_is(tmp_path: Path, name: str, key: Callable[[int], bytes]) -> None:
    store = Store(str(tmp_path / name), busy_timeout=1, read_only=False)
    store.put([row(key(1))])
    store.close()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_locked_journal_says_so(store: Store, path: Path, key: Callable[[int], bytes]) -> None:
    store.put([row(key(1))])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="cannot be written: database is locked; another program holds its lock"):
        store.put([row(key(2))])
    assert store.get([key(1), key(2)]) == [REPLY, None]  # who reads is not held up
    other.execute("COMMIT")
    other.close()
    store.put([row(key(2))])


def test_a_full_disk_says_so_and_keeps_what_was_there(store: Store, key: Callable[[int], bytes]) -> None:
    store.put([row(key(1))])
    assert store._writer is not None
    (pages,) = store._writer.database.execute("PRAGMA page_count").fetchone()
    store._writer.database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalError, match=r"cannot be written: database or disk is full; there is no room"):
        store.put([row(key(2)), row(key(3), Stored(b"x" * 100_000, 15, 1.0, 1.0))])
    assert store.get([key(1), key(2), key(3)]) == [REPLY, None, None]
    store._writer.database.execute("PRAGMA max_page_count = 1000000")
    store.put([row(key(2))])
    assert store.get([key(2)]) == [REPLY]


def test_a_file_that_may_not_be_written_says_so_before_anything_is_sent(store: Store, path: Path) -> None:
    """In a process of its own, since the tests may run as a user whom no mode stops."""
    store.open()
    store.close()
    path.chmod(0o444)
    for folder in path.parents:
        if folder.stat().st_uid == os.getuid() and folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o755)
    path.parent.chmod(0o555)
    program = """
        import os, sys
        from clova_speech_async.errors import JournalError
        from clova_speech_async.journal.store import Store
        if os.getuid() == 0:
            os.setgid(65534), os.setuid(65534)
        try:
            Store(sys.argv[1], busy_timeout=1, read_only=False).open()
        except JournalError as error:
            print(error)
        reader = Store(sys.argv[1], busy_timeout=1, read_only=True)
        print(reader.overview().replies)
    """
    # A measurement of coverage could not write its data as another user.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    path.parent.chmod(0o755)
    assert done.returncode == 0, done.stderr
    message, replies = done.stdout.splitlines()
    assert "cannot be opened for writing: no permission; change its mode or owner" in message
    assert replies == "0"


def test_read_only_reads_what_a_living_writer_has_just_put(
    store: Store, path: Path, key: Callable[[int], bytes]
) -> None:
    store.open()
    assert store._writer is not None
    store._writer.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    reader = Store(str(path), busy_timeout=1, read_only=True)
    assert reader.get([key(1)]) == [None]
    store.put([row(key(1)), row(key(2))])
    assert reader.get([key(1)]) == [REPLY]
    assert reader.get([key(2)]) == [REPLY]
    with pytest.raises(JournalError, match="read_only=True and takes no replies"):
        reader.put([row(key(3))])
    reader.close()


def test_read_only_makes_no_file(path: Path) -> None:
    with pytest.raises(JournalError, match="there is no such file"):
        Store(str(path), busy_timeout=1, read_only=True).open()
    assert not path.exists()
    path.touch()
    with pytest.raises(JournalError, match="not a journal"):
        Store(str(path), busy_timeout=1, read_only=True).open()


def test_a_closed_store_says_so_and_closing_twice_is_nothing(store: Store, key: Callable[[int], bytes]) -> None:
    store.put([row(key(1))])
    store.close()
    store.close()
    with pytest.raises(JournalError, match="is closed; make a new Journal"):
        store.get([key(1)])


def test_many_may_open_one_new_file_at_once(path: Path, key: Callable[[int], bytes]) -> None:
    stores = [Store(str(path), busy_timeout=10, read_only=False) for _ in range(8)]
    errors: list[BaseException] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        try:
            start.wait(10)
            stores[number].put([row(key(number))])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert stores[0].get([key(number) for number in range(8)]) == [REPLY] * 8
    for store in stores:
        store.close()


def test_pages_and_sums(store: Store, key: Callable[[int], bytes]) -> None:
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


def test_what_is_forgotten_is_gone_from_the_file(store: Store, path: Path, key: Callable[[int], bytes]) -> None:
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


def test_a_lock_that_goes_away_while_the_log_is_switched_on_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clova_speech_async.journal import store as module

    answers = iter([sqlite3.OperationalError("database is locked")] * 2)
    waits: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waits.append)

    def step() -> tuple[str]:
        for error in answers:
            raise error
        return ("wal",)

    assert module._patiently(step) == ("wal",)
    assert waits == [0.01, 0.02]
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        module._patiently(lambda: (_ for _ in ()).throw(sqlite3.OperationalError("database is locked")))
    with pytest.raises(sqlite3.OperationalError, match="other"):
        module._patiently(lambda: (_ for _ in ()).throw(sqlite3.OperationalError("other")))


def test_a_disk_without_shared_memory_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clova_speech_async.journal.store._patiently", lambda step: ("delete",))
    with pytest.raises(JournalError, match="cannot keep a write-ahead log .*'delete'.* local disk"):
        Store(str(path), busy_timeout=1, read_only=False).open()


def test_read_only_where_not_even_a_file_beside_it_can_be_made(
    store: Store, path: Path, key: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Store._connect

    def restricted(self: Store, address: str) -> object:
        if address.endswith("mode=ro"):
            raise sqlite3.OperationalError("unable to open database file")
        return connect(self, address)

    store.put([row(key(1))])
    monkeypatch.setattr(Store, "_connect", restricted)
    with pytest.raises(JournalError, match="unable to open"):  # what is in the log alone could not be seen
        Store(str(path), busy_timeout=1, read_only=True).open()
    store.close()
    reader = Store(str(path), busy_timeout=1, read_only=True)
    assert reader.get([key(1)]) == [REPLY]
    reader.close()


def test_read_only_refuses_what_only_looks_like_a_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign(path, "CREATE TABLE notes (a)")
    monkeypatch.setattr("clova_speech_async.journal.store.refuse_strangers", lambda path, create: None)
    with pytest.raises(JournalError, match="not a journal"):
        Store(str(path), busy_timeout=1, read_only=True).open()
