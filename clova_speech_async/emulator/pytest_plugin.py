"""Pytest fixtures for those who test their own programs against the emulator.

Law of this file: pytest imports it in every project where this package is installed, so it imports nothing but pytest
at the top; what it needs, and the message where that is missing, comes with the first test that asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from clova_speech_async import ClovaSpeechClient

    from .server import Running


@pytest.fixture(scope="session")
def _clova_speech_server() -> Iterator[Running]:
    """One emulator for all tests of a session: a server costs 0.1 s to start and to stop, a reset nothing."""
    try:
        from .server import serve
    except ImportError as exc:
        pytest.fail(
            f"the fixture clova_speech_emulator needs {exc.name}: pip install 'clova-speech-async[emulator]'",
            pytrace=False,
        )
    with serve() as running:
        yield running


@pytest.fixture
def clova_speech_emulator(_clova_speech_server: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A running emulator of CLOVA Speech on a free port of this machine, as new for each test.

    ``CLOVA_SPEECH_INVOKE_URL`` and ``CLOVA_SPEECH_SECRET_KEY`` point at it during the test, so that a program that
    reads them needs no change. ``clova_speech_emulator.script(reply("hello"), error("429/410"), hang())`` says what
    comes next, ``.requests`` what it was sent, ``.behaviour`` how slow and how full it is. English that is not
    scripted is recognised by PocketSphinx, which is loaded when the first such request comes.
    """
    _clova_speech_server.emulator.reset()
    for name, value in _clova_speech_server.environment.items():
        monkeypatch.setenv(name, value)
    yield _clova_speech_server
    _clova_speech_server.emulator.reset()


@pytest.fixture
def clova_speech_client(clova_speech_emulator: Running) -> ClovaSpeechClient:
    """A client of that emulator, not opened yet: ``async with clova_speech_client as client: …``."""
    from clova_speech_async import ClovaSpeechClient

    return ClovaSpeechClient(clova_speech_emulator.secret_key, invoke_url=clova_speech_emulator.url)
