"""The public face as a type checker sees it: checked by mypy, never run."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterable
from io import BytesIO
from pathlib import Path

import anyio
import httpx
import numpy as np
from starlette.datastructures import UploadFile

from clova_speech_async import (
    PCM,
    UNSET,
    Adaptive,
    Assessment,
    AudioInput,
    BackgroundStream,
    BatchTranscriber,
    Channels,
    ClovaSpeechClient,
    CSRKeys,
    Estimate,
    Item,
    JournalInput,
    Language,
    Limiter,
    LimiterStats,
    Recognition,
    Result,
    RetryPolicy,
    Samples,
    Segment,
    ServiceError,
    Splitting,
    Stats,
    Timeout,
    TimeoutInput,
    Transcript,
    Unset,
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

        with tempfile.TemporaryFile() as spooled, tempfile.NamedTemporaryFile() as named:
            await client.transcribe(spooled, lang="Kor")
            await client.transcribe(PCM(named, 48_000), lang="Kor")
        pipe = subprocess.Popen(["ffmpeg"], stdout=subprocess.PIPE).stdout
        assert pipe is not None
        await client.transcribe(pipe, lang="Kor")

    await client.recognize("a.wav")  # type: ignore[call-arg]
    await client.recognize("a.wav", "Kor")  # type: ignore[call-arg]
    BatchTranscriber(client)  # type: ignore[call-arg]
    BatchTranscriber(client, lang=None).run([Item("a.wav", lang="Eng")])
    await client.transcribe(5, lang="Kor")  # type: ignore[arg-type]
    await client.transcribe("a", lang="Kor", channels="left")  # type: ignore[arg-type]


async def wrapped(
    client: ClovaSpeechClient,
    audio: AudioInput,
    boostings: Iterable[str] | None = None,
    channels: Channels | None = None,
    timeout: TimeoutInput | Unset = UNSET,
    journal: JournalInput | None = None,
) -> Transcript:
    """Who writes a function around ours can pass everything on."""
    return await client.transcribe(
        audio, lang="Kor", boostings=boostings, channels=channels, timeout=timeout, journal=journal
    )


def samples(data: Samples) -> PCM:
    PCM("a", 16_000)  # type: ignore[arg-type]
    PCM(Path("a"), 16_000)  # type: ignore[arg-type]
    PCM([1], 16_000)  # type: ignore[arg-type]
    PCM(chunks(), 16_000)
    PCM(BytesIO(), 16_000)
    PCM(np.zeros(5, "int16"), 16_000)
    return PCM(data, 16_000)


def batches(batch: BatchTranscriber, result: Result, limiter: Limiter) -> str:
    batch.run(b"RIFF")  # type: ignore[arg-type]
    batch.run(Path("a.wav"))  # type: ignore[arg-type]
    batch.run([5])  # type: ignore[list-item]
    batch.run(chunks())
    batch.run(Path().glob("*.wav"))
    print(result.transcript.text)  # type: ignore[union-attr]
    stats: LimiterStats = limiter.stats()
    print(stats.to_dict(), result.to_dict())
    return result.unwrap().text
