from __future__ import annotations

from typing import Any

import pytest

from clova_speech_async.emulator import ADDRESS, Behaviour, Emulator

pytestmark = pytest.mark.anyio
ENG = ADDRESS + "?lang=Eng"


async def test_behaviour_is_shown_replaced_and_changed(talk: Any) -> None:
    emulator = Emulator(recognizer="", behaviour=Behaviour(latency=0.25))
    async with talk(emulator) as client:
        assert (await client.get("/emulator/behaviour")).json() == Behaviour(latency=0.25).to_dict()
        changed = await client.patch("/emulator/behaviour", json={"max_parallel": 2, "failures": {"STT998": 0.1}})
        assert changed.json()["latency"] == 0.25
        assert emulator.behaviour == Behaviour(latency=0.25, max_parallel=2, failures={"STT998": 0.1})
        await client.put("/emulator/behaviour", json={"max_parallel": 3})
        assert emulator.behaviour == Behaviour(max_parallel=3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "the body must be JSON"),
        ("[]", "a behaviour is a JSON object"),
        ('{"latency": -1}', "latency must be at least 0, not -1"),
        ('{"latency": "x"}', "latency must be a number, not 'x'"),
        ('{"lag": 1}', "no field 'lag'"),
        ('{"rate_error": "STT1"}', "'STT1' is no row"),
    ],
)
async def test_what_is_not_understood_is_explained(talk: Any, content: str, reason: str) -> None:
    emulator = Emulator(recognizer="")
    async with talk(emulator) as client:
        answer = await client.put("/emulator/behaviour", content=content)
    assert answer.status_code == 400
    assert reason in answer.text
    assert emulator.behaviour == Behaviour()


async def test_requests_stats_and_reset(talk: Any, tone: Any) -> None:
    async with talk(Emulator(recognizer="hi")) as client:
        await client.post(ENG, content=tone(20))
        await client.post(ENG, content=b"junk")
        shown = (await client.get("/emulator/requests")).json()
        assert [(r["number"], r["status"], r["code"], r["params"]) for r in shown] == [
            (1, 200, None, {"lang": "Eng"}),
            (2, 500, "STT006", {"lang": "Eng"}),
        ]
        stats = (await client.get("/emulator/stats")).json()
        assert (stats["requests"], stats["statuses"], stats["billed_seconds"]) == (2, {"200": 1, "500": 1}, 30)
        await client.post("/emulator/reset")
        assert (await client.get("/emulator/requests")).json() == []


async def test_a_script_over_http(talk: Any, tone: Any) -> None:
    steps: list[Any] = [
        {"reply": "first"},
        {"reply": {"text": "second", "quota": 45}},
        {"error": "429/400"},
        {"error": {"code": 410, "retry_after": 3}},
        {"raw": {"status": 502, "body": "<html>"}},
    ]
    async with talk(Emulator(recognizer="hi")) as client:
        assert (await client.post("/emulator/script", json=steps)).json() == {"scripted_left": 5}
        answers = [await client.post(ENG, content=tone()) for _ in steps]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 502]
        assert answers[1].json() == {"text": "second", "quota": 45}
        assert answers[3].headers["retry-after"] == "3"
        for wrong, reason in (
            ({"error": 400}, "a script is a JSON list"),
            ([{"eror": 400}], "one step of a script is an object of one of"),
            ([{}], "one step of a script"),
            ([{"error": "STT1"}], "'STT1' is no row"),
            ([{"raw": {"state": 1}}], "state"),
        ):
            answer = await client.post("/emulator/script", json=wrong)
            assert (answer.status_code, reason in answer.text) == (400, True)


async def test_it_can_be_left_out(talk: Any) -> None:
    async with talk(Emulator(recognizer="", control=False)) as client:
        assert (await client.get("/emulator/behaviour")).json()["error"]["errorCode"] == "300"
