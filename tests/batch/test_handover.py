from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from clova_speech_async.batch.handover import Handover

pytestmark = pytest.mark.anyio


async def test_gives_in_order_and_returns_when_all_are_taken() -> None:
    handover: Handover[int] = Handover()
    given: list[str] = []

    async def give() -> None:
        await handover.give([1, 2, 3])
        given.append("all")
        handover.close()

    async with anyio.create_task_group() as group:
        group.start_soon(give)
        await anyio.wait_all_tasks_blocked()
        assert [await handover.take(), await handover.take()] == [1, 2]
        await anyio.wait_all_tasks_blocked()
        assert given == []
        assert await handover.take() == 3
        assert await handover.take() is None
    assert given == ["all"]


async def test_takers_wait_and_are_counted() -> None:
    handover: Handover[int] = Handover()
    taken: list[int | None] = []

    async def take() -> None:
        taken.append(await handover.take())

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        assert handover.waiting == 3
        await handover.give([7])
        assert handover.waiting == 2
        await handover.give([8])
        handover.close()
    assert sorted(taken, key=str) == [7, 8, None]


async def test_who_is_woken_too_late_waits_again() -> None:
    handover: Handover[int] = Handover()
    taken: list[int | None] = []

    async def take() -> None:
        taken.append(await handover.take())

    async with anyio.create_task_group() as group:
        group.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(handover.give, [1])
        group.start_soon(take)  # under asyncio always before the one who was woken, under trio at times
        await anyio.wait_all_tasks_blocked()
        assert taken == [1]
        assert handover.waiting == 1
        await handover.give([2])
    assert taken == [1, 2]


async def test_after_the_end_there_is_nothing() -> None:
    handover: Handover[int] = Handover()
    handover.close()
    assert await handover.take() is None
