"""How long the event loop stands still while many `recognize` calls come to stand in line.

    python benchmarks/bench_stall.py [--calls 10000] [--chunks 10000,1000,100] [--rounds 3] [--quick] [--json]

Calls with 50 kB of WAV are started, a chunk in each turn of asyncio's loop, against a transport that answers only at
the end, with 8 at once: all others wait in line. A task that does nothing but ask for its next turn measures the
longest turn until all of them stand in line, and the longest of those in which tasks only run and none are made: what
making so many at once costs is asyncio's own. Beside it the same with tasks that only wait for an event, which is what
starting so many costs anyhow; each in a process of its own, in turns, both with this library imported. The median of
the rounds is given.

Python's garbage collector is on, and has just looked at everything; or the same, and what the imports made is frozen
(`gc.freeze`), so that it looks through that no more; or off. A full collection is one long turn, whoever causes it, and
whether one falls into the starting is chance: how many did is told, and how long the first one takes once all of them
wait, which is like for like where the collector was off until then.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import json
import statistics
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Coroutine
from typing import Any

import httpx

from clova_speech_async import ClovaSpeechClient
from clova_speech_async.http.door import Caller, Place
from clova_speech_async.http.limiter import Limiter

CONTENDERS = ("recognize", "tasks")
COLLECTORS = ("on", "frozen", "off")


class Late(httpx.AsyncBaseTransport):
    """Answers once it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self.may.wait()
        return httpx.Response(200, content=b'{"text":"hello","quota":15}')


class Counted(Limiter):
    """Counts the calls that have begun, and so have a place or stand in line."""

    begun = 0

    def enter(self, patience: float, caller: Caller) -> Coroutine[Any, Any, Place]:
        self.begun += 1
        return super().enter(patience, caller)


async def longest_turn(
    make: Callable[[], Coroutine[Any, Any, Any]], calls: int, chunk: int, have_begun: Callable[[], bool]
) -> dict[str, float]:
    """Start the calls; return the longest turn of the loop, in milliseconds, and what the collector did meanwhile.

    It is over 20 ms after all of them `have_begun`.
    """
    turns: list[float] = []
    full = 0

    def count(phase: str, info: dict[str, int]) -> None:
        nonlocal full
        full += phase == "stop" and info["generation"] == 2

    async def watch() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            turns.append(now - last)
            last = now

    async def watched() -> None:
        """Wait until the turn in which this is called has been measured."""
        measured = len(turns)
        while len(turns) == measured:
            await asyncio.sleep(0)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0.02)
    gc.collect()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    turns.clear()
    gc.callbacks.append(count)
    tasks: list[asyncio.Task[Any]] = []
    while len(tasks) < calls:
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(make()) for _ in range(min(chunk, calls - len(tasks)))]
    await watched()
    made = len(turns)
    while not have_begun():
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    gc.callbacks.remove(count)
    watcher.cancel()
    return {
        "turn_ms": max(turns) * 1000,
        "running_ms": max(turns[made:]) * 1000,
        "full_collections": full,
        "collection_ms": collection(),
    }


async def measure(contender: str, calls: int, chunk: int) -> dict[str, float]:
    """Return the longest turn with calls that wait in line, or with tasks that only wait."""
    if contender == "tasks":
        return await longest_turn(asyncio.Event().wait, calls, chunk, lambda: True)
    transport, audio, limiter = Late(), wav(), Counted(8)
    async with ClovaSpeechClient(
        "key", invoke_url="https://clova.example", concurrency=limiter, transport=transport
    ) as client:
        figures = await longest_turn(
            lambda: client.recognize(audio, lang="Kor"), calls, chunk, lambda: limiter.begun == calls
        )
        assert client.stats().waiting == calls - 8
        transport.may.set()
        while client.stats().succeeded < calls:
            await asyncio.sleep(0.01)
    return figures


def collection() -> float:
    """Return how long a full collection takes now, in milliseconds."""
    began = time.perf_counter()
    gc.collect()
    return (time.perf_counter() - began) * 1000


def wav() -> bytes:
    """Return 50 kB of a WAV."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\1\0" * 25_000)  # nothing but zeros would be looked at twice
    return out.getvalue()


def in_a_process(contender: str, calls: int, chunk: int, collector: str) -> dict[str, float]:
    """Return what `measure` gives in a process of its own."""
    own = ["--one", contender, "--calls", str(calls), "--chunks", str(chunk), "--collector", collector]
    done = subprocess.run([sys.executable, __file__, *own], capture_output=True, check=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def row(calls: int, chunk: int, collector: str, rounds: int) -> dict[str, Any]:
    """Return the medians of the rounds, in which the contenders take turns."""
    figures: dict[str, list[dict[str, float]]] = {contender: [] for contender in CONTENDERS}
    for _ in range(rounds):
        for contender in CONTENDERS:
            figures[contender].append(in_a_process(contender, calls, chunk, collector))
    found: dict[str, Any] = {"calls": calls, "chunk": chunk, "collector": collector}
    for contender, of_rounds in figures.items():
        for name in ("turn_ms", "running_ms", "collection_ms"):
            found[f"{contender}_{name}"] = round(statistics.median(one[name] for one in of_rounds), 1)
        found[f"{contender}_full_collections"] = max(int(one["full_collections"]) for one in of_rounds)
    found["cost_ms"] = round(found["recognize_turn_ms"] - found["tasks_turn_ms"], 1)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--chunks", default="10000,1000,100", help="calls started in one turn, by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round, two sizes of chunks")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--collector", choices=COLLECTORS, default="on", help=argparse.SUPPRESS)
    options = parser.parse_args()
    chunks = [int(chunk) for chunk in options.chunks.split(",")]
    if options.one:
        if options.collector == "off":
            gc.disable()
        if options.collector == "frozen":
            gc.collect()
            gc.freeze()
        print(json.dumps(asyncio.run(measure(options.one, options.calls, chunks[0]))))
        return
    rows = []
    for chunk in (10_000, 100) if options.quick else chunks:
        for collector in COLLECTORS:
            rows.append(found := row(options.calls, chunk, collector, 1 if options.quick else options.rounds))
            if not options.json:
                print(
                    f"{found['calls']} calls, {chunk:>5} a turn, collector {collector:6}: longest turn "
                    f"{found['recognize_turn_ms']:5.1f} ms, bare tasks {found['tasks_turn_ms']:5.1f} ms; "
                    f"without the making {found['recognize_running_ms']:5.1f} and {found['tasks_running_ms']:5.1f} "
                    f"(full collections in it: {found['recognize_full_collections']}, "
                    f"{found['tasks_full_collections']}); the next takes {found['recognize_collection_ms']:.1f} ms, "
                    f"bare tasks {found['tasks_collection_ms']:.1f} ms",
                    flush=True,
                )
    if options.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
