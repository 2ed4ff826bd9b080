"""What the tests of the journal share."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clova_speech_async.journal import journal_key
from clova_speech_async.journal.file import JournalFile
from clova_speech_async.journal.records import Row, Stored
from clova_speech_async.journal.store import Store

REPLY = Stored(b'{"text": "hello", "quota": 15}', 15, 2.5, 1_700_000_000.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


@pytest.fixture
def key() -> Callable[[int], bytes]:
    """The key of the n-th request."""

    def key_of(number: int) -> bytes:
        return journal_key(hashlib.sha256(b"%d" % number).digest(), "https://example.com/recog/v1/stt", "lang=Kor")

    return key_of


@pytest.fixture
def open_store() -> Callable[..., Store]:
    """`open_store(path, busy_timeout=, read_only=)`."""

    def of(path: str, *, busy_timeout: float = 1.0, read_only: bool = False) -> Store:
        return Store(JournalFile(path, busy_timeout=busy_timeout, read_only=read_only))

    return of


@pytest.fixture
def store(path: Path, open_store: Callable[..., Store]) -> Iterator[Store]:
    """One at `path` that waits for nobody."""
    store = open_store(str(path), busy_timeout=0.05)
    yield store
    store.file.close()


@pytest.fixture
def row() -> Callable[..., Row]:
    """`row(key, stored=)`."""

    def of(key: bytes, stored: Stored = REPLY) -> Row:
        return Row(key, "Kor", "talk.wav", stored)

    return of


@pytest.fixture
def foreign() -> Callable[..., None]:
    """`foreign(path, *statements)`: what another program does to the file."""

    def run(path: Path, *statements: str) -> None:
        database = sqlite3.connect(path)
        for statement in statements:
            database.execute(statement)
        database.commit()
        database.close()

    return run
