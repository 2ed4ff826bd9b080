"""A service whose capacity steps up and down, and workers that want as much of it as they can get.

The service is a transport in memory; the client is the real one, with its tries, waits and limiter; the clock is
trio's `MockClock`, which jumps from one event to the next. An hour takes a minute, and is the same each time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import trio
import trio.testing

from clova_speech_async import Adaptive, ClovaSpeechError
from clova_speech_async.http.credentials import SecretKey
from clova_speech_async.http.limiter import Limiter
from clova_speech_async.http.parameters import Parameters
from clova_speech_async.http.sender import Sender

STEPS = (64, 16, 48)
WORKERS = 100


@dataclass
class Counts:
    """What was done in one step."""

    capacity: int
    seconds: float
    work: float = 0.0
    """Seconds that the service was busy with requests it answered, summed over them."""
    successes: int = 0
    rejects: int = 0
    failures: int = 0
    """Calls that ended in an error, after all their tries."""

    def summary(self) -> dict[str, float]:
        """Return goodput as a share of the ideal, and rejects and failures for each success."""
        successes = max(self.successes, 1)
        return {
            "capacity": self.capacity,
            "goodput": self.work / (self.capacity * self.seconds),
            "rejects_per_success": self.rejects / successes,
            "failures_per_success": self.failures / successes,
            "successes": self.successes,
        }


class Service(httpx.AsyncBaseTransport):
    """Bears `counts.capacity` requests at once, answers the rest 429/410 after 20 ms. Latency follows the audio."""

    REFUSED = b'{"error": {"errorCode": "410", "message": "Throttle Limited"}}'

    def __init__(self, dice: random.Random, counts: Counts) -> None:
        self.counts = counts
        self._dice = dice
        self._busy = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Take a place and keep it for as long as the audio takes, or refuse."""
        await request.aread()
        if self._busy >= self.counts.capacity:
            self.counts.rejects += 1
            await anyio.sleep(0.02)
            return httpx.Response(429, content=self.REFUSED)
        latency = 0.4 + 0.05 * self._dice.uniform(5, 60)
        self._busy += 1
        try:
            await anyio.sleep(latency)
        finally:
            self._busy -= 1
        self.counts.work += latency
        self.counts.successes += 1
        return httpx.Response(200, content=b'{"text": "x", "quota": 15}')


async def _run(limiter: Limiter, seconds: float, dice: random.Random) -> list[dict[str, float]]:
    steps = [Counts(capacity, seconds) for capacity in STEPS]
    service = Service(dice, steps[0])
    sender = Sender(
        url="https://service.example/recog/v1/stt",
        credentials=SecretKey("key"),
        limiter=limiter,
        transport=service,
        random=dice.random,
    )
    parameters = Parameters.check(lang="Kor")

    async def worker() -> None:
        while True:
            try:
                await sender.send(parameters, b"RIFF", seconds=10)
            except ClovaSpeechError:  # noqa: PERF203 - each call may fail
                service.counts.failures += 1

    async with anyio.create_task_group() as group:
        for _ in range(WORKERS):
            group.start_soon(worker)
        for counts in steps:
            service.counts = counts
            await anyio.sleep(seconds)
        group.cancel_scope.cancel()
    return [counts.summary() for counts in steps]


STRATEGIES: dict[str, Callable[[random.Random], Limiter]] = {
    "adaptive": lambda dice: Limiter(Adaptive(maximum=64), random=dice.random),
    "fixed 8": lambda dice: Limiter(8, random=dice.random),
    "fixed 16": lambda dice: Limiter(16, random=dice.random),
    "fixed 64": lambda dice: Limiter(64, random=dice.random),
    # As many as want to, each with its own backoff alone: what a plain retry decorator does.
    "none": lambda dice: Limiter(WORKERS, pause=(0, 0), random=dice.random),
}


def simulate(strategy: str, seconds: float, seed: int = 7) -> list[dict[str, float]]:
    """Return, for each step, what a strategy reaches; `seconds` is the length of a step."""
    dice = random.Random(seed)
    result: Any = trio.run(
        _run, STRATEGIES[strategy](dice), seconds, dice, clock=trio.testing.MockClock(autojump_threshold=0)
    )
    return list(result)
