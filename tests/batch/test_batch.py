from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio
import anyio.lowlevel
import httpx
import pytest

from clova_speech_async import errors
from clova_speech_async.batch import BatchTranscriber, Item, Result
from clova_speech_async.batch.rules import StopRules
from clova_speech_async.batch.run import Run
from clova_speech_async.client import ClovaSpeechClient
from clova_speech_async.http.limiter import Limiter
from clova_speech_async.journal import Journal

pytestmark = pytest.mark.anyio
Wav = Callable[..., bytes]


async def read(run: Any) -> tuple[list[Result], errors.BatchStoppedError | None]:
    results: list[Result] = []
    try:
        async for result in run:
            results.append(result)
            assert (result.transcript is None) != (result.error is None)
    except errors.BatchStoppedError as error:
        return results, error
    return results, None


# --- what comes out -----------------------------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio cancels scopes only
async def test_what_a_request_waits_for_and_is_cancelled_is_its_items_error(wav: Wav) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        other = asyncio.get_running_loop().create_future()
        other.cancel()
        return await other

    transport = httpx.MockTransport(answer)
    async with ClovaSpeechClient("key", invoke_url="https://clova.example", transport=transport) as client:
        with anyio.fail_after(20):
            results, _ = await read(BatchTranscriber(client, lang="Kor").run([wav(n) for n in range(5)]))
    assert len(results) == 5
    for result in results:
        with pytest.raises(errors.ConnectionLostError, match="cancelled from outside"):
            result.unwrap()


async def test_every_source_has_its_result(connect: Any, service: Any, wav: Wav) -> None:
    sources = [wav(n) for n in range(50)]
    async with connect() as client:
        run = BatchTranscriber(client, lang="Kor").run(sources)
        results, stopped = await read(run)
    assert stopped is None
    assert sorted(result.index for result in results) == list(range(50))
    for result in results:
        assert result.source is sources[result.index]
        assert result.transcript is not None
        assert result.transcript.text == f"number {result.index}"
        assert (result.tries, result.billed_seconds, result.saved_seconds) == (1, 15, 0)
        assert result.seconds >= 0
        assert not result.from_journal
    assert sorted(service.sent) == list(range(50))
    assert service.queries == ["lang=Kor"] * 50
    summary = run.summary
    assert (summary.done, summary.billed_seconds, summary.tries) == (50, 750, 50)
    assert summary.audio_seconds == pytest.approx(5.0)
    assert summary.wall_seconds > 0
    assert run.summary.wall_seconds == summary.wall_seconds  # it has ended


async def test_works_without_an_entered_client(connect: Any, wav: Wav, service: Any) -> None:
    client = ClovaSpeechClient("test-key", invoke_url="https://example.com", transport=service)
    async with BatchTranscriber(client, lang="Kor").run([wav(1)]) as results:
        assert [result.index async for result in results] == [0]
    with pytest.raises(errors.ConfigurationError, match=r"or the run \(`async with batch\.run\(…\) as results`\)"):
        await anext(BatchTranscriber(client, lang="Kor").run([wav(1)]))
    await client.aclose()


async def test_no_sources_no_results(connect: Any) -> None:
    async with connect() as client:
        run = BatchTranscriber(client, lang="Kor").run([])
        assert await read(run) == ([], None)
    assert run.summary.total == 0


async def test_summary_before_the_beginning(connect: Any) -> None:
    async with connect() as client:
        assert BatchTranscriber(client, lang="Kor").run([]).summary.wall_seconds == 0.0


async def test_takes_paths_items_and_async_sources(connect: Any, service: Any, wav: Wav, tmp_path: Path) -> None:
    path = tmp_path / "one.wav"
    path.write_bytes(wav(1))

    async def sources() -> AsyncIterator[Any]:
        yield path
        yield str(path)
        yield Item(wav(2), lang="Eng", id="two")
        yield Item(wav(3), boostings=["네이버"], id=3)

    async with connect() as client:
        results, _ = await read(BatchTranscriber(client, lang="Kor", ordered=True).run(sources()))
    assert [r.error for r in results] == [None] * 4
    assert [result.transcript and result.transcript.text for result in results] == [
        "number 1",
        "number 1",
        "number 2",
        "number 3",
    ]
    assert [result.id for result in results] == [None, None, "two", 3]
    assert [result.transcript and result.transcript.language for result in results] == ["Kor", "Kor", "Eng", "Kor"]
    by_number = dict(zip(service.sent, service.queries, strict=True))
    assert by_number[2] == "lang=Eng"
    assert by_number[3].startswith("lang=Kor&boostings=")


async def test_an_assessment_comes_with_its_reply(connect: Any, service: Any, wav: Wav) -> None:
    service.answer = lambda number: (200, {"text": "nice day", "quota": 15, "assessment_score": 88})
    async with connect() as client:
        batch = BatchTranscriber(client, lang="Eng", assessment=True)
        results, _ = await read(batch.run([Item(wav(1), utterance="nice day"), Item(wav(2), assessment=False)]))
    with_score, without = sorted(results, key=lambda result: result.index)
    assert with_score.recognition is not None
    assert with_score.recognition.assessment is not None
    assert with_score.recognition.assessment.score == 88
    assert with_score.transcript is not None
    assert with_score.transcript.text == "nice day"
    assert without.recognition is None
    assert "utterance=nice%20day" in service.queries[service.sent.index(1)]
    assert service.queries[service.sent.index(2)] == "lang=Eng"


async def test_in_order_however_they_end(connect: Any, service: Any, wav: Wav) -> None:
    async def slow_if_even(number: int) -> None:
        for _ in range(0 if number % 2 else 20):
            await anyio.lowlevel.checkpoint()

    service.before = slow_if_even
    async with connect() as client:
        results, _ = await read(BatchTranscriber(client, lang="Kor", ordered=True).run(wav(n) for n in range(100)))
        assert [result.index for result in results] == list(range(100))
        unordered, _ = await read(BatchTranscriber(client, lang="Kor").run(wav(n) for n in range(100)))
    assert [result.index for result in unordered] != list(range(100))


# --- how much at once -----------------------------------------------------------------------------------


async def a_while(number: int) -> None:
    for _ in range(50):
        await anyio.lowlevel.checkpoint()


async def test_no_more_than_max_concurrency_at_once(connect: Any, service: Any, wav: Wav) -> None:
    service.before = a_while
    async with connect(concurrency=50) as client:
        await read(BatchTranscriber(client, lang="Kor", max_concurrency=5).run([wav(n) for n in range(40)]))
    assert service.most_in_flight == 5


async def test_as_many_as_the_client_bears(connect: Any, service: Any, wav: Wav) -> None:
    service.before = a_while
    async with connect(concurrency=3) as client:
        await read(BatchTranscriber(client, lang="Kor", max_concurrency=20).run([wav(n) for n in range(40)]))
    assert service.most_in_flight == 3


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_reader_who_stands_still_stops_the_work(connect: Any, service: Any, wav: Wav, ordered: bool) -> None:
    taken = 0

    def sources() -> Iterator[bytes]:
        nonlocal taken
        while True:
            yield wav(taken)
            taken += 1

    async with connect() as client:
        async with BatchTranscriber(client, lang="Kor", max_concurrency=4, ordered=ordered).run(sources()) as results:
            await anext(results)
            for _ in range(500):
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            standing = taken
            # One with the reader, a buffer of 4, 4 workers or in order the window of 16, and up to 4 taken ahead.
            begun = 1 + 4 + (16 if ordered else 4)
            assert standing <= begun + 4
            assert len(service.sent) <= begun
            for _ in range(60):
                await anext(results)
        assert taken > standing


async def test_leaving_early_cancels_what_is_under_way(connect: Any, service: Any, wav: Wav) -> None:
    closed: list[bool] = []

    async def sources() -> AsyncIterator[bytes]:
        try:
            for number in range(1000):
                yield wav(number)
        finally:
            closed.append(True)

    async def for_ever(number: int) -> None:
        if number:
            await anyio.sleep_forever()

    service.before = for_ever
    async with connect() as client:
        async with BatchTranscriber(client, lang="Kor").run(sources()) as results:
            first = await anext(results)
        assert first.index == 0
        assert service.in_flight == 0
        assert closed == [True]
        assert client.stats().in_flight == 0


# --- errors -----------------------------------------------------------------------------------------------


async def test_an_items_error_is_its_own(connect: Any, service: Any, wav: Wav, tmp_path: Path, refuse: Any) -> None:
    service.answer = lambda n: refuse(500, "STT006") if n == 3 else service.recognise(n)

    async def breaks() -> AsyncIterator[bytes]:
        yield wav(9)[:100]
        raise ZeroDivisionError("in the audio")

    sources = [
        wav(0),
        tmp_path / "absent.wav",
        b"",
        wav(3),
        5,
        Item(wav(5), lang="Klingon"),
        b"no audio at all, just some text that is long enough to be looked at",
        breaks(),
        wav(8),
    ]
    async with connect() as client:
        run = BatchTranscriber(client, lang="Kor", ordered=True).run(sources)
        results, stopped = await read(run)
    assert stopped is None
    kinds = [type(result.error).__name__ for result in results]
    assert kinds[0] == kinds[8] == "NoneType"
    assert kinds[1:7] == [
        "AudioReadError",
        "EmptyAudioError",
        "PreprocessingError",
        "ArgumentTypeError",
        "InvalidArgumentError",
        "UnsupportedFormatError",
    ]
    assert kinds[7] in ("ZeroDivisionError", "AudioReadError")
    assert (results[1].tries, results[3].tries) == (0, 1)
    assert run.summary.failures == 7
    assert run.summary.done == 2


async def test_an_id_that_cannot_be_named_is_its_items_error(connect: Any, wav: Wav) -> None:
    class Nameless:
        def __str__(self) -> str:
            raise ZeroDivisionError("no name")

    async with connect() as client:
        results, stopped = await read(BatchTranscriber(client, lang="Kor").run([Item(wav(1), id=Nameless()), wav(2)]))
    assert stopped is None
    assert sorted(type(result.error).__name__ for result in results) == ["NoneType", "ZeroDivisionError"]


async def test_ten_thousand_of_which_every_seventh_fails_in_another_way(
    connect: Any, service: Any, wav: Wav, refuse: Any
) -> None:
    ways = [
        (lambda n: refuse(400, "400"), "BadRequestError"),
        (lambda n: refuse(413, "STT001"), "SoundDataTooLongError"),
        (lambda n: refuse(500, "STT006"), "PreprocessingError"),
        (lambda n: refuse(500, "STT998"), "RecognitionFailedError"),
        (lambda n: refuse(503, "500"), "ServiceUnavailableError"),
        (lambda n: (200, ["not", "an", "object"]), "InvalidReplyError"),
        (lambda n: refuse(400, "STT007"), "SoundDataTooShortError"),
        (lambda n: refuse(504, "510"), "GatewayTimeoutError"),
    ]
    service.answer = lambda n: ways[n // 7 % 8][0](n) if n % 7 == 0 else service.recognise(n)
    expected = {n: ways[n // 7 % 8][1] for n in range(0, 10_000, 7)}
    failed: dict[int, str] = {}
    done = 0
    # A 503 makes everybody pause for a moment; here nobody waits for that.
    async with connect(concurrency=Limiter(32, pause=(0.0, 0.0))) as client:
        run = BatchTranscriber(client, lang="Kor").run(wav(n) for n in range(10_000))
        async for result in run:
            if result.error is not None:
                failed[result.index] = type(result.error).__name__
            else:
                done += 1
    assert failed == expected
    assert done == 10_000 - len(expected)
    assert run.summary.failed == Counter(expected.values())


async def test_sources_that_raise_end_the_run_after_what_is_under_way(connect: Any, wav: Wav) -> None:
    def sources() -> Iterator[bytes]:
        for number in range(30):
            yield wav(number)
        raise ZeroDivisionError("in the source")

    async with connect() as client:
        results, stopped = await read(BatchTranscriber(client, lang="Kor", journal=None).run(sources()))
    assert len(results) == 30
    assert isinstance(stopped, errors.BatchStoppedError)
    assert isinstance(stopped.__cause__, ZeroDivisionError)
    assert "its sources raised ZeroDivisionError at index 30: in the source" in str(stopped)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "401", errors.AuthenticationError),
        (403, "230", errors.PermissionDeniedError),
        (404, "300", errors.NotFoundError),
        (429, "400", errors.QuotaExceededError),
    ],
)
async def test_a_wrong_key_or_a_used_up_quota_stops_the_batch_and_going_on_completes_it(
    connect: Any, service: Any, wav: Wav, refuse: Any, tmp_path: Path, status: int, code: str, kind: type
) -> None:
    in_flight_at_refusal = 0

    def answer(number: int) -> tuple[int, Any]:
        nonlocal in_flight_at_refusal
        if len(service.sent) >= 100:
            in_flight_at_refusal = in_flight_at_refusal or service.in_flight + 1
            return refuse(status, code)
        return service.recognise(number)  # type: ignore[no-any-return]

    service.answer = answer
    sources = [wav(n) for n in range(400)]
    async with connect(concurrency=8) as client:
        batch = BatchTranscriber(client, lang="Kor", journal=tmp_path / "run.db", max_concurrency=32)
        run = batch.run(sources)
        results, stopped = await read(run)
        assert isinstance(stopped, errors.BatchStoppedError)
        assert isinstance(stopped.__cause__, kind)
        assert "run it again with the same journal" in str(stopped)
        done = {result.index for result in results if result.transcript is not None}
        assert len(service.sent) <= len(done) + in_flight_at_refusal
        unfinished = [result for result in results if isinstance(result.error, errors.BatchStoppedError)]
        assert all(result.tries == 0 for result in unfinished)
        assert run.summary.unfinished == len(unfinished)
        assert run.summary.total == len(results) < 200

        paid = len(done)
        service.answer = service.recognise
        service.sent.clear()
        again = batch.run(sources)
        results, stopped = await read(again)
    assert stopped is None
    assert len(results) == 400
    assert all(result.transcript is not None for result in results)
    assert not done & set(service.sent)
    assert len(service.sent) == 400 - paid
    assert again.summary.from_journal == paid
    assert again.summary.saved_seconds == 15 * paid


async def test_a_closed_client_stops_the_batch(connect: Any, service: Any, wav: Wav) -> None:
    client = ClovaSpeechClient("test-key", invoke_url="https://example.com", transport=service)
    async with BatchTranscriber(client, lang="Kor", max_concurrency=2).run(wav(n) for n in range(100)) as run:
        await anext(run)
        await client.aclose()
        results, stopped = await read(run)
    assert stopped is not None
    assert isinstance(stopped.__cause__, errors.ClientClosedError)
    assert len(results) < 20


async def test_a_full_line_is_waited_for(connect: Any, service: Any, wav: Wav, monkeypatch: Any) -> None:
    """A bound on the client's line is there for others: the batch stands in it like anybody, and again."""
    waits: list[float] = []

    async def wait(run: Run, seconds: float) -> None:
        waits.append(seconds)
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(Run, "_wait", wait)
    service.before = a_while
    async with connect(concurrency=1, max_waiting=1) as client:
        results, stopped = await read(
            BatchTranscriber(client, lang="Kor", max_concurrency=6).run([wav(n) for n in range(30)])
        )
    assert stopped is None
    assert all(result.transcript is not None for result in results)
    assert sorted(service.sent) == list(range(30))
    assert waits


# --- money ------------------------------------------------------------------------------------------------


async def test_max_billed_seconds_is_never_exceeded(connect: Any, service: Any, wav: Wav, tmp_path: Path) -> None:
    sources = [wav(n) for n in range(100)]
    async with connect() as client:
        batch = BatchTranscriber(client, lang="Kor", journal=tmp_path / "run.db", max_billed_seconds=160)
        run = batch.run(sources)
        results, stopped = await read(run)
        assert len(service.sent) == 10  # 11 would be 165 s
        assert run.summary.billed_seconds == 150
        assert "max_billed_seconds=160 would be exceeded" in str(stopped)
        assert "the next request is billed 15 s. To go on, raise it" in str(stopped)
        assert sum(result.transcript is not None for result in results) == 10
        # The next run has a budget of its own; what is in the journal costs nothing of it.
        done = {result.index for result in results if result.transcript is not None}
        again = batch.run([sources[n] for n in [*done, *sorted(set(range(100)) - done)[:10]]])
        results, stopped = await read(again)
    assert stopped is None
    assert (again.summary.billed_seconds, again.summary.saved_seconds) == (150, 150)


async def test_what_failed_costs_nothing(connect: Any, service: Any, wav: Wav, refuse: Any) -> None:
    service.answer = lambda n: refuse(400, "400") if n < 10 else service.recognise(n)
    async with connect() as client:
        run = BatchTranscriber(client, lang="Kor", max_billed_seconds=30, max_concurrency=1).run(
            [wav(n) for n in range(20)]
        )
        _, stopped = await read(run)
    assert stopped is not None
    assert len(service.sent) == 12
    assert run.summary.billed_seconds == 30


async def test_what_the_service_may_have_heard_counts_as_billed(
    connect: Any, service: Any, wav: Wav, refuse: Any
) -> None:
    service.answer = lambda n: refuse(504, "510")
    async with connect(concurrency=Limiter(1, pause=(0.0, 0.0))) as client:
        run = BatchTranscriber(client, lang="Kor", max_billed_seconds=45, max_concurrency=1).run(
            [wav(n) for n in range(20)]
        )
        _, stopped = await read(run)
    assert "max_billed_seconds=45 would be exceeded: 45 s billed" in str(stopped)
    assert len(service.sent) == 3


# --- the journal ------------------------------------------------------------------------------------------


async def test_a_second_run_sends_nothing(connect: Any, service: Any, wav: Wav, tmp_path: Path) -> None:
    async with Journal(tmp_path / "run.db") as journal, connect() as client:
        batch = BatchTranscriber(client, lang="Kor", journal=journal, ordered=True)
        first, _ = await read(batch.run(wav(n) for n in range(100)))
        renamed = tmp_path / "renamed.wav"
        renamed.write_bytes(wav(50))
        second, _ = await read(batch.run([renamed, *(wav(n) for n in range(100))]))
    assert len(service.sent) == 100
    assert [result.transcript and result.transcript.text for result in second[1:]] == [
        result.transcript and result.transcript.text for result in first
    ]
    assert all(result.from_journal and result.saved_seconds == 15 and result.tries == 0 for result in second)


async def test_the_same_audio_is_sent_once(connect: Any, service: Any, wav: Wav, tmp_path: Path) -> None:
    async with connect() as client:
        batch = BatchTranscriber(client, lang="Kor", journal=tmp_path / "run.db")
        results, _ = await read(batch.run([wav(n % 3) for n in range(60)]))
        assert {result.transcript and result.transcript.text for result in results} == {
            "number 0",
            "number 1",
            "number 2",
        }
        assert sorted(service.sent) == [0, 1, 2]
        # Another language or a keyword is another request.
        await read(batch.run([Item(wav(0), lang="Eng"), Item(wav(0), boostings=["네이버"])]))
    assert len(service.sent) == 5


async def test_a_reply_is_in_the_journal_before_anyone_sees_it(connect: Any, wav: Wav, tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    async with Journal(path) as journal, Journal(path, read_only=True) as other, connect() as client:
        seen = 0
        async for _ in BatchTranscriber(client, lang="Kor", journal=journal).run(wav(n) for n in range(30)):
            seen += 1
            assert (await other.overview()).replies >= seen


async def test_a_cancelled_run_keeps_what_was_paid_for(connect: Any, service: Any, wav: Wav, tmp_path: Path) -> None:
    replied: list[int] = []

    def answer(number: int) -> tuple[int, Any]:
        replied.append(number)
        if len(replied) == 40:
            scope.cancel()
        return service.recognise(number)  # type: ignore[no-any-return]

    service.answer = answer
    async with Journal(tmp_path / "run.db") as journal, connect() as client:
        with anyio.CancelScope() as scope:
            async with BatchTranscriber(client, lang="Kor", journal=journal).run(wav(n) for n in range(200)) as run:
                async for _ in run:
                    pass
        assert scope.cancelled_caught
        kept = (await journal.overview()).replies
    # The reply during which the cancellation came may have been on its way still: that request was in flight.
    assert len(replied) - 8 <= kept <= len(replied)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_asyncios_own_cancellation_ends_the_run_too(connect: Any, service: Any, wav: Wav, tmp_path: Path) -> None:
    async with Journal(tmp_path / "run.db") as journal, connect() as client:
        results: list[Result] = []

        async def consume() -> None:
            async with BatchTranscriber(client, lang="Kor", journal=journal).run(wav(n) for n in range(10_000)) as run:
                async for result in run:
                    results.append(result)
                    if len(results) == 50:
                        asyncio.current_task().cancel()  # type: ignore[union-attr]

        with pytest.raises(asyncio.CancelledError):
            await asyncio.ensure_future(consume())
        assert service.in_flight == 0
        # It comes at the reader's next wait, and there is none for each of the results that lie there already.
        assert 50 <= len(results) <= 50 + 8
        assert (await journal.overview()).replies >= len(results)


async def test_a_full_disk_stops_the_batch_and_throws_no_reply_away(
    connect: Any, service: Any, wav: Wav, tmp_path: Path
) -> None:
    service.answer = lambda number: (200, {"text": f"number {number} " + "x" * 50_000, "quota": 15})
    async with Journal(tmp_path / "run.db") as journal, connect(concurrency=4) as client:
        batch = BatchTranscriber(client, lang="Kor", journal=journal, max_concurrency=16)
        await read(batch.run([wav(0)]))
        writer = journal._file._writer
        assert writer is not None
        (pages,) = writer.database.execute("PRAGMA page_count").fetchone()
        writer.database.execute(f"PRAGMA max_page_count = {pages + 60}")
        results, stopped = await read(batch.run(wav(n) for n in range(1000)))
        kept = (await journal.overview()).replies
    assert isinstance(stopped, errors.BatchStoppedError)
    assert "disk is full" in str(stopped)
    told = [result for result in results if isinstance(result.error, errors.JournalError)]
    assert told
    handed_on = 0
    for result in told:
        partial = result.error.partial  # type: ignore[union-attr]
        if result.tries:
            assert partial.text.startswith(f"number {result.index} ")
            handed_on += 1
    # Every request was paid for: its reply is in the journal or in the error of its result.
    assert kept + handed_on == len(service.sent)


@pytest.mark.skipif(os.name != "posix", reason="an open file is not to be deleted on Windows")
async def test_a_journal_that_is_deleted_under_a_batch_stops_it_and_no_reply_is_thrown_away(
    connect: Any, service: Any, wav: Wav, tmp_path: Path
) -> None:
    path = tmp_path / "run.db"

    async def delete(number: int) -> None:
        await anyio.lowlevel.checkpoint()
        if number == 20:
            path.unlink()

    service.before = delete
    async with connect(concurrency=4) as client:
        batch = BatchTranscriber(client, lang="Kor", journal=path, max_concurrency=4)
        results, stopped = await read(batch.run(wav(n) for n in range(1000)))
    assert isinstance(stopped, errors.BatchStoppedError)
    assert "deleted, moved or replaced it" in str(stopped)
    assert len(service.sent) < 40
    reached = [result.transcript or result.partial for result in results if result.tries]
    assert sorted(found.text for found in reached if found) == sorted(f"number {number}" for number in service.sent)


@pytest.mark.parametrize("state", ["not a journal", "newer", "locked"])
async def test_a_journal_that_cannot_be_used_stops_the_batch_before_anything_is_sent(
    connect: Any, service: Any, wav: Wav, tmp_path: Path, state: str
) -> None:
    import sqlite3

    path = tmp_path / "run.db"
    holder = None
    if state == "not a journal":
        path.write_text("my notes")
    else:
        async with Journal(path):
            pass
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("PRAGMA user_version = 99" if state == "newer" else "BEGIN EXCLUSIVE")
        if state == "newer":
            holder.close()
    async with connect() as client:
        journal = Journal(path, busy_timeout=0.05)
        run = BatchTranscriber(client, lang="Kor", journal=journal).run(wav(n) for n in range(1000))
        results, stopped = await read(run)
        await journal.aclose()
    assert service.sent == []
    assert isinstance(stopped, errors.BatchStoppedError)
    assert isinstance(stopped.__cause__, errors.JournalError)
    assert {"not a journal": "is not a journal", "newer": "newer release", "locked": "is locked"}[state] in str(stopped)
    assert len(results) <= 100
    if state == "locked" and holder is not None:
        holder.execute("ROLLBACK")
        holder.close()


# --- stopping ---------------------------------------------------------------------------------------------


async def test_stop_finishes_what_is_under_way_and_ends_the_iterator(connect: Any, service: Any, wav: Wav) -> None:
    started = anyio.Event()
    go = anyio.Event()

    async def wait(number: int) -> None:
        if len(service.sent) == 4:
            started.set()
        await go.wait()

    service.before = wait
    results: list[Result] = []
    async with connect(concurrency=4) as client:
        async with BatchTranscriber(client, lang="Kor", max_concurrency=10).run(wav(n) for n in range(1000)) as run:

            async def consume() -> None:
                results.extend([result async for result in run])

            async with anyio.create_task_group() as group:
                group.start_soon(consume)
                await started.wait()
                await anyio.wait_all_tasks_blocked()
                run.stop()
                run.stop()
                go.set()
        assert len(service.sent) == 4
        assert sum(result.transcript is not None for result in results) == 4
        unfinished = [result.error for result in results if result.error is not None]
        assert all(isinstance(error, errors.BatchStoppedError) for error in unfinished)
        assert run.summary.unfinished == len(unfinished)


async def test_stop_does_not_wait_for_sources_that_never_come(connect: Any, wav: Wav) -> None:
    async def sources() -> AsyncIterator[bytes]:
        yield wav(0)
        await anyio.sleep_forever()

    async with connect() as client:
        run = BatchTranscriber(client, lang="Kor").run(sources())
        async for _ in run:
            run.stop()
    assert run.summary.done == 1


# --- options ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"max_concurrency": 0}, errors.InvalidArgumentError, "max_concurrency must be at least 1, not 0"),
        ({"max_concurrency": 2.5}, errors.ArgumentTypeError, "max_concurrency must be a whole number, not 2.5"),
        ({"max_concurrency": True}, errors.ArgumentTypeError, "max_concurrency"),
        ({"max_billed_seconds": -1}, errors.InvalidArgumentError, "max_billed_seconds must be at least 0, not -1"),
        ({"lang": "Klingon"}, errors.InvalidArgumentError, "lang"),
        ({"journal": 5}, errors.ArgumentTypeError, "journal must be a path or a Journal"),
        ({"splitting": 5}, errors.ArgumentTypeError, "splitting must be a Splitting"),
        ({"channels": "left"}, errors.InvalidArgumentError, "channels"),
        ({"boostings": "네이버"}, errors.ArgumentTypeError, "boostings must be an iterable of keywords"),
        ({"assessment": True, "lang": "Jpn"}, errors.InvalidArgumentError, "assessment"),
    ],
)
async def test_wrong_options_are_named_at_once(
    connect: Any, options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    async with connect() as client:
        with pytest.raises(kind, match=words):
            BatchTranscriber(client, **{"lang": "Kor"} | options)


async def test_the_language_must_be_said(connect: Any) -> None:
    async with connect() as client:
        with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'lang'"):
            BatchTranscriber(client)  # type: ignore[call-arg]


async def test_without_a_language_of_the_batch_every_item_needs_its_own(connect: Any, service: Any, wav: Wav) -> None:
    items = [Item(wav(1), lang="Eng"), Item(wav(2)), wav(3), Item(wav(4), lang="ja", boostings=None)]
    async with connect() as client:
        batch = BatchTranscriber(client, lang=None, ordered=True)
        results, stopped = await read(batch.run(items))
    assert stopped is None
    assert [result.transcript and result.transcript.language for result in results] == ["Eng", None, None, "Jpn"]
    for result in results[1:3]:
        assert isinstance(result.error, errors.ArgumentTypeError)
        assert "lang is given neither to the batch nor to this source" in str(result.error)
        assert result.tries == 0
    assert service.sent == [1, 4]


async def test_without_a_language_the_other_options_are_checked_all_the_same(connect: Any) -> None:
    async with connect() as client:
        for options in ({"boostings": "네이버"}, {"assessment": 1}, {"graph": "yes"}, {"boostings": 5}):
            with pytest.raises(errors.ArgumentTypeError, match=next(iter(options))):
                BatchTranscriber(client, lang=None, **options)


@pytest.mark.parametrize("kind", [list, set, frozenset, tuple, iter])
async def test_keywords_are_the_same_in_every_request_and_every_process(
    connect: Any, service: Any, wav: Wav, kind: Callable[[list[str]], Any]
) -> None:
    """A set has another order in each process, and a journal must know the request again."""
    words = sorted(f"낱말{letter}" for letter in "가나다라마바사아자차카타파하")
    async with connect() as client:
        batch = BatchTranscriber(client, lang="Kor", boostings=kind(words))
        await read(batch.run([wav(1), wav(2), Item(wav(3), boostings=kind(words))]))
    (query,) = set(service.queries)
    assert parse_qs(query)["boostings"] == ["\t".join(words)]


async def test_keywords_that_change_later_are_those_of_the_beginning(connect: Any, service: Any, wav: Wav) -> None:
    words = ["낱말"]
    async with connect() as client:
        batch = BatchTranscriber(client, lang="Kor", boostings=words)
        item = Item(wav(2), boostings=words)
        words.append("다른")
        await read(batch.run([wav(1), item]))
    assert [parse_qs(query)["boostings"] for query in service.queries] == [["낱말"]] * 2


async def test_a_client_must_be_one(connect: Any) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="client must be a ClovaSpeechClient, not str"):
        BatchTranscriber("key", lang="Kor")  # type: ignore[arg-type]


async def test_one_source_instead_of_many_is_refused(connect: Any, wav: Wav) -> None:
    async with connect() as client:
        with pytest.raises(errors.ArgumentTypeError, match="sources must be an iterable"):
            BatchTranscriber(client, lang="Kor").run(wav(1))


async def test_a_piece_that_succeeds_is_a_success_though_its_recording_goes_on(
    connect: Any, service: Any, wav: Wav, refuse: Any
) -> None:
    """Recordings of hours have their first piece done long before their last: the service does not throw all back."""
    silent = wav(0, seconds=70)
    long = silent[:44] + bytes.fromhex("401fc0e0") * (len(silent[44:]) // 4)
    replies = iter([False, False, True, False, False, False])
    ok = (200, {"text": "x", "quota": 15})
    service.answer = lambda _: ok if next(replies) else refuse(429, "410")
    async with connect(concurrency=1) as client:
        run = BatchTranscriber(client, lang="Kor", max_concurrency=1).run([wav(1), wav(2), long, wav(3), wav(4)])
        run._run._rules = StopRules(throttles=4, throttled_seconds=0.0)
        results, stopped = await read(run)
    assert stopped is None
    assert [type(result.error).__name__ for result in results] == ["ThrottledError"] * 5
    assert len(service.sent) == 6


@pytest.mark.parametrize("ordered", [False, True])
async def test_who_cannot_wait_for_the_end_gets_what_is_done(
    connect: Any, service: Any, wav: Wav, ordered: bool
) -> None:
    async def wait(number: int) -> None:
        if number == 0:
            await anyio.sleep_forever()

    service.before = wait
    async with connect() as client:
        run = BatchTranscriber(client, lang="Kor", max_concurrency=4, ordered=ordered).run([wav(n) for n in range(3)])
        assert run.unread() == []  # not begun
        async with run:
            await anyio.wait_all_tasks_blocked()
            while run.summary.done < 2:
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            assert sorted(result.index for result in run.unread()) == [1, 2]
            assert run.unread() == []
