"""Errors come out of a task group as themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

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
