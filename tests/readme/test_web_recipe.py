"""The README's web backend: its answers on both event loops, and over sockets under load, hang-ups and shutdown."""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import inspect
import io
import json
import re
import subprocess
import sys
import time
import wave
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import httpx
import numpy as np
import pytest

import clova_speech_async
from clova_speech_async import ClovaSpeechClient, ClovaSpeechError, errors
from clova_speech_async.emulator import Behaviour, Emulator, echo, error, hang, reply, serve

anyio_test = pytest.mark.anyio
LOOPS = ["asyncio", pytest.param("uvloop", marks=pytest.mark.skipif(sys.platform == "win32", reason="no uvloop"))]
PATHS = ["/transcripts", "/segments"]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def web(program: Callable[[str], Path], clova_speech_emulator: Any) -> Iterator[ModuleType]:
    yield load(program("web.py"))
    gc.unfreeze()  # or what the other tests leave behind would never be noticed


@pytest.fixture
def speech(data: Path) -> bytes:
    return (data / "umbrella.wav").read_bytes()


@pytest.fixture
def story(data: Path) -> bytes:
    """More than a minute of speech: two pieces."""
    return (data / "story.ogg").read_bytes()


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


# --- over sockets ----------------------------------------------------------------------------------------


class Served:
    """The program served by uvicorn in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        hello = self._line()
        self.loop: str = hello["loop"]
        self.url = f"http://127.0.0.1:{hello['port']}"

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def look(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write("look\n")
        self._process.stdin.flush()
        return self._line()

    def look_until(self, **wanted: int) -> dict[str, Any]:
        for _ in range(2000):
            seen = self.look()
            if wanted.items() <= seen.items():
                return seen
            time.sleep(0.005)
        raise AssertionError(f"{wanted} never came; the last look was {seen}")

    def stop(self) -> tuple[dict[str, Any], str]:
        """End the server; return what it left, and what it complained of."""
        out, complaints = self._process.communicate("stop\n", timeout=30)
        assert self._process.returncode == 0, complaints
        return json.loads(out), complaints


@contextmanager
def served(path: Path, drivers: Path, loop: str) -> Iterator[Served]:
    command = [sys.executable, "-W", "error::ResourceWarning", drivers / "serve_web.py", path, loop]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, encoding="utf-8", **pipes) as process:
        try:
            yield Served(process)
        finally:
            process.kill()


def recording(seed: int) -> tuple[bytes, str]:
    """A recording unlike all others, and what the `echo` recogniser says of it."""
    samples = (np.random.default_rng(seed).standard_normal(32_000) * 3000).astype("<i2").tobytes()
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(samples)
    return file.getvalue(), f"Kor {len(samples)} {hashlib.sha256(samples).hexdigest()}"


async def upload_at_once(url: str, recordings: list[tuple[bytes, str]]) -> Counter[str]:
    """How many were answered how: ``right``, ``wrong``, ``refused`` or a status."""
    answers: Counter[str] = Counter()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:

        async def upload(audio: bytes, text: str) -> None:
            answer = await client.post(f"{url}/transcripts", content=audio)
            if answer.status_code == 200:
                answers["right" if answer.json()["text"] == text else "wrong"] += 1
            else:
                refused = answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
                answers["refused" if refused else str(answer.status_code)] += 1

        async with anyio.create_task_group() as group:
            for audio, text in recordings:
                group.start_soon(upload, audio, text)
    return answers


@pytest.mark.parametrize("rounds", [2, pytest.param(25, marks=pytest.mark.soak)])
@pytest.mark.parametrize("loop", LOOPS)
def test_two_hundred_uploads_at_once(
    program: Callable[[str], Path], drivers: Path, loop: str, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """58 of them find a slot or a place in line; who is slow to connect may come when another is done."""
    recordings = [recording(seed) for seed in range(200)]
    emulator = Emulator(recognizer=echo, behaviour=Behaviour(latency=0.2))
    with emulator, serve(emulator) as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        with served(program("web.py"), drivers, loop) as server:
            assert loop in server.loop
            memory = []
            for _ in range(rounds):
                answers = anyio.run(upload_at_once, server.url, recordings)
                assert set(answers) == {"right", "refused"}
                assert 58 <= answers["right"] <= 120
                assert answers.total() == 200
                seen = server.look_until(in_flight=0, waiting=0)
                memory.append(seen["memory"])
            assert seen["requests"] == seen["succeeded"], "what was refused was refused before any work"
            assert memory[-1] - memory[0] < 16_000_000, memory
            assert server.stop() == ({"tasks": [], "sockets": 0}, "")
        assert emulator.stats.peak_parallel == 8


@pytest.mark.parametrize("loop", LOOPS)
def test_a_lost_connection_frees_the_slot(
    program: Callable[[str], Path], drivers: Path, speech: bytes, loop: str, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(hang(), hang(), reply("next"))
    with served(program("web.py"), drivers, loop) as server:
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            for path in PATHS:
                with pytest.raises(httpx.ReadTimeout):
                    client.post(path, content=speech, timeout=httpx.Timeout(20, read=0.3))
                server.look_until(in_flight=0, open_connections=0)
            assert client.post("/transcripts", content=speech, timeout=20).json()["text"] == "next"
        assert server.stop() == ({"tasks": [], "sockets": 0}, "")


@pytest.mark.parametrize("loop", LOOPS)
def test_segments_leave_before_the_last_is_there(
    program: Callable[[str], Path], drivers: Path, story: bytes, loop: str, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(reply("heard"), hang())
    with served(program("web.py"), drivers, loop) as server:
        sent = httpx.stream("POST", f"{server.url}/segments", content=story, timeout=20, trust_env=False)
        with sent as answer:
            chunks = answer.iter_text()  # kept: to drop it is to hang up
            assert next(chunks).startswith("event: segment\n")
            server.look_until(in_flight=1)
        server.look_until(in_flight=0)
        assert server.stop() == ({"tasks": [], "sockets": 0}, "")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_shutdown_in_the_middle_leaves_nothing(
    program: Callable[[str], Path], drivers: Path, story: bytes, loop: str, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(*[hang()] * 40)

    async def upload(server: Served) -> tuple[dict[str, Any], str]:
        async def one(path: str) -> None:
            with pytest.raises(httpx.HTTPError):
                (await client.post(path, content=story)).raise_for_status()

        async with (
            httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client,
            anyio.create_task_group() as group,
        ):
            for path in PATHS * 10:
                group.start_soon(one, path)
            await anyio.to_thread.run_sync(lambda: server.look_until(in_flight=8))
            return await anyio.to_thread.run_sync(server.stop)

    with served(program("web.py"), drivers, loop) as server:
        left, complaints = anyio.run(upload, server)
    assert left == {"tasks": [], "sockets": 0}
    assert "Warning" not in complaints
    assert "never" not in complaints


# --- errors ------------------------------------------------------------------------------------------------


def example(kind: type[ClovaSpeechError]) -> ClovaSpeechError:
    """An error of that class, its data left out."""
    made = kind.__new__(kind)
    Exception.__init__(made, "text")
    return made


def every_error() -> list[type[ClovaSpeechError]]:
    classes = (value for _, value in inspect.getmembers(errors, inspect.isclass))
    return [value for value in classes if issubclass(value, ClovaSpeechError)]


def read_table(root: Path) -> dict[str, int]:
    readme = (root / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \|", readme[readme.index("\n## Errors") :], re.MULTILINE)
    return {name: int(status) for status, names in rows for name in re.findall(r"`(\w+)`", names)}


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_the_table_in_the_readme_tells_every_status(web: ModuleType, root: Path, kind: type[ClovaSpeechError]) -> None:
    table = read_table(root)
    nearest = next(table[parent.__name__] for parent in kind.__mro__ if parent.__name__ in table)
    assert web.status_of(example(kind)) == nearest


def test_the_table_names_only_what_there_is(root: Path) -> None:
    assert {name for name in read_table(root) if not hasattr(clova_speech_async, name)} == set()
    assert len(set(read_table(root).values())) == 8


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_a_status_says_whose_it_is(web: ModuleType, kind: type[ClovaSpeechError]) -> None:
    """What is found in the audio is the caller's; what a retry may heal is never the caller's."""
    status = web.status_of(example(kind))
    if issubclass(kind, errors.AudioError):
        assert 400 <= status < 500
    if getattr(kind, "retryable", False):
        assert status in (502, 503, 504)
