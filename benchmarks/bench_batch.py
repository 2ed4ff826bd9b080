"""What a batch costs beside the requests themselves: time and processor an item, memory, with and without a journal.

    python benchmarks/bench_batch.py [--items 100000] [--hours 200] [--memory-items 1000000] [--quick] [--json] [NAME …]

Every contender runs in a process of its own against a service in another one that answers at once (delay 0), 32
requests at once, items of 3.2 kB that are made as they are asked for. `bare` is `recognize` in 32 tasks, which is what
the batch is compared with; `httpx+aiometer` and `httpx+gather` are what people write without this library: no checks,
no retries, no parsing. `resume` runs a batch again whose replies are all in the journal. `hours` are one-hour files.
`memory` are a thousand items, then a million, against a transport in the same process.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import io
import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiometer
import anyio
import httpx
from _stub import Stub

from clova_speech_async import BatchTranscriber, ClovaSpeechClient

RATE = 16_000
AT_ONCE = 32


def template() -> tuple[bytes, bytes]:
    """Head and rest of a tenth of a second of audio, between which a number makes each item another one."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(b"\1\0" * 1600)  # of nothing but zeros no request is made
    return out.getvalue()[:44], out.getvalue()[48:]


def items(count: int) -> Iterator[bytes]:
    head, rest = template()
    for number in range(count):
        yield head + struct.pack("<I", number) + rest


# --- contenders: each leaves `count` replies behind ----------------------------------------------


async def bare(url: str, count: int) -> None:
    async with ClovaSpeechClient("key", invoke_url=url, concurrency=AT_ONCE) as client:
        source = items(count)

        async def work() -> None:
            for item in source:
                await client.recognize(item, lang="Kor")

        async with anyio.create_task_group() as group:
            for _ in range(AT_ONCE):
                group.start_soon(work)


async def batch(url: str, count: int, **options: Any) -> None:
    async with ClovaSpeechClient("key", invoke_url=url, concurrency=AT_ONCE) as client:
        done = 0
        async for result in BatchTranscriber(client, lang="Kor", max_concurrency=AT_ONCE, **options).run(items(count)):
            done += result.transcript is not None
        assert done == count


async def batch_in_order(url: str, count: int) -> None:
    await batch(url, count, ordered=True)


async def batch_journal(url: str, count: int) -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        await batch(url, count, journal=Path(folder, "run.db"))


async def post(client: httpx.AsyncClient, url: str, item: bytes) -> str:
    reply = await client.post(
        f"{url}/recog/v1/stt",
        params={"lang": "Kor"},
        content=item,
        headers={"X-CLOVASPEECH-API-KEY": "key", "Content-Type": "application/octet-stream"},
    )
    return str(reply.json()["text"])


async def httpx_aiometer(url: str, count: int) -> None:
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=AT_ONCE)) as client:
        jobs = [functools.partial(post, client, url, item) for item in items(count)]
        async with aiometer.amap(lambda job: job(), jobs, max_at_once=AT_ONCE) as replies:
            async for _ in replies:
                pass


async def httpx_gather(url: str, count: int) -> None:
    slots = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=AT_ONCE)) as client:

        async def one(item: bytes) -> str:
            async with slots:
                return await post(client, url, item)

        await asyncio.gather(*(one(item) for item in items(count)))


CONTENDERS: dict[str, Callable[[str, int], Awaitable[None]]] = {
    "bare": bare,
    "batch": batch,
    "batch in order": batch_in_order,
    "batch+journal": batch_journal,
    "httpx+aiometer": httpx_aiometer,
    "httpx+gather": httpx_gather,
}


# --- one contender, in its own process -------------------------------------------------------------


def measure(run: Callable[[], Awaitable[Any]], count: int) -> dict[str, float]:
    async def main() -> Any:
        return await run()

    wall, processor = time.perf_counter(), time.process_time()
    anyio.run(main)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {
        "items": count,
        "seconds": round(wall, 3),
        "items_per_second": round(count / wall, 1),
        "wall_us_per_item": round(wall / count * 1e6, 1),
        "cpu_us_per_item": round(processor / count * 1e6, 1),
        "peak_rss_mb": peak_rss_mb(),
    }


def peak_rss_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def contender(name: str, count: int) -> dict[str, Any]:
    with Stub() as stub:
        figures = measure(lambda: CONTENDERS[name](stub.url, count), count)
        assert stub.count() == count
    return {"contender": name} | figures


def resume(count: int) -> dict[str, Any]:
    """A batch whose replies are all in the journal."""
    with Stub() as stub, tempfile.TemporaryDirectory(dir=".") as folder:
        journal = Path(folder, "run.db")
        anyio.run(functools.partial(batch, stub.url, count, journal=journal))
        sent = stub.count()
        figures = measure(lambda: batch(stub.url, count, journal=journal), count)
        return {"contender": "resume", "sent": stub.count() - sent} | figures


class Nothing(httpx.AsyncBaseTransport):
    """Answers without any network."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b'{"text":"hello","quota":15}')


def memory(count: int) -> dict[str, Any]:
    """Peak memory of a small batch, then of a large one, in the same process."""

    async def run(number: int) -> None:
        async with ClovaSpeechClient(
            "key", invoke_url="https://example.com", concurrency=AT_ONCE, transport=Nothing()
        ) as client:
            async for result in BatchTranscriber(client, lang="Kor", max_concurrency=AT_ONCE).run(items(number)):
                assert result.transcript is not None

    anyio.run(run, 1000)
    small = peak_rss_mb()
    figures = measure(lambda: run(count), count)
    return {
        "contender": "memory",
        "small_rss_mb": small,
        "growth_mb": round(figures["peak_rss_mb"] - small, 1),
    } | figures


def hours(count: int) -> dict[str, Any]:
    """One-hour files: speech-like noise with pauses, FLAC, each with another first sample."""
    import numpy as np
    import soundfile

    chance = np.random.default_rng(1)
    minute = chance.normal(0, 2000, 60 * RATE)
    for start in range(0, 60, 5):  # a pause of 0.8 s every 5 s
        minute[int((start + 4.2) * RATE) : (start + 5) * RATE] = 0
    hour = np.tile(minute.astype(np.int16), 60)

    async def sources(folder: Path) -> AsyncIterator[Path]:
        for number in range(count):
            path = folder / f"{number}.flac"
            hour[0] = number
            await anyio.to_thread.run_sync(soundfile.write, path, hour, RATE)
            yield path

    async def run(url: str, folder: Path) -> int:
        async with ClovaSpeechClient("key", invoke_url=url, concurrency=AT_ONCE) as client:
            run = BatchTranscriber(client, lang="Kor", max_concurrency=4).run(sources(folder))
            async for result in run:
                assert result.transcript is not None, result.error
                Path(result.source).unlink()
            return run.summary.billed_seconds

    with Stub() as stub, tempfile.TemporaryDirectory(dir=".") as folder:
        figures = measure(lambda: run(stub.url, Path(folder)), count)
        return {"contender": "hours", "requests": stub.count()} | figures


# --- all of them -------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contenders", nargs="*", default=[*CONTENDERS, "resume", "memory", "hours"])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--hours", type=int, default=200)
    parser.add_argument("--memory-items", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="a thousand items, one hour, five thousand for memory")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.items, options.hours, options.memory_items = 1000, 1, 5000
    special = {
        "resume": (resume, options.items),
        "memory": (memory, options.memory_items),
        "hours": (hours, options.hours),
    }
    if options.alone:
        (name,) = options.contenders
        if name in special:
            function, count = special[name]
            row = function(count)
        else:
            row = contender(name, options.items)
        print(json.dumps(row))
        return
    for name in options.contenders:
        command = [sys.executable, __file__, "--alone", name, "--items", str(options.items)]
        command += ["--hours", str(options.hours), "--memory-items", str(options.memory_items)]
        line = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(line.strip() if options.json else show(json.loads(line)), flush=True)


def show(row: dict[str, Any]) -> str:
    name = row.pop("contender")
    return f"{name:16}" + "  ".join(f"{key} {value}" for key, value in row.items())


if __name__ == "__main__":
    main()
