from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from clova_speech_async.errors import JournalError
from clova_speech_async.journal import opening
from clova_speech_async.journal.opening import APPLICATION_ID, SCHEMA
from clova_speech_async.journal.records import Stored
from clova_speech_async.journal.store import Store

REPLY = Stored(b'{"text": "hello", "quota": 15}', 15, 2.5, 1_700_000_000.0)


def test_the_file_says_what_it_is_before_anything_is_in_it(store: Store, path: Path) -> None:
    store.file.open()
    head = path.read_bytes()[:100]
    assert int.from_bytes(head[68:72], "big") == APPLICATION_ID
    assert int.from_bytes(head[60:64], "big") == SCHEMA


@pytest.mark.parametrize("content", [b"some notes of mine\n", b"x", b"\0" * 5000], ids=["text", "byte", "zeros"])
def test_a_file_that_is_no_journal_is_left_as_it_is(store: Store, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"run\.db is not a journal .* Name another file"):
        store.file.open()
    assert path.read_bytes() == content
    assert len(list(path.parent.iterdir())) == 1


def test_the_database_of_another_program_is_left_as_it_is(store: Store, path: Path, foreign: Any) -> None:
    foreign(path, "CREATE TABLE replies (a)", "PRAGMA application_id = 77")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="not a journal"):
        store.file.open()
    assert path.read_bytes() == before


def test_a_journal_of_a_newer_release_is_left_as_it_is(store: Store, path: Path, open_store: Any, foreign: Any) -> None:
    store.file.open()
    store.file.close()
    foreign(path, f"PRAGMA user_version = {SCHEMA + 1}")
    before = path.read_bytes()
    newer = open_store(str(path))
    with pytest.raises(JournalError, match=rf"newer release \(schema {SCHEMA + 1}, this one knows {SCHEMA}\); upgrade"):
        newer.file.open()
    assert path.read_bytes() == before


def test_a_stranger_that_came_between_the_look_and_the_opening_is_refused(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch, foreign: Any
) -> None:
    foreign(path, "CREATE TABLE notes (a)")
    monkeypatch.setattr("clova_speech_async.journal.opening.refuse_strangers", lambda path, create: None)
    with pytest.raises(JournalError, match="not a journal"):
        store.file.open()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("notes",)]


class Strict(sqlite3.Connection):
    """A connection to a SQLite that mends nothing, as macOS has it."""

    def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
        return super().execute("SELECT 1" if "writable_schema" in sql else sql, *parameters)


@pytest.mark.parametrize("kind", [sqlite3.Connection, Strict])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_journal_whose_log_is_only_partly_in_its_file_is_whole(
    store: Store,
    path: Path,
    tmp_path: Path,
    key: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[sqlite3.Connection],
    read_only: bool,
    open_store: Any,
    row: Any,
) -> None:
    """The file says by then how long it will be, and is not yet: so does one that another process writes to."""
    keys = [key(number) for number in range(20)]
    store.file.open()
    store.put([row(key, Stored(b"x" * 9000, 15, 1.0, 1.0)) for key in keys])
    cut_off = tmp_path / "cut off"
    cut_off.mkdir()
    for name in ("run.db", "run.db-wal"):
        (cut_off / name).write_bytes((tmp_path / name).read_bytes())
    store.file.close()
    assert cut_off.joinpath("run.db").stat().st_size < path.stat().st_size
    with (cut_off / "run.db").open("r+b") as file:
        file.write(path.read_bytes()[:4096])  # the first page goes first
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **options: connect(*given, **options, factory=kind))
    again = open_store(str(cut_off / "run.db"), read_only=read_only)
    with closing(again.file):
        assert None not in again.get(keys)


def test_an_empty_file_becomes_a_journal(store: Store, path: Path, key: Callable[[int], bytes], row: Any) -> None:
    path.touch()
    store.put([row(key(1))])
    assert store.get([key(1)]) == [REPLY]


@pytest.mark.parametrize(("read_only", "purpose"), [(True, "for reading"), (False, "for writing")])
def test_a_folder_that_may_not_be_entered_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool, purpose: str, open_store: Any
) -> None:
    def refuse(self: Path, **_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(JournalError, match=f"cannot be opened {purpose}: no permission"):
        open_store(str(path), read_only=read_only).file.open()


def test_a_folder_is_refused(store: Store, path: Path) -> None:
    path.mkdir()
    with pytest.raises(JournalError, match=r"is a folder; name a file in it"):
        store.file.open()


def test_a_missing_folder_is_named(tmp_path: Path, open_store: Any) -> None:
    with pytest.raises(JournalError, match=r"there is no folder .*absent; make it first"):
        open_store(str(tmp_path / "absent" / "run.db")).file.open()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_no_folder_is_missed_that_is_there(tmp_path: Path, open_store: Any) -> None:
    (tmp_path / "run.db").symlink_to(tmp_path / "absent" / "run.db")
    with pytest.raises(JournalError, match="run.db cannot be opened: no file can be made there"):
        open_store(str(tmp_path / "run.db")).file.open()


def test_a_name_that_cannot_be_is_refused(tmp_path: Path, open_store: Any) -> None:
    with pytest.raises(JournalError, match="cannot be opened: File name too long"):
        open_store(str(tmp_path / ("x" * 300))).file.open()


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "#1.db", "메모.db", ":memory:"])
def test_any_file_name_is_taken_as_it_is(
    tmp_path: Path, name: str, key: Callable[[int], bytes], open_store: Any, row: Any
) -> None:
    store = open_store(str(tmp_path / name))
    store.put([row(key(1))])
    store.file.close()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_file_that_may_not_be_written_says_so_before_anything_is_sent(store: Store, path: Path) -> None:
    """In a process of its own, since the tests may run as a user whom no mode stops."""
    store.file.open()
    store.file.close()
    path.chmod(0o444)
    for folder in path.parents:
        if folder.stat().st_uid == os.getuid() and folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o755)
    path.parent.chmod(0o555)
    program = """
        import os, sys
        from clova_speech_async.errors import JournalError
        from clova_speech_async.journal.file import JournalFile
        from clova_speech_async.journal.store import Store
        if os.getuid() == 0:
            os.setgid(65534), os.setuid(65534)
        try:
            JournalFile(sys.argv[1], busy_timeout=1, read_only=False).open()
        except JournalError as error:
            print(error)
        reader = Store(JournalFile(sys.argv[1], busy_timeout=1, read_only=True))
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


def test_many_may_open_one_new_file_at_once(path: Path, key: Callable[[int], bytes], open_store: Any, row: Any) -> None:
    stores = [open_store(str(path), busy_timeout=10, read_only=False) for _ in range(8)]
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
        store.file.close()


def test_a_lock_that_goes_away_while_the_log_is_switched_on_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clova_speech_async.journal import opening as module

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


def test_a_disk_without_shared_memory_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch, open_store: Any) -> None:
    monkeypatch.setattr("clova_speech_async.journal.opening._patiently", lambda step: ("delete",))
    with pytest.raises(JournalError, match="cannot keep a write-ahead log .*'delete'.* local disk"):
        open_store(str(path)).file.open()


def test_a_file_that_is_mounted_without_its_folder_is_refused(
    tmp_path: Path, key: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch, open_store: Any, row: Any
) -> None:
    """A container would keep the log beside it, and with that the last replies, in itself, and be thrown away."""
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(opening, "_MOUNTS", mounts)
    path = tmp_path / "a run.db"
    other = open_store(str(path))
    with closing(other.file):  # a system that does not say it
        other.put([row(key(1))])
    place = str(path).replace(" ", r"\040")
    own = f"31 22 8:1 /run.db {place} rw,relatime - ext4 /dev/sda rw"
    mounts.write_text(f"22 1 0:21 / / rw - overlay overlay rw\n{own}\n")
    with pytest.raises(JournalError, match="is mounted by itself, .* mount its folder"):
        open_store(str(path)).file.open()
    reader = open_store(str(path), read_only=True)
    with closing(reader.file):
        assert reader.get([key(1)]) == [REPLY]
    again = open_store(str(tmp_path / "another run.db"))
    with closing(again.file):
        again.file.open()


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
def test_a_pipe_and_a_device_are_refused_and_not_waited_for(path: Path, open_store: Any) -> None:
    os.mkfifo(path)
    for name in (str(path), "/dev/null"):
        with pytest.raises(JournalError, match="no plain file but a pipe, a device or the like"):
            open_store(name).file.open()


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_a_name_that_is_no_text_is_taken_as_it_is(
    tmp_path: Path, key: Callable[[int], bytes], open_store: Any, row: Any
) -> None:
    store = open_store(os.fsdecode(bytes(tmp_path) + b"/\xff.db"))
    store.put([row(key(1))])
    store.file.close()
    assert os.listdir(bytes(tmp_path)) == [b"\xff.db"]
