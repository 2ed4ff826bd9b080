"""Speech, tones and a client for the emulator's tests, which speak HTTP to it and know nothing of our own client."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from clova_speech_async.emulator import ROWS, Emulator

DATA = Path(__file__).parent.parent / "data"
HEADERS = {"X-CLOVASPEECH-API-KEY": "emulator", "Content-Type": "application/octet-stream"}


@pytest.fixture(scope="session")
def data() -> Path:
    return DATA


@pytest.fixture(scope="session")
def speech() -> bytes:
    return (DATA / "umbrella.wav").read_bytes()


@pytest.fixture(scope="session")
def tone() -> Callable[..., bytes]:
    """A file of that many seconds (or exactly ``frames`` samples) of a quiet tone."""

    def make(
        seconds: float = 1.0, *, rate: int = 16_000, channels: int = 1, kind: str = "WAV", frames: int | None = None
    ) -> bytes:
        count = round(seconds * rate) if frames is None else frames
        wave = 0.1 * np.sin(np.arange(count) * 2 * np.pi * 440 / rate)
        file = io.BytesIO()
        soundfile.write(file, np.repeat(wave[:, None], channels, axis=1), rate, format=kind)
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def hearing() -> Iterator[Emulator]:
    """One emulator with PocketSphinx for all tests, because loading its models is most of what such a test costs."""
    with Emulator(workers=2) as emulator:
        yield emulator


@pytest.fixture
def talk() -> Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]:
    """An httpx client in process, with the emulator's key and the one content type."""

    @asynccontextmanager
    async def talking(emulator: Any, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app=emulator)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://emulator", headers=HEADERS | headers, timeout=60
        ) as client:
            yield client

    return talking


@pytest.fixture(scope="session")
def outcome() -> Callable[[httpx.Response], str]:
    """Reads a reply as ``status/code``, or 200."""

    def read(answer: httpx.Response) -> str:
        """``status/code``, with the error body held to its documented shape on the way."""
        if answer.status_code == 200:
            return "200"
        body = answer.json()
        assert body.keys() == {"timestamp", "error"}
        assert abs(body["timestamp"] - time.time() * 1000) < 60_000
        assert body["error"].keys() == {"errorCode", "message"}
        assert answer.headers["content-type"] == "application/json"
        known = {(r.status, r.code, r.message) for r in ROWS}
        assert (answer.status_code, body["error"]["errorCode"], body["error"]["message"]) in known
        return f"{answer.status_code}/{body['error']['errorCode']}"

    return read
