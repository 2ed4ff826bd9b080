"""The public face as a type checker sees it: checked by mypy, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import anyio
import httpx
from starlette.datastructures import UploadFile

from clova_speech_async import (
    PCM,
    Adaptive,
    Assessment,
    BackgroundStream,
    BatchTranscriber,
    ClovaSpeechClient,
    CSRKeys,
    Estimate,
    Item,
    Language,
    Limiter,
    Recognition,
    RetryPolicy,
    Segment,
    ServiceError,
    Splitting,
    Stats,
    Timeout,
    Transcript,
    estimate,
)


async def chunks() -> AsyncIterator[bytes]:
    yield b""


async def use() -> None:
    ClovaSpeechClient()
    ClovaSpeechClient("key", invoke_url="host", timeout=30, retry=RetryPolicy(max_attempts=2), concurrency=32)
    ClovaSpeechClient(CSRKeys("id", "key"), timeout=Timeout(read=10), concurrency=Adaptive(maximum=64))
    ClovaSpeechClient("key", transport=httpx.MockTransport(lambda _: httpx.Response(200)), concurrency=Limiter(4))
    async with ClovaSpeechClient("key", requests_per_second=5, max_waiting=10, on_event=print) as client:
        r: Recognition = await client.recognize("a.wav", lang="Kor")
        r = await client.recognize(b"", lang=Language.ENGLISH, assessment=True, utterance="x", graph=True, timeout=None)
        text: str = r.text
        quota: int | None = r.quota
        a: Assessment | None = r.assessment
        t: Transcript = await client.transcribe(Path("a.wav"), lang="ko-KR", boostings=["클로바"], journal="run.db")
        t = await client.transcribe(chunks(), lang="Kor", channels="each", max_duration=60.0, splitting=Splitting())
        t = await client.transcribe(PCM(b"", 48_000, 2), lang="Kor")
        with Path("a.wav").open("rb") as file:
            await client.recognize(file, lang="Kor")
        async with await anyio.open_file("a.wav", "rb") as opened:
            await client.recognize(opened, lang="Kor")
        await client.transcribe(UploadFile(BytesIO()), lang="Kor")
        async for segment in client.stream(b"", lang="Kor"):
            s: Segment = segment
            end: float = s.end
        stream: BackgroundStream[Segment] = client.stream(b"", lang="Kor")
        async with stream as segments:
            async for s in segments:
                print(s.start, end)
        stats: Stats = client.stats()
        e: Estimate = await estimate("a.wav")
        print(text, quota, a, t.text, stats, e)
        try:
            await client.recognize("a.wav", lang="Kor")
        except ServiceError as error:
            status: int = error.status
            code: str | None = error.code
            after: float | None = error.retry_after
            print(status, code, after)
        batch = BatchTranscriber(client, lang="Kor", journal="run.db", max_concurrency=32)
        async for result in batch.run(["a.wav", Item("b.wav", lang="Eng")]):
            print(result.index, result.transcript, result.error)

    await client.recognize("a.wav")  # type: ignore[call-arg]
    await client.recognize("a.wav", "Kor")  # type: ignore[call-arg]
    await client.transcribe(5, lang="Kor")  # type: ignore[arg-type]
    await client.transcribe("a", lang="Kor", channels="left")  # type: ignore[arg-type]
