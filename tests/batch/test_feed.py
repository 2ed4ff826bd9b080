from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from clova_speech_async.batch.feed import Feed
from clova_speech_async.errors import ArgumentTypeError

pytestmark = pytest.mark.anyio


async def everything(feed: Feed) -> list[Any]:
    taken: list[Any] = []
    while chunk := await feed.take():
        taken += chunk
    await feed.aclose()
    return taken


class Numbers:
    """An iterator that counts what was taken of it, and in which threads."""

    def __init__(self, count: int, pause: float = 0.0) -> None:
        self.count = count
        self.pause = pause
        self.taken = 0
        self.threads: set[int] = set()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.threads.add(threading.get_ident())
        if self.taken == self.count:
            raise StopIteration
        time.sleep(self.pause)
        self.taken += 1
        return self.taken - 1


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda n: dict.fromkeys(n).keys(), lambda n: (x for x in n)])
async def test_gives_all_in_their_order(kind: Any) -> None:
    feed = Feed(kind(range(100)), ahead=16)
    assert await everything(feed) == list(range(100))
    assert await feed.take() == []
    assert feed.error is None


async def test_gives_all_of_an_async_iterable() -> None:
    class Source:
        async def __aiter__(self) -> AsyncIterator[int]:
            for number in range(100):
                await anyio.lowlevel.checkpoint()
                yield number

    assert await everything(Feed(Source(), ahead=16)) == list(range(100))


async def test_a_generator_is_asked_in_another_thread_and_not_far_ahead() -> None:
    numbers = Numbers(1000)
    feed = Feed(numbers, ahead=16)
    assert numbers.taken == 0
    chunk = await feed.take()
    assert 1 <= len(chunk) == numbers.taken <= 16
    assert threading.get_ident() not in numbers.threads


async def test_a_slow_generator_is_asked_for_one_at_a_time() -> None:
    numbers = Numbers(3, pause=0.002)
    feed = Feed(numbers, ahead=16)
    assert await feed.take() == [0]
    assert numbers.taken <= 2
    assert await everything(feed) == [1, 2]


async def test_large_audio_is_taken_one_at_a_time() -> None:
    feed = Feed(iter([bytes(600_000)] * 4), ahead=16)
    assert [len(await feed.take()) for _ in range(3)] == [2, 2, 0]


@pytest.mark.parametrize("at", [0, 5, 16, 40])
async def test_what_came_before_an_error_comes_before_it(at: int) -> None:
    def sources() -> Iterator[int]:
        yield from range(at)
        raise ZeroDivisionError("in the source")

    feed = Feed(sources(), ahead=16)
    assert await everything(feed) == list(range(at))
    assert isinstance(feed.error, ZeroDivisionError)


@pytest.mark.parametrize("error", [SystemExit("bad row"), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_a_generator_that_wants_to_end_the_program_ends_the_sources(error: BaseException) -> None:
    def sources() -> Iterator[int]:
        yield 1
        raise error

    feed = Feed(sources(), ahead=16)
    with anyio.fail_after(20):
        assert await everything(feed) == [1]
    assert feed.error is not None
    assert feed.error.__cause__ is error


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio cancels scopes only
async def test_what_an_async_generator_waits_for_and_is_cancelled_is_its_error() -> None:
    async def sources() -> AsyncIterator[int]:
        yield 1
        other = asyncio.get_running_loop().create_future()
        other.cancel()
        await other

    feed = Feed(sources(), ahead=16)
    assert await everything(feed) == [1]
    assert "has been cancelled" in str(feed.error)


async def test_the_error_of_an_async_generator() -> None:
    async def sources() -> AsyncIterator[int]:
        yield 1
        raise ZeroDivisionError("in the source")

    feed = Feed(sources(), ahead=16)
    assert await everything(feed) == [1]
    assert isinstance(feed.error, ZeroDivisionError)


async def test_a_generator_that_is_left_early_is_closed() -> None:
    closed: list[str] = []

    def plain() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append("plain")

    async def awaited() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await anyio.lowlevel.checkpoint()
            closed.append("async")

    for sources in (plain(), awaited()):
        feed = Feed(sources, ahead=4)
        with anyio.CancelScope() as scope:
            try:
                assert await feed.take()
                scope.cancel()
                await anyio.lowlevel.checkpoint()
            finally:
                await feed.aclose()
    assert closed == ["plain", "async"]


async def test_a_generator_that_waits_for_ever_does_not_hold_up_the_end() -> None:
    let_go = threading.Event()
    asked = threading.Event()

    def sources() -> Iterator[int]:
        asked.set()
        assert let_go.wait(10)
        yield 1

    feed = Feed(sources(), ahead=4)
    async with anyio.create_task_group() as group:
        group.start_soon(feed.take)
        await anyio.to_thread.run_sync(asked.wait)
        group.cancel_scope.cancel()
    await feed.aclose()
    let_go.set()


async def test_what_a_generator_has_given_does_not_wait_for_the_next() -> None:
    let_go = threading.Event()

    def sources() -> Iterator[int]:
        yield 1
        assert let_go.wait(10)
        yield 2
        yield 3

    feed = Feed(sources(), ahead=4)
    assert await feed.take() == [1]
    rest: list[int] = []

    async def take() -> None:
        rest.extend(await everything(feed))

    async with anyio.create_task_group() as group:
        group.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        let_go.set()
    assert rest == [2, 3]


@pytest.mark.parametrize("single", ["talk.wav", b"RIFF", bytearray(b"x"), memoryview(b"x"), 5, None, list])
async def test_one_source_instead_of_many_is_refused(single: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=r"put a single one into a list: batch\.run\(\[audio\]\)"):
        Feed(single, ahead=1)


async def test_a_mapping_is_refused_and_its_values_are_not() -> None:
    calls = {"a": "en.wav", "b": "ko.wav"}
    for mapping in (calls, MappingProxyType(calls)):
        with pytest.raises(ArgumentTypeError) as caught:
            Feed(mapping, ahead=1)
        assert f"not {type(mapping).__name__}, which would give its keys" in str(caught.value)
        assert "batch.run(sources.values())" in str(caught.value)
        assert "batch.run([Item(audio, id=name) for name, audio in sources.items()])" in str(caught.value)
    assert await everything(Feed(calls.values(), ahead=1)) == ["en.wav", "ko.wav"]


async def test_an_open_file_is_refused() -> None:
    with open(__file__, "rb") as file, pytest.raises(ArgumentTypeError, match="not BufferedReader"):
        Feed(file, ahead=1)


async def test_what_a_generator_gave_while_the_taking_was_cancelled_is_not_lost() -> None:
    go_on, last = threading.Event(), threading.Event()

    def sources() -> Iterator[int]:
        yield 0
        go_on.wait(10)
        yield 1
        last.wait(10)

    feed = Feed(sources(), ahead=8)
    assert await feed.take() == [0]
    with anyio.move_on_after(0):
        await feed.take()
    go_on.set()
    collected: list[int] = []
    with anyio.fail_after(10):
        while not collected:
            collected = feed.collect()
            await anyio.lowlevel.checkpoint()
    assert collected == [1]
    last.set()
    assert await feed.take() == []
    assert feed.collect() == []
    await feed.aclose()
