"""The turnstile: thousands of calls at once begin in many turns of the event loop, in order, and none is forgotten."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from clova_speech_async import ClovaSpeechClient
from clova_speech_async.errors import ClientClosedError, ConfigurationError
from clova_speech_async.http.door import Caller, Place
from clova_speech_async.http.limiter import Limiter
from clova_speech_async.http.turnstile import WIDTH, Turnstile

pytestmark = pytest.mark.anyio


def turnstile_of(width: int) -> Turnstile:
    """One at which everybody comes at the same moment; the first so many have come long ago."""
    turnstile = Turnstile(width, clock=lambda: 7.0)
    assert all(turnstile.has_room() for _ in range(width))
    return turnstile


async def begin(turnstile: Turnstile, begun: list[int], number: int) -> None:
    if not turnstile.has_room():
        await turnstile.turn()
        turnstile.go_in()
    begun.append(number)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio runs the tasks of a turn in any order
@pytest.mark.parametrize("calls", [3, 4, 7, 100])
async def test_so_many_begin_in_each_turn_in_order(calls: int) -> None:
    turnstile, begun = turnstile_of(3), []
    tasks = [asyncio.ensure_future(begin(turnstile, begun, number)) for number in range(calls)]
    seen = 0
    while len(begun) < calls:
        await asyncio.sleep(0)
        assert seen < len(begun) <= seen + 4
        assert turnstile.waiting == calls - len(begun)
        seen = len(begun)
    assert begun == list(range(calls))
    await asyncio.gather(*tasks)
    assert turnstile.waiting == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_comes_while_others_wait_comes_after_them() -> None:
    turnstile, begun = turnstile_of(2), []
    tasks = [asyncio.ensure_future(begin(turnstile, begun, number)) for number in range(20)]
    for number in range(20, 40):
        await asyncio.sleep(0)
        tasks.append(asyncio.ensure_future(begin(turnstile, begun, number)))
    await asyncio.gather(*tasks)
    assert begun == list(range(40))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("at_once", [1, 3, 4, 5, 50])
async def test_so_many_begin_in_each_turn_however_few_waited_at_first(at_once: int) -> None:
    turnstile, begun, turns = turnstile_of(3), [], 0
    tasks = []
    while len(begun) < 300:
        tasks += [asyncio.ensure_future(begin(turnstile, begun, len(tasks) + i)) for i in range(at_once)]
        await asyncio.sleep(0)
        turns += 1
    assert turns <= 300 / min(at_once, 3) + 3
    assert begun == list(range(len(begun)))
    await asyncio.gather(*tasks)


async def test_who_comes_alone_waits_one_turn_at_most() -> None:
    turnstile, waited = turnstile_of(2), []
    for number in range(10):
        if not turnstile.has_room():
            waited.append(number)
            assert turnstile.waiting == 0
            with anyio.fail_after(20):
                await turnstile.turn()
            assert turnstile.waiting == 1
            turnstile.go_in()
    assert waited == [2, 5, 8]
    assert turnstile.waiting == 0


async def test_who_comes_slowly_never_waits() -> None:
    now = 0.0

    def clock() -> float:
        return now

    turnstile = Turnstile(10, clock)
    for _ in range(100):
        assert turnstile.has_room()
        now += 0.0021
    for _ in range(10):
        assert turnstile.has_room()
        now += 0.0019
    assert not turnstile.has_room()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("which", [range(2, 3), range(2, 4), range(3, 5), range(2, 9), range(4, 10)])
async def test_those_who_are_cancelled_leave_the_others_their_turns(which: range, turns: int) -> None:
    turnstile, begun = turnstile_of(2), []
    tasks = [asyncio.ensure_future(begin(turnstile, begun, number)) for number in range(10)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for number in which:
        tasks[number].cancel()
    with anyio.fail_after(20):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, asyncio.CancelledError)]
    assert set(cancelled) <= set(which)
    assert begun == [number for number in range(10) if number not in cancelled]
    assert turnstile.waiting == 0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), width=st.integers(1, 5))
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_any_history(backend: str, seed: int, width: int) -> None:
    """Calls that come in bursts, some of them cancelled: each begins or is cancelled, and few begin in one turn."""
    dice = random.Random(seed)

    async def work() -> None:
        turnstile, begun, ended = turnstile_of(width), [], set()
        scopes = [anyio.CancelScope() for _ in range(60)]

        async def one(number: int) -> None:
            with scopes[number]:
                await begin(turnstile, begun, number)
            ended.add(number)

        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(one, number)
                if dice.random() < 0.2:
                    before = len(begun)
                    await anyio.lowlevel.checkpoint()
                    # Those who had waited, and those who had not come by before.
                    assert len(begun) - before <= 2 * (width + 1)
                if dice.random() < 0.3:
                    scopes[dice.randrange(number + 1)].cancel()
        assert ended == set(range(60))
        assert set(begun) >= {number for number in range(60) if not scopes[number].cancel_called}
        assert turnstile.waiting == 0
        # It lets in as before.
        assert sum(turnstile.has_room() for _ in range(width + 1)) <= width

    if backend == "trio":
        trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0))
    else:
        anyio.run(work)


class Late(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.may = anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self.may.wait()
        return httpx.Response(200, content=b'{"text":"hello","quota":15}')


def wav() -> bytes:
    return b"RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\2\0\0\0\1\0"


class Counted(Limiter):
    """Counts the calls that begin."""

    begun = 0

    def enter(self, patience: float, caller: Caller) -> Coroutine[Any, Any, Place]:
        self.begun += 1
        return super().enter(patience, caller)


@pytest.mark.parametrize("how", ["recognize", "transcribe", "stream"])
async def test_of_many_calls_made_at_once_few_begin_in_one_turn(how: str) -> None:
    calls, texts, service, limiter = 6 * WIDTH, [], Late(), Counted(8)
    async with ClovaSpeechClient(
        "key", invoke_url="https://clova.example", transport=service, concurrency=limiter
    ) as client:

        async def one() -> None:
            if how == "stream":
                async with client.stream(wav(), lang="Kor") as segments:
                    texts.extend([segment.text async for segment in segments])
            else:
                texts.append((await getattr(client, how)(wav(), lang="Kor")).text)

        async with anyio.create_task_group() as group:
            for _ in range(calls):
                group.start_soon(one)
            turns = most = 0
            while limiter.begun < calls:
                before = limiter.begun
                await anyio.lowlevel.checkpoint()
                most, turns = max(most, limiter.begun - before), turns + 1
            assert most <= 3 * WIDTH
            assert turns > 3
            service.may.set()
    assert texts == ["hello"] * calls


async def test_who_waits_for_its_turn_is_counted_and_hears_that_the_client_was_closed() -> None:
    client = ClovaSpeechClient("key", invoke_url="https://clova.example", transport=Late(), concurrency=1)
    refused = 0

    async def one() -> None:
        nonlocal refused
        with pytest.raises(ClientClosedError):
            await client.recognize(wav(), lang="Kor")
        refused += 1

    with anyio.fail_after(20):
        await client.aclose()
        async with anyio.create_task_group() as group:
            for _ in range(4 * WIDTH):
                group.start_soon(one)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            assert client.stats().waiting >= WIDTH
    assert refused == 4 * WIDTH


async def test_a_slot_that_is_free_is_given_to_who_has_its_turn_though_others_wait_for_theirs() -> None:
    client = ClovaSpeechClient("key", invoke_url="https://clova.example", transport=Late())
    limiter, places, waited = Limiter(4 * WIDTH, max_waiting=0), [], 0

    async def one() -> None:
        nonlocal waited
        if not limiter.begins_at_once():
            waited += 1
            await limiter.turn()
            limiter.go_in()
        places.append(await limiter.enter(60, client._sender))

    async with anyio.create_task_group() as group:
        for _ in range(3 * WIDTH):
            group.start_soon(one)
    assert waited > 1
    assert len(places) == 3 * WIDTH


async def test_a_thread_is_refused_while_calls_wait_in_another() -> None:
    limiter = Limiter(1)

    async def one() -> None:
        if not limiter.begins_at_once():
            await limiter.turn()
            limiter.go_in()

    async with anyio.create_task_group() as group:
        for _ in range(3 * WIDTH):
            group.start_soon(one)
        while not limiter.waiting:
            await anyio.lowlevel.checkpoint()
        with ThreadPoolExecutor() as pool:  # waiting for it, no turn of this event loop passes
            error = pool.submit(limiter.begins_at_once).exception()
    assert isinstance(error, ConfigurationError)
    assert limiter.waiting == 0
