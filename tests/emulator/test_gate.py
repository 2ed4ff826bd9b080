"""Capacity, rate, quota and faults over HTTP, on a virtual clock where time is in it."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest
import trio.testing

from clova_speech_async.emulator import ADDRESS, Behaviour, Emulator, error, reply

pytestmark = pytest.mark.anyio
ENG = ADDRESS + "?lang=Eng"


def virtual_clock() -> pytest.MarkDecorator:
    clock = ("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})
    return pytest.mark.parametrize("anyio_backend", [pytest.param(clock, id="trio, virtual clock")])


@virtual_clock()
async def test_latency_follows_the_audio(talk: Any, tone: Any) -> None:
    rules = Behaviour(latency=0.5, latency_per_second=0.1)
    emulator = Emulator(recognizer="", audio_check="header", behaviour=rules)
    async with talk(emulator) as client:
        for seconds, wanted in ((1, 0.6), (20, 2.5)):
            start = anyio.current_time()
            await client.post(ENG, content=tone(seconds))
            assert anyio.current_time() - start == pytest.approx(wanted)
        emulator.script(reply("x", delay=1.0), error("STT998", delay=3.0))
        for wanted in (1.6, 3.0):
            start = anyio.current_time()
            await client.post(ENG, content=tone(1))
            assert anyio.current_time() - start == pytest.approx(wanted)


@virtual_clock()
@pytest.mark.parametrize("code", ["429/410", "429/420", "503/500"])
async def test_a_cap_on_requests_at_once(talk: Any, tone: Any, code: str, outcome: Any) -> None:
    rules = Behaviour(latency=1.0, max_parallel=3, parallel_error=code, retry_after=2)
    emulator = Emulator(recognizer="", audio_check="header", behaviour=rules)
    answers: list[httpx.Response] = []
    async with talk(emulator) as client:

        async def ask() -> None:
            answers.append(await client.post(ENG, content=tone()))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(ask)
        assert sorted(map(outcome, answers)) == ["200"] * 3 + [code] * 2
        refused = [answer for answer in answers if answer.status_code != 200]
        assert all(answer.headers["retry-after"] == "2" for answer in refused)
        assert (emulator.stats.peak_parallel, emulator.stats.in_parallel) == (3, 0)
        assert max(record.parallel for record in emulator.requests) >= 4
        # Changed while it runs: the next ones find another service.
        emulator.behaviour = Behaviour()
        assert outcome(await client.post(ENG, content=tone())) == "200"


@virtual_clock()
async def test_a_rate_limit(talk: Any, tone: Any, outcome: Any) -> None:
    emulator = Emulator(recognizer="", audio_check="header", behaviour=Behaviour(requests_per_second=2, burst=2))
    async with talk(emulator) as client:
        seen = []
        for _ in range(8):
            seen.append(outcome(await client.post(ENG, content=tone())))
            await anyio.sleep(0.25)
    assert seen[:4] == ["200", "200", "200", "429/420"]
    assert seen.count("200") == 5


async def test_the_quota_runs_out(talk: Any, tone: Any, outcome: Any) -> None:
    emulator = Emulator(recognizer="", behaviour=Behaviour(quota_seconds=60))
    async with talk(emulator) as client:
        seen = [outcome(await client.post(ENG, content=tone(s))) for s in (30, 16, 1, 1)]
        assert seen == ["200", "200", "429/400", "429/400"]
        emulator.reset(Behaviour(quota_seconds=20))
        assert [outcome(await client.post(ENG, content=tone(s))) for s in (16, 15, 1)] == ["429/400", "200", "429/400"]
    assert emulator.stats.billed_seconds == 15


async def test_random_failures_are_the_same_each_time(talk: Any, tone: Any, outcome: Any) -> None:
    rules = Behaviour(failures={"STT998": 0.3, "503/500": 0.3}, seed=5, retry_after=0.5)

    async def run() -> list[str]:
        emulator = Emulator(recognizer="", behaviour=rules)
        async with talk(emulator) as client:
            answers = [await client.post(ENG, content=tone(0.1)) for _ in range(30)]
        assert {a.headers.get("retry-after") for a in answers if a.status_code == 503} == {"0.5"}
        assert {a.headers.get("retry-after") for a in answers if a.status_code == 500} == {None}
        # The gateway's failures come before the body was read, the engine's after.
        assert {r.body_size > 0 for r in emulator.requests if r.status == 503} == {False}
        assert {r.body_size > 0 for r in emulator.requests if r.status == 500} == {True}
        assert emulator.stats.billed_seconds == 15 * sum(a.status_code == 200 for a in answers)
        return [outcome(answer) for answer in answers]

    first = await run()
    assert set(first) == {"200", "500/STT998", "503/500"}
    assert await run() == first


async def test_too_short(talk: Any, tone: Any, outcome: Any) -> None:
    emulator = Emulator(recognizer="", behaviour=Behaviour(min_seconds=0.3))
    async with talk(emulator) as client:
        assert [outcome(await client.post(ENG, content=tone(s))) for s in (0.29, 0.3)] == ["400/STT007", "200"]
