"""Very many calls at once: those in line hold nothing, and nobody who is slow keeps them there."""

from __future__ import annotations

import asyncio
import gc
import io
import wave
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
import trio.testing

from clova_speech_async import (
    BadRequestError,
    ClientClosedError,
    ClovaSpeechClient,
    ConfigurationError,
    DeadlineExceededError,
    Journal,
    RequestFinished,
    Splitting,
    estimate,
)
from clova_speech_async.http.door import GROUP
from clova_speech_async.http.limiter import Limiter

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="trio, virtual clock")


class Late(httpx.AsyncBaseTransport):
    """A service that answers once it may."""

    def __init__(self) -> None:
        self.may = anyio.Event()
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(await request.aread())
        await self.may.wait()
        return httpx.Response(200, content=b'{"text":"hello","quota":15}')


def wav(seconds: float = 0.5, value: int = 0) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        # Of nothing but zeros no request would be made.
        file.writeframes(b"\1\0" + value.to_bytes(2, "little") * int(seconds * 16_000 - 1))
    return out.getvalue()


def make(service: Late, **options: Any) -> ClovaSpeechClient:
    return ClovaSpeechClient("key", invoke_url="https://clova.example", transport=service, **options)


async def settle(turns: int = 50) -> None:
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()


async def until(condition: Any) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.sleep(0.001)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_call_in_line_holds_three_coroutines_and_hardly_anything_else() -> None:
    """Each collection of Python's garbage looks at all of it, and the event loop stands still for that."""

    async def held(call: Any, calls: int) -> float:
        """Objects that the collector sees for each call, beside the task itself."""
        tasks: list[asyncio.Task[Any]] = []
        gc.collect()
        before = len(gc.get_objects())
        tasks += [asyncio.ensure_future(call()) for _ in range(calls)]
        await settle()
        gc.collect()
        objects = (len(gc.get_objects()) - before) / calls
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return objects

    service, audio = Late(), wav()
    client = make(service, concurrency=4)
    async with anyio.create_task_group() as group:
        for _ in range(4 + GROUP):
            group.start_soon(lambda: client.recognize(audio, lang="Kor"))
        await settle()
        bare = await held(anyio.Event().wait, 1000)
        ours = await held(lambda: client.recognize(audio, lang="Kor"), 1000)
        assert client.stats().waiting == GROUP
        group.cancel_scope.cancel()
    # `recognize` and `enter` of ours; the wait for an event is two coroutines, that for a semaphore one.
    # What a group of 16 shares is divided among them.
    assert ours - bare < 1.25


async def test_audio_is_read_when_it_is_its_turn(tmp_path: Path) -> None:
    service = Late()
    client = make(service, concurrency=2)
    paths = [tmp_path / f"{number}.wav" for number in range(100)]
    for path in paths:
        path.write_bytes(wav())
    texts = []

    async def one(path: Path) -> None:
        texts.append((await client.recognize(path, lang="Kor")).text)

    async with anyio.create_task_group() as group:
        for path in paths:
            group.start_soon(one, path)
        await until(lambda: len(service.bodies) == 2)
        await settle()
        assert client.stats().waiting >= 100 - 2 * 2 - 2 * GROUP
        # Nothing of those in line has been looked at: what is there when it is their turn is sent.
        other = tmp_path / "other"
        for path in paths:
            other.write_bytes(wav(value=1))
            other.replace(path)  # in one step: some are being read
        service.may.set()
    assert texts == ["hello"] * 100
    assert service.bodies.count(wav(value=1)) >= 100 - 2 * 2 - 2 * GROUP
    await client.aclose()


async def test_a_deadline_comes_in_line_too() -> None:
    service, events = Late(), list[Any]()
    client = make(service, concurrency=1, on_event=events.append)
    errors: list[str] = []
    audio = wav()

    async def one(timeout: float | None) -> None:
        try:
            await client.recognize(audio, lang="Kor", timeout=timeout)
        except DeadlineExceededError as error:
            errors.append(str(error))

    async with anyio.create_task_group() as group:
        for _ in range(1 + 2 * GROUP):
            group.start_soon(one, None)
        await settle()
        for _ in range(50):
            group.start_soon(one, 0.01)
        await until(lambda: len(errors) == 50)
        assert set(errors) == {"the time-out over all tries ran out while waiting in line for a slot"}
        stats = client.stats()
        assert (stats.failed, stats.waiting, stats.in_flight) == (50, 2 * GROUP, 1)
        service.may.set()
    ended = [event for event in events if isinstance(event, RequestFinished)]
    late = [event for event in ended if event.error == "DeadlineExceededError"]
    assert (len(ended), len(late)) == (51 + 2 * GROUP, 50)
    assert all(event.attempts == 0 and event.elapsed >= 0.01 for event in late)
    stats = client.stats()
    assert (stats.requests, stats.succeeded, stats.failed) == (51 + 2 * GROUP, 1 + 2 * GROUP, 50)


async def test_the_time_at_the_door_counts() -> None:
    """The deadline runs from the call, and the event of its first try says how long it was in line."""
    service, events = Late(), list[Any]()
    client = make(service, concurrency=1, on_event=events.append)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(lambda: client.recognize(wav(), lang="Kor", timeout=30))
        await settle()
        await anyio.sleep(0.02)
        service.may.set()
    ended = [event for event in events if isinstance(event, RequestFinished)]
    assert len(ended) == 3
    assert all(event.elapsed >= 0.02 for event in ended)
    waited = sorted(event.waited for event in events if hasattr(event, "waited"))
    assert waited[0] < 0.02 <= waited[1] <= waited[2]


async def test_the_time_that_another_call_took_for_the_same_counts(tmp_path: Path) -> None:
    service, events = Late(), list[Any]()
    failing = anyio.CancelScope()
    async with (
        Journal(tmp_path / "run.db") as journal,
        make(service, on_event=events.append) as client,
        anyio.create_task_group() as group,
    ):

        async def first() -> None:
            with failing:
                await client.recognize(wav(), lang="Kor", journal=journal)

        group.start_soon(first)
        await until(lambda: len(service.bodies) == 1)
        group.start_soon(partial(client.recognize, wav(), lang="Kor", journal=journal))
        await settle()
        await anyio.sleep(0.02)
        failing.cancel()
        await until(lambda: len(service.bodies) == 2)
        service.may.set()
    ended = [event for event in events if isinstance(event, RequestFinished)]
    assert ended[-1].elapsed >= 0.02


def test_what_gets_its_slot_after_its_time_is_not_sent() -> None:
    """The event loop was held up: it would be billed, and thrown away."""
    clock = trio.testing.MockClock()
    sent = []

    async def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        await settle()
        return httpx.Response(200, content=b'{"text":"hello","quota":15}')

    def hold_up(event: Any) -> None:
        if isinstance(event, RequestFinished) and len(sent) == 1:
            clock.jump(60)

    client = ClovaSpeechClient(
        "key", invoke_url="https://x.example", transport=httpx.MockTransport(answer), concurrency=1, on_event=hold_up
    )
    errors: list[str] = []

    async def one() -> None:
        try:
            await client.recognize(wav(), lang="Kor", timeout=30)
        except DeadlineExceededError as error:
            errors.append(str(error))

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one)

    trio.run(work, clock=clock)
    assert len(sent) == 1
    assert errors == ["the time-out over all tries ran out while waiting in line for a slot"] * 2
    assert client.stats().maybe_billed_seconds == 0


async def test_after_a_piece_has_failed_none_that_stands_in_line_is_sent() -> None:
    sent = []
    silent = wav(60)
    talk = silent[:44] + bytes.fromhex("401fc0e0") * (len(silent[44:]) // 4)
    splitting = Splitting(longest_piece=15)
    assert (await estimate(talk, splitting=splitting)).requests >= 4

    async def answer(request: httpx.Request) -> httpx.Response:
        sent.append(await request.aread())
        await until(lambda: client.stats().waiting >= 1)
        return httpx.Response(400, json={"code": "STT001"})

    async with ClovaSpeechClient(
        "key", invoke_url="https://x.example", transport=httpx.MockTransport(answer), concurrency=1
    ) as client:
        with pytest.raises(BadRequestError) as caught:
            await client.transcribe(talk, lang="Kor", splitting=splitting)
    assert (len(sent), len(caught.value.attempts)) == (1, 1)
    assert client.stats().in_flight == client.stats().waiting == 0


async def test_those_in_line_that_are_cancelled_are_counted_and_gone() -> None:
    service = Late()
    client = make(service, concurrency=1)
    async with anyio.create_task_group() as group:
        async with anyio.create_task_group() as some:
            for _ in range(200):
                some.start_soon(lambda: client.recognize(wav(), lang="Kor"))
            await settle()
            assert client.stats().waiting == 199
            some.cancel_scope.cancel()
        stats = client.stats()
        assert (stats.waiting, stats.in_flight, stats.cancelled, stats.requests) == (0, 0, 200, 200)
        service.may.set()
        group.start_soon(lambda: client.recognize(wav(), lang="Kor"))
    assert client.stats().succeeded == 1


async def test_those_in_line_hear_that_the_client_was_closed() -> None:
    service = Late()
    client = make(service, concurrency=1)
    outcomes: list[str] = []

    async def one() -> None:
        try:
            outcomes.append((await client.recognize(wav(), lang="Kor")).text)
        except ClientClosedError:
            outcomes.append("closed")

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(one)
        await settle()
        await client.aclose()
        await settle()
        assert outcomes == ["closed"] * 99, "not only when the one before them is done"
        service.may.set()
    assert outcomes[99:] == ["hello"]
    stats = client.stats()
    assert (stats.waiting, stats.failed, stats.succeeded) == (0, 99, 1)


async def test_who_shares_the_line_of_a_client_that_is_closed_keeps_its_place() -> None:
    services = Late(), Late()
    limiter = Limiter(1)
    closing, other = (make(service, concurrency=limiter) for service in services)
    ended: list[str] = []

    async def one(number: int) -> None:
        try:
            await (closing, other)[number % 2].recognize(wav(value=number), lang="Kor")
            ended.append("hello")
        except ClientClosedError:
            ended.append("closed")

    async with anyio.create_task_group() as group:
        for number in range(3 * GROUP):
            group.start_soon(one, number)
            await settle(2)
        await closing.aclose()
        await settle()
        left = 3 * GROUP // 2
        assert ended == ["closed"] * (left - 1)
        assert limiter.waiting == left
        for service in services:
            service.may.set()
    assert ended[left - 1 :] == ["hello"] * (1 + left)
    sent = [body[-2] for body in services[1].bodies]  # in each group in any order
    # The first is under way and the second in line; the groups of those at the door begin with the third.
    assert [(number - 2) // GROUP for number in sent] == [(number - 2) // GROUP for number in range(1, 3 * GROUP, 2)]
    await other.aclose()


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_whoever_waits_for_a_throttled_service_hears_at_once_that_the_client_was_closed() -> None:
    """In line behind a ``Retry-After``, between two tries, and at the door."""
    throttled = httpx.Response(429, headers={"Retry-After": "100"})
    client = ClovaSpeechClient(
        "key", invoke_url="https://clova.example", transport=httpx.MockTransport(lambda _: throttled), concurrency=2
    )
    tries: list[int] = []

    async def one() -> None:
        with pytest.raises(ClientClosedError) as caught:
            await client.recognize(wav(), lang="Kor")
        tries.append(len(caught.value.attempts))

    async with anyio.create_task_group() as group:
        for _ in range(5 + GROUP):
            group.start_soon(one)
        await anyio.sleep(50)
        assert client.stats().waiting > 0
        began = anyio.current_time()
        await client.aclose()
    assert anyio.current_time() == began
    assert sorted(tries) == [0] * (4 + GROUP) + [1]
    assert (client.stats().waiting, client.stats().in_flight, client.stats().failed) == (0, 0, 5 + GROUP)


async def test_senders_who_are_slow_keep_nobody_in_line() -> None:
    """Uploads that never come to their end, more of them than are let in; and streams that nobody reads."""

    async def endless() -> AsyncIterator[bytes]:
        yield wav()[:100]
        await anyio.sleep_forever()

    service = Late()
    service.may.set()
    async with make(service, concurrency=1) as client, anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(lambda: client.recognize(endless(), lang="Kor"))
            group.start_soon(lambda: client.transcribe(endless(), lang="Kor"))
        streams = [client.stream(wav(), lang="Kor") for _ in range(4)]
        with anyio.fail_after(10):
            assert [(await anext(stream)).text for stream in streams] == ["hello"] * 4
            assert (await client.recognize(wav(), lang="Kor")).text == "hello"
            for stream in streams:
                await stream.aclose()
        group.cancel_scope.cancel()


async def test_who_waits_for_what_another_is_paying_for_keeps_nobody_in_line(tmp_path: Path) -> None:
    service = Late()
    async with Journal(tmp_path / "run.db") as journal, make(service, concurrency=2) as client:
        texts = []

        async def one(value: int) -> None:
            texts.append((await client.recognize(wav(value=value), lang="Kor", journal=journal)).text)

        async with anyio.create_task_group() as group:
            for _ in range(3 * GROUP):
                group.start_soon(one, 0)
            await until(lambda: len(service.bodies) == 1 and client.stats().waiting == 0)
            group.start_soon(one, 1)
            await until(lambda: len(service.bodies) == 2)
            service.may.set()
    assert texts == ["hello"] * (3 * GROUP + 1)
    assert sorted(service.bodies) == sorted([wav(value=0), wav(value=1)])


async def test_a_stream_from_the_journal_that_is_read_slowly_keeps_nobody_in_line(tmp_path: Path) -> None:
    """What the journal has needs no slot, so its reader may itself wait for one."""
    service = Late()
    service.may.set()
    # 100 s with something in them, so that they are two pieces.
    long = wav(100)[:44] + bytes.fromhex("401fc0e0") * (100 * 8_000)
    async with Journal(tmp_path / "run.db") as journal, make(service, concurrency=1) as client:
        first = [segment async for segment in client.stream(long, lang="Kor", journal=journal)]
        assert len(first) == len(service.bodies) > 1
        with anyio.fail_after(10):
            async for _ in client.stream(long, lang="Kor", journal=journal):
                assert (await client.recognize(wav(), lang="Kor")).text == "hello"
    assert len(service.bodies) == 2 * len(first)


async def test_a_deadline_counts_while_another_call_pays_for_the_same(tmp_path: Path) -> None:
    service = Late()
    async with Journal(tmp_path / "run.db") as journal, make(service, concurrency=2) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: client.recognize(wav(), lang="Kor", journal=journal))
            await until(lambda: len(service.bodies) == 1)
            with pytest.raises(
                DeadlineExceededError, match="while another call was getting the same; nothing was sent"
            ):
                await client.recognize(wav(), lang="Kor", journal=journal, timeout=0.05)
            service.may.set()
        assert (await client.recognize(wav(), lang="Kor", journal=journal)).text == "hello"
    assert len(service.bodies) == 1


async def test_a_second_thread_is_refused_while_the_first_is_busy(anyio_backend_name: str) -> None:
    """Each would wake the other's tasks, and both would hang; one after the other is fine."""
    service = Late()
    client = make(service, concurrency=1)

    async def elsewhere() -> str:
        return (await client.recognize(wav(), lang="Kor")).text

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: client.recognize(wav(), lang="Kor"))
        group.start_soon(lambda: client.recognize(wav(), lang="Kor"))
        await until(lambda: len(service.bodies) == 1)
        with pytest.raises(ConfigurationError, match="in use in the event loop of another thread"):
            await anyio.to_thread.run_sync(partial(anyio.run, elsewhere, backend=anyio_backend_name))
        service.may.set()
    assert len(service.bodies) == 2
    await client.aclose()
    again = make(service)
    assert (await again.recognize(wav(), lang="Kor")).text == "hello"

    async def alone() -> str:
        service.may = anyio.Event()
        service.may.set()
        return (await again.recognize(wav(), lang="Kor")).text

    assert await anyio.to_thread.run_sync(partial(anyio.run, alone, backend=anyio_backend_name)) == "hello"
