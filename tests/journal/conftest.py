"""What the tests of the journal share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from clova_speech_async.journal import journal_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


@pytest.fixture
def key() -> Callable[[int], bytes]:
    """The key of the n-th request."""

    def key_of(number: int) -> bytes:
        return journal_key(hashlib.sha256(b"%d" % number).digest(), "https://example.com/recog/v1/stt", "lang=Kor")

    return key_of
