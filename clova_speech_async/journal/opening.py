"""Whether a file is a journal, how it is made one, and whether it is still the same file.

Law of this file: what is not a journal is refused before SQLite may write to it; the schema is written in one
transaction, so that a journal either is one or is an empty file; and nobody but SQLite opens a file that may be in
use. A process that closes a file gives up every lock it has on it, also those of a connection that goes on: another
process would then take itself for the last one, and put away the log that replies are still written to.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from clova_speech_async.errors import JournalError

from .problems import translated

__all__ = [
    "APPLICATION_ID",
    "SCHEMA",
    "address",
    "beside",
    "check",
    "files",
    "forked",
    "hold",
    "let_go",
    "prepare",
    "refuse_strangers",
]

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
_MOUNTS = Path("/proc/self/mountinfo")
"""Linux: a line for each mount, the fifth word of which is its place."""
_making = threading.Lock()
"""Held from the question whether there is a file until there is one: nobody can have locks on it before that."""
_held: weakref.WeakKeyDictionary[object, tuple[int, int]] = weakref.WeakKeyDictionary()
"""The files that this process has open, by who has; what has gone without a word has its file closed."""
_inherited: set[tuple[int, int]] = set()
"""Those that its parent had open when it was forked: SQLite takes the locks on them for its own, and they are not."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _inherited.update(_held.values()))
    # Else a process that is forked while another thread has it would never get it.
    os.register_at_fork(before=_making.acquire, after_in_parent=_making.release, after_in_child=_making.release)


def refuse_strangers(path: Path, *, create: bool) -> None:
    """Raise unless `path` is a journal by its head, or an empty file, or (`create`) can be made one."""
    found = _found(path, create=create)
    if stat.S_ISDIR(found.st_mode):
        raise JournalError(f"the journal {path} is a folder; name a file in it, e.g. {path / 'run.db'}")
    if not stat.S_ISREG(found.st_mode):
        raise JournalError(f"the journal {path} is no plain file but a pipe, a device or the like; name another file")
    if create and not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise _not_permitted(path, "for writing")
    if create and _is_mounted(path):
        raise JournalError(
            f"the journal {path} is mounted by itself, so its log would be left behind in another place: mount its "
            "folder, and name the file in it. Nothing was sent."
        )
    if found.st_size == 0 and create:
        return
    application, schema = _head(path)
    if application != APPLICATION_ID:
        raise JournalError(
            f"{path} is not a journal of this library; it was left as it is. Name another file for the journal."
        )
    _refuse_newer(path, schema)


def hold(owner: object, path: Path) -> None:
    """Keep in mind that `owner` has the file open; raise where it is open in this process's parent."""
    file = _identity(path)
    if file in _inherited:
        raise forked(path)
    if file is not None:
        _held[owner] = file


def let_go(owner: object) -> None:
    """Keep in mind that it has been closed."""
    _held.pop(owner, None)


def forked(path: Path) -> JournalError:
    """What a process hears that was forked from one that has the journal open."""
    return JournalError(
        f"the journal {path} was opened before this process was forked, and SQLite does not bear that: close it "
        "before, or start the processes by 'spawn' or 'forkserver'"
    )


def _found(path: Path, *, create: bool) -> os.stat_result:
    try:
        with _making:
            try:
                return path.stat()
            except FileNotFoundError:
                if not create:
                    raise
            # Whoever may read the transcripts is the owner's to decide, so the owner alone may at first.
            number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                return os.fstat(number)
            finally:
                os.close(number)
    except FileNotFoundError as error:
        what = "there is no such file"
        if create:
            is_there = path.parent.is_dir()  # a link that leads nowhere, or /proc
            what = "no file can be made there" if is_there else f"there is no folder {path.parent}; make it first"
        raise JournalError(f"the journal {path} cannot be opened: {what}") from error
    except PermissionError as error:
        raise _not_permitted(path, "for writing" if create else "for reading") from error
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be opened: {error.strerror or error}") from error


def _is_mounted(path: Path) -> bool:
    """Whether the file has been mounted and not its folder, as containers may have it; where the system tells."""
    name = os.fsencode(os.path.realpath(path))
    for mark in b"\\ \t\n":
        name = name.replace(bytes([mark]), b"\\%03o" % mark)
    try:
        mounts = _MOUNTS.read_bytes()
    except OSError:
        return False
    return any(line.split(b" ", 5)[4:5] == [name] for line in mounts.splitlines())


def _not_permitted(path: Path, purpose: str) -> JournalError:
    return JournalError(
        f"the journal {path} cannot be opened {purpose}: no permission; change its mode or owner, or that of its "
        "folder, or name another file. Nothing was sent."
    )


def _head(path: Path) -> tuple[int, int]:
    """Application and schema as they stand in the file, without a lock, and without a look at any log."""
    try:
        with closing(sqlite3.connect(address(path, "mode=ro&immutable=1"), uri=True)) as database:
            # While the log is being put into the file, or where that was cut off, the file is shorter than it says:
            # only a connection that may mend it does not take that for damage.
            database.execute("PRAGMA writable_schema = ON")
            (application,) = database.execute("PRAGMA application_id").fetchone()
            (schema,) = database.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            return 0, 0
        if "malformed" in str(error):  # macOS has a SQLite that mends nothing: `check` knows more, log and all
            return APPLICATION_ID, SCHEMA
        with translated(path, "opened"):
            raise
    return application, schema


def prepare(path: Path, database: sqlite3.Connection) -> None:
    """Make an empty file a journal, then switch to the write-ahead log, whose commits need one sync."""
    database.execute("BEGIN IMMEDIATE")  # two processes may both find it empty: the second sees the first's work here
    try:
        if database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            database.execute(_CREATE)
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {SCHEMA}")
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")
    check(path, database)
    mode = _patiently(lambda: database.execute("PRAGMA journal_mode = WAL").fetchone())
    if mode != ("wal",):
        raise JournalError(
            f"the journal {path} cannot keep a write-ahead log (SQLite answered {mode[0]!r}); "
            "put it on a local disk, not on a network share"
        )


def check(path: Path, database: sqlite3.Connection) -> None:
    """Raise unless the database that is open is a journal that this release knows."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (schema,) = database.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise JournalError(f"{path} is not a journal of this library. Name another file for the journal.")
    _refuse_newer(path, schema)


def _refuse_newer(path: Path, schema: int) -> None:
    if schema > SCHEMA:
        raise JournalError(
            f"the journal {path} was written by a newer release (schema {schema}, this one knows {SCHEMA}); "
            "upgrade clova-speech-async, or name another file. It was left as it is."
        )


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


def files(path: Path) -> list[tuple[int, int] | None]:
    """Which files the journal and its log are, as long as they are; the same all the time that it is open."""
    return [_identity(path), _identity(beside(path, "-wal"))]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def address(path: Path, options: str) -> str:
    """The path as SQLite takes it, together with options."""
    return f"{path.absolute().as_uri()}?{options}"


def beside(path: Path, suffix: str) -> Path:
    """A file of the same name and an ending."""
    return path.with_name(path.name + suffix)
