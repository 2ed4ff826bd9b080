"""Work that goes on while its results are read: the one way in which `stream` and batches do it.

An async generator with tasks of its own breaks when its reader leaves early (its end then runs in some other task).
So the work runs in a task group that somebody really holds: the client's own, entered by ``async with client``, or one
that ``async with stream`` opens around the reading.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from .errors import ClientClosedError, ConfigurationError
from .groups import cancelled_elsewhere, comes_from_elsewhere

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BackgroundStream", "Host"]

T = TypeVar("T")
Work = Callable[[Callable[[T], Awaitable[None]]], Awaitable[None]]

_AT_A_STRETCH = 8
"""Items lying there that a reader may take before it lets others go on: a turn of the event loop for each of them costs
more than all that hands it over, and none at all would leave the others out."""


class _Buffer(Generic[T]):
    """Items on their way to the reader; `size` of them may lie unread before those who send wait.

    An item is taken in the very step in which the reader gets it. A memory stream of anyio hands it over to who waits,
    and it is gone when that task is cancelled, as by `asyncio.timeout`, before it has come to run.

    Who sent an item waits for just that one to be near enough to be read: a reader's step wakes one of those who wait,
    however many they are.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._too_many: deque[anyio.Event] = deque()
        """One for each item beyond `size`, in the same order, also where nobody waits for it any more."""
        self._came = anyio.Event()
        self._waiting = 0
        """Readers for whom there is nothing."""
        self._in_a_row = 0
        """Items taken since others could last go on."""
        self._ended = False
        self._left = False

    async def send(self, item: T) -> None:
        """Lay an item down, and wait until it is among the first `size` that are unread, or is read."""
        self._items.append(item)
        self._tell()
        if self._left:
            await anyio.lowlevel.checkpoint()
        elif len(self._items) > self._size:
            room = anyio.Event()
            self._too_many.append(room)
            await room.wait()

    async def receive(self) -> T:
        """The next item; raises `EndOfStream` at the end."""
        if self._in_a_row < _AT_A_STRETCH:
            await anyio.lowlevel.checkpoint_if_cancelled()
            self._in_a_row += 1
        else:
            await anyio.lowlevel.checkpoint()
            self._in_a_row = 0
        while not self._items or self._left:
            if self._ended or self._left:
                raise anyio.EndOfStream
            self._waiting += 1
            try:
                await self._came.wait()
            finally:
                self._waiting -= 1
            self._in_a_row = 0
        if self._too_many:
            self._too_many.popleft().set()
        return self._items.popleft()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._tell()

    def leave(self) -> None:
        """Nothing more will be read."""
        self._left = True
        self._tell()
        while self._too_many:
            self._too_many.popleft().set()

    def _tell(self) -> None:
        """Wake those who wait to read."""
        if self._waiting:
            came, self._came = self._came, anyio.Event()
            came.set()


class _State:
    """What the work and its reader share. The work must not hold the stream: a dropped stream ends its work."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.finished = anyio.Event()
        self.error: Exception | None = None
        self.complete = False


class Host:
    """A task group that lives as long as its owner is entered, and never wraps the owner's own errors."""

    def __init__(self) -> None:
        self._group: TaskGroup | None = None
        self._task = 0
        self._works: set[_State] = set()

    @property
    def group(self) -> TaskGroup | None:
        """The task group, or None while the owner is not entered."""
        return self._group

    async def enter(self) -> None:
        """Open the task group; it belongs to the calling task."""
        if self._group is not None:
            raise ConfigurationError("the client is entered already: enter it once, and share it")
        group = anyio.create_task_group()
        await group.__aenter__()
        self._group, self._task = group, anyio.get_current_task().id

    def start(self, work: Work[T], buffer: _Buffer[T], state: _State) -> None:
        """Run `work` in the task group; the owner is entered."""
        assert self._group is not None
        self._works.add(state)
        self._group.start_soon(_run, work, buffer, state, self._works)

    def start_soon(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `function` beside the owner, which is entered, until the owner is left."""
        assert self._group is not None
        self._group.start_soon(function)

    async def exit(self) -> None:
        """Cancel what still runs and wait until it is gone."""
        group, self._group = self._group, None
        if group is None:
            return
        if anyio.get_current_task().id != self._task:
            # A fixture or an async generator may end in another task than it began in. The group's scope is the first
            # one's: to cancel it would cancel that task, which goes on with other things.
            for state in tuple(self._works):
                state.scope.cancel()
            for state in tuple(self._works):
                await state.finished.wait()
            return
        group.cancel_scope.cancel()
        # None is passed whatever ends the owner's block: the group would else wrap that error in a group.
        await group.__aexit__(None, None, None)


class BackgroundStream(Generic[T]):
    """Results as they come: an async iterator of them, and an async context manager around it.

    `ClovaSpeechClient.stream` returns a ``BackgroundStream[Segment]``. The work behind it goes on while they are read;
    what it raises, the reader gets, unwrapped, after the items before it. Leaving the block, `aclose`, or dropping the
    iterator cancels the work.

    It is made by the library: `work` gets a function to send with, and waits while `buffer` items lie unread.
    """

    _name = "stream"
    _holding = "async with client.stream(…) as segments"
    """How it is held, in the words of a program."""

    def __init__(self, work: Work[T], host: Host, *, buffer: int = 0) -> None:
        self._work = work
        self._host = host
        self._own: Host | None = None
        self._size = buffer
        self._unread: _Buffer[T] | None = None
        self._over = False
        self._state: _State | None = None
        self._closed = False
        self._thread = threading.get_ident()

    async def __aenter__(self) -> Self:
        self._check_new()  # before a task group is open that nobody would close
        if self._closed:
            return self
        if self._host.group is not None:  # none of its own: one in a generator that is left would end in another task
            self._start(self._host)
            return self
        own = Host()
        await own.enter()
        self._own = own
        self._start(own)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cancel()
        own, self._own = self._own, None
        if own is not None:
            await own.exit()
        elif self._state is not None:
            with anyio.CancelScope(shield=True):
                await self._state.finished.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """Return the next item.

        Raises what the work raised, and `ClientClosedError` when the client ended before the work did.
        """
        if self._state is None:
            if self._closed:
                raise StopAsyncIteration
            self._start(self._host)
        assert self._state is not None
        assert self._unread is not None
        try:
            return await self._unread.receive()
        except anyio.EndOfStream:
            if self._over or self._closed:  # another reader, of several, has met the end
                raise StopAsyncIteration from None
            self._leave()
        if self._state.error is not None:
            raise self._state.error
        if not self._state.complete:
            raise ClientClosedError("the client was closed while this stream was being read: its end is missing")
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancel the work, and wait until it is gone; who waits for its next item finds it at its end."""
        self._closed = True
        self._cancel()
        if self._state is not None:
            await self._state.finished.wait()

    def __del__(self) -> None:
        # In another thread (a collection of garbage may run anywhere) a scope must not be touched; the end of the
        # host cancels the work then.
        if self._thread == threading.get_ident():
            self._cancel()

    def _start(self, host: Host) -> None:
        if host.group is None:
            raise ConfigurationError(
                f"nobody holds the work of this {self._name}: enter the client (`async with ClovaSpeechClient(…) as "
                f"client`), or the {self._name} (`{self._holding}`)"
            )
        self._check_new()
        self._thread = threading.get_ident()
        self._state = _State()
        self._unread = _Buffer(self._size)
        host.start(self._work, self._unread, self._state)

    def _check_new(self) -> None:
        if self._state is not None:
            raise ConfigurationError(f"this {self._name} has been started already: make a new one")

    def _cancel(self) -> None:
        if self._state is not None and not self._state.finished.is_set():
            self._state.scope.cancel()
        self._leave()

    def _leave(self) -> None:
        self._over = True
        if self._unread is not None:
            self._unread.leave()


async def _run(work: Work[T], buffer: _Buffer[T], state: _State, works: set[_State]) -> None:
    try:
        with state.scope:
            await work(buffer.send)
            state.complete = True
    except Exception as error:  # noqa: BLE001 - it is the reader's
        state.error = error
    except anyio.get_cancelled_exc_class():
        if not comes_from_elsewhere():
            raise
        state.error = cancelled_elsewhere()  # raised here, it would end all that the host holds
    finally:
        buffer.end()
        works.discard(state)
        state.finished.set()
