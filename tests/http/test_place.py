"""Places: no work for a call that is refused, and none for those that wait, however many they are."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import suppress
from math import inf

import anyio
import pytest
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clova_speech_async.errors import DeadlineExceededError, QueueFullError
from clova_speech_async.http.door import GROUP, Place
from clova_speech_async.http.limiter import Limiter

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="trio, virtual clock")


async def settle() -> None:
    """Let every task come to its next wait; `anyio.wait_all_tasks_blocked` takes real time under asyncio."""
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_as_many_places_as_slots_and_room_in_line() -> None:
    limiter = Limiter(5, max_waiting=3)
    taken = [await limiter.acquire() for _ in range(3)]
    places = [await at_once(limiter) for _ in range(5)]  # two for the slots that are free, three for the room in line
    with pytest.raises(QueueFullError, match="3 calls are waiting"):
        await at_once(limiter)
    places[0].leave()
    places[0].leave()  # a second time does nothing
    with await at_once(limiter), pytest.raises(QueueFullError):
        await at_once(limiter)
    assert len(taken) == limiter.in_flight


async def test_a_place_is_given_up_at_the_end_of_its_block() -> None:
    limiter = Limiter(1, max_waiting=0)
    for _ in range(3):
        with await at_once(limiter):
            pass
    place = await at_once(limiter)
    with pytest.raises(RuntimeError, match="mine"), place:
        raise RuntimeError("mine")
    with await at_once(limiter):
        pass


async def test_slots_in_use_calls_in_line_and_at_the_door_count() -> None:
    limiter = Limiter(1, max_waiting=2)
    started = await limiter.acquire()
    place = await at_once(limiter)
    async with anyio.create_task_group() as group:
        place.ready()
        group.start_soon(limiter.acquire)
        await settle()
        assert limiter.waiting == 1
        assert await must_wait(limiter)
        group.start_soon(limiter.enter, inf, Calls())
        await settle()
        assert limiter.waiting == 2
        with pytest.raises(QueueFullError, match="2 calls are waiting"):
            await at_once(limiter)
        limiter.release(started)
        place.leave()
    assert limiter.in_flight == 1


async def test_who_was_let_in_is_not_refused_in_line() -> None:
    limiter = Limiter(1, max_waiting=0)
    started = await limiter.acquire()
    async with anyio.create_task_group() as group:
        group.start_soon(limiter.acquire)
        await settle()
        assert limiter.waiting == 1
        limiter.release(started)


async def test_a_pause_makes_a_free_slot_no_place_at_once() -> None:
    limiter = Limiter(4, max_waiting=0)
    limiter.hold(60)
    with pytest.raises(QueueFullError) as raised:
        await at_once(limiter)
    assert (raised.value.retry_after or 0) > 50


# --- at the door --------------------------------------------------------------------------------------


async def test_as_many_are_in_as_there_are_slots_and_the_rest_of_a_group() -> None:
    limiter = Limiter(4)
    inside = [await at_once(limiter) for _ in range(4)]
    let_in: list[Place] = []
    async with anyio.create_task_group() as group:
        for _ in range(3 * GROUP):
            group.start_soon(come, limiter, let_in)
        await settle()
        assert (len(let_in), limiter.waiting) == (0, 3 * GROUP)
        inside.pop().ready()  # in line, it still is in
        await settle()
        assert len(let_in) == 0
        inside.pop().leave()
        await settle()
        assert (len(let_in), limiter.waiting) == (GROUP, 2 * GROUP)
        for place in let_in[1:]:
            place.leave()
        await settle()
        assert len(let_in) == GROUP
        let_in[0].leave()  # beside those of before there are fewer in than slots, now
        await settle()
        assert (len(let_in), limiter.waiting) == (2 * GROUP, GROUP)
        for place in (*inside, *let_in):
            place.leave()
        await settle()
        assert (len(let_in), limiter.waiting) == (3 * GROUP, 0)


async def test_nobody_gets_in_front_of_those_who_wait() -> None:
    limiter = Limiter(1)
    place = await at_once(limiter)
    order: list[int] = []

    async def come_as(number: int) -> None:
        waited = await limiter.enter(inf, Calls())
        order.append(number)
        waited.leave()

    async with anyio.create_task_group() as group:
        for number in range(10 * GROUP):
            group.start_soon(come_as, number)
            if number % GROUP == GROUP - 1:
                await settle()
        assert await must_wait(limiter)
        place.leave()
        assert await must_wait(limiter), "those at the door are not in yet"
    # Within a group trio has no order.
    assert [number // GROUP for number in order] == [number // GROUP for number in range(10 * GROUP)]
    with await at_once(limiter):
        assert sorted(order) == list(range(10 * GROUP))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio runs what is ready in any order
@pytest.mark.parametrize("apart", [0, 1, 5])
async def test_within_a_group_too_the_first_to_come_is_the_first_to_go(apart: int) -> None:
    """Also who kept the time for the others, or came a turn later to the gate for having read the clock."""
    limiter = Limiter(1)
    place = await at_once(limiter)
    order: list[int] = []

    async def come_as(number: int) -> None:
        (await limiter.enter(1000, Calls())).leave()
        order.append(number)

    async with anyio.create_task_group() as group:
        for number in range(5 * GROUP + 3):
            group.start_soon(come_as, number)
            if apart and number % apart == 0:
                await settle()
        await settle()
        limiter.look_again()
        await settle()
        place.leave()
    assert order == list(range(5 * GROUP + 3))


async def test_who_steps_aside_keeps_nobody_waiting() -> None:
    limiter = Limiter(1)
    let_in: list[Place] = []
    with await at_once(limiter) as slow:
        async with anyio.create_task_group() as group:
            group.start_soon(come, limiter, let_in)
            await settle()
            assert not let_in
            slow.step_aside()
            slow.step_aside()
        assert len(let_in) == 1
        let_in[0].leave()
    with await at_once(limiter):
        assert limiter.waiting == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_call_that_is_cancelled_as_it_is_let_in_gives_its_place_back() -> None:
    """Only asyncio's own `Task.cancel` comes in between; anyio and trio let a call that is woken go on."""
    limiter = Limiter(1)
    place = await at_once(limiter)
    tasks = [asyncio.ensure_future(limiter.enter(inf, Calls())) for _ in range(2 * GROUP)]
    await settle()
    place.leave()
    for task in tasks[: GROUP - 1]:
        task.cancel()
    await settle()
    outcomes = [task.done() and (task.cancelled() or task.result()) for task in tasks]
    assert outcomes[: GROUP - 1] == [True] * (GROUP - 1)
    assert [bool(outcome) for outcome in outcomes[GROUP - 1 :]] == [True] + [False] * GROUP
    tasks[GROUP - 1].result().leave()
    await settle()
    for task in tasks[GROUP:]:
        task.result().leave()
    (await at_once(limiter)).leave()


@pytest.mark.parametrize("who", range(4))
async def test_those_who_are_cancelled_leave_the_others_in_line(who: int) -> None:
    """Also the one that keeps the time for all."""
    limiter = Limiter(1)
    place = await at_once(limiter)
    got: dict[int, Place] = {}
    scopes: dict[int, anyio.CancelScope] = {}

    async def come_as(number: int) -> None:
        with anyio.CancelScope() as scopes[number]:
            got[number] = await limiter.enter(1000, Calls())

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(come_as, number)
            await settle()
        scopes[who].cancel()
        await settle()
        assert (limiter.waiting, got) == (3, {})
        place.leave()
    assert set(got) == set(range(4)) - {who}
    for waited in got.values():
        waited.leave()
    (await at_once(limiter)).leave()


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
@pytest.mark.parametrize("patience", [[50, 10, 30, 40, 20], [10, 20, 30, 40, 50], [1e9, float("inf"), 10, 20]])
async def test_each_waits_as_long_as_its_own_deadline(patience: list[float]) -> None:
    limiter = Limiter(1)
    place = await at_once(limiter)
    began = anyio.current_time()
    left: dict[float, float] = {}
    calls = Calls()

    async def come_with(seconds: float) -> None:
        try:
            (await limiter.enter(seconds, calls)).leave()
            left[seconds] = -1
        except DeadlineExceededError:
            left[seconds] = anyio.current_time() - began

    async with anyio.create_task_group() as group:
        for seconds in patience:
            group.start_soon(come_with, seconds)
            await settle()
        await anyio.sleep(60)
        assert limiter.waiting == sum(seconds > 60 for seconds in patience)
        place.leave()
    assert left == {seconds: seconds if seconds <= 60 else -1 for seconds in patience}
    assert calls.turned_away_after == ["DeadlineExceededError"] * sum(seconds <= 60 for seconds in patience)


class Calls:
    """Whose calls they are, and what ended those that have no place."""

    def __init__(self) -> None:
        self.turned_away_after: list[str] = []
        self.began: list[float] = []

    def may_go_on(self) -> None:
        pass

    def turned_away(self, error: BaseException, began: float) -> None:
        self.began.append(began)
        self.turned_away_after.append(type(error).__name__)


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_who_joins_a_group_later_has_its_whole_time() -> None:
    limiter = Limiter(1)
    place = await at_once(limiter)
    ended: list[float] = []

    async def come_with(seconds: float) -> None:
        with pytest.raises(DeadlineExceededError):
            await limiter.enter(seconds, Calls())
        ended.append(anyio.current_time())

    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        for seconds in (100, 50, 10):
            group.start_soon(come_with, seconds)
            await anyio.sleep(7)
    assert ended == [began + 24, began + 57, began + 100]
    place.leave()


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
@pytest.mark.parametrize("how", ["let in", "cancelled", "cancelled one by one", "too late"])
async def test_somebody_keeps_the_time_for_those_behind(how: str) -> None:
    """However the first of the line, one of whom keeps it, have gone."""
    limiter = Limiter(1)
    place = await at_once(limiter)
    ended: list[float] = []
    scopes = [anyio.CancelScope() for _ in range(GROUP)]

    async def come_first(scope: anyio.CancelScope) -> None:
        with scope, suppress(DeadlineExceededError), await limiter.enter(10 if how == "too late" else inf, Calls()):
            await anyio.sleep(1000)

    async def come_later(seconds: float) -> None:
        with pytest.raises(DeadlineExceededError):
            await limiter.enter(seconds, Calls())
        ended.append(anyio.current_time())

    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        for scope in scopes:
            group.start_soon(come_first, scope)
        await settle()
        for seconds in (40, 20, 60):
            group.start_soon(come_later, seconds)
            await settle()
        if how == "let in":
            place.leave()
        for scope in scopes:
            if how.startswith("cancelled"):
                scope.cancel()
            if how.endswith("one by one"):
                await settle()
        await anyio.sleep(30)
        assert (limiter.waiting, ended) == (2, [began + 20])
        await anyio.sleep(100)
        for scope in scopes:
            scope.cancel()
    assert ended == [began + 20, began + 40, began + 60]
    place.leave()
    (await at_once(limiter)).leave()


async def test_who_is_to_look_again_in_its_first_moment_does() -> None:
    class Closed:
        def __init__(self) -> None:
            self.is_closed = False

        def may_go_on(self) -> None:
            if self.is_closed:
                raise LookupError("closed")

        def turned_away(self, error: BaseException, began: float) -> None:
            pass

    limiter, caller = Limiter(1), Closed()

    async def wait() -> None:
        with pytest.raises(LookupError, match="closed"):
            await limiter.enter(inf, caller)

    with anyio.fail_after(20), await at_once(limiter):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            while not limiter.waiting:
                await anyio.lowlevel.checkpoint()
            caller.is_closed = True
            limiter.look_again()
    assert limiter.waiting == 0


async def come(limiter: Limiter, let_in: list[Place]) -> None:
    let_in.append(await limiter.enter(inf, Calls()))


async def at_once(limiter: Limiter) -> Place:
    with anyio.move_on_after(0):
        return await limiter.enter(inf, Calls())
    raise AssertionError("it would have had to wait")


async def must_wait(limiter: Limiter) -> bool:
    calls = Calls()
    with anyio.move_on_after(0):
        (await limiter.enter(inf, calls)).leave()
    return len(calls.turned_away_after) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), width=st.integers(1, 5))
def test_any_history(seed: int, width: int) -> None:
    """Who waits gets in, in the order of groups, or leaves at its deadline or when it is cancelled; nothing is left."""
    dice = random.Random(seed)
    number_of_calls = 80

    async def work() -> None:
        limiter = Limiter(width)
        calls = Calls()
        let_in: list[int] = []
        ended: set[int] = set()
        patient: set[int] = set()

        async def one(number: int, deadline: float, patience: float) -> None:
            with anyio.move_on_after(patience):
                with suppress(DeadlineExceededError), await limiter.enter(deadline, calls) as place:
                    let_in.append(number)
                    await anyio.sleep(dice.uniform(0, 0.3))
                    if dice.random() < 0.5:
                        place.ready()
                    if dice.random() < 0.2:
                        place.step_aside()
                    await anyio.sleep(dice.uniform(0, 0.3))
            ended.add(number)

        async with anyio.create_task_group() as group:
            for number in range(number_of_calls):
                deadline, patience = (dice.choice([0.05, 0.5, 5.0, inf, inf]) for _ in range(2))
                if deadline == patience == inf:
                    patient.add(number)
                group.start_soon(one, number, deadline, patience)
                await (anyio.sleep(dice.uniform(0, 0.1)) if dice.random() < 0.3 else settle())
                assert 0 <= limiter.waiting <= number_of_calls
        assert ended == set(range(number_of_calls))
        assert patient <= set(let_in)
        # Order is kept but for the calls of a group.
        assert all(early - late < GROUP for early, late in itertools.pairwise(let_in))
        assert len(let_in) + len(calls.turned_away_after) == number_of_calls
        assert limiter.waiting == 0
        for place in [await at_once(limiter) for _ in range(width)]:
            place.leave()

    trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0))
