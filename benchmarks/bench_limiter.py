"""Adaptive, fixed and no limit at all, against a service whose capacity steps 64 → 16 → 48.

    python benchmarks/bench_limiter.py [--quick] [--json] [--no-emulator]

First a simulation on a virtual clock: 100 workers, a request takes 2.0 s on average (0.4 s and 0.05 s for each second
of 5 to 60 s of audio), each step lasts ten minutes. Then the emulator over loopback, in real time: the same capacities,
a request takes 0.5 s, each step lasts 30 s, which is short for a limit that has to find its way. "None" is 100 workers
with exponential backoff alone.

Goodput is the share of the capacity that was busy with requests that were answered; the ideal is 100 %.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import anyio
from _http_simulation import STEPS, STRATEGIES, WORKERS, simulate

from clova_speech_async import Adaptive, ClovaSpeechClient, ClovaSpeechError
from clova_speech_async.emulator import Behaviour, Emulator, serve_async
from clova_speech_async.http.limiter import Limiter

Rows = list[dict[str, float]]


def limiter(strategy: str) -> Limiter:
    """Return the limiter of a strategy, in real time."""
    if strategy == "adaptive":
        return Limiter(Adaptive(maximum=64))
    if strategy == "none":
        return Limiter(WORKERS, pause=(0, 0))
    return Limiter(int(strategy.split()[1]))


async def emulate(strategy: str, seconds: float, latency: float) -> Rows:
    """Return what a strategy reaches against the emulator."""
    rows: Rows = []
    emulator = Emulator(
        behaviour=Behaviour(latency=latency, max_parallel=STEPS[0]), recognizer="x", audio_check="header"
    )
    async with serve_async(emulator) as running:
        client = ClovaSpeechClient(running.secret_key, invoke_url=running.url, concurrency=limiter(strategy))
        successes = failures = 0
        audio = silence()

        async def worker() -> None:
            nonlocal successes, failures
            while True:
                try:
                    await client.recognize(audio, lang="Eng")
                    successes += 1
                except ClovaSpeechError:  # noqa: PERF203 - each call may fail
                    failures += 1

        async with client, anyio.create_task_group() as group:
            for _ in range(WORKERS):
                group.start_soon(worker)
            for capacity in STEPS:
                emulator.behaviour = Behaviour(latency=latency, max_parallel=capacity)
                good, bad, rejected = successes, failures, client.stats().throttled
                await anyio.sleep(seconds)
                done = max(successes - good, 1)
                rows.append(
                    {
                        "capacity": capacity,
                        "goodput": done * latency / (capacity * seconds),
                        "rejects_per_success": (client.stats().throttled - rejected) / done,
                        "failures_per_success": (failures - bad) / done,
                        "successes": done,
                    }
                )
            group.cancel_scope.cancel()
    return rows


def silence() -> bytes:
    """Return a WAV of one second without a sound."""
    import io
    import wave

    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(32_000))
    return out.getvalue()


def show(strategy: str, rows: Rows) -> None:
    """Print a strategy's row: for each step goodput, rejects and failed calls for each success."""
    cells = [
        f"{row['goodput']:7.1%} {row['rejects_per_success']:7.3f} {row['failures_per_success']:7.3f}" for row in rows
    ]
    print(f"  {strategy:9}" + "  |".join(cells))


def heading(title: str) -> None:
    """Print the head of a table."""
    print(f"\n{title}: goodput, rejects a success, failed calls a success")
    print("  " + " " * 9 + "  |".join(f"{f'capacity {capacity}':>23}" for capacity in STEPS))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter steps")
    parser.add_argument("--no-emulator", action="store_true", help="the simulation only")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    options = parser.parse_args()
    results: dict[str, Any] = {"simulation": {}, "emulator": {}}
    seconds = 200.0 if options.quick else 600.0
    if not options.json:
        heading(f"simulation, steps of {seconds:.0f} s")
    for strategy in STRATEGIES:
        results["simulation"][strategy] = simulate(strategy, seconds)
        if not options.json:
            show(strategy, results["simulation"][strategy])
    if not options.no_emulator:
        real, latency = (5.0, 0.5) if options.quick else (30.0, 0.5)
        if not options.json:
            heading(f"emulator, steps of {real:.0f} s, {latency:g} s a request")
        for strategy in ("adaptive", "fixed 64", "none"):
            results["emulator"][strategy] = anyio.run(emulate, strategy, real, latency)
            if not options.json:
                show(strategy, results["emulator"][strategy])
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
