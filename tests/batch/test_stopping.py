"""What stops a batch stops it at once: also what waits for another try, also where another piece failed first."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from clova_speech_async import errors
from clova_speech_async.batch import BatchTranscriber, Result
from clova_speech_async.http.retry import RetryPolicy

pytestmark = pytest.mark.anyio
Wav = Callable[..., bytes]


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
        results, stopped = await read(BatchTranscriber(client).run([wav(n) for n in range(8)]))
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
        batch = BatchTranscriber(client, max_concurrency=1)
        results, stopped = await read(batch.run([long, *(wav(n) for n in range(5))]))
    assert isinstance(stopped.__cause__, errors.AuthenticationError)
    assert len(service.sizes) == 2
    assert results[0].error is not None
    assert not isinstance(results[0].error, errors.AuthenticationError)
    assert results[0].tries == 2
