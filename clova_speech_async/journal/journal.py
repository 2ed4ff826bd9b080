"""The journal as callers see it: claim a request, find its reply or send it and put the reply away.

Law of this file: no reply is acknowledged before it would survive a power cut, no claim is left behind by a
cancellation, and nothing here blocks: every touch of the file happens in a worker thread (grouping.py).
"""

from __future__ import annotations

import copy
import logging
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import to_thread

from clova_speech_async.checks import check_seconds, check_whole
from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError, JournalError
from clova_speech_async.whole_file import path_of

from .checks import LARGEST, check_bytes, check_callable, check_text, entry_numbers, unix_seconds
from .file import JournalFile
from .grouping import Call, Grouped, once_for_all, see_through
from .records import JournalEntry, JournalOverview, Row, Stored
from .store import Store

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Claim", "Journal"]

_T = TypeVar("_T")
_Job = TypeVar("_Job")
_POLL = 0.02
"""Seconds between two questions whether another process has its reply."""
_log = logging.getLogger("clova_speech_async.journal")


class Journal:
    """Every reply that was paid for, in one file, found again by what was sent.

    `path`: the file; made where there is none, readable by its owner only. It keeps transcripts in clear, and no key,
    no `utterance`, no keywords. Several processes may use one journal at the same time, on a local disk: what one of
    them is sending, the others wait for. One that is forked while it is open can use neither it nor the file.
    `commit_delay`: seconds, 0 to 0.05, a reply may wait for others to be written together with it.
    `busy_timeout`: seconds to wait for another process's write. `read_only`: only look at it; the file must be there.

    Opened at its first use, or by ``async with``; an instance belongs to one event loop at a time.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        commit_delay: float = 0.004,
        busy_timeout: float = 10.0,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        name = path_of(path)
        gather = check_seconds("commit_delay", commit_delay, most=0.05)
        patience = check_seconds("busy_timeout", busy_timeout, most=3600.0)
        check_callable("clock", clock)
        self._file = JournalFile(str(name), busy_timeout=patience, read_only=bool(read_only))
        self._store = Store(self._file)
        self._opens = Grouped(once_for_all(self._file.open))
        self._probes = Grouped(once_for_all(self._store.probe))
        self._reads: Grouped[bytes, Stored | None] = Grouped(self._store.get)
        self._writes: Grouped[Row, None] = Grouped(self._store.put_each, gather=gather)
        self._claimed: dict[bytes, deque[Claim]] = {}
        self._read_only = read_only
        self._clock = clock
        self._broken: JournalError | None = None

    @property
    def path(self) -> str:
        """The file, as it was given."""
        return str(self._file.path)

    def __repr__(self) -> str:
        return f"Journal({self.path!r})"

    async def __aenter__(self) -> Self:
        try:
            await _together(self._opens, None)
        except anyio.get_cancelled_exc_class():
            await self._close()  # it may be open by now, and nobody else will
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.aclose()
        except JournalError as problem:
            # Every reply was in it before its caller saw it: what the block gives or raises is not lost over this.
            _log.warning("the replies that were acknowledged are safe, but: %s", problem)

    async def aclose(self) -> None:
        """Close the file once what is being written is written; a second time is nothing."""
        try:
            await self._writes.settle()
        finally:
            await self._close()

    async def _close(self) -> None:
        done = False

        def close() -> None:
            nonlocal done
            done = True
            self._file.close()

        await see_through(lambda: to_thread.run_sync(close, limiter=anyio.CapacityLimiter(1)), lambda: done)

    def claim(
        self, key: bytes, *, lang: str = "", label: str = "", on_wait: Callable[[], object] | None = None
    ) -> Claim:
        """The right to send the request of `key`, as an async context manager.

        Who comes second, in this process or in another one, waits until the first is through, and then finds its reply,
        or has the claim; `on_wait` is called before such a wait. A task must not enter a claim while it holds another
        one: two such tasks could wait for each other for ever. `lang` and `label` (a name for the audio) are kept with
        the reply, for people to read.
        """
        if not isinstance(key, bytes) or len(key) != 32:
            raise ArgumentTypeError(f"key must be the 32 bytes of journal_key(…), not {key!r:.80}", argument="key")
        check_callable("on_wait", on_wait)
        return Claim(self, key, check_text("lang", lang), check_text("label", label), on_wait)

    def entries(self, *, after: int = 0, last: int | None = None) -> AsyncIterator[JournalEntry]:
        """Every entry whose number is over `after`, or the `last` so many, in the order they were stored.

        Read in pages, so that a journal of any size fits.
        """
        check_whole("after", after, least=0, most=LARGEST)
        if last is not None:
            check_whole("last", last, least=0, most=LARGEST)
        return self._pages(after, last)

    async def _pages(self, after: int, last: int | None) -> AsyncIterator[JournalEntry]:
        if last is not None:
            after = max(after, await self._in_thread(partial(self._store.before_last, last)))
        while page := await self._in_thread(partial(self._store.page, after, 256)):
            for entry in page:
                yield entry
            after = page[-1].number

    async def overview(self) -> JournalOverview:
        """Counts and sums over the whole journal."""
        return await self._in_thread(self._store.overview)

    async def forget(self, numbers: Iterable[int] | None = None, *, before: datetime | None = None) -> int:
        """Delete entries for good, and say how many: those of `numbers`, those stored before a time, or all.

        Their bytes are taken out of the file as well. What is forgotten is sent, and paid for, again when asked for.
        """
        if numbers is not None and before is not None:
            raise InvalidArgumentError("give numbers or before, not both")
        wanted = None if numbers is None else entry_numbers(numbers)
        limit = None if before is None else unix_seconds(before)
        return await self._in_thread(lambda: self._store.forget(wanted, limit))

    async def _in_thread(self, function: Callable[[], _T]) -> _T:
        return await to_thread.run_sync(function, limiter=anyio.CapacityLimiter(1))

    async def _refuse_if_broken(self) -> None:
        """After a write that failed, try the file before a new request is paid for."""
        if self._read_only:
            raise JournalError(f"the journal {self.path} was opened with read_only=True and has no such reply")
        if self._broken is not None:
            try:
                await _together(self._probes, None)
            except JournalError as error:
                raise JournalError(f"{error} Nothing was sent.") from error
            self._broken = None


class Claim:
    """The right to send one request; made by `Journal.claim`. `stored` is its reply, where there is one."""

    __slots__ = ("_journal", "_key", "_label", "_lang", "_locked", "_on_wait", "_turn", "stored")

    def __init__(
        self, journal: Journal, key: bytes, lang: str, label: str, on_wait: Callable[[], object] | None
    ) -> None:
        self.stored: Stored | None = None
        self._journal = journal
        self._key = key
        self._lang = lang
        self._label = label
        self._turn: anyio.Event | None = None
        self._locked = False
        self._on_wait = on_wait

    async def __aenter__(self) -> Self:
        queue = self._journal._claimed.setdefault(self._key, deque())
        queue.append(self)
        try:
            if queue[0] is not self:
                self._turn = anyio.Event()
                self._will_wait()
                await self._turn.wait()
            if self.stored is None:
                await self._lock()
                self.stored = await _together(self._journal._reads, self._key)
            if self.stored is None:
                await self._journal._refuse_if_broken()
        except BaseException:
            self._release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        """Leave the queue; who is next gets the claim, and the reply, where there is one, everybody."""
        if self._locked:
            self._journal._file.locks.release(self._key)
            self._locked = False
        queue = self._journal._claimed[self._key]
        queue.remove(self)
        if not queue:
            del self._journal._claimed[self._key]
        for waiting in queue if self.stored is not None else list(queue)[:1]:
            waiting.stored = waiting.stored or self.stored
            if waiting._turn is not None:
                waiting._turn.set()

    async def _lock(self) -> None:
        """Keep other processes out of this request; wait while one of them has it."""
        file = self._journal._file
        if not file.is_open:
            await _together(self._journal._opens, None)
        while not file.locks.take(self._key):
            self._will_wait()
            await anyio.sleep(_POLL)  # no event comes from another process
        self._locked = True

    def _will_wait(self) -> None:
        on_wait, self._on_wait = self._on_wait, None
        if on_wait is not None:
            on_wait()

    async def recheck(self) -> Stored | None:
        """Look once more, right before sending, where others could not be kept out since the first look."""
        if not self._journal._file.locks.exclude_all:
            self.stored = await _together(self._journal._reads, self._key)
        return self.stored

    async def put(self, body: bytes, *, billed_seconds: int | None, seconds: float) -> None:
        """Keep the reply; on return it survives a crash. A cancellation waits until it is kept.

        `seconds`: length of the audio that was sent. Raises `JournalError` where it could not be written: the reply
        is then in the caller's hands only.
        """
        journal = self._journal
        if billed_seconds is not None:
            check_whole("billed_seconds", billed_seconds, least=0, most=LARGEST)
        stored = Stored(check_bytes("body", body), billed_seconds, check_seconds("seconds", seconds), journal._clock())
        call: Call[Row, None] = Call(Row(self._key, self._lang, self._label, stored))
        try:
            await journal._writes.submit(call)
        except Exception as error:
            raise JournalError(f"the journal {journal.path} cannot be written: no thread: {error}") from error
        except BaseException:
            if call.error is not None:  # the caller hears of its cancellation only, so this is said here
                _log.error("a reply that was paid for is lost, %r: %s", self._label or self._key.hex(), call.error)
            raise
        finally:
            if call.done and call.error is None:
                self.stored = stored
            elif isinstance(call.error, JournalError):
                journal._broken = call.error
        if call.error is not None:
            raise _own(call.error)


async def _together(group: Grouped[_Job, _T], job: _Job) -> _T | None:
    """The result of a job that goes with those of others; None is one, too."""
    call: Call[_Job, _T] = Call(job)
    await group.submit(call)
    if call.error is not None:
        raise _own(call.error)
    return call.result


def _own(error: Exception) -> Exception:
    """A copy for one caller: each sets its own traceback and `partial` on it."""
    if not isinstance(error, JournalError):
        return error
    mine = copy.copy(error)
    mine.__cause__ = error.__cause__
    return mine
