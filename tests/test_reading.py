"""Reading in threads, also what never comes: pipes, sockets and objects that block for ever."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import wave
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
import soundfile

from clova_speech_async import (
    AudioReadError,
    AuthenticationError,
    BatchStoppedError,
    BatchTranscriber,
    ClientClosedError,
    ClovaSpeechClient,
    Item,
    Journal,
    Result,
    estimate,
)
from clova_speech_async import reading as room
from clova_speech_async.audio import PCM, Piece
from clova_speech_async.errors import ClovaSpeechError
from clova_speech_async.http.parameters import Parameters
from clova_speech_async.order import Order
from clova_speech_async.reading import Pull, is_at_hand, reading

pytestmark = pytest.mark.anyio


async def chunks(*sizes: int) -> AsyncIterator[bytes]:
    for number, size in enumerate(sizes):
        yield bytes([number]) * size


class Upload:
    """As Starlette's and FastAPI's: its `read` is to be awaited, and it is no async iterable."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    async def read(self, size: int = -1) -> bytes:
        await anyio.lowlevel.checkpoint()
        return self._content.read(size)


def wav(seconds: int = 2) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\1\0" * 16_000 * seconds)
    return out.getvalue()


async def test_a_generator_runs_in_threads_and_ends() -> None:
    seen: list[int] = []

    def count() -> Generator[int, None, None]:
        try:
            for number in (1, 2):
                seen.append(threading.get_ident())
                yield number
        finally:
            seen.append(threading.get_ident())

    pull = Pull(lambda _: count())
    assert await pull.next() == 1
    await pull.aclose()
    assert await pull.next() is None
    assert len(seen) == 2
    assert threading.get_ident() not in seen


async def test_what_a_generator_returns_is_there_at_its_end() -> None:
    def count() -> Generator[int, None, str]:
        yield 1
        return "all"

    pull = Pull(lambda _: count())
    assert [await pull.next(), await pull.next(), await pull.next()] == [1, None, None]
    assert pull.result == "all"


def test_files_are_at_hand_and_pipes_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"x")
    with path.open("rb") as file:
        assert is_at_hand(file)
        assert is_at_hand(PCM(file, 16_000))
    assert not is_at_hand(file)  # closed: what reads it says so
    with SpooledTemporaryFile(max_size=10) as upload:
        upload.write(b"x")
        assert is_at_hand(upload)
        assert not upload._rolled  # type: ignore[attr-defined]
    ends = os.pipe()
    with open(ends[0], "rb") as pipe, open(ends[1], "wb"):
        assert not is_at_hand(pipe)


def test_what_is_at_hand_shares_its_threads_and_what_comes_has_its_own() -> None:
    here: list[Any] = [
        "a.wav",
        Path("a.wav"),
        b"x",
        bytearray(b"x"),
        io.BytesIO(b"x"),
        PCM(b"xx", 16_000),
        PCM(io.BytesIO(), 8000),
    ]
    coming: list[Any] = [
        chunks(1),
        Upload(b""),
        PCM(chunks(1), 16_000),
        PCM(Upload(b""), 8000),
        io.BufferedReader(io.BytesIO()),
    ]
    assert [is_at_hand(audio) for audio in here] == [True] * len(here)
    assert [is_at_hand(audio) for audio in coming] == [False] * len(coming)


async def test_readers_that_wait_leave_the_usual_threads_to_their_producers() -> None:
    usual = anyio.to_thread.current_default_thread_limiter()
    before, usual.total_tokens = usual.total_tokens, 1

    async def from_a_thread() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield await anyio.to_thread.run_sync(lambda: b"abc")

    async def one() -> None:
        source = from_a_thread()
        async with reading(source) as found:
            assert await found.run(lambda reader: reader.read()) == b"abc" * 3

    try:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(one)
    finally:
        usual.total_tokens = before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_asyncio_cancels_within_a_step_closes_the_generator_after_it() -> None:
    begun, go_on = threading.Event(), threading.Event()
    ended: list[str] = []

    def slow() -> Generator[int, None, None]:
        try:
            begun.set()
            go_on.wait(10)
            yield 1
        finally:
            ended.append("closed")

    pull = Pull(lambda _: slow())

    async def take() -> None:
        try:
            await pull.next()
        finally:
            threading.Timer(0.02, go_on.set).start()
            await pull.aclose()

    task = asyncio.ensure_future(take())
    await anyio.to_thread.run_sync(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["closed"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_asyncio_cancels_does_not_wait_for_a_producer_that_waits() -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"a"
        await anyio.sleep_forever()

    async def take() -> None:
        async with reading(stuck()) as found:
            pull = Pull(iter_read, found)
            try:
                while await pull.next():
                    pass
            finally:
                await pull.aclose()

    def iter_read(reader: Any) -> Generator[bytes, None, None]:
        while chunk := reader.read(10):
            yield chunk

    task = asyncio.ensure_future(take())
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with anyio.fail_after(10), pytest.raises(asyncio.CancelledError):
        await task


def speech(seconds: int) -> bytes:
    """The samples of a sentence, again and again."""
    with wave.open(str(Path(__file__).parent / "data" / "umbrella.wav")) as file:
        assert file.getframerate() == 16_000
        sentence: bytes = file.readframes(file.getnframes())
    return sentence * (1 + 32_000 * seconds // len(sentence))


# --- what never comes ---------------------------------------------------------------------------------


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment too short to be waited for in a test."""
    monkeypatch.setattr(room, "_MOMENT", 0.01)


def left_behind() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("clova_speech")]


async def let_go() -> None:
    """Wait until no thread of ours is left."""
    with anyio.fail_after(20):
        for thread in left_behind():
            await anyio.to_thread.run_sync(thread.join)


class Stuck:
    """An object of the caller's, as of a bucket or an archive, that blocks until it is told not to."""

    def __init__(self) -> None:
        self.reads = 0
        self.go_on = threading.Event()

    def read(self, size: int = -1) -> bytes:
        self.reads += 1
        self.go_on.wait(60)
        return b""


Blocked = tuple[Any, Callable[[], object]]


@pytest.fixture(params=["FIFO", "pipe", "socket", "object", "samples"])
def blocked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blocked]:
    """Audio that never comes, and what ends it all the same."""
    if request.param == "FIFO":
        path = tmp_path / "pipe.wav"
        os.mkfifo(path)
        yield path, lambda: path.open("wb").close()
    elif request.param == "socket":
        here, there = socket.socketpair()
        with here, there, here.makefile("rb") as file:
            yield file, there.close
    elif request.param == "object":
        stuck = Stuck()
        yield stuck, stuck.go_on.set
    else:
        ends = os.pipe()
        with open(ends[0], "rb") as source, open(ends[1], "wb") as target:
            yield (source if request.param == "pipe" else PCM(source, 16_000)), target.close


def refuse(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"there was nothing to send: {request}")


@pytest.mark.parametrize("what", ["recognize", "transcribe", "stream", "estimate"])
async def test_who_is_cancelled_does_not_wait_for_what_never_comes(blocked: Blocked, what: str, brief: None) -> None:
    audio, release = blocked
    client = ClovaSpeechClient("key", invoke_url="https://clova.example", transport=httpx.MockTransport(refuse))

    async def call() -> None:
        if what == "estimate":
            await estimate(audio)
        elif what == "stream":
            async with client.stream(audio, lang="Kor") as segments:
                async for _ in segments:
                    raise AssertionError("a segment of nothing")
        else:
            await getattr(client, what)(audio, lang="Kor")

    async with client:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(call)
                while not (audio.reads if isinstance(audio, Stuck) else left_behind()):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        assert client.stats().waiting == 0
    release()
    await let_go()


async def test_closing_the_client_ends_the_wait_for_what_never_comes(blocked: Blocked, brief: None) -> None:
    audio, release = blocked
    client = ClovaSpeechClient("key", invoke_url="https://clova.example", transport=httpx.MockTransport(refuse))

    async def call() -> None:
        with pytest.raises(ClientClosedError):
            await client.transcribe(audio, lang="Kor")

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            while not (audio.reads if isinstance(audio, Stuck) else left_behind()):
                await anyio.lowlevel.checkpoint()
            await client.aclose()
    release()
    await let_go()


async def test_stopping_a_batch_ends_it_too(blocked: Blocked, brief: None) -> None:
    audio, release = blocked
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"text": "hello", "quota": 15}))
    outcomes: dict[str, Result] = {}
    with anyio.fail_after(20):
        async with ClovaSpeechClient("key", invoke_url="https://clova.example", transport=transport) as client:
            items = [Item(audio, id="stuck"), Item(wav(), id="good")]
            async with BatchTranscriber(client, lang="Kor").run(items) as results:
                async for result in results:
                    outcomes[result.id] = result
                    while not (audio.reads if isinstance(audio, Stuck) else left_behind()):
                        await anyio.lowlevel.checkpoint()
                    results.stop()
    assert outcomes["good"].transcript is not None
    assert isinstance(outcomes["stuck"].error, BatchStoppedError)
    release()
    await let_go()


async def test_a_piece_that_fails_does_not_wait_for_the_next_one_to_come(brief: None) -> None:
    ends = os.pipe()
    with open(ends[0], "rb") as source, open(ends[1], "wb") as target:
        feeder = threading.Thread(target=target.write, args=(speech(400),))
        feeder.start()

        async def refuse_when_all_is_read(request: httpx.Request) -> httpx.Response:
            await anyio.to_thread.run_sync(feeder.join)
            return httpx.Response(401, json={"error": {"errorCode": "200", "message": "Authentication Failed"}})

        transport = httpx.MockTransport(refuse_when_all_is_read)
        with anyio.fail_after(20):
            async with ClovaSpeechClient("key", invoke_url="https://clova.example", transport=transport) as client:
                with pytest.raises(AuthenticationError):
                    await client.transcribe(PCM(source, 16_000), lang="Kor")
        target.close()
        await let_go()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nor_does_a_task_that_asyncio_cancels(blocked: Blocked, brief: None) -> None:
    audio, release = blocked
    task = asyncio.ensure_future(estimate(audio))
    while not (audio.reads if isinstance(audio, Stuck) else left_behind()):
        await asyncio.sleep(0)
    task.cancel()
    with anyio.fail_after(20), pytest.raises(asyncio.CancelledError):
        await task
    release()
    await let_go()


async def test_who_decodes_is_not_left_behind_and_a_read_that_is_reads_no_more(brief: None) -> None:
    begun: list[int] = []
    ended: list[str] = []
    ends = os.pipe()
    with open(ends[0], "rb") as source, open(ends[1], "wb") as target:

        def steps(reader: Any) -> Generator[bytes, None, None]:
            try:
                for number in range(10):
                    begun.append(number)
                    yield reader.read(3)
            finally:
                ended.append("closed")

        async with reading(source) as found:
            pull = Pull(steps, found)
            target.write(b"abc")
            target.flush()
            assert await pull.next() == b"abc"
            async with anyio.create_task_group() as group:
                group.start_soon(pull.next)
                while len(begun) < 2:
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            await pull.aclose()
            assert ended == ["closed"]
        assert len(left_behind()) == 1
        target.write(b"defghi")
        target.flush()
        await let_go()
        assert source.read(3) == b"ghi"  # only what it was reading is gone


async def test_a_step_that_begins_after_the_end_does_nothing() -> None:
    """A thread may be left behind before it has begun."""
    pull = Pull(lambda _: iter_over([1, 2]))
    await pull.aclose()
    assert await pull.next() is None


def iter_over(numbers: list[int]) -> Generator[int, None, None]:
    yield from numbers


async def test_a_call_that_is_cancelled_waits_a_moment_for_a_read_that_ends() -> None:
    """So nobody reads from a file any more whose owner has it back."""
    stuck = Stuck()
    async with reading(stuck) as found:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(found.run, lambda reader: reader.read(10))
                while not stuck.reads:
                    await anyio.lowlevel.checkpoint()
                threading.Timer(0.05, stuck.go_on.set).start()
                scope.cancel()
        assert stuck.go_on.is_set()


async def test_what_comes_through_a_pipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(wav(3)))
    writer.start()
    with anyio.fail_after(20):
        assert (await estimate(path)).duration == 3.0
    writer.join()


@pytest.mark.parametrize("kind", ["pipe", "object"])
async def test_what_a_read_raises_is_raised(kind: str) -> None:
    ends = os.pipe()
    with open(ends[0], "rb") as pipe, open(ends[1], "wb"):
        async with reading(pipe if kind == "pipe" else Stuck()) as found:

            def fail(_: object) -> None:
                raise LookupError("gone")

            with pytest.raises(LookupError, match="gone"):
                await found.run(fail)


WHO: ContextVar[str] = ContextVar("WHO")


@pytest.mark.parametrize("kind", ["pipe", "object"])
async def test_threads_know_the_context_of_the_call(kind: str) -> None:
    WHO.set("me")
    ends = os.pipe()
    with open(ends[0], "rb") as pipe, open(ends[1], "wb"):
        async with reading(pipe if kind == "pipe" else Stuck()) as found:
            assert await found.run(lambda _: WHO.get()) == "me"


async def test_an_object_may_call_back_into_the_event_loop() -> None:
    content = io.BytesIO(wav(2))

    async def later(size: int) -> bytes:
        await anyio.lowlevel.checkpoint()
        return content.read(size)

    class Bridge:
        def read(self, size: int = -1) -> bytes:
            return anyio.from_thread.run(later, size)

    assert (await estimate(Bridge())).duration == 2.0


async def test_it_is_told_when_a_sender_sets_the_pace(tmp_path: Path) -> None:
    fifo, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(fifo)
    file.write_bytes(b"x")
    told: list[str] = []
    with file.open("rb") as opened:
        for there in (file, opened, b"x", tmp_path, tmp_path / "missing", "a\0b"):
            async with reading(there, lambda: told.append("at hand")) as found:
                await found.run(lambda _: None)
    assert told == []
    coming: list[Any] = [fifo, str(fifo), Stuck(), chunks(1)]
    for audio in coming:
        async with reading(audio, lambda: told.append("waits")) as found:
            await found.run(lambda _: None)
    assert told == ["waits"] * 4


def reply(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"text": "hello", "quota": 15})


def unauthorised(request: httpx.Request) -> httpx.Response:
    return httpx.Response(401, json={"error": {"errorCode": "200", "message": "Authentication Failed"}})


class Slow:
    """An object of the caller's, of which nobody knows that its reads end."""

    def __init__(self, content: bytes, before: Callable[[], object] = lambda: None) -> None:
        self._content = io.BytesIO(content)
        self._before = before

    def read(self, size: int = -1) -> bytes:
        self._before()
        return self._content.read(size)


async def stalled(content: bytes = b"") -> AsyncIterator[bytes]:
    yield content
    await anyio.sleep_forever()


async def test_the_error_of_a_recording_in_one_request_is_that_of_its_request() -> None:
    transport = httpx.MockTransport(unauthorised)
    async with ClovaSpeechClient("key", invoke_url="https://clova.example", transport=transport) as client:
        with pytest.raises(AuthenticationError):
            await client.transcribe(Slow(wav()), lang="Kor")


@pytest.mark.parametrize("how", ["close", "stop"])
async def test_what_was_read_and_sent_before_the_end_is_not_lost(how: str) -> None:
    sent, go_on = anyio.Event(), anyio.Event()
    texts: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        sent.set()
        await go_on.wait()
        return reply(request)

    transport = httpx.MockTransport(answer)
    client = ClovaSpeechClient("key", invoke_url="https://clova.example", transport=transport)
    run = BatchTranscriber(client, lang="Kor").run([Slow(wav())])

    async def call() -> None:
        if how == "close":
            texts.append((await client.transcribe(Slow(wav()), lang="Kor")).text)
            return
        async with run:
            async for result in run:
                texts.append(result.unwrap().text)  # noqa: PERF401 - seen as they come

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await sent.wait()
            if how == "close":
                group.start_soon(client.aclose)
            else:
                run.stop()
            await anyio.wait_all_tasks_blocked()
            go_on.set()
    await client.aclose()
    assert texts == ["hello"]


@pytest.mark.parametrize("content", [b"", wav()[:20_000], speech(1)[:20_000]], ids=["nothing", "WAV", "samples"])
async def test_closing_the_client_ends_the_wait_for_an_async_input(content: bytes) -> None:
    client = ClovaSpeechClient("key", invoke_url="https://clova.example", transport=httpx.MockTransport(refuse))
    audio: Any = stalled(content) if content[:4] in (b"", b"RIFF") else PCM(stalled(content), 16_000)

    async def call() -> None:
        with pytest.raises(ClientClosedError):
            await client.transcribe(audio, lang="Kor")

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            await client.aclose()


async def test_stopping_a_batch_ends_it_too_also_one_that_has_not_begun_yet() -> None:
    errors: list[Exception | None] = []
    client = ClovaSpeechClient("key", invoke_url="https://clova.example", transport=httpx.MockTransport(reply))
    batch = BatchTranscriber(client, lang="Kor")
    with anyio.fail_after(20):
        async with client, batch.run([wav(), stalled(wav()[:20_000])]) as results:
            async for result in results:
                errors.append(result.error)
                results.stop()
    assert errors[0] is None
    assert isinstance(errors[1], BatchStoppedError)


async def test_a_piece_that_fails_does_not_wait_for_an_async_input(brief: None) -> None:
    taken = anyio.Event()

    async def live() -> AsyncIterator[bytes]:
        yield speech(200)
        taken.set()
        await anyio.sleep_forever()

    async def answer(request: httpx.Request) -> httpx.Response:
        await taken.wait()  # somebody waits for more by then, or is about to
        return unauthorised(request)

    transport = httpx.MockTransport(answer)
    async with ClovaSpeechClient("key", invoke_url="https://clova.example", transport=transport) as client:
        with anyio.fail_after(20), pytest.raises(AuthenticationError):
            await client.transcribe(PCM(live(), 16_000), lang="Kor")


@pytest.mark.parametrize("kind", ["pipe", "object"])
async def test_who_is_cancelled_already_reads_nothing(kind: str) -> None:
    ends = os.pipe()
    with open(ends[0], "rb") as pipe, open(ends[1], "wb") as target:
        target.write(b"abc")
        target.flush()
        reads: list[int] = []
        audio: Any = pipe if kind == "pipe" else Slow(b"abc", lambda: reads.append(1))
        with anyio.CancelScope() as scope:
            scope.cancel()
            await estimate(audio)
        assert reads == []
        assert left_behind() == []
        target.close()
        assert pipe.read() == b"abc"


async def test_a_library_that_calls_back_for_bytes_prints_no_cancellation(capfd: pytest.CaptureFixture[str]) -> None:
    content = io.BytesIO()
    soundfile.write(content, np.frombuffer(speech(30), "<i2"), 16_000, format="FLAC")
    async with anyio.create_task_group() as group:
        group.start_soon(estimate, stalled(content.getvalue()[:100_000]))
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.1):  # the thread is somewhere in the file by now, or waits for more
            await anyio.sleep_forever()
        group.cancel_scope.cancel()
    assert capfd.readouterr().err == ""


async def test_a_thread_that_cannot_be_started_is_said_plainly(monkeypatch: pytest.MonkeyPatch, brief: None) -> None:
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("clova_speech"):
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    ends = os.pipe()
    refused = pytest.raises(AudioReadError, match="can't start new thread")
    with open(ends[0], "rb") as pipe, open(ends[1], "wb"), refused:
        await estimate(pipe)


async def test_a_read_that_ends_as_it_is_called_off_counts() -> None:
    """Its thread says so, and must not find the way back into the event loop closed: trio has a coroutine left then."""
    begun, go_on, ended = (threading.Event() for _ in range(3))

    def read(_: object) -> str:
        begun.set()
        go_on.wait(20)
        ended.set()
        return "read"

    async def let_it_end() -> None:
        while not begun.is_set():
            await anyio.lowlevel.checkpoint()
        go_on.set()
        ended.wait(20)  # the event loop stands still meanwhile
        threading.Event().wait(0.05)  # so that it stands where it waits for the event loop

    async def refuse(done: anyio.Event) -> None:
        await let_it_end()
        await anyio.to_thread.run_sync(list)
        raise BatchStoppedError("stopped")

    async def refuse_at_once(done: anyio.Event) -> None:
        await let_it_end()
        raise BatchStoppedError("stopped")

    for wait in (refuse, refuse_at_once):
        for event in (begun, go_on, ended):
            event.clear()
        ends = os.pipe()
        with open(ends[0], "rb") as pipe, open(ends[1], "wb"):
            async with reading(pipe, wait=wait) as found:
                assert await found.run(read) == "read"
        await let_go()
    gc.collect()  # what was never awaited is told of here


async def test_who_fails_as_the_client_closes_rests_no_more() -> None:
    """It was under way when the others were told, and would else wait before it looks."""
    sent, go_on = anyio.Event(), anyio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        sent.set()
        await go_on.wait()
        return httpx.Response(
            503, json={"error": {"errorCode": "900", "message": "busy"}}, headers={"Retry-After": "90"}
        )

    client = ClovaSpeechClient("key", invoke_url="https://clova.example", transport=httpx.MockTransport(answer))

    async def call() -> None:
        with pytest.raises(ClientClosedError):
            await client.recognize(wav(), lang="Kor")

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await sent.wait()
            group.start_soon(client.aclose)
            await anyio.wait_all_tasks_blocked()
            go_on.set()


async def test_a_stop_is_seen_by_who_is_about_to_wait_for_the_same_audio(tmp_path: Path) -> None:
    sent, go_on = anyio.Event(), anyio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        sent.set()
        await go_on.wait()
        return reply(request)

    class Stopped:
        def may_go_on(self, again: bool) -> None:
            raise BatchStoppedError("stopped")

        def before_send(self, piece: Piece) -> None:
            raise AssertionError("it was to wait")

        async def on_setback(self, error: ClovaSpeechError) -> None:
            raise AssertionError("it was to wait")

    transport = httpx.MockTransport(answer)
    async with (
        ClovaSpeechClient("key", invoke_url="https://clova.example", transport=transport) as client,
        Journal(tmp_path / "j.db") as journal,
        anyio.create_task_group() as group,
    ):
        group.start_soon(partial(client.recognize, wav(), lang="Kor", journal=journal))
        await sent.wait()  # the first one has the claim
        order = Order(Parameters.check(lang="Kor"), journal=journal, patient=True)
        with await client._sender.enter() as place, anyio.fail_after(20), pytest.raises(BatchStoppedError):
            await client._engine.job(order, place, guard=Stopped()).recognize(wav())
        go_on.set()


PROGRAM = """
import sys, threading
import anyio
from clova_speech_async import ClovaSpeechClient

async def tell():
    while not any(thread.name == "clova_speech read" for thread in threading.enumerate()):
        await anyio.lowlevel.checkpoint()
    print("waits", flush=True)

async def main():
    client = ClovaSpeechClient("key", invoke_url="https://clova.example")
    async with client, anyio.create_task_group() as group:
        group.start_soon(tell)
        await client.transcribe(sys.argv[1] or sys.stdin.buffer, lang="Kor")

anyio.run(main, backend=sys.argv[2])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("of", ["FIFO", "standard input"])
def test_ctrl_c_ends_a_program_that_reads_what_never_comes(tmp_path: Path, of: str, backend: str) -> None:
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    # Its standard input the end of Python closes, and wants the lock for it that a reading thread holds.
    command = [sys.executable, "-c", PROGRAM, str(path) if of == "FIFO" else "", backend]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waits\n"
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            errors = process.stderr.read()  # not `communicate`, which closes the standard input
            process.wait(20)
        finally:
            process.kill()
    # Before Python 3.11, asyncio's programs end by the cancellation.
    ends_so = "CancelledError" if sys.version_info < (3, 11) and backend == "asyncio" else "KeyboardInterrupt"
    assert ends_so in errors
    assert process.returncode in (1, -signal.SIGINT)


async def test_what_an_object_raises_is_not_swallowed_by_the_library_that_calls_back(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Also what is no `Exception`, as the cancellation of what the object itself waits for."""
    content = io.BytesIO()
    soundfile.write(content, np.frombuffer(speech(30), "<i2"), 16_000, format="FLAC")
    start = content.getvalue()[:200_000]

    class Cancelled:
        def __init__(self) -> None:
            self._content = io.BytesIO(start)

        def read(self, size: int = -1) -> bytes:
            if chunk := self._content.read(size):
                return chunk
            raise asyncio.CancelledError("of its own")

    with pytest.raises(AudioReadError, match="of its own"):
        await estimate(Cancelled())
    assert capfd.readouterr().err == ""
