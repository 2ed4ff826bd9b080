"""Places: a call that will be refused is refused before any work is done for it."""

from __future__ import annotations

import anyio
import pytest

from clova_speech_async.errors import QueueFullError
from clova_speech_async.http.limiter import Limiter

pytestmark = pytest.mark.anyio


async def test_as_many_places_as_slots_and_room_in_line() -> None:
    limiter = Limiter(2, max_waiting=3)
    places = [limiter.place() for _ in range(5)]
    with pytest.raises(QueueFullError, match="3 calls are waiting"):
        limiter.place()
    places[0].leave()
    places[0].leave()  # a second time does nothing
    with limiter.place(), pytest.raises(QueueFullError):
        limiter.place()


async def test_a_place_is_given_up_at_the_end_of_its_block() -> None:
    limiter = Limiter(1, max_waiting=0)
    for _ in range(3):
        with limiter.place():
            pass
    with pytest.raises(RuntimeError, match="mine"), limiter.place():
        raise RuntimeError("mine")
    with limiter.place():
        pass


async def test_without_a_bound_there_is_always_a_place() -> None:
    limiter = Limiter(1)
    assert len([limiter.place() for _ in range(1000)]) == 1000


async def test_slots_in_use_and_calls_in_line_count() -> None:
    limiter = Limiter(1, max_waiting=1)
    started = await limiter.acquire()
    place = limiter.place()
    with pytest.raises(QueueFullError):
        await limiter.acquire()
    async with anyio.create_task_group() as group:
        place.leave()
        group.start_soon(lambda: limiter.acquire(admitted=True))
        await anyio.wait_all_tasks_blocked()
        assert limiter.waiting == 1
        with pytest.raises(QueueFullError):
            limiter.place()
        limiter.release(started)
    assert limiter.in_flight == 1


async def test_who_was_let_in_is_not_refused_later() -> None:
    limiter = Limiter(1, max_waiting=0)
    started = await limiter.acquire()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: limiter.acquire(admitted=True))
        await anyio.wait_all_tasks_blocked()
        assert limiter.waiting == 1
        limiter.release(started)


async def test_a_pause_makes_a_free_slot_no_place_at_once() -> None:
    limiter = Limiter(4, max_waiting=0)
    limiter.hold(60)
    with pytest.raises(QueueFullError) as raised:
        limiter.place()
    assert (raised.value.retry_after or 0) > 50
