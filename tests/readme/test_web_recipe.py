"""The README's web backend: what it answers, and what becomes of callers who hang up, on both event loops."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import anyio
import httpx
import pytest

from clova_speech_async import ClovaSpeechClient
from clova_speech_async.emulator import error, hang, reply

anyio_test = pytest.mark.anyio
PATHS = ["/transcripts", "/segments"]


@asynccontextmanager
async def lifespan(web: ModuleType, **options: Any) -> AsyncIterator[ClovaSpeechClient]:
    """The app's life, as a server leads it; with a client of these options where there are some."""
    async with web.app.router.lifespan_context(web.app):
        if not options:
            yield web.app.state.client
            return
        async with ClovaSpeechClient(**options) as web.app.state.client:
            yield web.app.state.client


@asynccontextmanager
async def browser(web: ModuleType) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=web.app), base_url="http://app") as client:
        yield client


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.sleep(0.005)


def read_events(text: str) -> list[tuple[str, Any]]:
    found = [re.fullmatch(r"event: (\w+)\ndata: (.*)", event) for event in text.split("\n\n") if event]
    return [(event.group(1), json.loads(event.group(2))) for event in found if event]


# --- answers -------------------------------------------------------------------------------------------


@anyio_test
async def test_an_upload_becomes_a_transcript(web: ModuleType, speech: bytes, clova_speech_emulator: Any) -> None:
    clova_speech_emulator.emulator.script(reply("우산"))
    async with lifespan(web), browser(web) as client:
        answer = await client.post("/transcripts", params={"lang": "Kor"}, content=speech)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["text"], found["billed_seconds"]) == ("우산", 15)
    assert found["duration"] == pytest.approx(5.895)


@anyio_test
async def test_segments_come_as_events(web: ModuleType, story: bytes) -> None:
    async with lifespan(web), browser(web) as client:
        answer = await client.post("/segments", params={"lang": "Jpn"}, content=story)
        whole = (await client.post("/transcripts", params={"lang": "Jpn"}, content=story)).json()
    assert answer.headers["content-type"].startswith("text/event-stream")
    *segments, last = read_events(answer.text)
    assert last == ("end", {})
    assert len(segments) >= 2
    assert segments == [
        ("segment", {key: segment[key] for key in ("start", "end", "text")}) for segment in whole["segments"]
    ]


@anyio_test
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("content", "changes", "lang", "status", "name"),
    [
        (b"", {}, "Kor", 422, "EmptyAudioError"),
        (b"not audio at all" * 10, {}, "Kor", 415, "UnsupportedFormatError"),
        (None, {"MAX_BYTES": 1000}, "Kor", 413, "AudioTooLargeError"),
        (None, {"MAX_SECONDS": 3.0}, "Kor", 413, "AudioTooLongError"),
        (None, {}, "Klingon", 400, "InvalidArgumentError"),
    ],
)
async def test_what_the_caller_did_wrong_is_said(
    web: ModuleType,
    speech: bytes,
    clova_speech_emulator: Any,
    path: str,
    content: bytes | None,
    changes: dict[str, Any],
    lang: str,
    status: int,
    name: str,
) -> None:
    for constant, value in changes.items():
        setattr(web, constant, value)
    async with lifespan(web):
        caller = Caller(web, path, speech if content is None else content, lang=lang)
        await caller.call()
    answer = json.loads(caller.body)
    assert (caller.status, answer["error"]) == (status, name)
    assert len(answer["message"]) > 20
    assert b"retry-after" not in caller.headers
    assert clova_speech_emulator.emulator.requests == ()


@anyio_test
@pytest.mark.parametrize("path", PATHS)
async def test_what_is_ours_to_mend_is_logged_and_not_told(
    web: ModuleType, speech: bytes, clova_speech_emulator: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    clova_speech_emulator.emulator.script(error("429/400"))
    async with lifespan(web), browser(web) as client:
        answer = await client.post(path, content=speech)
    assert answer.status_code == 500
    assert answer.json() == {"error": "QuotaExceededError", "message": "this does not work at the moment"}
    assert "QuotaExceededError" in caplog.text


@anyio_test
async def test_an_error_after_the_first_segment_is_an_event(
    web: ModuleType, story: bytes, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(reply("one"), error("STT006"))
    async with lifespan(web, concurrency=1), browser(web) as client:
        answer = await client.post("/segments", content=story)
    (first, one), (second, two) = read_events(answer.text)
    assert (answer.status_code, first, one["text"]) == (200, "segment", "one")
    assert (second, two["error"]) == ("error", "PreprocessingError")


@anyio_test
async def test_who_comes_when_the_line_is_full_gets_a_503_at_once(
    web: ModuleType, speech: bytes, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(*[hang()] * 58)
    async with lifespan(web) as speaking, browser(web) as client, anyio.create_task_group() as group:
        for _ in range(58):
            group.start_soon(lambda: client.post("/transcripts", content=speech, timeout=None))
        await until(lambda: (speaking.stats().in_flight, speaking.stats().waiting) == (8, 50))
        for path in PATHS:
            answer = await client.post(path, content=speech)
            assert (answer.status_code, answer.json()["error"]) == (503, "QueueFullError")
            assert int(answer.headers["retry-after"]) >= 1
        group.cancel_scope.cancel()
    assert (speaking.stats().in_flight, speaking.stats().waiting) == (0, 0)


@anyio_test
async def test_a_long_recording_that_was_let_in_is_not_refused_halfway(
    web: ModuleType, story: bytes, clova_speech_emulator: Any
) -> None:
    async with lifespan(web, concurrency=1, max_waiting=0), browser(web) as client:
        answer = await client.post("/transcripts", content=story)
    assert answer.status_code == 200
    assert len(clova_speech_emulator.emulator.requests) >= 2


# --- callers who hang up -------------------------------------------------------------------------------


class Caller:
    """A caller on the ASGI interface itself, who hangs up when told to."""

    def __init__(self, web: ModuleType, path: str, body: bytes, *, lang: str = "Kor") -> None:
        self._app = web.app
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": f"lang={lang}".encode(),
            "headers": [(b"content-length", str(len(body)).encode())],
            "scheme": "http",
            "server": ("app", 80),
            "client": ("caller", 1),
        }
        self._messages = [{"type": "http.request", "body": body, "more_body": False}]
        self._gone = anyio.Event()
        self.status: int | None = None
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    def hang_up(self) -> None:
        self._gone.set()

    def hang_up_while_uploading(self) -> None:
        (message,) = self._messages
        self._messages = [message | {"more_body": True}]
        self._gone.set()

    async def _receive(self) -> Any:
        if self._messages:
            return self._messages.pop()
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        self.headers |= dict(message.get("headers", ()))
        self.body += message.get("body", b"")

    async def call(self) -> None:
        await self._app(self._scope, self._receive, self._send)


@anyio_test
@pytest.mark.parametrize("path", PATHS)
async def test_a_caller_who_hangs_up_frees_the_slot(
    web: ModuleType, speech: bytes, clova_speech_emulator: Any, path: str
) -> None:
    clova_speech_emulator.emulator.script(hang())
    async with lifespan(web) as speaking, anyio.create_task_group() as group:
        caller = Caller(web, path, speech)
        group.start_soon(caller.call)
        await until(lambda: clova_speech_emulator.emulator.stats.scripted_left == 0)  # it has been heard
        caller.hang_up()
        await until(lambda: speaking.stats().in_flight == 0)
    assert caller.status == 499
    assert speaking.stats().maybe_billed_seconds == 15


@anyio_test
async def test_a_caller_who_hangs_up_frees_the_place_in_line(
    web: ModuleType, speech: bytes, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(hang())
    async with lifespan(web, concurrency=1) as speaking, anyio.create_task_group() as group:
        first, second = Caller(web, "/transcripts", speech), Caller(web, "/segments", speech)
        group.start_soon(first.call)
        await until(lambda: speaking.stats().in_flight == 1)
        group.start_soon(second.call)
        await until(lambda: speaking.stats().waiting == 1)
        second.hang_up()
        await until(lambda: speaking.stats().waiting == 0)
        assert speaking.stats().in_flight == 1
        first.hang_up()
    assert len(clova_speech_emulator.emulator.requests) <= 1, "the second was never sent"


@anyio_test
async def test_a_caller_who_hangs_up_between_segments_ends_the_work(
    web: ModuleType, story: bytes, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(reply("one"), hang())
    async with lifespan(web, concurrency=1) as speaking, anyio.create_task_group() as group:
        caller = Caller(web, "/segments", story)
        group.start_soon(caller.call)
        await until(lambda: b"event: segment" in caller.body and speaking.stats().requests == 2)
        caller.hang_up()
        await until(lambda: speaking.stats().in_flight == 0)
    assert caller.status == 200
    assert b"event: end" not in caller.body


@anyio_test
async def test_a_caller_who_hangs_up_while_uploading_costs_nothing(
    web: ModuleType, speech: bytes, clova_speech_emulator: Any
) -> None:
    async with lifespan(web):
        caller = Caller(web, "/transcripts", speech)
        caller.hang_up_while_uploading()
        await caller.call()
    assert caller.status == 499
    assert clova_speech_emulator.emulator.requests == ()


@anyio_test
async def test_the_end_of_the_app_in_the_middle_leaves_no_connection(
    web: ModuleType, story: bytes, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(*[hang()] * 20)
    async with lifespan(web) as speaking, anyio.create_task_group() as group:
        for _ in range(5):
            for path in PATHS:
                group.start_soon(Caller(web, path, story).call)
        await until(lambda: speaking.stats().in_flight == 8)
        group.cancel_scope.cancel()  # as servers do before they end an app's lifespan
    stats = speaking.stats()
    assert (stats.in_flight, stats.waiting, stats.open_connections) == (0, 0, 0)
