"""The clients that `bench_client` compares; one of them a process.

``python _http_contenders.py NAME URL IN_FLIGHT SECONDS LATENCY BYTES [CA]`` keeps IN_FLIGHT requests under way for
SECONDS, after a warm-up, and prints what it did as one line of JSON. The first requests are spread over one latency of
the server: else all would come in one burst, again and again, and a window of time would catch one more or one less.

Every client gets as many connections as requests in flight, no retries that could hide a failure, time-outs far off,
its response read and decoded as JSON, and otherwise its defaults.
"""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import sys
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

SPEECH = Path(__file__).parent.parent / "tests" / "data" / "umbrella.wav"
HEADERS = {"X-CLOVASPEECH-API-KEY": "k" * 40, "Content-Type": "application/octet-stream"}
Send = Callable[[bytes], Awaitable[Any]]
WARM_UP = 0.5


def speech(size: int) -> bytes:
    """Return a WAV of about so many bytes, of spoken words, said again and again where they are too few."""
    with wave.open(str(SPEECH)) as file:
        parameters, frames = file.getparams(), file.readframes(file.getnframes())
    wanted = (size - 44) // (parameters.nchannels * parameters.sampwidth) * parameters.nchannels * parameters.sampwidth
    frames = (frames * (wanted // len(frames) + 1))[:wanted]
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams(parameters)
        file.writeframes(frames)
    return out.getvalue()


@asynccontextmanager
async def ours(url: str, in_flight: int, context: ssl.SSLContext | None) -> AsyncIterator[Send]:
    """This library, by its public face: the audio is looked into, the reply becomes a `Recognition`."""
    from clova_speech_async import ClovaSpeechClient, RetryPolicy

    async with ClovaSpeechClient(
        "k" * 40, invoke_url=url, concurrency=in_flight, retry=RetryPolicy(max_attempts=1), ssl_context=context
    ) as client:

        async def send(body: bytes) -> Any:
            return await client.recognize(body, lang="Kor")

        yield send


@asynccontextmanager
async def _httpx_like(library: Any, url: str, in_flight: int, context: ssl.SSLContext | None) -> AsyncIterator[Send]:
    limits = library.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    async with library.AsyncClient(limits=limits, timeout=300, verify=context or False, trust_env=False) as client:

        async def send(body: bytes) -> Any:
            response = await client.post(url, params={"lang": "Kor"}, content=body, headers=HEADERS)
            return response.raise_for_status().json()

        yield send


def plain_httpx(url: str, in_flight: int, context: ssl.SSLContext | None) -> AbstractAsyncContextManager[Send]:
    """httpx 0.28 as it is: `AsyncClient.post`."""
    import httpx

    return _httpx_like(httpx, url, in_flight, context)


def httpx2(url: str, in_flight: int, context: ssl.SSLContext | None) -> AbstractAsyncContextManager[Send]:
    """httpx2 as it is: `AsyncClient.post`."""
    import httpx2

    return _httpx_like(httpx2, url, in_flight, context)


@asynccontextmanager
async def aiohttp(url: str, in_flight: int, context: ssl.SSLContext | None) -> AsyncIterator[Send]:
    """aiohttp as it is: `ClientSession.post`."""
    import aiohttp

    connector = aiohttp.TCPConnector(limit=in_flight, ssl=context or False)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def send(body: bytes) -> Any:
            async with session.post(url, params={"lang": "Kor"}, data=body, headers=HEADERS) as response:
                response.raise_for_status()
                return await response.json()

        yield send


@asynccontextmanager
async def openai(url: str, in_flight: int, context: ssl.SSLContext | None) -> AsyncIterator[Send]:
    """The openai SDK's ``audio.transcriptions``, which sends a form."""
    import httpx
    import openai

    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    inner = openai.DefaultAsyncHttpxClient(limits=limits, verify=context or False, trust_env=False)
    async with openai.AsyncOpenAI(
        api_key="k" * 40, base_url=url, http_client=inner, max_retries=0, timeout=300
    ) as client:

        async def send(body: bytes) -> Any:
            return await client.audio.transcriptions.create(model="any", file=("speech.wav", body, "audio/wav"))

        yield send


CONTENDERS = {"ours": ours, "httpx": plain_httpx, "httpx2": httpx2, "aiohttp": aiohttp, "openai": openai}


async def measure(
    name: str, url: str, in_flight: int, seconds: float, latency: float, size: int, ca: str | None
) -> dict[str, float]:
    """Keep so many requests in flight; return what was done in the time after the warm-up."""
    context = ssl.create_default_context(cafile=ca) if ca else None
    body = speech(size)
    done = 0
    stop = False

    async with CONTENDERS[name](url, in_flight, context) as send:

        async def worker(number: int) -> None:
            nonlocal done
            await asyncio.sleep(latency * number / in_flight)
            while not stop:
                await send(body)
                done += 1

        tasks = [asyncio.create_task(worker(number)) for number in range(in_flight)]
        await asyncio.sleep(WARM_UP + 2 * latency)
        before, began, used = done, time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        requests, elapsed, cpu = done - before, time.perf_counter() - began, time.process_time() - used
        stop = True
        await asyncio.gather(*tasks)
    return {
        "requests": requests,
        "requests_per_second": requests / elapsed,
        "cpu_us_per_request": cpu / max(requests, 1) * 1e6,
        "bytes": len(body),
    }


if __name__ == "__main__":
    name, url, in_flight, seconds, latency, size, *rest = sys.argv[1:]
    work = measure(name, url, int(in_flight), float(seconds), float(latency), int(size), rest[0] if rest else None)
    print(json.dumps(asyncio.run(work)))
