from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clova_speech_async.errors import JournalError
from clova_speech_async.journal import opening
from clova_speech_async.journal.file import JournalFile, _Connection
from clova_speech_async.journal.locks import ClaimLocks
from clova_speech_async.journal.records import Stored
from clova_speech_async.journal.store import Store

REPLY = Stored(b'{"text": "hello", "quota": 15}', 15, 2.5, 1_700_000_000.0)


def test_a_closed_journal_is_one_file_of_its_owner(
    store: Store, path: Path, key: Callable[[int], bytes], row: Any
) -> None:
    store.put([row(key(1))])
    store.file.close()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_syncs_at_every_commit(store: Store) -> None:
    store.file.open()
    assert store.file._writer is not None
    assert store.file._writer.database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store.file._writer.database.execute("PRAGMA fullfsync").fetchone() == (1,)
    assert store.file._writer.database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_read_only_reads_what_a_living_writer_has_just_put(
    store: Store, path: Path, key: Callable[[int], bytes], open_store: Any, row: Any
) -> None:
    store.file.open()
    assert store.file._writer is not None
    store.file._writer.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    reader = open_store(str(path), read_only=True)
    assert reader.get([key(1)]) == [None]
    store.put([row(key(1)), row(key(2))])
    assert reader.get([key(1)]) == [REPLY]
    assert reader.get([key(2)]) == [REPLY]
    with pytest.raises(JournalError, match="read_only=True and takes no replies"):
        reader.put([row(key(3))])
    reader.file.close()


def test_read_only_makes_no_file(path: Path, open_store: Any) -> None:
    with pytest.raises(JournalError, match="there is no such file"):
        open_store(str(path), read_only=True).file.open()
    assert not path.exists()
    path.touch()
    with pytest.raises(JournalError, match="not a journal"):
        open_store(str(path), read_only=True).file.open()


def test_a_closed_store_says_so_and_closing_twice_is_nothing(
    store: Store, key: Callable[[int], bytes], row: Any
) -> None:
    store.put([row(key(1))])
    store.file.close()
    store.file.close()
    with pytest.raises(JournalError, match="is closed; make a new Journal"):
        store.get([key(1)])


def test_read_only_where_not_even_a_file_beside_it_can_be_made(
    store: Store, path: Path, key: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch, open_store: Any, row: Any
) -> None:
    connect = JournalFile._connect

    def restricted(self: JournalFile, address: str) -> object:
        if address.endswith("mode=ro"):
            raise sqlite3.OperationalError("unable to open database file")
        return connect(self, address)

    store.put([row(key(1))])
    monkeypatch.setattr(JournalFile, "_connect", restricted)
    with pytest.raises(JournalError, match="unable to open"):  # what is in the log alone could not be seen
        open_store(str(path), read_only=True).file.open()
    store.file.close()
    reader = open_store(str(path), read_only=True)
    assert reader.get([key(1)]) == [REPLY]
    reader.file.close()


def test_read_only_refuses_what_only_looks_like_a_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch, open_store: Any, foreign: Any
) -> None:
    foreign(path, "CREATE TABLE notes (a)")
    monkeypatch.setattr("clova_speech_async.journal.opening.refuse_strangers", lambda path, create: None)
    with pytest.raises(JournalError, match="not a journal"):
        open_store(str(path), read_only=True).file.open()


SECOND_OPENING = """
    import os, signal, subprocess, sys
    from clova_speech_async.journal.records import Row, Stored
    from clova_speech_async.journal.file import JournalFile
    from clova_speech_async.journal.store import Store
    def open_store(path, busy_timeout=1, read_only=False):
        return Store(JournalFile(path, busy_timeout=busy_timeout, read_only=read_only))
    def store():
        return open_store(sys.argv[1], busy_timeout=1, read_only=sys.argv[2] == "read only")
    def row(number):
        return Row(bytes([number]) * 32, "Kor", "", Stored(b"body", 15, 1.0, 1.0))
    if sys.argv[2] == "other process":
        journal = store()
        journal.get([b"k" * 32])
        journal.file.close()
        sys.exit()
    first = open_store(sys.argv[1])
    first.put([row(1)])
    second = store()
    second.file.open()
    if sys.argv[3] == "closed":
        second.file.close()
    subprocess.run([sys.executable, "-c", sys.argv[4], sys.argv[1], "other process", "", ""], check=True, timeout=30)
    first.put([row(2)])
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX, and a process that is killed")
@pytest.mark.parametrize("second", ["read and write", "read only"])
@pytest.mark.parametrize("state", ["open", "closed"])
def test_a_second_journal_of_the_same_file_in_one_process_costs_no_reply(
    store: Store, path: Path, second: str, state: str
) -> None:
    """The system takes a process's locks on a file away when it closes it once; then others would tidy up its log."""
    program = textwrap.dedent(SECOND_OPENING)
    done = subprocess.run([sys.executable, "-c", program, str(path), second, state, program], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert [found is not None for found in store.get([b"\1" * 32, b"\2" * 32])] == [True, True]


@pytest.mark.skipif(os.name != "posix", reason="an open file is not to be deleted or moved on Windows")
@pytest.mark.parametrize("what", ["deleted", "moved", "replaced", "its log deleted"])
def test_a_file_that_is_taken_away_takes_no_replies_unnoticed(
    store: Store, path: Path, key: Callable[[int], bytes], what: str, row: Any
) -> None:
    store.put([row(key(1))])
    if what == "its log deleted":
        path.with_name("run.db-wal").unlink()
    elif what == "deleted":
        path.unlink()
    else:
        path.rename(path.with_name("other.db"))
    if what == "replaced":
        path.touch()
    with pytest.raises(JournalError, match="deleted, moved or replaced it"):
        store.get([key(2)])  # before anything is sent
    with pytest.raises(JournalError, match="deleted, moved or replaced it"):
        store.put([row(key(2))])
    (outcome,) = store.put_each([row(key(2))])
    assert "deleted, moved or replaced it" in str(outcome)
    with pytest.raises(JournalError, match="deleted, moved or replaced it"):
        store.probe()


def test_who_finds_it_open_can_have_a_lock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what comes while it is being opened would be sent although another process is sending it."""
    found: list[bool] = []
    opened = ClaimLocks.open
    monkeypatch.setattr(ClaimLocks, "open", lambda self: (found.append(store.file.is_open), opened(self)))
    store.file.open()
    assert (found, store.file.is_open) == ([False], True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_that_is_forked_while_it_is_closed_has_it_open(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.file.open()
    held: list[int] = []
    close = _Connection.close

    def look(self: _Connection) -> None:
        close(self)
        held.append(len(opening._held))

    before = len(opening._held)
    monkeypatch.setattr(_Connection, "close", look)
    store.file.close()
    assert held == [before, before]
    assert len(opening._held) == before - 1


FAILED_BEFORE = """
    import os, sys
    from clova_speech_async.errors import JournalError
    from clova_speech_async.journal.file import JournalFile
    file, closed = (JournalFile(name, busy_timeout=1, read_only=False) for name in sys.argv[1:])
    closed.open()
    closed.close()
    try:
        file.open()
    except JournalError as error:
        print(error, flush=True)
    os.mkdir(os.path.dirname(sys.argv[1]))
    if os.fork() == 0:
        with file.use("read"):
            pass
        file.close()
        try:
            with closed.use("read"):
                pass
        except JournalError as error:
            print(error, flush=True)
        os._exit(0)
    print(os.wait()[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_one_that_is_not_open_may_be_forked_with(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FAILED_BEFORE)]
    done = subprocess.run(
        [*command, str(tmp_path / "new" / "run.db"), str(tmp_path / "b.db")], capture_output=True, text=True, timeout=30
    )
    missing, closed, status = done.stdout.splitlines()
    assert "there is no folder" in missing
    assert "is closed; make a new Journal" in closed
    assert status == "0", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_one_that_was_dropped_without_being_closed_may_be_forked_with(path: Path) -> None:
    program = """
        import gc, os, sys
        from clova_speech_async.journal.file import JournalFile
        def open_one():
            JournalFile(sys.argv[1], busy_timeout=1, read_only=False).open()
        files = len(os.listdir("/dev/fd"))
        open_one()
        gc.collect()
        print(len(os.listdir("/dev/fd")) - files, flush=True)
        if os.fork() == 0:
            open_one()
            os._exit(0)
        print(os.wait()[1])
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines() == ["0", "0"], done.stderr


WHILE_ANOTHER_LOOKS = """
    import os, signal, sys, threading
    from clova_speech_async.journal import opening
    from clova_speech_async.journal.file import JournalFile
    looks, go_on = threading.Event(), threading.Event()
    stat = opening.Path.stat
    def slow(self, **options):
        if threading.current_thread() is not threading.main_thread():
            looks.set()
            go_on.wait(0.2)
        return stat(self, **options)
    opening.Path.stat = slow
    def open_one(name):
        JournalFile(name, busy_timeout=1, read_only=False).open()
    other = threading.Thread(target=open_one, args=(sys.argv[1],))
    other.start()
    looks.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        open_one(sys.argv[1] + "-other")
        os._exit(0)
    go_on.set()
    other.join()
    print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_that_is_forked_while_a_file_is_being_made_can_make_others(path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(WHILE_ANOTHER_LOOKS), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout == "0\n", done.stderr


def test_a_change_of_the_current_folder_is_no_matter(
    path: Path, tmp_path: Path, key: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch, open_store: Any, row: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("run.db")
    store.put([row(key(1))])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.put([row(key(2))])
    assert store.get([key(1), key(2)]) == [REPLY, REPLY]
    assert store.overview().size > 4096
    store.file.close()
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_link_leads_to_one_journal_with_all_that_is_beside_it(
    store: Store, path: Path, tmp_path: Path, key: Callable[[int], bytes], open_store: Any, row: Any
) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link.db"
    link.symlink_to(path)  # which is not there yet
    linked = open_store(str(link))
    linked.file.open()
    store.put([row(key(1))])
    assert linked.file.locks.take(key(1))
    assert not store.file.locks.take(key(1)) or not store.file.locks.exclude_all
    assert linked.overview().size == store.overview().size > 4096
    reader = open_store(str(link), read_only=True)
    assert reader.get([key(1)]) == [REPLY]
    reader.file.close()
    linked.file.close()
    assert [entry.name for entry in (tmp_path / "links").iterdir()] == ["link.db"]


FORKED = """
    import os, sys
    from clova_speech_async.errors import JournalError
    from clova_speech_async.journal.records import Row, Stored
    from clova_speech_async.journal.file import JournalFile
    from clova_speech_async.journal.store import Store
    def open_store():
        return Store(JournalFile(sys.argv[1], busy_timeout=1, read_only=False))
    def row(number):
        return Row(bytes([number]) * 32, "Kor", "", Stored(b"body", 15, 1.0, 1.0))
    store = open_store()
    store.put([row(1)])
    store.file.locks.take(b"a" * 32)
    child = os.fork()
    if child == 0:
        for use in (lambda: store.get([b"k" * 32]), lambda: store.put([row(2)])):
            try:
                use()
            except JournalError as error:
                print(error, flush=True)
        store.file.locks.release(b"a" * 32)
        store.file.close()
        print("left open" if store.file.is_open else "closed", flush=True)
        try:
            open_store().put([row(3)])
        except JournalError as error:
            print(error, flush=True)
        other = JournalFile(sys.argv[1] + "-other", busy_timeout=1, read_only=False)
        other.open()
        other.close()
        os._exit(0)
    os.waitpid(child, 0)
    store.put([row(4)])
    print(store.overview().replies, flush=True)
    store.file.close()
    print(sorted(os.listdir(os.path.dirname(sys.argv[1]))))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_that_is_forked_leaves_its_parents_journal_alone(path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORKED), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    read, written, its, opened, replies, left = done.stdout.splitlines()
    assert "was opened before this process was forked" in read
    assert read == written == opened
    assert its == "left open"
    assert (replies, left) == ("2", "['run.db', 'run.db-other']")
