"""The contract over HTTP, in process, on both event loops."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import soundfile
import soxr

from clova_speech_async.emulator import ADDRESS, ROWS, Emulator, cut, echo, error, hang, raw, reply

pytestmark = pytest.mark.anyio
ENG = ADDRESS + "?lang=Eng"


async def test_english_is_heard(hearing: Emulator, talk: Any, speech: bytes, data: Path) -> None:
    async with talk(hearing) as client:
        answer = await client.post(ENG, content=speech)
    assert answer.json() == {"text": (data / "umbrella.txt").read_text().strip(), "quota": 15}


async def test_english_is_heard_at_another_rate_in_stereo(
    hearing: Emulator, talk: Any, data: Path, tmp_path: Path
) -> None:
    samples, rate = soundfile.read(data / "sentences" / "10.ogg")
    stereo = np.repeat(soxr.resample(samples, rate, 44_100)[:, None], 2, axis=1)
    soundfile.write(tmp_path / "stereo.flac", stereo, 44_100)
    async with talk(hearing) as client:
        answer = await client.post(ENG, content=(tmp_path / "stereo.flac").read_bytes())
    assert answer.json()["text"] == "the flowers in the garden need more water"


async def test_hearing_stops_nobody_else(hearing: Emulator, talk: Any, data: Path) -> None:
    """PocketSphinx would hold the interpreter for all of its time: there would be one tick, or two."""
    ticks = 0
    async with talk(hearing) as client, anyio.create_task_group() as group:

        async def tick() -> None:
            nonlocal ticks
            while True:
                await anyio.sleep(0.005)
                ticks += 1

        group.start_soon(tick)
        await client.post(ENG, content=(data / "sentences" / "10.ogg").read_bytes())
        group.cancel_scope.cancel()
    assert ticks >= 10


async def test_other_languages_get_an_honest_note(talk: Any, speech: bytes) -> None:
    async with talk(Emulator()) as client:
        texts = [
            (await client.post(f"{ADDRESS}?lang={lang}", content=speech)).json()["text"] for lang in ("Kor", "Jpn")
        ]
    assert all("5.9" in text for text in texts)
    assert "에뮬레이터" in texts[0]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, "200"),
        ({"url": "/any/invoke/url" + ENG}, "200"),
        ({"url": ADDRESS + "/?lang=Eng"}, "404/300"),
        ({"url": "/recog/v1/st?lang=Eng"}, "404/300"),
        ({"url": "/"}, "404/300"),
        ({"method": "GET"}, "404/300"),
        ({"method": "PUT"}, "404/300"),
        ({"headers": {"X-CLOVASPEECH-API-KEY": "wrong"}}, "401/401"),
        ({"headers": {"X-CLOVASPEECH-API-KEY": ""}}, "401/401"),
        ({"headers": {"Content-Type": "audio/wav"}}, "400/STT002"),
        ({"headers": {"Content-Type": "application/octet-stream; charset=utf-8"}}, "400/STT002"),
        ({"headers": {"Content-Type": ""}}, "400/STT002"),
        ({"url": ADDRESS}, "400/STT004"),
        ({"url": ADDRESS + "?lang=eng"}, "400/STT005"),
        ({"url": ENG + "&assessment=yes"}, "400/400"),
        ({"content": b""}, "400/STT003"),
        ({"content": b"x" * 10_000_001}, "413/STT000"),
        ({"content": b"not audio"}, "500/STT006"),
        ({"content": "tone 60.1"}, "413/STT001"),
        ({"content": "tone 0"}, "400/STT007"),
        # The order in which the service could know of them.
        ({"url": "/x", "headers": {"X-CLOVASPEECH-API-KEY": "wrong"}}, "404/300"),
        ({"headers": {"X-CLOVASPEECH-API-KEY": "wrong", "Content-Type": "audio/wav"}}, "401/401"),
        ({"url": ADDRESS, "headers": {"Content-Type": "audio/wav"}}, "400/STT002"),
        ({"url": ADDRESS, "content": b""}, "400/STT004"),
        ({"url": ENG + "&graph=1", "content": b"x" * 10_000_001}, "400/400"),
    ],
)
async def test_the_contract(talk: Any, tone: Any, change: dict[str, Any], wanted: str, outcome: Any) -> None:
    request = {"method": "POST", "url": ENG, "content": tone(1.0)} | change
    if isinstance(request["content"], str):
        request["content"] = tone(float(request["content"].split()[1]))
    async with talk(Emulator(recognizer="hello")) as client:
        answer = await client.request(**request)
    assert outcome(answer) == wanted
    if wanted == "200":
        assert answer.json() == {"text": "hello", "quota": 15}


async def test_quota_is_the_billed_length(talk: Any, tone: Any) -> None:
    async with talk(emulator := Emulator(recognizer="")) as client:
        quotas = [(await client.post(ENG, content=tone(s))).json()["quota"] for s in (0.1, 15.0, 15.1, 31, 60)]
    assert quotas == [15, 15, 30, 45, 60]
    assert emulator.stats.billed_seconds == 165
    assert emulator.stats.audio_seconds == pytest.approx(121.2)


async def test_the_sibling_service(talk: Any, tone: Any, outcome: Any) -> None:
    emulator = Emulator(recognizer="hello")
    keys = {"X-NCP-APIGW-API-KEY-ID": "emulator-id", "X-NCP-APIGW-API-KEY": "emulator"}
    async with talk(emulator) as client:
        del client.headers["X-CLOVASPEECH-API-KEY"]
        assert outcome(await client.post(ENG, content=tone())) == "401/401"
        assert (await client.post(ENG, content=tone(), headers=keys)).json() == {"text": "hello"}
        wrong = keys | {"X-NCP-APIGW-API-KEY": "no"}
        assert outcome(await client.post(ENG, content=tone(), headers=wrong)) == "401/200"
    assert "emulator" not in str([record.headers for record in emulator.requests if "host" not in record.headers])
    assert not any("key" in name for record in emulator.requests for name in record.headers)


async def test_a_body_too_large_is_refused_unread() -> None:
    """Both ways are spoken to the application itself, because no client would show what was read."""
    emulator = Emulator(recognizer="")
    scope = {
        "type": "http", "method": "POST", "path": ADDRESS, "query_string": b"lang=Eng", "scheme": "http",
        "server": ("emulator", 80), "http_version": "1.1",
    }  # fmt: skip
    headers = [(b"x-clovaspeech-api-key", b"emulator"), (b"content-type", b"application/octet-stream")]
    sent: list[Any] = []
    reads = 0

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        nonlocal reads
        reads += 1
        return {"type": "http.request", "body": b"x" * 1_000_000, "more_body": True}

    await emulator(scope | {"headers": [*headers, (b"content-length", b"10000001")]}, receive, send)
    assert (sent[0]["status"], reads) == (413, 0)
    sent.clear()
    await emulator(scope | {"headers": headers}, receive, send)
    assert (sent[0]["status"], reads) == (413, 11)
    assert emulator.requests[1].body_size == 11_000_000


async def test_a_client_that_goes_away_in_its_body_is_kept_on_record() -> None:
    emulator = Emulator(recognizer="")
    headers = [(b"x-clovaspeech-api-key", b"emulator"), (b"content-type", b"application/octet-stream")]
    scope = {
        "type": "http", "method": "POST", "path": ADDRESS, "query_string": b"lang=Eng", "scheme": "http",
        "server": ("emulator", 80), "http_version": "1.1", "headers": headers,
    }  # fmt: skip
    messages = [{"type": "http.request", "body": b"RIFF", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError("nobody is there")

    await emulator(scope, receive, send)
    assert (emulator.requests[0].status, emulator.requests[0].body_size) == (None, 4)
    assert (emulator.stats.abandoned, emulator.stats.in_parallel) == (1, 0)


async def test_requests_are_on_record(talk: Any, tone: Any) -> None:
    emulator, body = Emulator(recognizer="hello", keep_requests=2), tone(20)
    async with talk(emulator) as client:
        await client.post(ADDRESS + "?lang=Kor&utterance=%EC%95%88%EB%85%95", content=b"junk")
        await client.post(ENG, content=b"junk")
        await client.post("/mine" + ADDRESS + "?lang=Kor&utterance=%EC%95%88%EB%85%95", content=body)
    first, last = emulator.requests
    assert (first.number, first.status, first.code) == (2, 500, "STT006")
    assert (last.number, last.method, last.path, last.status, last.code) == (3, "POST", "/mine" + ADDRESS, 200, None)
    assert last.params == {"lang": "Kor", "utterance": "안녕"}
    assert (last.body_size, last.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert (last.audio_seconds, last.billed_seconds, last.parallel) == (20.0, 30, 1)
    assert last.headers["content-type"] == "application/octet-stream"
    assert "x-clovaspeech-api-key" not in last.headers
    assert last.ended is not None
    assert last.ended >= last.started
    assert "-> 200" in repr(last)
    assert "-> 500/STT006" in repr(first)
    stats = emulator.stats
    assert (stats.requests, dict(stats.statuses), dict(stats.codes)) == (3, {500: 2, 200: 1}, {"500/STT006": 2})
    emulator.reset()
    assert emulator.requests == ()
    assert (emulator.stats.requests, emulator.stats.billed_seconds) == (0, 0)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.status}/{r.code}")
async def test_every_row_can_be_scripted(talk: Any, row: Any, outcome: Any) -> None:
    emulator = Emulator(recognizer="hello")
    emulator.script(error(f"{row.status}/{row.code}", retry_after=7))
    async with talk(emulator) as client:
        answer = await client.post(ENG, content=b"whatever")
    assert outcome(answer) == f"{row.status}/{row.code}"
    assert answer.headers["retry-after"] == "7"
    assert (emulator.requests[0].code, emulator.requests[0].body_size) == (row.code, 8)


async def test_a_script_is_played_in_order_and_then_over(talk: Any, tone: Any) -> None:
    emulator = Emulator(recognizer="as ever")
    emulator.script(reply("scripted", quota=30, assessment_score=7), raw(502, "<html>", headers={"X-Proxy": "yes"}))
    emulator.script(reply(quota=45), raw(200, b'{"text": '))
    assert emulator.stats.scripted_left == 4
    async with talk(emulator) as client:
        answers = [await client.post(ENG, content=tone()) for _ in range(5)]
    assert answers[0].json() == {"text": "scripted", "quota": 30, "assessment_score": 7}
    assert (answers[1].status_code, answers[1].text, answers[1].headers["x-proxy"]) == (502, "<html>", "yes")
    assert answers[2].json() == {"text": "as ever", "quota": 45}
    assert answers[3].text == '{"text": '
    assert answers[4].json() == {"text": "as ever", "quota": 15}
    assert [record.status for record in emulator.requests] == [200, 502, 200, 200, 200]


async def test_a_scripted_reply_is_held_to_the_contract(talk: Any, outcome: Any) -> None:
    emulator = Emulator()
    emulator.script(reply("never"))
    async with talk(emulator) as client:
        assert outcome(await client.post(ENG, content=b"junk")) == "500/STT006"
        emulator.script(reply("never"))
        emulator.reset()
        assert emulator.stats.scripted_left == 0


async def test_hanging_and_cutting(talk: Any, tone: Any) -> None:
    emulator = Emulator(recognizer="")
    emulator.script(hang(), cut())
    async with talk(emulator) as client:
        with anyio.move_on_after(0.05) as scope:
            await client.post(ENG, content=tone())
        assert scope.cancelled_caught
        with pytest.raises(RuntimeError, match="served over a socket"):
            await client.post(ENG, content=tone())
    assert [record.status for record in emulator.requests] == [None, None]
    assert emulator.stats.abandoned == 2


async def test_recognisers_of_ones_own(talk: Any, tone: Any, caplog: pytest.LogCaptureFixture, outcome: Any) -> None:
    body = tone(2.0, rate=48_000, channels=2, kind="FLAC")

    async def later(pcm: bytes, lang: str) -> str:
        return f"{lang} {len(pcm)} later"

    def indirect(pcm: bytes, lang: str) -> Any:
        return later(pcm, lang)

    for recognizer, text in (
        (lambda pcm, lang: f"{lang} {len(pcm)}", "Kor 64000"),
        (later, "Kor 64000 later"),
        (indirect, "Kor 64000 later"),
        ("fixed", "fixed"),
    ):
        async with talk(Emulator(recognizer=recognizer)) as client:
            assert (await client.post(ADDRESS + "?lang=Kor", content=body)).json()["text"] == text
    for broken in (lambda pcm, lang: 1 / 0, lambda pcm, lang: None):
        async with talk(Emulator(recognizer=broken)) as client:
            assert outcome(await client.post(ENG, content=body)) == "500/STT998"
    assert "ZeroDivisionError" in caplog.text
    assert "must give a string, not None" in caplog.text


async def test_echo_tells_requests_apart(talk: Any, tone: Any) -> None:
    async with talk(Emulator(recognizer=echo, audio_check="none")) as client:
        answer = await client.post(ENG, content=b"any bytes at all")
    digest = hashlib.sha256(b"any bytes at all").hexdigest()
    assert answer.json() == {"text": f"Eng 16 {digest}", "quota": 15}


async def test_a_header_can_be_taken_at_its_word(talk: Any, tone: Any, outcome: Any) -> None:
    async with talk(Emulator(recognizer="hello", audio_check="header")) as client:
        assert (await client.post(ENG, content=tone(40))).json() == {"text": "hello", "quota": 45}
        assert outcome(await client.post(ENG, content=tone(61))) == "413/STT001"
        assert outcome(await client.post(ENG, content=b"text")) == "500/STT006"


async def test_what_fails_inside_is_answered(
    talk: Any, tone: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, outcome: Any
) -> None:
    def broken(body: bytes, *, max_seconds: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("clova_speech_async.emulator.exchange.decode", broken)
    with caplog.at_level(logging.ERROR):
        async with talk(Emulator(recognizer="")) as client:
            assert outcome(await client.post(ENG, content=tone())) == "500/STT999"
    assert "ZeroDivisionError" in caplog.text


async def test_keys_of_ones_own(talk: Any, tone: Any, outcome: Any) -> None:
    several = Emulator(secret_key=["b-key", "a-key"], recognizer="")
    assert several.accepted_key == "a-key"
    for emulator, key, wanted in (
        (several, "b-key", "200"),
        (several, "emulator", "401/401"),
        (Emulator(secret_key=None, recognizer="", csr_keys=None), "anything", "200"),
    ):
        async with talk(emulator, **{"X-CLOVASPEECH-API-KEY": key}) as client:
            assert outcome(await client.post(ENG, content=tone())) == wanted


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"secret_key": ""}, ValueError, "secret_key must be printable ASCII"),
        ({"secret_key": "비밀"}, ValueError, "secret_key must be printable ASCII"),
        ({"secret_key": []}, ValueError, "secret_key must be printable ASCII"),
        ({"recognizer": 5}, TypeError, "recognizer must be None"),
        ({"audio_check": "maybe"}, ValueError, "audio_check must be 'decode', 'header' or 'none', not 'maybe'"),
        ({"workers": 0}, ValueError, "workers must be a whole number of at least 1, not 0"),
        ({"keep_requests": True}, ValueError, "keep_requests must be"),
        ({"behaviour": {"latency": 1}}, TypeError, "behaviour must be a Behaviour"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Emulator(**options)


def test_only_scripted_replies_make_a_script() -> None:
    with pytest.raises(TypeError, match="a script is made of reply"):
        Emulator(recognizer="").script("STT998")  # type: ignore[arg-type]


def test_preparing_and_closing() -> None:
    with Emulator() as emulator:
        emulator.prepare()
        assert len(emulator._pool.processes) == 1
    assert emulator._pool.processes == ()
    silent = Emulator(recognizer="fixed")
    silent.prepare()
    assert silent._pool.processes == ()
