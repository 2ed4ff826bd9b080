"""One run of a batch: a task that takes sources, workers that transcribe them, results to the reader.

Law of this file: a fixed number of workers and no task for each item; every source that was given to a worker has
exactly one result; a worker's `Exception` is its item's, anything else ends the run.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup

from clova_speech_async.errors import BatchStoppedError, ClovaSpeechError, QueueFullError
from clova_speech_async.groups import cancelled_elsewhere, comes_from_elsewhere, plain_task_group
from clova_speech_async.outcome import Outcome

from .delivery import AsCompleted, Delivery, InOrder, Send
from .feed import Feed
from .handover import Handover
from .items import Item, Result
from .rules import Budget, Stop, StopRules
from .summary import Summary, Tally

if TYPE_CHECKING:
    from clova_speech_async.audio import Piece
    from clova_speech_async.models import Recognition
    from clova_speech_async.transcript import Transcript

    from .work import Work

__all__ = ["Options", "Run"]

_WINDOW = 4
"""In order, sources that may be begun beyond the one that is waited for, times the workers."""
_REST = (10.0, 20.0)
"""Seconds that an item rests, from and to, whose request was thrown back in all its tries, or had none left."""
_REST_UNREACHED = (2.0, 4.0)
"""The same before anything was ever reached: that it cannot be is to be known soon."""
_AHEAD = 32
"""Sources at most that are taken before a worker is free for them."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a batch runs."""

    max_concurrency: int
    ordered: bool
    max_billed_seconds: int | None


class Run:
    """The state of one run; lives as long as its work or its reader."""

    def __init__(self, sources: object, work: Work, options: Options) -> None:
        self._feed = Feed(sources, ahead=min(_AHEAD, options.max_concurrency))
        self._work = work
        self._options = options
        self._rules = StopRules()
        self._budget = Budget(options.max_billed_seconds)
        self._tally = Tally()
        self._unread: dict[int, Result] = {}
        """By index; as many as wait for their turn or their reader."""
        self._taken = 0
        self._workers = 0
        self._taking = anyio.CancelScope()
        self._stop: BatchStoppedError | None = None
        self._stopped = anyio.Event()
        self._asked_to_stop = False
        self._began = self._ended = math.nan

    # --- what others see ---------------------------------------------------------------------

    def summary(self) -> Summary:
        """What has been done so far."""
        if math.isnan(self._began):
            return self._tally.summary(0.0)
        ended = anyio.current_time() if math.isnan(self._ended) else self._ended
        return self._tally.summary(ended - self._began)

    def read(self, index: int) -> Result | None:
        """The result of a source, which is not given again; None where it has been given."""
        return self._unread.pop(index, None)

    def unread(self) -> list[Result]:
        """Every result that has not been given, those of the sources that were cut off among them."""
        results, self._unread = self._unread, {}
        return [results[index] for index in sorted(results)]

    def stop(self) -> None:
        """Take and send nothing more; what is under way is finished."""
        if not self._asked_to_stop:
            self._asked_to_stop = True
            self._end(Stop("it was asked to", "give it the sources"))

    # --- the run -----------------------------------------------------------------------------

    async def __call__(self, send: Send) -> None:
        """Transcribe all sources and send their results; then raise why the batch stopped, if it did."""
        delivery: Delivery = AsCompleted(send)
        if self._options.ordered:
            delivery = InOrder(send, window=_WINDOW * self._options.max_concurrency)
        self._began = anyio.current_time()
        try:
            async with plain_task_group() as group:
                await self._take_all(group, delivery)
        finally:
            self._ended = anyio.current_time()
            await self._feed.aclose()
        if self._feed.error is not None and self._stop is None:
            error = self._feed.error
            reason = f"its sources raised {type(error).__name__} at index {self._taken}: {error}"
            raise Stop(reason, "correct them").error(kept=self._work.kept) from error
        if self._stop is not None and not self._asked_to_stop:
            raise self._stop

    async def _take_all(self, group: TaskGroup, delivery: Delivery) -> None:
        """Hand the sources to workers, of whom there are as many as are needed, and no more than allowed."""
        handover: Handover[tuple[int, Any]] = Handover()
        taken: list[tuple[int, Any]] = []
        try:
            while taken := await self._take():
                await delivery.room_for(self._taken - 1)
                wanted = min(len(taken) - handover.waiting, self._options.max_concurrency - self._workers)
                for _ in range(wanted):
                    self._workers += 1
                    group.start_soon(self._work_off, handover, delivery)
                given, taken = taken, []
                await handover.give(given)
        except BaseException:
            for index, source in (*handover.left(), *taken, *self._numbered(self._feed.collect())):
                ticket = _Ticket(self, index, source)
                self._tally.cut_off(ticket.outcome)
                self._unread[index] = ticket.result(error=BatchStoppedError("not begun: the run was cut off"))
            raise
        handover.close()

    async def _take(self) -> list[tuple[int, Any]]:
        """The next sources, and at a stop those that a generator has given by then; none at the end."""
        chunk: list[Any] = []
        if self._stop is None:
            self._taking = anyio.CancelScope()
            with self._taking:
                chunk = await self._feed.take()
        return self._numbered(chunk or self._feed.collect())

    def _numbered(self, sources: list[Any]) -> list[tuple[int, Any]]:
        first, self._taken = self._taken, self._taken + len(sources)
        return list(enumerate(sources, first))

    async def _work_off(self, handover: Handover[tuple[int, Any]], delivery: Delivery) -> None:
        while (given := await handover.take()) is not None:
            result = await self._one(*given)
            self._unread[result.index] = result
            self._tally.add(result)
            await delivery.deliver(result)

    # --- one item ----------------------------------------------------------------------------

    async def _one(self, index: int, source: Any) -> Result:
        ticket = _Ticket(self, index, source)
        outcome = ticket.outcome
        transcript = recognition = error = None
        try:
            ticket.may_go_on()
            transcript, recognition = await self._patiently(ticket)
        except Exception as caught:  # noqa: BLE001 - whatever it is, it is this item's, and the others go on
            error = caught
        except BaseException as caught:
            if not isinstance(caught, anyio.get_cancelled_exc_class()) or not comes_from_elsewhere():
                self._tally.cut_off(outcome)
                self._unread[index] = ticket.result(error=BatchStoppedError("not finished: the run was cut off"))
                raise
            error = cancelled_elsewhere()
        self._budget.settle(ticket.reserved, ticket.cost)
        ticket.tell_success()
        if error is not None:
            for one in (error, *outcome.errors[1:]):
                self._see(one)
        elif outcome.tries:
            self._rules.succeeded()
        return ticket.result(transcript=transcript, error=error, recognition=recognition)

    async def _patiently(self, ticket: _Ticket) -> tuple[Transcript, Recognition | None]:
        """Do the work; where a bound on the client's line, meant for others, is in the way, wait and try again."""
        while True:
            try:
                return await self._work.do(ticket.item, ticket, ticket.outcome)
            except QueueFullError as error:  # noqa: PERF203 - it is the exceptional way
                await self._wait(error.retry_after or 1.0)
                ticket.may_go_on()

    async def _rest(self, error: ClovaSpeechError) -> None:
        """Let a request that was thrown back, or found no service, rest, and be sent anew: the night's batch has the
        time, and nothing is wrong with its audio. Whether all meet that for too long, the rules say.

        Raises `error` where no other try was wanted (the policy allows one only, or a hook ended them), where a try
        may have been heard: that may be tried again once, and has been; and where nobody was ever at the address.
        """
        unwanted = len(error.attempts) < 2 and not error.out_of_retry_budget
        if unwanted or any(attempt.ambiguous for attempt in error.attempts):
            raise error
        self._see(error)
        if self._rules.is_unreached and not error.out_of_retry_budget:
            raise error
        await self._wait(random.uniform(*(_REST_UNREACHED if self._rules.is_unreached else _REST)))

    async def _wait(self, seconds: float) -> None:
        """Wait, but not longer than the batch goes on."""
        if self._stop is None:
            with anyio.move_on_after(seconds):
                await self._stopped.wait()

    def _see(self, error: Exception) -> None:
        if not isinstance(error, BatchStoppedError):
            stop = self._rules.failed(error, anyio.current_time(), answered=self._work.was_answered)
            if stop is not None:
                self._end(stop, error)

    def _end(self, stop: Stop, cause: Exception | None = None) -> None:
        """Take nothing more, send nothing more; the first reason counts."""
        if self._stop is None:
            self._stop = stop.error(kept=self._work.kept)
            self._stop.__cause__ = cause
            self._stopped.set()
            self._taking.cancel()
            self._work.look_again()


class _Ticket:
    """One item on its way: its leave to send, asked for right before each of its requests, and what came of it."""

    __slots__ = ("_began", "_billed", "_index", "_maybe", "_pieces", "_run", "_source", "item", "outcome")

    def __init__(self, run: Run, index: int, source: Any) -> None:
        self._run = run
        self._index = index
        self._source = source
        self._began = anyio.current_time()
        self._pieces: dict[int, int] = {}
        self._maybe = 0
        self._billed = 0
        self.item = source if isinstance(source, Item) else Item(source)
        self.outcome = Outcome(done=[])

    def result(
        self,
        *,
        transcript: Transcript | None = None,
        error: Exception | None = None,
        recognition: Recognition | None = None,
    ) -> Result:
        """What became of it."""
        outcome = self.outcome
        partial = None
        if error is not None:
            partial = getattr(error, "partial", None) or outcome.partial()
        return Result(
            source=self._source,
            index=self._index,
            id=self.item.id,
            transcript=transcript,
            error=error,
            partial=partial,
            recognition=recognition,
            tries=outcome.tries,
            seconds=anyio.current_time() - self._began,
            billed_seconds=outcome.billed_seconds,
            maybe_billed_seconds=outcome.maybe_billed_seconds,
            saved_seconds=outcome.saved_seconds,
        )

    @property
    def reserved(self) -> int:
        """Seconds that its requests are billed at most; a piece that is sent again counts as often as it was heard."""
        return sum(self._pieces.values()) + self._maybe

    @property
    def cost(self) -> int:
        """Seconds that were billed; what the service may have heard counts, since a budget must hold."""
        return self.outcome.billed_seconds + self.outcome.maybe_billed_seconds

    def tell_success(self) -> None:
        """A recording of hours has replies long before its end: each of them is a success of the service."""
        if self.outcome.billed_seconds > self._billed:
            self._billed = self.outcome.billed_seconds
            self._run._rules.succeeded()

    def may_go_on(self, again: bool = False) -> None:
        """Raise `BatchStoppedError` where the batch has stopped."""
        stop = self._run._stop
        if stop is not None:
            raise BatchStoppedError(f"not sent{' again' if again else ''}: {stop}") from stop

    def before_send(self, piece: Piece) -> None:
        """Reserve what a request may cost; raise `BatchStoppedError` where that is more than there is."""
        self.tell_success()
        again = piece.index in self._pieces
        self.may_go_on(again)
        # Of a piece that is sent again what counts is the try before, where that may have been billed.
        seconds = self.outcome.maybe_billed_seconds - self._maybe if again else piece.billed_seconds
        refusal = self._run._budget.refusal(seconds) if seconds else None
        if refusal is not None:
            self._run._end(refusal)
            self.may_go_on(again)
        if again:
            self._maybe += seconds
        else:
            self._pieces[piece.index] = seconds
        self._run._budget.reserve(seconds)

    async def on_setback(self, error: ClovaSpeechError) -> None:
        """Let the request rest before it is sent anew, or raise `error`."""
        await self._run._rest(error)
