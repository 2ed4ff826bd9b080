from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import anyio
import pytest

from clova_speech_async.audio import PCM
from clova_speech_async.reading import reading
from clova_speech_async.threads import blocking_reader, run_blocking

pytestmark = pytest.mark.anyio


async def chunks(*sizes: int) -> AsyncIterator[bytes]:
    for number, size in enumerate(sizes):
        yield bytes([number]) * size


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


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio cancels scopes only
async def test_what_the_iterable_waits_for_and_is_cancelled_is_an_error_not_an_end() -> None:
    async def waits() -> AsyncIterator[bytes]:
        yield b"abc"
        other = asyncio.get_running_loop().create_future()
        other.cancel()
        await other

    async with blocking_reader(waits()) as reader:
        assert await run_blocking(reader.read, 10) == b"abc"
        with pytest.raises(OSError, match="has been cancelled"):
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
        async with reading(stuck()) as found, anyio.create_task_group() as group:
            group.start_soon(found.run, lambda reader: reader.read())
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
