"""Task groups that do not change the errors of those in them."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from .errors import ConnectionLostError

__all__ = ["cancelled_elsewhere", "comes_from_elsewhere", "plain_task_group"]

logger = logging.getLogger("clova_speech_async")


def comes_from_elsewhere() -> bool:
    """Whether the cancellation that is being handled is not this task's own, but that of something it waited for.

    A task group would take it for its own, and end as if all were well.
    """
    return anyio.current_effective_deadline() > -math.inf


def cancelled_elsewhere() -> ConnectionLostError:
    """The error that stands for such a cancellation where requests are made: what became of them is not known."""
    return ConnectionLostError("something that was waited for has been cancelled from outside")


@asynccontextmanager
async def plain_task_group() -> AsyncIterator[TaskGroup]:
    """A task group that raises an error as itself, not as a group; of several at once the first, the others logged.

    Who calls a library catches what they know, and their ``except KeyError`` catches no group of two.
    """
    whole = False
    try:
        async with anyio.create_task_group() as group:
            yield group
            whole = True
    except BaseException as error:
        sole = _first(error)
        if sole is error:
            raise
        # The group around it tells a reader nothing: neither shown as the context, nor kept alive.
        raise sole from sole.__cause__
    if not whole:  # a task in it ended with the cancellation of something that it waited for
        raise cancelled_elsewhere()


def _first(error: BaseException) -> BaseException:
    """The first error in a group; the group where one in it ends the program, and must not be lost.

    A cancellation beside an error comes again by itself: trio's would be taken out of the group, which then stays one.
    """
    split = getattr(error, "split", None)
    if callable(split) and hasattr(error, "exceptions"):
        error = split(anyio.get_cancelled_exc_class())[1] or error
    inner = getattr(error, "exceptions", None)
    if not isinstance(inner, tuple) or (len(inner) > 1 and not isinstance(error, Exception)):
        return error
    for other in inner[1:]:
        logger.warning("%s was raised beside %s, which is raised", type(other).__name__, type(inner[0]).__name__)
    return _first(inner[0])
