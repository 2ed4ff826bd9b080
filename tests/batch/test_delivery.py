from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clova_speech_async.batch.delivery import AsCompleted, InOrder
from clova_speech_async.batch.items import Result

pytestmark = pytest.mark.anyio


def result(index: int) -> Result:
    return Result(source=None, index=index, error=ValueError())


async def test_as_completed_hands_on_at_once() -> None:
    seen: list[int] = []

    async def send(result: Result) -> None:
        seen.append(result.index)

    delivery = AsCompleted(send)
    for index in (2, 0, 1):
        await delivery.room_for(index)
        await delivery.deliver(result(index))
    assert seen == [2, 0, 1]


@settings(deadline=None)
@given(st.permutations(range(8)))
def test_in_order_whatever_the_order_of_their_ends(order: list[int]) -> None:
    seen: list[int] = []

    async def send(result: Result) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(result.index)

    async def main() -> None:
        delivery = InOrder(send, window=8)
        async with anyio.create_task_group() as group:
            for index in order:
                group.start_soon(delivery.deliver, result(index))

    anyio.run(main)
    assert seen == list(range(8))


async def test_in_order_holds_back_only_what_must_wait() -> None:
    seen: list[int] = []

    async def send(result: Result) -> None:
        seen.append(result.index)

    delivery = InOrder(send, window=8)
    await delivery.deliver(result(1))
    assert seen == []
    await delivery.deliver(result(0))
    assert seen == [0, 1]
    await delivery.deliver(result(2))
    assert seen == [0, 1, 2]


async def test_in_order_begins_no_more_than_its_window() -> None:
    async def send(result: Result) -> None:
        pass

    delivery = InOrder(send, window=2)
    begun: list[int] = []

    async def begin() -> None:
        for index in range(4):
            await delivery.room_for(index)
            begun.append(index)

    async with anyio.create_task_group() as group:
        group.start_soon(begin)
        await anyio.wait_all_tasks_blocked()
        assert begun == [0, 1]
        await delivery.deliver(result(1))
        await anyio.wait_all_tasks_blocked()
        assert begun == [0, 1]
        await delivery.deliver(result(0))
    assert begun == [0, 1, 2, 3]


async def test_a_slow_reader_is_waited_for_by_one_and_the_others_go_on() -> None:
    go = anyio.Event()
    seen: list[int] = []

    async def send(result: Result) -> None:
        await go.wait()
        seen.append(result.index)

    delivery = InOrder(send, window=3)
    ended: list[int] = []

    async def deliver(index: int) -> None:
        await delivery.deliver(result(index))
        ended.append(index)

    async with anyio.create_task_group() as group:
        group.start_soon(deliver, 0)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(deliver, 1)
        await anyio.wait_all_tasks_blocked()
        assert (ended, seen) == ([1], [])
        go.set()
    assert seen == [0, 1]
