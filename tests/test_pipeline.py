from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from clova_speech_async.errors import ClovaSpeechError, CorruptAudioError, QuotaExceededError
from clova_speech_async.pipeline import Pipeline
from clova_speech_async.reading import Pull

pytestmark = pytest.mark.anyio


@dataclass
class Fake:
    """What a pipeline knows of a piece."""

    index: int
    original: bool = False


class Cutter:
    """Gives pieces, counts how many were taken, and may break in the middle."""

    def __init__(self, count: int, *, breaks_at: int | None = None, original: bool = False) -> None:
        self.count, self.breaks_at, self.original = count, breaks_at, original
        self.taken = 0
        self.closed = False

    def __iter__(self) -> Generator[Any, None, float]:
        try:
            for index in range(self.count):
                if index == self.breaks_at:
                    raise CorruptAudioError("broken here")
                self.taken += 1
                yield Fake(index, self.original)
        finally:
            self.closed = True
        return 1.0


def quota() -> QuotaExceededError:
    return QuotaExceededError("429", status=429, code="400")


async def run(pipeline: Pipeline[int]) -> list[int]:
    got: list[int] = []

    async def emit(index: int) -> None:
        got.append(index)

    await pipeline.run(emit)
    return got


@pytest.mark.parametrize("width", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 30])
async def test_every_piece_once_and_in_order_however_they_finish(width: int, count: int) -> None:
    cutter = Cutter(count)
    flying = most = 0

    async def send(piece: Any) -> int:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        for _ in range(piece.index * 7 % 5):  # they overtake each other
            await anyio.lowlevel.checkpoint()
        flying -= 1
        return int(piece.index)

    assert await run(Pipeline(Pull(lambda _: iter(cutter)), send, width=width)) == list(range(count))
    assert most <= width
    assert cutter.closed or count == 0


async def test_a_whole_recording_in_one_piece_needs_no_second_look() -> None:
    async def send(piece: Any) -> int:
        return int(piece.index)

    cutter = Cutter(1, original=True)
    assert await run(Pipeline(Pull(lambda _: iter(cutter)), send, width=5)) == [0]
    assert cutter.closed


async def test_a_slow_reader_bounds_what_is_taken() -> None:
    cutter = Cutter(1000)
    gate = anyio.Event()

    async def send(piece: Any) -> int:
        return int(piece.index)

    async def emit(index: int) -> None:
        if index == 5:
            await gate.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(Pipeline(Pull(lambda _: iter(cutter)), send, width=3).run, emit)
        for _ in range(50):
            await anyio.wait_all_tasks_blocked()
            await anyio.to_thread.run_sync(lambda: None)
        assert cutter.taken <= 6 + 2 * 3 + 3
        gate.set()
    assert cutter.taken == 1000


async def test_after_a_failure_no_new_piece_is_sent_and_those_under_way_are_kept() -> None:
    cutter = Cutter(100)
    sent: list[int] = []
    release = anyio.Event()

    async def send(piece: Any) -> int:
        sent.append(piece.index)
        if piece.index == 2:
            await anyio.wait_all_tasks_blocked()
            release.set()
            raise quota()
        if piece.index > 2:
            await release.wait()
        return int(piece.index)

    got: list[int] = []

    async def emit(index: int) -> None:
        got.append(index)

    pipeline: Pipeline[int] = Pipeline(Pull(lambda _: iter(cutter)), send, width=4)
    with pytest.raises(QuotaExceededError):
        await pipeline.run(emit)
    assert got == [0, 1]
    assert pipeline.late == sorted(set(sent) - {0, 1, 2})
    assert len(sent) <= 8
    assert cutter.closed


async def test_of_several_failures_the_first_in_time_is_raised() -> None:
    both = anyio.Event()

    async def send(piece: Any) -> int:
        if piece.index == 0:
            await both.wait()
            raise ClovaSpeechError("first")
        both.set()
        raise ClovaSpeechError("second")

    with pytest.raises(ClovaSpeechError, match="first"):
        await run(Pipeline(Pull(lambda _: iter(Cutter(2))), send, width=2))


async def test_a_recording_that_breaks_in_the_middle_keeps_what_came_before() -> None:
    async def send(piece: Any) -> int:
        return int(piece.index)

    got: list[int] = []

    async def emit(index: int) -> None:
        got.append(index)

    called_off: list[bool] = []
    cutter = Cutter(9, breaks_at=4)
    pipeline = Pipeline(Pull(lambda _: iter(cutter)), send, width=3, on_failure=lambda: called_off.append(True))
    with pytest.raises(CorruptAudioError):
        await pipeline.run(emit)
    assert got == [0, 1, 2, 3]
    assert not pipeline.is_failed, "no piece has failed, and those before the break may still be sent"
    assert called_off == []


async def test_a_foreign_error_is_not_swallowed_nor_wrapped() -> None:
    async def send(piece: Any) -> int:
        raise LookupError

    with pytest.raises(LookupError):
        await run(Pipeline(Pull(lambda _: iter(Cutter(2))), send, width=2))


async def test_of_several_foreign_errors_at_once_one_comes_as_itself() -> None:
    all_there, there = anyio.Event(), 0

    async def send(piece: Any) -> int:
        nonlocal there
        there += 1
        if there == 3:
            all_there.set()
        await all_there.wait()
        raise KeyError("the transport is broken")

    with pytest.raises(KeyError, match="broken"):
        await run(Pipeline(Pull(lambda _: iter(Cutter(9))), send, width=3))


async def test_cancelled_in_the_middle_the_audio_is_closed() -> None:
    cutter = Cutter(9)

    async def send(piece: Any) -> int:
        await anyio.sleep_forever()
        return 0

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(run, Pipeline(Pull(lambda _: iter(cutter)), send, width=3))
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    assert cutter.closed
