from __future__ import annotations

import math
import random
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError, QueueFullError
from clova_speech_async.http.control import Signal
from clova_speech_async.http.limiter import Adaptive, Limiter

pytestmark = pytest.mark.anyio


async def settle() -> None:
    """Let every task come to its next wait; `anyio.wait_all_tasks_blocked` takes real time under asyncio."""
    for _ in range(6):
        await anyio.lowlevel.checkpoint()


def run_virtual(work: Callable[[], Awaitable[None]]) -> None:
    """Run under trio with a clock that jumps to the next deadline."""
    import trio
    import trio.testing

    trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"concurrency": 0}, InvalidArgumentError, "concurrency must be at least 1, not 0; Adaptive"),
        ({"concurrency": "8"}, ArgumentTypeError, "concurrency must be a whole number, not '8'"),
        ({"concurrency": True}, ArgumentTypeError, "concurrency must be a whole number, not True"),
        ({"requests_per_second": 0}, InvalidArgumentError, "requests_per_second must be above 0, and finite, not 0"),
        ({"requests_per_second": math.inf}, InvalidArgumentError, "None sets no cap"),
        ({"requests_per_second": "1"}, ArgumentTypeError, "requests_per_second must be a number, not "),
        ({"max_waiting": -1}, InvalidArgumentError, "max_waiting must be at least 0, not -1; None sets no bound"),
        ({"max_waiting": 1.5}, ArgumentTypeError, "max_waiting must be a whole number, not 1.5"),
        ({"pause": (2, 1)}, InvalidArgumentError, "pause must be two numbers"),
    ],
)
def test_it_checks_its_options(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Limiter(**options)


async def test_no_more_than_the_limit_are_in_flight_and_all_come_in_order() -> None:
    limiter = Limiter(3)
    order: list[int] = []
    most = 0

    async def one(number: int) -> None:
        nonlocal most
        started = await limiter.acquire()
        order.append(number)
        most = max(most, limiter.in_flight)
        await anyio.lowlevel.checkpoint()
        limiter.release(started, Signal.SUCCESS)

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(one, number)
            await settle()
    assert order == list(range(50))
    assert most <= 3
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


async def test_a_request_that_comes_back_stands_in_front_of_new_ones() -> None:
    limiter = Limiter(1)
    order: list[str] = []

    async def one(name: str, again: bool) -> None:
        started = await limiter.acquire(again=again)
        order.append(name)
        limiter.release(started)

    started = await limiter.acquire()
    async with anyio.create_task_group() as group:
        for name, again in (("new 1", False), ("new 2", False), ("back 1", True), ("back 2", True)):
            group.start_soon(one, name, again)
            await settle()
        assert limiter.waiting == 4
        limiter.release(started)
    assert order == ["back 1", "back 2", "new 1", "new 2"]


class Nobody:
    """Has no call of its own."""

    def may_go_on(self) -> None: ...

    def turned_away(self, error: BaseException, began: float) -> None: ...


async def test_the_line_has_an_end() -> None:
    limiter = Limiter(1, max_waiting=2)
    started = await limiter.acquire()
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(limiter.acquire)
        await settle()
        with pytest.raises(QueueFullError, match=r"2 calls are waiting .*max_waiting=2.*raise max_waiting") as caught:
            limiter.enter(1, Nobody())
        assert caught.value.waiting == 2
        assert caught.value.retry_after is not None
        assert caught.value.retry_after >= 1
        # Who was let in, or was sent before, is not refused in line.
        for again in (False, True):
            group.start_soon(lambda again: limiter.acquire(again=again), again)
        await settle()
        assert limiter.waiting == 4
        group.cancel_scope.cancel()
    assert limiter.waiting == 0
    limiter.release(started)
    assert limiter.in_flight == 0
    assert await Limiter(1, max_waiting=0).acquire() > 0


async def test_a_cancelled_waiter_leaves_the_line_and_gives_back_what_it_got() -> None:
    limiter = Limiter(1)
    started = await limiter.acquire()
    got: list[str] = []

    async def one(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            began = await limiter.acquire()
            got.append(name)
            limiter.release(began)

    scopes = [anyio.CancelScope() for _ in range(3)]
    async with anyio.create_task_group() as group:
        for name, scope in zip("abc", scopes, strict=True):
            group.start_soon(one, name, scope)
            await settle()
        scopes[1].cancel()
        await settle()
        assert limiter.waiting == 2
        # Granted and cancelled in the same moment: the slot must reach the next one.
        limiter.release(started)
        scopes[0].cancel()
    assert got in (["c"], ["a", "c"])
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


def test_thousands_in_line_cost_each_the_same() -> None:
    """Grants and departures are counted in steps of the interpreter, not in seconds."""

    async def steps(waiting: int) -> int:
        limiter = Limiter(1)
        started = await limiter.acquire()
        count = 0

        def profile(*_: object) -> None:
            nonlocal count
            count += 1

        async with anyio.create_task_group() as group:
            scopes = [anyio.CancelScope() for _ in range(waiting)]

            async def wait(scope: anyio.CancelScope) -> None:
                with scope:
                    await limiter.acquire()

            for scope in scopes:
                group.start_soon(wait, scope)
            await settle()
            assert limiter.waiting == waiting
            middle = scopes[waiting // 2]
            sys.setprofile(profile)
            try:
                limiter.release(started)
                middle.cancel()
                await settle()
            finally:
                sys.setprofile(None)
            assert limiter.waiting in (waiting - 1, waiting - 2)  # trio begins tasks in any order
            group.cancel_scope.cancel()
        return count

    few, many = anyio.run(steps, 10, backend="trio"), anyio.run(steps, 4_000, backend="trio")
    assert many < 2 * few


def test_the_rate_spreads_starts() -> None:
    async def work() -> None:
        limiter = Limiter(100, requests_per_second=10)
        starts: list[float] = []

        async def one() -> None:
            started = await limiter.acquire()
            starts.append(anyio.current_time())
            limiter.release(started)

        begin = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(one)
        assert [round(start - begin, 3) for start in starts] == pytest.approx(
            [0.0] * 10 + [0.1 * i for i in range(1, 31)], abs=0.002
        )

    run_virtual(work)


def test_one_that_is_cancelled_as_it_gets_its_slot_gives_back_its_start() -> None:
    async def work() -> None:
        limiter = Limiter(1, requests_per_second=2)
        started = await limiter.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(limiter.acquire)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
            limiter.release(started)  # hands the slot, and the second of two starts, to one that is on its way out
        assert (limiter.in_flight, limiter.waiting) == (0, 0)
        assert limiter.acquire_at_once() is not None

    run_virtual(work)


def test_everybody_waits_while_the_service_rests_and_the_first_in_line_keeps_the_time() -> None:
    async def work() -> None:
        limiter = Limiter(4, pause=(2, 2))
        starts: list[tuple[str, float]] = []
        begin = anyio.current_time()

        async def one(name: str, scope: anyio.CancelScope) -> None:
            with scope:
                await limiter.acquire()
                starts.append((name, anyio.current_time() - begin))

        started = await limiter.acquire()
        assert limiter.release(started, Signal.OVERLOAD)
        assert limiter.stats().pause == pytest.approx(2)
        assert limiter.stats().to_dict() == {"limit": 4, "in_flight": 0, "waiting": 0, "pause": pytest.approx(2)}
        scopes = [anyio.CancelScope() for _ in range(3)]
        async with anyio.create_task_group() as group:
            for name, scope in zip("abc", scopes, strict=True):
                group.start_soon(one, name, scope)
            await anyio.sleep(1)
            scopes[0].cancel()  # it kept the time: the next one must take over
            limiter.hold(3)  # and the pause has become longer
        assert sorted(starts) == [("b", pytest.approx(4)), ("c", pytest.approx(4))]

    run_virtual(work)


def test_one_that_keeps_the_time_and_finds_no_slot_waits_on() -> None:
    async def work() -> None:
        limiter = Limiter(2, pause=(1, 1))
        first, second = await limiter.acquire(), await limiter.acquire()
        limiter.release(first, Signal.OVERLOAD)
        async with anyio.create_task_group() as group:
            group.start_soon(limiter.acquire)  # keeps the time of the pause …
            await settle()
            limiter._in_flight += 1  # … at the end of which there is no slot
            await anyio.sleep(5)
            assert limiter.waiting == 1
            limiter._in_flight -= 1
            limiter.release(second)
            await settle()
            assert limiter.waiting == 0

    run_virtual(work)


async def test_a_limit_that_has_shrunk_is_not_exceeded() -> None:
    limiter = Limiter(Adaptive(maximum=8, start=8), pause=(0, 0))
    running = [await limiter.acquire() for _ in range(8)]
    assert limiter.release(running.pop(), Signal.OVERLOAD)
    assert (limiter.limit, limiter.maximum, limiter.in_flight) == (4, 8, 7)
    async with anyio.create_task_group() as group:
        group.start_soon(limiter.acquire)
        for _ in range(3):
            limiter.release(running.pop())
            await settle()
            assert limiter.waiting == 1
        limiter.release(running.pop())
        await settle()
        assert (limiter.waiting, limiter.in_flight) == (0, 4)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    concurrency=st.integers(1, 5) | st.builds(Adaptive, maximum=st.integers(1, 8)),
    rate=st.none() | st.floats(5, 100),
)
def test_any_history(seed: int, concurrency: int | Adaptive, rate: float | None) -> None:
    """In flight never over the limit, order kept, nobody starves, nothing leaks; under cancellation and overload."""
    dice = random.Random(seed)
    limiter_random = random.Random(seed + 1)

    async def work() -> None:
        limiter = Limiter(concurrency, requests_per_second=rate, random=limiter_random.random)
        maximum = limiter.maximum
        entered: list[int] = []
        granted: dict[int, float] = {}
        ended: set[int] = set()
        patient: list[bool] = []

        async def one(number: int, patience: float) -> None:
            with anyio.move_on_after(patience):
                entered.append(number)
                started = await limiter.acquire()
                granted[number] = anyio.current_time()
                signal = Signal.NOTHING
                try:
                    # Whoever was let in was let in by the limit of that moment, which may shrink afterwards.
                    assert limiter.in_flight <= maximum
                    assert 1 <= limiter.limit <= maximum
                    await anyio.sleep(dice.uniform(0, 0.3))
                    signal = dice.choice([Signal.SUCCESS, Signal.SUCCESS, Signal.OVERLOAD, Signal.NOTHING])
                finally:
                    limiter.release(started, signal)
            ended.add(number)

        async with anyio.create_task_group() as group:
            for number in range(40):
                patience = dice.choice([0.0, 0.1, 1.0, 1e6, 1e6])
                patient.append(patience == 1e6)
                group.start_soon(one, number, patience)
                if dice.random() < 0.5:
                    await anyio.sleep(dice.uniform(0, 0.2))
                else:
                    await settle()
        times = [granted[number] for number in entered if number in granted]
        assert times == sorted(times)  # first come, first served
        assert {number for number in range(40) if patient[number]} <= set(granted)  # and all that stayed were
        assert ended == set(range(40))
        assert (limiter.in_flight, limiter.waiting) == (0, 0)

    run_virtual(work)


# --- how good the adaptive limit is -------------------------------------------------------------------------


class Service:
    """Bears so many requests at once; what comes beyond is refused at once. Latency follows the audio's length."""

    REFUSAL = 0.02

    def __init__(self, dice: random.Random, scale: float = 1.0) -> None:
        self._scale = scale
        self.capacity = 0
        self.busy = 0
        self.work = 0.0
        self.successes = self.rejects = 0
        self._dice = dice

    async def request(self) -> Signal:
        if self.busy >= self.capacity:
            self.rejects += 1
            await anyio.sleep(self._scale * self.REFUSAL)
            return Signal.OVERLOAD
        self.busy += 1
        latency = self._scale * (0.4 + 0.05 * self._dice.uniform(5, 60))
        try:
            await anyio.sleep(latency)
        finally:
            self.busy -= 1
        self.successes += 1
        self.work += latency
        return Signal.SUCCESS


def through_steps(limiter: Limiter, service: Service, capacities: tuple[int, ...], seconds: float) -> list[Any]:
    """Let 100 workers work; of each step the capacity, the share of it that was used, and the rejects a success."""
    results: list[tuple[int, float, float]] = []

    async def worker() -> None:
        while True:
            started = await limiter.acquire()
            signal = Signal.NOTHING
            try:
                signal = await service.request()
            finally:
                limiter.release(started, signal)

    async def work() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(worker)
            for capacity in capacities:
                service.capacity = capacity
                service.work, service.successes, service.rejects = 0.0, 0, 0
                await anyio.sleep(seconds)
                results.append((capacity, service.work / (seconds * capacity), service.rejects / service.successes))
            group.cancel_scope.cancel()

    run_virtual(work)
    return results


def test_adaptive_finds_a_capacity_that_steps_from_64_to_16_to_48() -> None:
    """Each step lasts ten minutes; a request takes 2.0 s on average, as audio of 5 to 60 s may."""
    dice = random.Random(7)
    limiter = Limiter(Adaptive(maximum=64), random=dice.random)
    for capacity, goodput, rejects in through_steps(limiter, Service(dice), (64, 16, 48), 600):
        assert goodput >= 0.9, f"capacity {capacity}: {goodput:.1%} of the ideal goodput"
        assert rejects <= 0.15, f"capacity {capacity}: {rejects:.3f} rejects a success"


@pytest.mark.parametrize("concurrency", [Adaptive(maximum=64), 8])
def test_short_requests_do_not_rest_most_of_the_time(concurrency: Any) -> None:
    """A request takes 0.1 s, and the service bears fewer than the limit allows."""
    dice = random.Random(7)
    limiter = Limiter(concurrency, random=dice.random)
    ((_, goodput, rejects),) = through_steps(limiter, Service(dice, scale=0.05), (4,), 60)
    assert goodput >= 0.6, f"{goodput:.1%} of the ideal goodput"
    assert rejects <= 2.5, f"{rejects:.3f} rejects a success"
