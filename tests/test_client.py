"""The client against the emulator: one request, any length, streams, journals, life and death."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import io
import math
import pickle
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
import soundfile

from clova_speech_async import (
    PCM,
    Adaptive,
    AudioTooLongError,
    ClientClosedError,
    ClovaSpeechClient,
    ConfigurationError,
    CSRKeys,
    InternalServerError,
    Journal,
    JournalError,
    Limiter,
    PreprocessingError,
    QueueFullError,
    QuotaExceededError,
    RetryPolicy,
    SecretKey,
    Segment,
    Splitting,
    Timeout,
    Transcript,
    estimate,
)
from clova_speech_async.emulator import Behaviour, Emulator, error, reply
from clova_speech_async.journal import Claim

pytestmark = pytest.mark.anyio
RATE = 16_000
KEY = "emulator"


def talk(*parts: float, seed: int = 1) -> PCM:
    """Speech-like noise and silence in turn: seconds of one, seconds of the other, …"""
    random = np.random.default_rng(seed)
    chunks = []
    for number, seconds in enumerate(parts):
        count = int(seconds * RATE)
        time = np.arange(count) / RATE
        voice = random.standard_normal(count) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time)) * 3000
        chunks.append(voice if number % 2 == 0 else random.standard_normal(count) * 2)
    return PCM(np.concatenate(chunks).astype("int16"), RATE)


def wav(pcm: PCM) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, pcm.data, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    def hear(pcm: Any, lang: str) -> str:
        return f"{len(pcm) / 2 / RATE:.0f}s"

    with Emulator(recognizer=hear) as app:
        yield app


def make(emulator: Emulator, **options: Any) -> ClovaSpeechClient:
    transport = httpx.ASGITransport(app=emulator)
    return ClovaSpeechClient(KEY, invoke_url="http://127.0.0.1", transport=transport, **options)


# --- one request ----------------------------------------------------------------------------------


async def test_recognize_sends_the_bytes_as_they_are(emulator: Emulator) -> None:
    audio = wav(talk(3))
    recognition = await make(emulator).recognize(audio, lang="Kor")
    assert (recognition.text, recognition.quota) == ("3s", 15)
    assert emulator.requests[0].sha256 == hashlib.sha256(audio).hexdigest()


async def test_every_parameter_arrives(emulator: Emulator) -> None:
    emulator.script(reply("hi", assessment_score=71, assessment_details="hi|{h(h):71} ", ref_graph=[1], usr_graph=[2]))
    recognition = await make(emulator).recognize(
        wav(talk(2)), lang="Kor", assessment=True, utterance="안녕 & 하세요", graph=True, boostings=["클로바", "네이버"]
    )
    assert dict(emulator.requests[0].params) == {
        "lang": "Kor",
        "assessment": "true",
        "utterance": "안녕 & 하세요",
        "graph": "true",
        "boostings": "클로바\t네이버",
    }
    assessment = recognition.assessment
    assert assessment is not None
    assert (assessment.score, assessment.words[0].text) == (71, "hi")


async def test_what_is_known_to_fail_is_not_sent(emulator: Emulator) -> None:
    client = make(emulator)
    for arguments in ({"lang": "xx"}, {"lang": "Jpn", "assessment": True}, {"lang": "Eng", "boostings": ["클로바"]}):
        with pytest.raises(ValueError, match="lang|assessment|boostings"):
            await client.recognize(wav(talk(1)), **arguments)  # type: ignore[arg-type]
    assert emulator.requests == ()


# --- any length -----------------------------------------------------------------------------------


async def test_an_hour_like_recording_comes_out_in_time_order(emulator: Emulator) -> None:
    emulator.behaviour = Behaviour(latency=0.2)
    talked = talk(*[20, 1] * 12)
    async with make(emulator, concurrency=4) as client:
        transcript = await client.transcribe(talked, lang="Eng")
        stats = client.stats()
    assert transcript.duration == pytest.approx(12 * 21)
    starts = [segment.start for segment in transcript.segments]
    assert starts == sorted(starts)
    assert len(starts) == len(emulator.requests) >= 5
    assert all(request.status == 200 for request in emulator.requests)
    assert transcript.billed_seconds == sum(s.billed_seconds or 0 for s in transcript.segments) == stats.billed_seconds
    assert transcript.text == " ".join(segment.text for segment in transcript.segments)
    assert 1 < emulator.stats.peak_parallel <= 4


async def test_silence_costs_nothing(emulator: Emulator) -> None:
    transcript = await make(emulator).transcribe(PCM(np.zeros(RATE * 200, "int16"), RATE), lang="Kor")
    assert (transcript.text, transcript.segments, transcript.billed_seconds) == ("", (), 0)
    assert transcript.duration == 200
    assert emulator.requests == ()


async def test_an_async_iterable_is_transcribed_while_it_comes(emulator: Emulator) -> None:
    audio = wav(talk(*[26, 1] * 5))
    first_sent_at = math.inf
    given = 0

    async def upload() -> AsyncIterator[bytes]:
        nonlocal given, first_sent_at
        for at in range(0, len(audio), 32_000):
            given += 1
            if emulator.requests and first_sent_at == math.inf:
                first_sent_at = given
            yield audio[at : at + 32_000]
            await anyio.lowlevel.checkpoint()

    transcript = await make(emulator).transcribe(upload(), lang="Eng")
    assert transcript.duration == pytest.approx(135)
    assert transcript.billed_seconds <= 165
    assert len(transcript.segments) >= 3


async def test_each_channel_by_itself(emulator: Emulator) -> None:
    left, right = talk(4, 6, 4, seed=1).data, talk(0, 5, 3, 6, seed=2).data
    stereo = np.stack([left, right], axis=1)
    transcript = await make(emulator).transcribe(PCM(stereo, RATE, 2), lang="Eng", channels="each")
    assert {segment.channel for segment in transcript.segments} == {0, 1}
    assert [s.start for s in transcript.segments] == sorted(s.start for s in transcript.segments)


async def test_max_duration_ends_a_strangers_upload(emulator: Emulator) -> None:
    with pytest.raises(AudioTooLongError, match="max_duration"):
        await make(emulator).transcribe(talk(100), lang="Eng", max_duration=30.0)


async def test_estimate_tells_the_bill_beforehand(emulator: Emulator) -> None:
    audio = wav(talk(*[20, 3] * 6))
    told = await estimate(audio)
    transcript = await make(emulator).transcribe(audio, lang="Eng")
    assert told.billed_seconds == transcript.billed_seconds
    assert told.requests == len(transcript.segments)
    assert told.duration == transcript.duration


async def test_a_failed_piece_keeps_what_was_paid_for(emulator: Emulator) -> None:
    emulator.script(reply("one"), reply("two"), error("429/400"), reply("four"), reply("five"))
    client = make(emulator, concurrency=1)
    with pytest.raises(QuotaExceededError) as caught:
        await client.transcribe(talk(*[50, 1] * 6), lang="Eng")
    partial = caught.value.partial
    assert isinstance(partial, Transcript)
    assert partial.text.startswith("one two")
    assert partial.billed_seconds == client.stats().billed_seconds
    assert len(emulator.requests) <= 4
    assert pickle.loads(pickle.dumps(caught.value)).partial == partial


# --- segments as they come ------------------------------------------------------------------------


async def test_stream_gives_the_segments_of_transcribe(emulator: Emulator) -> None:
    talked = talk(*[25, 1] * 8)
    async with make(emulator) as client:
        whole = await client.transcribe(talked, lang="Eng")
        assert tuple([segment async for segment in client.stream(talked, lang="Eng")]) == whole.segments
        async with client.stream(talked, lang="Eng") as segments:
            assert tuple([segment async for segment in segments]) == whole.segments


async def test_what_a_file_announces_is_told_however_it_is_given(emulator: Emulator, tmp_path: Path) -> None:
    data = Path(__file__).with_name("data").joinpath("umbrella.wav").read_bytes()
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    expected = (await estimate(path)).announced_duration
    assert expected == pytest.approx(5.895)
    async with make(emulator) as client:
        for audio in (path, data, bytearray(data), io.BytesIO(data)):
            transcript = await client.transcribe(audio, lang="Eng")
            assert (transcript.announced_duration, transcript.truncated) == (expected, False)


async def test_stream_under_a_block_needs_no_entered_client(emulator: Emulator) -> None:
    client = make(emulator)
    async with client.stream(talk(70), lang="Eng") as segments:
        assert [type(segment) async for segment in segments] == [Segment, Segment]
    with pytest.raises(ConfigurationError, match=r"or the stream \(`async with client\.stream\(…\) as segments`\)"):
        await anext(client.stream(talk(2), lang="Eng"))


async def test_stream_refuses_wrong_arguments_at_once(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="lang"):
        make(emulator).stream(talk(2), lang="xx")


async def test_leaving_a_stream_ends_its_requests(emulator: Emulator) -> None:
    async with make(emulator, concurrency=2) as client:
        async for segment in client.stream(talk(*[50, 1] * 40), lang="Eng"):
            assert segment.start < 1
            break
        gc.collect()
        with anyio.fail_after(20):
            while client.stats().in_flight:
                await anyio.lowlevel.checkpoint()
        assert len(emulator.requests) < 20
        assert (await client.recognize(wav(talk(2)), lang="Eng")).text == "2s"


async def test_a_stream_that_fails_gives_what_came_before(emulator: Emulator) -> None:
    emulator.script(reply("one"), error("STT006"))
    async with make(emulator, concurrency=1) as client:
        stream = client.stream(talk(*[50, 1] * 5), lang="Eng")
        assert (await anext(stream)).text == "one"
        with pytest.raises(PreprocessingError):
            await anext(stream)


# --- the journal ----------------------------------------------------------------------------------


async def test_the_same_audio_twice_is_sent_once(emulator: Emulator, tmp_path: Path) -> None:
    talked = talk(*[20, 2] * 6)
    path = tmp_path / "run.db"
    async with make(emulator) as client:
        first = await client.transcribe(talked, lang="Eng", journal=path)
        sent = len(emulator.requests)
        again = await client.transcribe(wav(talked), lang="Eng", journal=path)
        assert len(emulator.requests) == sent
    assert again.text == first.text
    assert (again.billed_seconds, again.saved_seconds) == (0, first.billed_seconds)
    async with make(emulator) as client:
        other = await client.transcribe(talked, lang="Kor", journal=str(path))
    assert other.billed_seconds == first.billed_seconds
    assert len(emulator.requests) == 2 * sent


async def test_recognize_uses_the_journal_too(emulator: Emulator, tmp_path: Path) -> None:
    audio = wav(talk(5))
    async with Journal(tmp_path / "run.db") as journal, make(emulator) as client:
        first = await client.recognize(audio, lang="Eng", journal=journal)
        assert await client.recognize(audio, lang="en-US", journal=journal) == first
        assert len(emulator.requests) == 1


async def test_the_same_audio_at_the_same_time_is_sent_once(emulator: Emulator, tmp_path: Path) -> None:
    emulator.behaviour = Behaviour(latency=0.02)
    audio = wav(talk(5))
    texts = []
    async with Journal(tmp_path / "run.db") as journal, make(emulator) as client:

        async def one() -> None:
            texts.append((await client.recognize(audio, lang="Eng", journal=journal)).text)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)
    assert texts == ["5s"] * 5
    assert len(emulator.requests) == 1


async def test_a_reply_that_could_not_be_kept_still_reaches_the_caller(emulator: Emulator, tmp_path: Path) -> None:
    class Full(Journal):
        pass

    async with Journal(tmp_path / "run.db") as journal, make(emulator) as client:

        async def full(*_: Any, **__: Any) -> None:
            raise JournalError("the disk is full")

        journal._writes.submit = full  # type: ignore[method-assign]
        with pytest.raises(JournalError, match="full") as caught:
            await client.transcribe(wav(talk(5)), lang="Eng", journal=journal)
    assert isinstance(caught.value.partial, Transcript)
    assert caught.value.partial.text == "5s"


async def test_no_reply_that_was_paid_for_is_missing_from_a_failure(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.behaviour = Behaviour(latency=0.05)
    put, puts = Claim.put, 0

    async def second_fails(claim: Claim, body: bytes, **about: Any) -> None:
        nonlocal puts
        puts += 1
        if puts == 2:
            with anyio.fail_after(20):
                while len(emulator.requests) < 3:  # so that others are under way
                    await anyio.sleep(0.001)
            raise JournalError("the disk is full")
        await put(claim, body, **about)

    monkeypatch.setattr(Claim, "put", second_fails)
    async with Journal(tmp_path / "run.db") as journal, make(emulator, concurrency=4) as client:
        with pytest.raises(JournalError, match="full") as caught:
            await client.transcribe(talk(*[40, 1] * 9), lang="Eng", journal=journal)
        paid = emulator.stats.billed_seconds
    partial = caught.value.partial
    assert isinstance(partial, Transcript)
    assert len(partial.segments) == len(emulator.requests) > 2
    assert sum(segment.billed_seconds or 0 for segment in partial.segments) == partial.billed_seconds == paid


async def test_a_reply_under_way_when_the_client_is_closed_is_kept(emulator: Emulator, tmp_path: Path) -> None:
    emulator.behaviour = Behaviour(latency=0.1)
    audio, path = wav(talk(5)), tmp_path / "run.db"
    client = make(emulator)
    texts = []

    async def one() -> None:
        texts.append((await client.recognize(audio, lang="Eng", journal=path)).text)

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        while not emulator.stats.in_parallel:
            await anyio.sleep(0.001)
        await client.aclose()
    assert texts == ["5s"]
    async with make(emulator) as client:
        assert (await client.recognize(audio, lang="Eng", journal=path)).text == "5s"
    assert len(emulator.requests) == 1


async def test_a_journal_of_another_type(emulator: Emulator) -> None:
    with pytest.raises(TypeError, match="journal must be a path or a Journal"):
        await make(emulator).transcribe(talk(1), lang="Eng", journal=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_timeout_of_asyncio_comes_out_as_itself(emulator: Emulator) -> None:
    emulator.behaviour = Behaviour(latency=10)
    audio = wav(talk(*[20, 1] * 20))
    async with make(emulator) as client:
        for seconds in (0.01, 0.03, 0.06, 0.1):  # while it is decoded, or while it is sent
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.transcribe(audio, lang="Kor"), seconds)
        assert client.stats().in_flight == 0


# --- making one -----------------------------------------------------------------------------------


def test_the_environment_is_read_when_a_client_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="CLOVA_SPEECH_SECRET_KEY"):
        ClovaSpeechClient()
    monkeypatch.setenv("CLOVA_SPEECH_SECRET_KEY", "hidden-key")
    monkeypatch.setenv("CLOVA_SPEECH_INVOKE_URL", "gw.example/x")
    assert repr(ClovaSpeechClient()) == "<ClovaSpeechClient https://gw.example/x/recog/v1/stt>"
    monkeypatch.setenv("CLOVA_SPEECH_INVOKE_URL", "http://gw.example")
    with pytest.raises(ConfigurationError, match="plain http"):
        ClovaSpeechClient()


def test_the_keys_of_the_sibling_service_go_to_no_domain_of_clova_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOVA_SPEECH_INVOKE_URL", "https://gw.example/x")
    keys = CSRKeys("id", "key")
    assert repr(ClovaSpeechClient(keys)) == f"<ClovaSpeechClient {keys.default_url}/recog/v1/stt>"
    assert "gw.example" in repr(ClovaSpeechClient(keys, invoke_url="gw.example"))


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": "8"},
        {"concurrency": True},
        {"requests_per_second": 0},
        {"requests_per_second": math.nan},
        {"max_waiting": -1},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": "5"},
        {"idle_timeout": -1},
        {"retry": 3},
        {"transport": 5},
        {"on_event": 5},
        {"on_event": anyio.sleep},
        {"invoke_url": ""},
        {"invoke_url": 0},
        {"concurrency": Limiter(2), "max_waiting": 5},
        {"secret_key": 5},
        {"secret_key": SecretKey},
        {"secret_key": "a b"},
    ],
)
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match="(?i)" + "|".join(name.split("_")[0] for name in options)):
        ClovaSpeechClient(**({"secret_key": "key"} | options))


@pytest.mark.parametrize("concurrency", [1, 64, Adaptive(maximum=16), Limiter(4)])
@pytest.mark.parametrize("timeout", [5, 0.5, None, Timeout(total=9)])
def test_options_that_can(concurrency: Any, timeout: Any) -> None:
    client = ClovaSpeechClient("key", concurrency=concurrency, timeout=timeout, retry=RetryPolicy(max_attempts=1))
    assert "key" not in repr(client)


async def test_a_limiter_is_shared_by_clients(emulator: Emulator) -> None:
    limiter = Limiter(1, max_waiting=1)
    emulator.behaviour = Behaviour(latency=0.05)
    one, two = make(emulator, concurrency=limiter), make(emulator, concurrency=limiter)
    audio = wav(talk(2))
    refused: list[QueueFullError] = []

    async def call(client: ClovaSpeechClient) -> None:
        try:
            await client.recognize(audio, lang="Eng")
        except QueueFullError as full:
            refused.append(full)

    async with anyio.create_task_group() as group:
        for client in (one, two, one):
            group.start_soon(call, client)
    assert emulator.stats.peak_parallel == 1
    assert [full.waiting for full in refused] == [1]


async def test_closing_twice_and_using_it_after(emulator: Emulator) -> None:
    client = make(emulator)
    await client.aclose()
    await client.aclose()
    with pytest.raises(Exception, match="closed"):
        await client.recognize(wav(talk(1)), lang="Eng")


async def test_entering_twice_or_after_its_end(emulator: Emulator) -> None:
    async with make(emulator) as client:
        with pytest.raises(ConfigurationError, match="entered already"):
            async with client:
                pass
        assert (await client.recognize(wav(talk(1)), lang="Eng")).text == "1s"
    with pytest.raises(ClientClosedError):
        async with client:
            pass


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_entered_in_one_task_and_left_in_another(emulator: Emulator) -> None:
    """As fixtures of pytest-asyncio do, and async generators that are collected."""
    emulator.behaviour = Behaviour(latency=60)
    client = make(emulator)
    await asyncio.ensure_future(client.__aenter__())
    stream = client.stream(wav(talk(1)), lang="Eng")
    ended: list[str] = []

    async def read() -> None:
        with pytest.raises(ClientClosedError):
            await anext(stream)
        ended.append("read")

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        while not emulator.stats.in_parallel:
            await anyio.sleep(0.001)
        await asyncio.ensure_future(client.__aexit__(None, None, None))
    assert ended == ["read"]
    assert client.stats().in_flight == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_generator_around_a_client_that_is_dropped_does_not_cancel_its_reader(emulator: Emulator) -> None:
    async def segments() -> AsyncIterator[Segment]:
        async with make(emulator) as client:
            async for segment in client.stream(talk(*[50, 1] * 3), lang="Eng"):
                yield segment

    async def read() -> str:
        async for segment in segments():
            text = segment.text
            break
        gc.collect()
        await anyio.sleep(0.05)  # where the cancellation would come
        return text

    assert (await asyncio.ensure_future(read())).endswith("s")


async def test_an_error_in_the_block_comes_out_as_itself(emulator: Emulator) -> None:
    async def leave() -> None:
        async with make(emulator) as client:
            await anext(client.stream(talk(100), lang="Eng"))
            raise LookupError

    with pytest.raises(LookupError):
        await leave()


async def test_a_piece_that_fails_for_a_while_is_tried_again(emulator: Emulator) -> None:
    emulator.script(error("STT999"), error("STT998"), reply("well"))
    client = make(emulator, retry=RetryPolicy(base_delay=0))
    transcript = await client.transcribe(wav(talk(3)), lang="Eng")
    assert transcript.text == "well"
    assert client.stats().retries == 2
    emulator.script(*[error("STT999")] * 4)
    with pytest.raises(InternalServerError) as caught:
        await client.transcribe(wav(talk(3)), lang="Eng", splitting=Splitting(longest_piece=20))
    assert [attempt.number for attempt in caught.value.attempts] == [1, 2, 3, 4]
