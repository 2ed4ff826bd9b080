from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from clova_speech_async.journal.grouping import Call, Grouped, see_through

pytestmark = pytest.mark.anyio


class Work:
    """Doubles numbers in a thread; holds every round until it is let go."""

    def __init__(self) -> None:
        self.rounds: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, jobs: list[int]) -> Sequence[int]:
        self.rounds.append(jobs)
        self.begun.release()
        assert self.go.acquire(timeout=10)
        if -1 in jobs:
            raise ValueError("minus one")
        return [2 * job for job in jobs]

    async def until_begun(self) -> None:
        await anyio.to_thread.run_sync(self.begun.acquire)


async def submit(grouped: Grouped[int, int], job: int, results: dict[int, Any]) -> None:
    call: Call[int, int] = Call(job)
    try:
        await grouped.submit(call)
    finally:
        results[job] = (call.done, call.error or call.result)


async def test_a_call_gets_its_result() -> None:
    grouped: Grouped[int, int] = Grouped(lambda jobs: [job + 1 for job in jobs])
    call: Call[int, int] = Call(5)
    await grouped.submit(call)
    assert (call.done, call.result, call.error) == (True, 6, None)


async def test_calls_that_come_during_a_round_go_together_in_the_next() -> None:
    work = Work()
    grouped: Grouped[int, int] = Grouped(work)
    results: dict[int, Any] = {}
    async with anyio.create_task_group() as group:
        group.start_soon(submit, grouped, 1, results)
        await work.until_begun()
        for job in (2, 3, 4):
            group.start_soon(submit, grouped, job, results)
        await anyio.wait_all_tasks_blocked()
        work.go.release(2)
    assert work.rounds[0] == [1]
    assert sorted(work.rounds[1]) == [2, 3, 4]
    assert results == {job: (True, 2 * job) for job in (1, 2, 3, 4)}


async def test_a_round_takes_no_more_than_it_may() -> None:
    work = Work()
    grouped: Grouped[int, int] = Grouped(work, most=2)
    results: dict[int, Any] = {}
    async with anyio.create_task_group() as group:
        group.start_soon(submit, grouped, 1, results)
        await work.until_begun()
        for job in range(2, 7):
            group.start_soon(submit, grouped, job, results)
        await anyio.wait_all_tasks_blocked()
        work.go.release(10)
    assert [len(jobs) for jobs in work.rounds] == [1, 2, 2, 1]
    assert len(results) == 6


async def test_an_error_is_that_of_its_round_only() -> None:
    work = Work()
    grouped: Grouped[int, int] = Grouped(work)
    results: dict[int, Any] = {}
    async with anyio.create_task_group() as group:
        group.start_soon(submit, grouped, -1, results)
        await work.until_begun()
        group.start_soon(submit, grouped, 7, results)
        await anyio.wait_all_tasks_blocked()
        work.go.release(2)
    assert results[7] == (True, 14)
    done, error = results[-1]
    assert done
    assert isinstance(error, ValueError)


async def test_a_job_may_fail_alone() -> None:
    def work(jobs: list[int]) -> list[int | Exception]:
        return [ValueError(job) if job % 2 else job for job in jobs]

    grouped: Grouped[int, int] = Grouped(work, gather=0.05)
    calls: list[Call[int, int]] = [Call(job) for job in range(4)]
    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(grouped.submit, call)
    assert [call.result for call in calls] == [0, None, 2, None]
    assert [str(call.error) for call in calls] == ["None", "1", "None", "3"]


async def test_settled_is_what_has_nothing_left_to_do() -> None:
    work = Work()
    grouped: Grouped[int, int] = Grouped(work)
    await grouped.settle()
    results: dict[int, Any] = {}
    settled: list[int] = []

    async def settle() -> None:
        await grouped.settle()
        settled.append(sum(len(jobs) for jobs in work.rounds))

    async with anyio.create_task_group() as group:
        group.start_soon(submit, grouped, 1, results)
        await work.until_begun()
        group.start_soon(submit, grouped, 2, results)
        for _ in range(2):
            group.start_soon(settle)
        await anyio.wait_all_tasks_blocked()
        work.go.release()
        await work.until_begun()
        await anyio.wait_all_tasks_blocked()
        assert (settled, 1 in results) == ([], True)
        work.go.release()
    assert settled == [2, 2]


async def test_who_is_cancelled_while_it_settles_hears_so_at_the_end() -> None:
    work = Work()
    grouped: Grouped[int, int] = Grouped(work)
    results: dict[int, Any] = {}
    async with anyio.create_task_group() as group:
        group.start_soon(submit, grouped, 1, results)
        await work.until_begun()
        with anyio.CancelScope() as scope:
            scope.cancel()
            work.go.release()
            await grouped.settle()
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert results == {1: (True, 2)}


async def test_a_cancelled_leader_takes_its_round_to_the_end() -> None:
    work = Work()
    grouped: Grouped[int, int] = Grouped(work)
    results: dict[int, Any] = {}
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as inner:
                inner.start_soon(submit, grouped, 1, results)
                await work.until_begun()
                group.start_soon(submit, grouped, 2, results)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
                work.go.release(2)
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert results == {1: (True, 2), 2: (True, 4)}


async def test_a_cancelled_follower_is_done_before_it_leaves() -> None:
    work = Work()
    grouped: Grouped[int, int] = Grouped(work)
    results: dict[int, Any] = {}
    async with anyio.create_task_group() as group:
        group.start_soon(submit, grouped, 1, results)
        await work.until_begun()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as inner:
                inner.start_soon(submit, grouped, 2, results)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
                work.go.release(2)
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert results == {1: (True, 2), 2: (True, 4)}


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("ticks", [0, 1, 2, 3, 4, 50])
async def test_asyncios_own_cancellation_loses_nothing(ticks: int) -> None:
    """Task.cancel passes anyio's shields: at whatever moment it comes, every call is done, and once."""
    work = Work()
    work.go.release(100)
    grouped: Grouped[int, int] = Grouped(work)
    results: dict[int, Any] = {}
    tasks = [asyncio.ensure_future(submit(grouped, job, results)) for job in range(5)]
    for _ in range(ticks):
        await asyncio.sleep(0)
    cancelled = [task for task in tasks[:3] if task.cancel() and results.get(tasks.index(task)) is None]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    never_ran = [job for job in range(5) if job not in results]
    assert never_ran == ([0, 1, 2] if ticks == 0 else [])
    assert all(isinstance(outcomes[tasks.index(task)], asyncio.CancelledError) for task in cancelled)
    assert outcomes[3:] == [None, None]
    assert results == {job: (True, 2 * job) for job in range(5) if job not in never_ran}
    assert sorted(job for jobs in work.rounds for job in jobs) == [job for job in range(5) if job not in never_ran]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_leader_cancelled_again_and_again_still_ends_its_round() -> None:
    work = Work()
    grouped: Grouped[int, int] = Grouped(work)
    results: dict[int, Any] = {}
    leader = asyncio.ensure_future(submit(grouped, 1, results))
    await work.until_begun()
    follower = asyncio.ensure_future(submit(grouped, 2, results))
    for _ in range(5):
        leader.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert results == {}
    work.go.release(2)
    await follower
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert results == {1: (True, 2), 2: (True, 4)}


async def test_where_no_thread_can_be_had_the_caller_hears_it_and_the_next_one_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grouped: Grouped[int, int] = Grouped(lambda jobs: jobs)

    async def no_thread(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("clova_speech_async.journal.grouping.to_thread.run_sync", no_thread)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await grouped.submit(Call(1))
    call: Call[int, int] = Call(2)
    await grouped.submit(call)
    assert call.result == 2


async def test_a_gathering_round_takes_what_comes_while_it_waits() -> None:
    rounds: list[list[int]] = []

    def work(jobs: list[int]) -> list[int]:
        rounds.append(jobs)
        return jobs

    grouped: Grouped[int, int] = Grouped(work, gather=0.05)
    results: dict[int, Any] = {}
    async with anyio.create_task_group() as group:
        for job in range(5):
            group.start_soon(submit, grouped, job, results)
    assert len(rounds) == 1
    assert len(results) == 5


async def test_see_through_raises_the_cancellation_once_it_is_done() -> None:
    steps = 0

    async def step() -> None:
        nonlocal steps
        steps += 1
        await anyio.lowlevel.checkpoint()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await see_through(step, lambda: steps == 3)
        await anyio.lowlevel.checkpoint()
    assert steps == 3
    assert scope.cancelled_caught
