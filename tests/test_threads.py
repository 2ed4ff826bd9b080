from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any

import anyio
import pytest

from clova_speech_async.audio import PCM
from clova_speech_async.threads import Pull, blocking_reader, decoders, is_at_hand, run_blocking

pytestmark = pytest.mark.anyio


async def chunks(*sizes: int) -> AsyncIterator[bytes]:
    for number, size in enumerate(sizes):
        yield bytes([number]) * size


async def test_a_generator_runs_in_threads_and_ends() -> None:
    seen: list[int] = []

    def count() -> Generator[int, None, None]:
        try:
            for number in (1, 2):
                seen.append(threading.get_ident())
                yield number
        finally:
            seen.append(threading.get_ident())

    pull = Pull(count())
    assert await pull.next() == 1
    await pull.aclose()
    assert await pull.next() is None
    assert len(seen) == 2
    assert threading.get_ident() not in seen


async def test_what_a_generator_returns_is_there_at_its_end() -> None:
    def count() -> Generator[int, None, str]:
        yield 1
        return "all"

    pull = Pull(count())
    assert [await pull.next(), await pull.next(), await pull.next()] == [1, None, None]
    assert pull.result == "all"


async def test_what_is_no_async_iterable_passes_untouched() -> None:
    async with blocking_reader(b"abc") as same:
        assert same == b"abc"


@pytest.mark.parametrize("size", [1, 7, 100_000, -1])
async def test_an_async_iterable_reads_like_a_file(size: int) -> None:
    def drain(reader: object) -> bytes:
        found = b""
        while chunk := reader.read(size):  # type: ignore[attr-defined]
            assert size < 0 or len(chunk) <= size
            found += chunk
        return found

    async with blocking_reader(chunks(3, 0, 50, 9)) as reader:
        assert reader.readable()
        assert not reader.seekable()
        assert not reader.closed
        assert reader.read(0) == b""
        assert await run_blocking(drain, reader) == b"\0" * 3 + b"\2" * 50 + b"\3" * 9


async def test_the_producer_waits_for_the_reader() -> None:
    given = 0

    async def producer() -> AsyncIterator[bytes]:
        nonlocal given
        while given < 40:
            given += 1
            yield bytes(256 * 1024)

    async with blocking_reader(producer()) as reader:
        await anyio.wait_all_tasks_blocked()
        assert given == 4
        total = len(await run_blocking(reader.read))
        assert total == 40 * 256 * 1024


async def test_what_the_iterable_raises_comes_out_of_read_after_what_it_gave() -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"abc"
        raise LookupError("gone")

    async with blocking_reader(breaks()) as reader:
        assert await run_blocking(reader.read, 10) == b"abc"
        with pytest.raises(LookupError, match="gone"):
            await run_blocking(reader.read, 10)


async def test_an_iterable_of_something_else_is_a_type_error() -> None:
    async def text() -> AsyncIterator[str]:
        yield "abc"

    async with blocking_reader(text()) as reader:
        with pytest.raises(TypeError, match="gave str; it must give bytes"):
            await run_blocking(reader.read, 10)


async def test_leaving_early_ends_a_producer_that_waits() -> None:
    ended = anyio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with blocking_reader(stuck()) as reader:
        assert await run_blocking(reader.read, 1) == b"a"
    assert ended.is_set()


async def test_a_cancelled_call_does_not_hang_on_a_producer_that_waits() -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"a"
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        async with blocking_reader(stuck()) as reader, anyio.create_task_group() as group:
            group.start_soon(run_blocking, reader.read)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught


async def test_a_producer_that_is_left_early_is_closed_by_the_task_that_read_it() -> None:
    closed: list[str] = []

    async def upload() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(256 * 1024)
        finally:
            await anyio.lowlevel.checkpoint()
            closed.append("whole")

    async with blocking_reader(upload()) as reader:
        await run_blocking(reader.read, 1)
        await anyio.wait_all_tasks_blocked()
    assert closed == ["whole"]


class Upload:
    """As Starlette's and FastAPI's: its `read` is to be awaited, and it is no async iterable."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    async def read(self, size: int = -1) -> bytes:
        await anyio.lowlevel.checkpoint()
        return self._content.read(size)


async def test_an_upload_whose_read_is_awaited() -> None:
    content = bytes(range(256)) * 1000
    async with blocking_reader(Upload(content)) as reader:
        assert await run_blocking(reader.read) == content


async def test_samples_that_come_by_and_by() -> None:
    for data in (chunks(100, 50, 200), Upload(b"".join([chunk async for chunk in chunks(100, 50, 200)]))):
        async with blocking_reader(PCM(data, 16_000)) as audio:
            assert (audio.sample_rate, audio.sample_format) == (16_000, "s16le")
            assert await run_blocking(audio.data.read) == bytes(100) + b"\x01" * 50 + b"\x02" * 200


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_stream_of_asyncio_is_not_read_by_lines() -> None:
    """A line of samples may be longer than what `asyncio.StreamReader` takes for one."""
    content = bytes(300_000)
    stream = asyncio.StreamReader()
    stream.feed_data(content)
    stream.feed_eof()
    async with blocking_reader(stream) as reader:
        assert await run_blocking(reader.read) == content


async def test_an_iterable_whose_read_takes_no_size_is_iterated_over() -> None:
    class Part:
        async def read(self, *, decode: bool = False) -> bytes:
            raise AssertionError("the whole of it at once")

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

    async with blocking_reader(Part()) as reader:
        assert await run_blocking(reader.read) == b"ab"


def test_files_are_at_hand_and_pipes_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"x")
    with path.open("rb") as file:
        assert is_at_hand(file)
        assert is_at_hand(PCM(file, 16_000))
    assert not is_at_hand(file)  # closed: what reads it says so
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
        async with blocking_reader(source) as reader:
            assert await run_blocking(reader.read, limiter=decoders(source)) == b"abc" * 3

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

    pull = Pull(slow())

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
        async with blocking_reader(stuck()) as reader:
            pull = Pull(iter_read(reader), None, reader)
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
