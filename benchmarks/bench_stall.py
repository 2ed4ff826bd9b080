"""How long the event loop stands still while many `recognize` calls come to stand in line.

    python benchmarks/bench_stall.py [--calls 10000] [--chunks 10000,1000,100] [--quick] [--json]

Calls with 50 kB of WAV are started, a chunk in each turn of asyncio's loop, against a transport that answers only at
the end, with 8 at once: all others wait in line. A task that does nothing but ask for its next turn measures the
longest turn. Beside it the same with tasks that only wait for an event, which is what starting so many costs anyhow,
and both with Python's garbage collector off: a full collection is one long turn, whoever causes it. How long one takes
with all of them waiting is measured by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import json
import time
import wave
from collections.abc import Callable, Coroutine
from typing import Any

import httpx

from clova_speech_async import ClovaSpeechClient


class Late(httpx.AsyncBaseTransport):
    """Answers once it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self.may.wait()
        return httpx.Response(200, content=b'{"text":"hello","quota":15}')


async def longest_turn(make: Callable[[], Coroutine[Any, Any, Any]], calls: int, chunk: int) -> tuple[float, list[Any]]:
    """Start the calls; return the longest turn of the loop in milliseconds, and the tasks."""
    turns: list[float] = []

    async def watch() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            turns.append(now - last)
            last = now

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0.02)
    turns.clear()
    tasks = []
    for start in range(0, calls, chunk):
        tasks += [asyncio.create_task(make()) for _ in range(min(chunk, calls - start))]
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    watcher.cancel()
    return max(turns) * 1000, tasks


async def measure(calls: int, chunk: int) -> dict[str, float]:
    """Return the longest turns with calls that wait in line, and with tasks that only wait."""
    event = asyncio.Event()
    bare, tasks = await longest_turn(event.wait, calls, chunk)
    bare_collection = collection()
    event.set()
    await asyncio.gather(*tasks)
    transport, audio = Late(), wav()
    async with ClovaSpeechClient(
        "key", invoke_url="https://clova.example", concurrency=8, transport=transport
    ) as client:
        ours, tasks = await longest_turn(lambda: client.recognize(audio, lang="Kor"), calls, chunk)
        assert client.stats().waiting == calls - 8
        our_collection = collection()
        transport.may.set()
        await asyncio.gather(*tasks)
    return {
        "recognize_ms": round(ours, 1),
        "bare_ms": round(bare, 1),
        "difference_ms": round(ours - bare, 1),
        "recognize_collection_ms": round(our_collection, 1),
        "bare_collection_ms": round(bare_collection, 1),
    }


def collection() -> float:
    """Return how long a full collection takes now, in milliseconds; the least of three."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        gc.collect()
        took.append(time.perf_counter() - began)
    return min(took) * 1000


def wav() -> bytes:
    """Return 50 kB of a WAV."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\1\0" * 25_000)  # nothing but zeros would be looked at twice
    return out.getvalue()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--chunks", default="10000,1000,100", help="calls started in one turn, by commas")
    parser.add_argument("--quick", action="store_true", help="two sizes of chunks")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for chunk in map(int, ("10000,100" if options.quick else options.chunks).split(",")):
        for collector in ("on", "off"):
            gc.collect()
            if collector == "off":
                gc.disable()
            figures = asyncio.run(measure(options.calls, chunk))
            gc.enable()
            rows.append({"calls": options.calls, "chunk": chunk, "collector": collector, **figures})
            if not options.json:
                row = rows[-1]
                print(
                    f"{row['calls']} calls, {chunk:>5} a turn, collector {collector:3}: longest turn "
                    f"{row['recognize_ms']:7.1f} ms, bare tasks {row['bare_ms']:6.1f} ms; a full collection "
                    f"{row['recognize_collection_ms']:6.1f} ms, bare tasks {row['bare_collection_ms']:6.1f} ms"
                )
    if options.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
