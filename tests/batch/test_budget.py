"""The budget of a run through the whole client: what the service may have heard counts."""

from __future__ import annotations

import io
import wave

import anyio
import httpx
import numpy as np
import pytest

from clova_speech_async import PCM, BatchStoppedError, BatchTranscriber, ClovaSpeechClient, RetryPolicy

pytestmark = pytest.mark.anyio


def speech(level: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, 16_000, 0, "NONE", ""))
        wav.writeframes(bytes([0, level]) * 16_000)
    return file.getvalue()


async def test_a_try_that_was_heard_and_not_answered_counts_though_the_next_one_succeeds() -> None:
    sent = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        sent += 1
        if sent == 1:
            raise httpx.ReadError("gone", request=request)
        return httpx.Response(200, json={"text": "hello", "quota": 15})

    client = ClovaSpeechClient("key", transport=httpx.MockTransport(answer), retry=RetryPolicy(base_delay=0))
    batch = BatchTranscriber(client, lang="Eng", max_billed_seconds=30, max_concurrency=1)
    texts, stopped = [], []
    async with batch.run([speech(1), speech(2), speech(3)]) as results:
        try:
            async for result in results:
                (texts if result.error is None else stopped).append(result.index)
        except BatchStoppedError as error:
            assert "max_billed_seconds=30" in str(error.__cause__ or error)
    assert texts == [0]
    assert sent == 2
    assert client.stats().maybe_billed_seconds == 15


async def test_what_a_recording_had_cost_that_was_cut_off_is_counted() -> None:
    client: ClovaSpeechClient
    second = anyio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if client.stats().succeeded:
            second.set()
            await anyio.sleep_forever()
        return httpx.Response(200, json={"text": "hello", "quota": 60})

    client = ClovaSpeechClient("key", transport=httpx.MockTransport(answer), concurrency=1)
    noise = np.random.default_rng(1).integers(-9000, 9000, 150 * 16_000).astype("int16")
    async with BatchTranscriber(client, lang="Eng").run([PCM(noise, 16_000)]) as results:
        await second.wait()
    assert results.summary.billed_seconds == 60
    assert (results.summary.done, results.summary.unfinished) == (0, 1)
