"""Errors come out of a task group as themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from clova_speech_async.errors import ConnectionLostError
from clova_speech_async.groups import plain_task_group

pytestmark = pytest.mark.anyio


async def _raise(error: BaseException) -> None:
    raise error


async def test_one_error_comes_as_itself() -> None:
    with pytest.raises(KeyError):
        async with plain_task_group() as group:
            group.start_soon(_raise, KeyError())
    with pytest.raises(LookupError):
        async with plain_task_group():
            raise LookupError


async def _wait_for_what_is_cancelled() -> None:
    other = asyncio.get_running_loop().create_future()
    other.cancel()
    await other


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio cancels scopes only
async def test_what_a_task_waits_for_and_is_cancelled_does_not_end_the_group_as_if_all_were_well() -> None:
    async def wait() -> None:
        async with plain_task_group() as group:
            group.start_soon(_wait_for_what_is_cancelled)
            await anyio.sleep_forever()

    with anyio.fail_after(20), pytest.raises(ConnectionLostError, match="cancelled from outside"):
        await wait()


async def test_who_cancels_the_group_at_its_end_has_no_error() -> None:
    async with plain_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        group.cancel_scope.cancel()


async def _with_a_key_error(late: Callable[[], Awaitable[None]]) -> None:
    async with plain_task_group() as group:
        group.start_soon(late)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(_raise, KeyError())


async def test_of_several_errors_the_first_comes_as_itself(caplog: pytest.LogCaptureFixture) -> None:
    async def late() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise IndexError

    with pytest.raises(LookupError) as caught:
        await _with_a_key_error(late)
    assert {type(caught.value).__name__, caplog.records[0].message.split()[0]} == {"KeyError", "IndexError"}


async def test_what_ends_the_program_is_not_lost_beside_an_error() -> None:
    class End(BaseException):
        pass

    async def late() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise End

    with pytest.raises(BaseException) as caught:
        await _with_a_key_error(late)
    errors: Any = caught.value
    assert {type(error) for error in errors.exceptions} == {KeyError, End}


async def test_an_error_beside_a_cancellation_is_itself_too() -> None:
    """Under trio, a task that a cancellation ends beside one that raises makes a group of both."""

    async def fail() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise LookupError("gone")

    async def fail_when_cancelled() -> None:
        with anyio.CancelScope() as scope:
            async with plain_task_group() as group:
                group.start_soon(fail)
                group.start_soon(anyio.sleep_forever)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
                await anyio.sleep_forever()

    with pytest.raises(LookupError, match="gone"):
        await fail_when_cancelled()
