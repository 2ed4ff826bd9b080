"""What stops a batch stops it at once, and what only delays it does not: a service that throws requests back."""

from __future__ import annotations

import itertools
import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import trio.testing

from clova_speech_async import ClovaSpeechClient, Journal, Splitting, errors
from clova_speech_async.batch import BatchTranscriber, Result
from clova_speech_async.http.retry import RetryPolicy

pytestmark = pytest.mark.anyio
Wav = Callable[..., bytes]
VIRTUAL = pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="trio, virtual clock")


def talk(silent: bytes) -> bytes:
    """The WAV with sound in it, so that all of it has to be sent."""
    return silent[:44] + bytes.fromhex("401fc0e0") * (len(silent[44:]) // 4)


async def read(run: Any) -> tuple[dict[int, Result], errors.BatchStoppedError]:
    results: dict[int, Result] = {}
    try:
        async for result in run:
            results[result.index] = result
    except errors.BatchStoppedError as stopped:
        return results, stopped
    raise AssertionError("the batch did not stop")


async def test_an_item_that_waits_for_another_try_is_not_sent_again(
    connect: Any, service: Any, wav: Wav, refuse: Any
) -> None:
    service.answer = lambda number: refuse(500, "STT998") if number == 0 else refuse(401, "401")
    async with connect(concurrency=1, retry=RetryPolicy(base_delay=0)) as client:
        results, stopped = await read(BatchTranscriber(client, lang="Kor").run([wav(n) for n in range(8)]))
    assert isinstance(stopped.__cause__, errors.AuthenticationError)
    assert service.sent == [0, 1]
    error = results[0].error
    assert isinstance(error, errors.BatchStoppedError)
    assert str(error).startswith("not sent again: the batch stopped: ")
    assert (results[0].tries, [attempt.code for attempt in error.attempts]) == (1, ["STT998"])
    assert all(str(results[index].error).startswith("not sent: ") for index in results if index > 1)


async def test_a_wrong_key_counts_though_another_piece_failed_before_it(connect: Any, wav: Wav, refuse: Any) -> None:
    class BothAtOnce(httpx.AsyncBaseTransport):
        """Answers when both pieces are there: 400 to the first, which is the larger one, and 401 to the other."""

        def __init__(self) -> None:
            self.sizes: list[int] = []

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            size = len(await request.aread())
            self.sizes.append(size)
            with anyio.fail_after(10):
                while len(self.sizes) < 2:
                    await anyio.lowlevel.checkpoint()
            status, reply = refuse(400, "STT001") if size == max(self.sizes) else refuse(401, "401")
            return httpx.Response(status, json=reply)

    silent, noise = wav(0, seconds=90), random.Random(1).randbytes(32_000 * 20)
    long = silent[:44] + noise + bytes.fromhex("401fc0e0") * (len(silent[44 + len(noise) :]) // 4)
    service = BothAtOnce()
    async with connect(concurrency=2, transport=service) as client:
        batch = BatchTranscriber(client, lang="Kor", max_concurrency=1)
        results, stopped = await read(batch.run([long, *(wav(n) for n in range(5))]))
    assert isinstance(stopped.__cause__, errors.AuthenticationError)
    assert len(service.sizes) == 2
    assert results[0].error is not None
    assert not isinstance(results[0].error, errors.AuthenticationError)
    assert results[0].tries == 2


async def test_what_was_recognised_of_a_recording_that_is_cut_off_is_there(
    connect: Any, service: Any, wav: Wav
) -> None:
    async def second_never_ends(_: int) -> None:
        if len(service.sent) > 1:
            await anyio.sleep_forever()

    service.before, service.answer = second_never_ends, lambda _: (200, {"text": "first", "quota": 60})
    async with connect(concurrency=1) as client:
        long = talk(wav(0, seconds=100))
        async with BatchTranscriber(client, lang="Kor", journal=None).run([long, wav(1)]) as run:
            with anyio.fail_after(10):
                while len(service.sent) < 2:
                    await anyio.sleep(0.001)
        results = {result.index: result for result in run.unread()}
        assert run.unread() == []
    assert all(isinstance(result.error, errors.BatchStoppedError) for result in results.values())
    part = results[0].partial
    assert part is not None
    assert (part.text, part.billed_seconds, results[0].billed_seconds) == ("first", 60, 60)
    assert results[0].source is long
    assert results[1].partial is None


# --- thrown back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_items_that_are_thrown_back_are_sent_until_they_are_taken(
    connect: Any, service: Any, wav: Wav, refuse: Any
) -> None:
    """Two of three requests are thrown back: with four tries alone, every fifth item would fail."""
    dice = random.Random(1)
    service.answer = lambda number: refuse(429, "410") if dice.random() < 0.67 else service.recognise(number)
    async with connect(concurrency=8, retry=RetryPolicy()) as client:
        run = BatchTranscriber(client, lang="Kor").run([wav(n) for n in range(200)])
        results = [result async for result in run]
    assert [result.error for result in results] == [None] * 200
    assert max(result.tries for result in results) > 4
    assert (run.summary.done, run.summary.tries) == (200, len(service.sent))
    assert client.stats().billed_seconds == run.summary.billed_seconds == 200 * 15


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_no_item_fails_because_the_service_is_busy(connect: Any, service: Any, wav: Wav, refuse: Any) -> None:
    answers = itertools.count(1)
    service.answer = lambda number: refuse(429, "410") if next(answers) > 20 else service.recognise(number)
    async with connect(concurrency=8, retry=RetryPolicy()) as client:
        began = anyio.current_time()
        run = BatchTranscriber(client, lang="Kor", max_concurrency=16).run([wav(n) for n in range(500)])
        results, stopped = await read(run)
        assert 120 <= anyio.current_time() - began < 180
    assert "in a row over" in str(stopped)
    summary = run.summary
    assert (summary.done, summary.failures) == (20, 0)
    assert summary.unfinished == len(results) - 20
    # Every item that was sent tells of its last tries; nothing went out to a service that was down but those.
    assert len(service.sent) < 16 * 40
    assert all(isinstance(result.error, errors.BatchStoppedError) for result in results.values() if result.error)


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_what_is_thrown_back_ends_its_rest_when_the_batch_stops(
    connect: Any, service: Any, wav: Wav, refuse: Any
) -> None:
    service.answer = lambda number: refuse(429, "410")
    async with connect(retry=RetryPolicy(max_attempts=2, throttle_delay=0)) as client:
        run = BatchTranscriber(client, lang="Kor", max_concurrency=4).run([wav(n) for n in range(4)])
        async with run:
            with anyio.fail_after(8):  # half of what a rest takes at least, and the client's own pauses
                while run.summary.total < 4:
                    await anyio.sleep(0.5)
                    if len(service.sent) == 8:
                        run.stop()
    assert run.summary.unfinished == 4


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_who_waits_because_the_service_asked_for_it_hears_that_the_batch_stops(
    connect: Any, wav: Wav, refuse: Any
) -> None:
    """Between two tries, in line, and at the door; what others send with the same client goes on."""
    replies = iter([True])

    def answer(request: httpx.Request) -> httpx.Response:
        if next(replies, False):
            status, reply = refuse(429, "410")
            return httpx.Response(status, json=reply, headers={"Retry-After": "100"})
        return httpx.Response(200, json={"text": "hello", "quota": 15})

    async with connect(concurrency=2, transport=httpx.MockTransport(answer), retry=RetryPolicy()) as client:
        async with anyio.create_task_group() as group:
            async with BatchTranscriber(client, lang="Kor", max_concurrency=40).run([wav(n) for n in range(60)]) as run:
                await anyio.sleep(50)
                began = anyio.current_time()
                group.start_soon(lambda: client.recognize(wav(99), lang="Kor"))
                await anyio.lowlevel.checkpoint()
                run.stop()
                results = [result async for result in run]
                assert anyio.current_time() == began
            texts = sorted(str(result.error)[:14] for result in results)
            assert texts == ["not sent again"] + ["not sent: the "] * (len(results) - 1)
            assert sum(result.tries for result in results) == client.stats().attempts == 1
        assert client.stats().succeeded == 1


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_a_piece_that_is_thrown_back_costs_no_other_piece(
    connect: Any, service: Any, wav: Wav, refuse: Any
) -> None:
    """Without a journal, too."""
    replies = iter([True, *[False] * 11, True])
    service.answer = lambda _: (200, {"text": "x", "quota": 60}) if next(replies) else refuse(429, "410")
    async with connect(concurrency=1, retry=RetryPolicy()) as client:
        run = BatchTranscriber(client, lang="Kor", journal=None).run([talk(wav(0, seconds=100))])
        (result,) = [result async for result in run]
    assert result.transcript is not None
    assert (result.tries, result.billed_seconds) == (13, 120)


async def test_a_service_that_asks_for_a_long_wait_stops_it_at_once(
    connect: Any, service: Any, wav: Wav, refuse: Any
) -> None:
    class Busy(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            service.sent.append(0)
            status, reply = refuse(429, "410")
            return httpx.Response(status, json=reply, headers={"Retry-After": "3600"})

    async with connect(concurrency=1, transport=Busy(), retry=RetryPolicy()) as client:
        _, stopped = await read(BatchTranscriber(client, lang="Kor").run([wav(n) for n in range(50)]))
    assert len(service.sent) == 1
    assert str(stopped).startswith("the batch stopped: the service asks to wait 3600 s. To go on, wait that long, and")


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_what_the_retry_budget_has_no_try_for_rests_and_is_sent_anew(
    connect: Any, service: Any, wav: Wav, refuse: Any
) -> None:
    """Each item fails twice, and for the retries of all of them there is no budget; nothing is wrong with them."""
    tries: dict[int, int] = {}

    def answer(number: int) -> tuple[int, Any]:
        tries[number] = tries.get(number, 0) + 1
        return refuse(503, "") if tries[number] < 3 else service.recognise(number)  # type: ignore[no-any-return]

    service.answer = answer
    async with connect(retry=RetryPolicy()) as client:
        run = BatchTranscriber(client, lang="Kor", max_concurrency=16).run([wav(n) for n in range(50)])
        results = [result async for result in run]
        assert client.stats().retries < 30
    assert [result.error for result in results if result.error] == []
    assert (run.summary.done, run.summary.tries) == (50, 150)


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_a_service_that_is_down_for_two_minutes_stops_it(
    connect: Any, service: Any, wav: Wav, refuse: Any
) -> None:
    service.answer = lambda number: refuse(503, "")
    async with connect(retry=RetryPolicy()) as client:
        began = anyio.current_time()
        run = BatchTranscriber(client, lang="Kor", max_concurrency=16).run([wav(n) for n in range(500)])
        _, stopped = await read(run)
        assert 120 <= anyio.current_time() - began < 180
    assert "threw back, or failed, " in str(stopped)
    assert run.summary.failures < 4  # those that had all their tries before the budget was used up
    assert len(service.sent) < 16 * 20


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_a_bound_on_the_line_shows_in_no_statistics_of_a_batch(connect: Any, service: Any, wav: Wav) -> None:
    async def slowly(_: int) -> None:
        await anyio.sleep(2)

    service.before = slowly
    events: list[Any] = []
    async with connect(concurrency=1, max_waiting=0, on_event=events.append) as client:
        results = [result async for result in BatchTranscriber(client, lang="Kor").run([wav(n) for n in range(20)])]
        stats = client.stats()
    assert all(result.error is None for result in results)
    assert (stats.requests, stats.succeeded, stats.failed, len(events)) == (20, 20, 0, 40)


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_long_recordings_may_stand_in_line_for_longer_than_the_time_out(
    connect: Any, service: Any, wav: Wav
) -> None:
    """Its time runs from when a piece is sent: how long the line is, is the batch's own doing."""

    async def slowly(_: int) -> None:
        await anyio.sleep(20)

    service.before = slowly
    service.answer = lambda _: (200, {"text": "x", "quota": 15})
    recording = talk(wav(0, seconds=60))
    async with connect(concurrency=1) as client:
        batch = BatchTranscriber(client, lang="Kor", timeout=30, splitting=Splitting(longest_piece=15))
        results = [result async for result in batch.run([recording] * 3)]
        assert [result.error for result in results] == [None] * 3
        transcript = await client.transcribe(recording, lang="Kor", timeout=30, splitting=Splitting(longest_piece=15))
    assert len(transcript.segments) >= 4


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_what_may_have_been_heard_is_not_sent_on_and_on(
    connect: Any, service: Any, wav: Wav, refuse: Any
) -> None:
    """One retry of what may have been heard, and a budget of money that holds."""
    replies = itertools.cycle([refuse(504, ""), *[refuse(429, "410")] * 3])
    service.answer = lambda _: next(replies)
    async with connect(retry=RetryPolicy()) as client:
        batch = BatchTranscriber(client, lang="Kor", max_billed_seconds=30)
        (result,) = [result async for result in batch.run([wav(0)])]
    assert isinstance(result.error, errors.ThrottledError)
    assert (len(service.sent), client.stats().maybe_billed_seconds) == (4, 15)


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
@pytest.mark.parametrize("count", [1, 3])
async def test_a_retry_of_what_may_have_been_billed_must_be_within_the_budget_too(
    connect: Any, service: Any, wav: Wav, refuse: Any, count: int
) -> None:
    """The first request is lost after it was heard: a second try of it may be a second bill."""
    service.answer = lambda number: refuse(504, "") if len(service.sent) == 1 else service.recognise(number)
    async with connect(retry=RetryPolicy(), concurrency=1) as client:
        batch = BatchTranscriber(client, lang="Kor", max_billed_seconds=15 * count)
        results, stopped = await read(batch.run([wav(number) for number in range(count)]))
    assert "max_billed_seconds" in str(stopped)
    assert len(service.sent) == count
    assert sum(result.billed_seconds + result.maybe_billed_seconds for result in results.values()) == 15 * count


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_who_waits_for_room_in_the_line_hears_that_the_batch_stops(connect: Any, service: Any, wav: Wav) -> None:
    async def never(_: int) -> None:
        await anyio.sleep_forever()

    service.before = never
    async with connect(concurrency=1, max_waiting=0) as client, anyio.create_task_group() as group:
        group.start_soon(lambda: client.recognize(wav(9), lang="Kor"))
        await anyio.sleep(1)
        async with BatchTranscriber(client, lang="Kor").run([wav(n) for n in range(3)]) as run:
            await anyio.sleep(60)
            assert run.summary.total == 0
            run.stop()
            with anyio.fail_after(1):
                results = [result async for result in run]
        assert len(results) == run.summary.unfinished > 0
        group.cancel_scope.cancel()


@pytest.mark.parametrize("ordered", [False, True])
async def test_nothing_that_was_paid_for_is_lost_when_the_block_is_left(
    connect: Any, service: Any, wav: Wav, ordered: bool
) -> None:
    async with connect(concurrency=4) as client:
        run = BatchTranscriber(client, lang="Kor", max_concurrency=4, ordered=ordered).run([wav(n) for n in range(50)])
        read_ones = []
        async with run:
            async for result in run:
                read_ones.append(result)
                if len(read_ones) == 3:
                    break
        rest = run.unread()
    indexes = [result.index for result in read_ones + rest]
    assert len(indexes) == len(set(indexes))
    paid = [result for result in read_ones + rest if result.transcript is not None]
    assert sum(result.billed_seconds for result in read_ones + rest) == run.summary.billed_seconds
    assert len(paid) == run.summary.done
    assert client.stats().billed_seconds == run.summary.billed_seconds


@pytest.mark.parametrize("ordered", [False, True])
async def test_every_source_that_a_generator_gave_has_a_result_when_the_block_is_left(
    connect: Any, service: Any, wav: Wav, ordered: bool
) -> None:
    given: list[int] = []

    def sources() -> Iterator[bytes]:
        for number in range(200):
            given.append(number)
            yield wav(number)

    async with connect(concurrency=2) as client:
        results = []
        async with BatchTranscriber(client, lang="Kor", max_concurrency=8, ordered=ordered).run(sources()) as run:
            async for result in run:
                results.append(result)
                if len(results) == 5:
                    break
        results += run.unread()
    assert sorted(result.index for result in results) == given
    assert run.summary.total == len(given)


async def test_what_a_cancelled_request_may_be_billed_is_in_the_summary(connect: Any, service: Any, wav: Wav) -> None:
    begun = anyio.Event()

    async def never(_: int) -> None:
        begun.set()
        await anyio.sleep_forever()

    service.before = never
    async with connect(concurrency=1) as client, BatchTranscriber(client, lang="Kor").run([wav(0)]) as run:
        await begun.wait()
    (result,) = run.unread()
    assert (result.tries, result.billed_seconds, result.maybe_billed_seconds) == (1, 0, 15)
    assert "1 unfinished; 0 s billed, and perhaps 15 s more" in str(run.summary)


@pytest.mark.parametrize("turns", [1, 20, 200, 1000])
async def test_every_source_that_a_generator_gave_before_a_stop_has_a_result(
    connect: Any, service: Any, wav: Wav, turns: int
) -> None:
    given: list[int] = []

    def sources() -> Iterator[bytes]:
        for number in range(20):
            given.append(number)
            yield wav(number)
            time.sleep(0.002)  # so that the next one comes while the workers are busy

    async with (
        connect(concurrency=1) as client,
        BatchTranscriber(client, lang="Kor", max_concurrency=2).run(sources()) as run,
    ):
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        run.stop()
        at_stop = len(given)
        results = [result async for result in run]
    # One more may be on its way out of the generator, in its thread.
    assert at_stop - 1 <= len(results) <= len(given)
    assert [result.index for result in sorted(results, key=lambda one: one.index)] == list(range(len(results)))
    assert run.summary.total == len(results)


async def test_who_waits_for_what_another_is_getting_hears_that_the_batch_stops(
    connect: Any, service: Any, wav: Wav, tmp_path: Path
) -> None:
    async def never(_: int) -> None:
        await anyio.sleep_forever()

    service.before = never
    async with (
        Journal(tmp_path / "run.db") as journal,
        connect(concurrency=4) as client,
        anyio.create_task_group() as group,
    ):
        group.start_soon(lambda: client.transcribe(wav(7), lang="Kor", journal=journal))
        with anyio.fail_after(10):
            while not service.sent:
                await anyio.sleep(0.001)
            async with BatchTranscriber(client, lang="Kor", journal=journal).run([wav(7)]) as run:
                for _ in range(20):
                    await anyio.sleep(0.001)
                run.stop()
                (result,) = [result async for result in run]
        group.cancel_scope.cancel()
    assert isinstance(result.error, errors.BatchStoppedError)
    assert service.sent == [7]


# --- a service that is out of order for a while ---


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
@pytest.mark.parametrize("count", [1, 5, 60])
@pytest.mark.parametrize("how", ["503", "502", "refused"])
async def test_an_outage_of_a_minute_in_the_middle_loses_nothing(
    connect: Any, service: Any, wav: Wav, count: int, how: str
) -> None:
    """However few files there are: those have retry budget to the end, and each its four tries in seconds."""

    class Outage(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if client.stats().succeeded and anyio.current_time() < began + 60:
                await anyio.lowlevel.checkpoint()
                if how == "refused":
                    raise httpx.ConnectError("no") from ConnectionRefusedError(111, "Connection refused")
                return httpx.Response(int(how))
            response: httpx.Response = await service.handle_async_request(request)
            return response

    async with connect(transport=Outage(), retry=RetryPolicy(), concurrency=1) as client:
        began = anyio.current_time()
        run = BatchTranscriber(client, lang="Kor", max_concurrency=4).run([wav(n) for n in range(count + 1)])
        results = [result async for result in run]
        assert anyio.current_time() - began >= 60
    assert [result.error for result in results] == [None] * (count + 1)
    assert client.stats().maybe_billed_seconds == 0


# --- an address at which nobody is --------------------------------------------------------------------


class Dead(httpx.AsyncBaseTransport):
    """Refuses connections, for ever or until `back` seconds have passed; then answers as `service` does."""

    def __init__(self, service: Any, back: float = float("inf")) -> None:
        self.service = service
        self.back = back
        self.tries = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.tries += 1
        if anyio.current_time() < self.back:
            await anyio.lowlevel.checkpoint()
            raise httpx.ConnectError("no") from ConnectionRefusedError(111, "Connection refused")
        response: httpx.Response = await self.service.handle_async_request(request)
        return response


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
@pytest.mark.parametrize("count", [1, 2, 500])
async def test_nobody_at_the_address_stops_it_within_seconds(connect: Any, service: Any, wav: Wav, count: int) -> None:
    transport = Dead(service)
    async with connect(transport=transport, retry=RetryPolicy()) as client:
        began = anyio.current_time()
        run = BatchTranscriber(client, lang="Kor").run([wav(n) for n in range(count)])
        results, stopped = await read(run)
        assert anyio.current_time() - began < 12
    assert str(stopped).startswith(
        "the batch stopped: no connection to example.com:443 (Connection refused); nothing was"
    )
    assert "no request has had a reply yet. To go on, check the Invoke URL, the network and" in str(stopped)
    assert isinstance(stopped.__cause__, errors.ConnectError)
    assert transport.tries < 150
    kinds = {type(result.error) for result in results.values()}
    assert kinds <= {errors.ConnectError, errors.BatchStoppedError}
    assert errors.ConnectError in kinds or count > 2


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_a_network_that_comes_up_in_time_stops_nothing(connect: Any, service: Any, wav: Wav) -> None:
    async with connect(transport=Dead(service, anyio.current_time() + 1.0), retry=RetryPolicy()) as client:
        results = [result async for result in BatchTranscriber(client, lang="Kor").run([wav(n) for n in range(200)])]
    assert [result.error for result in results] == [None] * 200


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
async def test_a_client_that_had_a_reply_once_is_patient(connect: Any, service: Any, wav: Wav, refuse: Any) -> None:
    """Be the reply an error: the address is right."""
    transport = Dead(service, back=0)
    service.answer = lambda number: refuse(400, "STT007")
    async with connect(transport=transport, retry=RetryPolicy()) as client:
        with pytest.raises(errors.SoundDataTooShortError):
            await client.recognize(wav(1), lang="Kor")
        began = anyio.current_time()
        transport.back = began + 60
        service.answer = service.recognise
        run = BatchTranscriber(client, lang="Kor").run([wav(n) for n in range(200)])
        results = [result async for result in run]
    done = [result for result in results if result.error is None]
    assert len(done) > 190  # those that had all their tries before the budget was used up failed


@pytest.mark.parametrize("kept", [False, True])
async def test_a_real_port_that_nobody_listens_at(wav: Wav, kept: bool, tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, and not listening: nobody else gets it
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        journal = tmp_path / "run.db" if kept else None
        async with ClovaSpeechClient("test-key", invoke_url=url, retry=RetryPolicy(base_delay=0)) as client:
            _, stopped = await read(
                BatchTranscriber(client, lang="Kor", journal=journal, max_concurrency=1).run([wav(1), wav(2)])
            )
    assert url.removeprefix("http://") in str(stopped)
    assert "Connection refused" in str(stopped)
    assert str(stopped).endswith("which sends nothing twice" if kept else "with the sources that are not done")
