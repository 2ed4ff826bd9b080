"""What the tests of the batch share: short recordings with a number in them, and a service that knows the number."""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from clova_speech_async.client import ClovaSpeechClient
from clova_speech_async.http.retry import RetryPolicy

RATE = 16_000


def make_wav(number: int, seconds: float = 0.1) -> bytes:
    """A mono 16-bit WAV whose first two samples are the number, and that is not nothing but zeros."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(struct.pack("<I", number) + bytes(2 * round(RATE * seconds) - 6) + b"\1\0")
    return out.getvalue()


class Service(httpx.AsyncBaseTransport):
    """Answers with the number that is in the audio; `answer` may answer otherwise, `before` is awaited first."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.queries: list[str] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.answer: Callable[[int], tuple[int, Any]] = self.recognise
        self.before: Callable[[int], Awaitable[None]] = self.at_once

    @staticmethod
    def recognise(number: int) -> tuple[int, Any]:
        return 200, {"text": f"number {number}", "quota": 15}

    @staticmethod
    async def at_once(number: int) -> None:
        await anyio.lowlevel.checkpoint()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        (number,) = struct.unpack("<I", body[44:48])
        self.sent.append(number)
        self.queries.append(request.url.query.decode())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.before(number)
        finally:
            self.in_flight -= 1
        status, reply = self.answer(number)
        return httpx.Response(status, json=reply)


def error_reply(status: int, code: str, message: str = "no") -> tuple[int, Any]:
    return status, {"timestamp": 1700536699045, "error": {"errorCode": code, "message": message}}


@pytest.fixture
def refuse() -> Callable[..., tuple[int, Any]]:
    """An error as the service answers it: status, code, message."""
    return error_reply


@pytest.fixture
def wav() -> Callable[..., bytes]:
    """A short recording with a number in it."""
    return make_wav


@pytest.fixture
def service() -> Service:
    return Service()


Connect = Callable[..., AbstractAsyncContextManager[ClovaSpeechClient]]


@pytest.fixture
def connect(service: Service) -> Connect:
    """A client of `service`, entered; each request is tried once."""

    @asynccontextmanager
    async def client(**options: Any) -> AsyncIterator[ClovaSpeechClient]:
        options = {"retry": RetryPolicy(max_attempts=1), "transport": service, "concurrency": 8} | options
        async with ClovaSpeechClient("test-key", invoke_url="https://example.com", **options) as client:
            yield client

    return client
