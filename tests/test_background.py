from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest

from clova_speech_async.background import BackgroundStream, Host
from clova_speech_async.errors import ClientClosedError, ConfigurationError, ConnectionLostError

pytestmark = pytest.mark.anyio
Emit = Callable[[int], Awaitable[None]]


class Entered(Host):
    """A host that is entered by ``async with``."""

    async def __aenter__(self) -> Entered:
        await self.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.exit()


async def three(emit: Emit) -> None:
    for number in range(3):
        await emit(number)


class Endless:
    """Work that never ends by itself, and knows how it ended."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended = anyio.Event()

    async def __call__(self, emit: Emit) -> None:
        try:
            while True:
                await emit(self.sent)
                self.sent += 1
        finally:
            self.ended.set()


async def test_read_in_an_entered_host() -> None:
    async with Entered() as host:
        assert [number async for number in BackgroundStream(three, host)] == [0, 1, 2]


async def test_read_under_a_block_of_its_own() -> None:
    async with BackgroundStream(three, Host()) as stream:
        assert [number async for number in stream] == [0, 1, 2]
        assert [number async for number in stream] == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio has a warning for every generator that is left
async def test_a_block_in_a_generator_that_is_left_harms_nobody() -> None:
    """Python ends the generator in another task: a task group opened in it would be left in the wrong one."""
    work = Endless()

    async def numbers(host: Host) -> AsyncIterator[int]:
        async with BackgroundStream(work, host) as stream:
            async for number in stream:
                yield number

    async with Entered() as host:
        async for number in numbers(host):
            assert number == 0
            break
        gc.collect()
        with anyio.fail_after(20):
            await work.ended.wait()


async def test_what_is_closed_before_it_is_read_does_not_begin() -> None:
    work = Endless()
    async with Entered() as host:
        stream = BackgroundStream(work, host)
        await stream.aclose()
        assert [number async for number in stream] == []
        async with stream:
            assert [number async for number in stream] == []
    assert work.sent == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio cancels scopes only
async def test_what_the_work_waits_for_and_is_cancelled_ends_this_stream_and_no_other() -> None:
    async def waits(emit: Emit) -> None:
        other = asyncio.get_running_loop().create_future()
        other.cancel()
        await other

    async with Entered() as host:
        other = BackgroundStream(Endless(), host)
        assert await anext(other) == 0
        with pytest.raises(ConnectionLostError, match="cancelled from outside"):
            await anext(BackgroundStream(waits, host))
        assert await anext(other) == 1
        await other.aclose()


async def test_nobody_holds_the_work() -> None:
    with pytest.raises(ConfigurationError, match="async with"):
        async for _ in BackgroundStream(three, Host()):
            pass


async def test_an_error_comes_unwrapped_after_the_items_before_it() -> None:
    async def breaks(emit: Emit) -> None:
        await emit(1)
        raise KeyError("x")

    async with Entered() as host:
        stream = BackgroundStream(breaks, host)
        assert await anext(stream) == 1
        with pytest.raises(KeyError):
            await anext(stream)
        assert [number async for number in stream] == []


async def test_leaving_the_loop_cancels_the_work() -> None:
    work = Endless()
    async with Entered() as host:
        async for number in BackgroundStream(work, host):
            if number == 2:
                break
        gc.collect()
        await work.ended.wait()
    assert work.sent <= 3


async def test_a_slow_reader_slows_the_work() -> None:
    work = Endless()
    async with BackgroundStream(work, Host(), buffer=2) as stream:
        await anext(stream)
        await anyio.wait_all_tasks_blocked()
        assert work.sent <= 4


async def test_who_waits_to_send_waits_for_its_own_item_only() -> None:
    through: list[int] = []

    async def work(emit: Emit) -> None:
        async def one(number: int) -> None:
            await emit(number)
            through.append(number)

        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(one, number)

    async with BackgroundStream(work, Host(), buffer=2) as stream:
        read = []
        for waiting in (3, 2, 1, 0, 0, 0):
            read.append(await anext(stream))
            await anyio.wait_all_tasks_blocked()
            assert len(through) == 6 - waiting
            # Those that are through are the first that were laid down: what is read, and two more.
            assert set(read) <= set(through)
    assert sorted(read) == list(range(6))


async def test_a_cancelled_sender_leaves_its_item_and_everybody_elses_turn() -> None:
    scope = anyio.CancelScope()
    through: list[int] = []

    async def work(emit: Emit) -> None:
        async def one(number: int) -> None:
            await emit(number)
            through.append(number)

        async with anyio.create_task_group() as group:
            with scope:
                await one(0)
            group.start_soon(one, 1)

    async with BackgroundStream(work, Host()) as stream:
        scope.cancel()
        assert await anext(stream) == 0
        await anyio.wait_all_tasks_blocked()
        assert through == []
        assert await anext(stream) == 1
        await anyio.wait_all_tasks_blocked()
        assert through == [1]


async def test_a_reader_of_what_is_there_lets_others_go_on() -> None:
    async with BackgroundStream(Endless(), Host(), buffer=1000) as stream:
        await anext(stream)
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        async with anyio.create_task_group() as group:
            group.start_soon(count_turns)
            await anyio.lowlevel.checkpoint()
            for _ in range(100):
                await anext(stream)
            group.cancel_scope.cancel()
    assert 10 <= turns <= 100


async def test_leaving_the_block_cancels_and_waits() -> None:
    work = Endless()
    stream = BackgroundStream(work, Host())
    async with stream:
        await anext(stream)
    assert work.ended.is_set()


async def test_aclose_cancels_and_waits_and_may_come_twice() -> None:
    work = Endless()
    async with Entered() as host:
        stream = BackgroundStream(work, host)
        await anext(stream)
        await stream.aclose()
        await stream.aclose()
        assert work.ended.is_set()


async def test_the_hosts_end_is_no_silent_end_of_the_stream() -> None:
    work = Endless()
    async with Entered() as host:
        stream = BackgroundStream(work, host)
        await anext(stream)
    with pytest.raises(ClientClosedError, match="its end is missing"):
        [number async for number in stream]


async def test_the_owners_error_is_not_wrapped() -> None:
    async def leave() -> None:
        async with Entered() as host:
            await anext(BackgroundStream(Endless(), host))
            raise LookupError

    with pytest.raises(LookupError):
        await leave()


async def test_a_block_with_an_error_inside_lets_it_through() -> None:
    with pytest.raises(LookupError):
        async with BackgroundStream(three, Host()):
            raise LookupError


async def test_cancelled_from_outside_while_entered() -> None:
    work = Endless()
    with anyio.CancelScope() as scope:
        async with Entered() as host:
            await anext(BackgroundStream(work, host))
            scope.cancel()
            await anyio.sleep_forever()
    assert work.ended.is_set()
    assert scope.cancelled_caught


async def test_started_twice() -> None:
    stream = BackgroundStream(three, Host())
    async with stream:
        pass
    with pytest.raises(ConfigurationError, match="started already"):
        async with stream:
            pass


async def test_a_second_start_leaves_no_scope_behind() -> None:
    stream = BackgroundStream(three, Host())
    async with stream:
        pass
    with anyio.move_on_after(5):
        with pytest.raises(ConfigurationError):
            await stream.__aenter__()
    # Leaving the scope above would have raised: one inside it would still be open.
    await anyio.lowlevel.checkpoint()


async def test_several_readers_all_find_the_end() -> None:
    got: list[int] = []

    async def read(stream: BackgroundStream[int]) -> None:
        got.extend([number async for number in stream])

    async with Entered() as host:
        stream = BackgroundStream(three, host)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(read, stream)
    assert sorted(got) == [0, 1, 2]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("turns", range(12))
async def test_nothing_is_lost_with_a_reader_whose_task_is_cancelled_as_the_item_comes(turns: int) -> None:
    """As by ``asyncio.timeout``; a memory stream of anyio loses what it has handed over by then."""
    may = anyio.Event()

    async def work(send: Callable[[int], Awaitable[None]]) -> None:
        await may.wait()
        for number in range(3):
            await send(number)

    async with BackgroundStream(work, Host()) as stream:
        reader = asyncio.ensure_future(anext(stream))
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        may.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait([reader])
        read = [] if reader.cancelled() else [reader.result()]
        assert read + [number async for number in stream] == [0, 1, 2]


async def test_aclose_ends_a_reader_that_waits() -> None:
    async def silent(emit: Emit) -> None:
        await anyio.sleep_forever()

    got: list[int] = []

    async def read(stream: BackgroundStream[int]) -> None:
        got.extend([number async for number in stream])
        got.append(-1)

    async with Entered() as host:
        stream = BackgroundStream(silent, host)
        async with anyio.create_task_group() as group:
            group.start_soon(read, stream)
            await anyio.wait_all_tasks_blocked()
            await stream.aclose()
    assert got == [-1]
