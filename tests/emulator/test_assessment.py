"""The assessment is held to an order, never to values: right over wrong, clear over slurred and noise-covered."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import soundfile

from clova_speech_async.emulator import Emulator, reply
from clova_speech_async.emulator.assessment import (
    GRAPH_RATE,
    ScoredPhone,
    ScoredWord,
    details,
    loudness,
    phone_score,
    reference,
    sentence_score,
)
from clova_speech_async.emulator.phones import words_of

pytestmark = pytest.mark.anyio
RATE = 16_000


def sentences(data: Path) -> list[tuple[Path, str]]:
    lines = (data / "sentences" / "sentences.txt").read_text().splitlines()
    return [(data / "sentences" / name, text) for name, text in (line.split("\t") for line in lines)]


def wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.clip(np.rint(samples), -32768, 32767).astype(np.int16), RATE, format="WAV")
    return file.getvalue()


def word_scores(text: str) -> list[tuple[str, float]]:
    """Word and mean phone score, read from the service's form by a reader of the test's own."""
    words = re.findall(r"(\S+)\|\{(.*?)\} ", text)
    return [(word, np.mean([int(s) for s in re.findall(r":(\d+)", phones)])) for word, phones in words]


def slurred(samples: np.ndarray) -> np.ndarray:
    """The same sound with the mouth hardly moving: its spectrum smoothed over a third of a second, phases kept."""
    size, hop, smooth = 512, 128, 41
    window = np.hanning(size)
    padded = np.pad(samples, (size, 2 * size))
    starts = range(0, len(padded) - size, hop)
    spectra = np.fft.rfft([padded[at : at + size] * window for at in starts], axis=1)
    around = np.pad(np.abs(spectra), ((smooth // 2, smooth // 2), (0, 0)), mode="edge")
    even = np.stack([around[at : at + smooth].mean(axis=0) for at in range(len(spectra))])
    frames = np.fft.irfft(even * np.exp(1j * np.angle(spectra)), axis=1)
    out = np.zeros(len(padded))
    for at, frame in zip(starts, frames, strict=True):
        out[at : at + size] += frame * window
    out = out[size : size + len(samples)]
    return out * np.sqrt(np.square(samples).mean() / np.square(out).mean())


def noise_covered(samples: np.ndarray) -> np.ndarray:
    """The same sound under white noise as loud as itself."""
    return samples + np.random.default_rng(0).standard_normal(len(samples)) * np.sqrt(np.square(samples).mean())


def spans(answer: Any) -> list[tuple[int, int]]:
    """The samples in which each word was found, from what the worker told the emulator."""
    return [(phones[0][1] * 160, (phones[-1][1] + phones[-1][2]) * 160) for phones in answer["words"]]


class Overhearing(Emulator):
    """An emulator whose workers' answers are kept, by the audio they are about."""

    def __init__(self) -> None:
        # The text is not what is looked at here, and recognising it would cost more than all the rest.
        super().__init__(recognizer="", workers=2)
        self.heard: dict[bytes, Any] = {}
        call = self._pool.call

        async def overheard(message: dict[str, Any], pcm: bytes) -> dict[str, Any]:
            answer = await call(message, pcm)
            self.heard.setdefault(pcm, answer)
            return answer

        self._pool.call = overheard  # type: ignore[method-assign]


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_order_over_ten_sentences(talk: Any, data: Path) -> None:
    every = sentences(data)[:10]
    assert len(every) == 10
    wrong_order: list[str] = []

    async def judge(client: Any, samples: np.ndarray, utterance: str) -> tuple[int, list[tuple[str, float]]]:
        query = {"lang": "Eng", "assessment": "true", "utterance": utterance}
        answer = await client.post("/recog/v1/stt", params=query, content=wav(samples))
        assert answer.status_code == 200, answer.text
        return answer.json()["assessment_score"], word_scores(answer.json()["assessment_details"])

    async def one(client: Any, number: int) -> None:
        path, text = every[number]
        other = every[(number + 1) % len(every)][1]
        samples = soundfile.read(path, dtype="int16")[0].astype(float)
        right, clear = await judge(client, samples, text)
        spoken = spans(emulator.heard[samples.astype("<i2").tobytes()])
        wrong, _ = await judge(client, samples, other)
        if right < wrong + 30:
            wrong_order.append(f"{text!r} scores {right}, as {other!r} it scores {wrong}")
        order = sorted(range(1, len(spoken)), key=lambda n: spoken[n][0] - spoken[n][1])
        first = order[0]
        second = next(n for n in order[1:] if abs(n - first) > 1)
        for index, spoil in ((first, slurred), (second, noise_covered)):
            start, end = spoken[index]
            samples[start:end] = spoil(samples[start:end])
        _, spoilt = await judge(client, samples, text)
        for index, name in ((first, "slurred"), (second, "noise-covered")):
            word, before = clear[index]
            after = spoilt[index][1]
            if after > before - 10:
                wrong_order.append(f"{name} {word!r} in {text!r} scores {after}, clear {before}")

    with Overhearing() as emulator:
        async with talk(emulator) as client, anyio.create_task_group() as group:
            for number in range(len(every)):
                group.start_soon(one, client, number)
    assert not wrong_order


async def test_the_reply_has_what_was_asked_for(hearing: Emulator, talk: Any, data: Path) -> None:
    body = (data / "sentences" / "10.ogg").read_bytes()
    said = "the flowers in the garden need more water"
    hearing.script(reply(said), reply(said), reply(said))
    async with talk(hearing) as client:
        for assessment, graph in ((False, False), (True, False), (False, True), (True, True)):
            query = {"lang": "Eng", "assessment": str(assessment).lower(), "graph": str(graph).lower()}
            fields = (await client.post("/recog/v1/stt", params=query, content=body)).json()
            wanted = {"text", "quota"}
            wanted |= {"assessment_score", "assessment_details"} if assessment else set()
            wanted |= {"ref_graph", "usr_graph"} if graph else set()
            assert fields.keys() == wanted
    # The last one was heard, and assessed by its own hypothesis, because no utterance was given.
    assert fields["text"] == said
    assert [word for word, _ in word_scores(fields["assessment_details"])] == said.split()
    assert fields["assessment_details"].endswith("} ")
    assert 60 < fields["assessment_score"] <= 100
    assert len(fields["usr_graph"]) == math.ceil(soundfile.info(io.BytesIO(body)).duration * GRAPH_RATE)
    assert min(fields["ref_graph"]) == 0 < max(fields["ref_graph"]) == max(fields["usr_graph"])


async def test_words_that_no_dictionary_has_are_guessed(hearing: Emulator, talk: Any, data: Path) -> None:
    query = {"lang": "Eng", "assessment": "true", "utterance": "The blorple to the city — 25 한국 leaves!"}
    async with talk(hearing) as client:
        body = (data / "sentences" / "01.ogg").read_bytes()
        fields = (await client.post("/recog/v1/stt", params=query, content=body)).json()
    scores = word_scores(fields["assessment_details"])
    assert [word for word, _ in scores] == ["the", "blorple", "to", "the", "city", "twenty", "five", "leaves"]
    assert dict(scores)["blorple"] < dict(scores)["city"]


async def test_a_text_that_cannot_be_laid_on_the_speech_scores_nothing(
    hearing: Emulator, talk: Any, tone: Any, data: Path
) -> None:
    body = (data / "sentences" / "10.ogg").read_bytes()
    long = "please remember to bring your umbrella because the weather report says it will rain " * 5
    query = {"lang": "Eng", "assessment": "true", "graph": "true", "utterance": long}
    async with talk(hearing) as client:
        for seconds in (0.3, 4.0):  # not a frame for each phone, and not the three that PocketSphinx needs
            fields = (await client.post("/recog/v1/stt", params=query, content=tone(seconds))).json()
            assert fields["assessment_score"] == 0
            scores = word_scores(fields["assessment_details"])
            assert [word for word, _ in scores] == long.split()
            assert {score for _, score in scores} == {0}
        # The next one is not the worse for it.
        query = {"lang": "Eng", "assessment": "true", "utterance": "the flowers in the garden need more water"}
        hearing.script(reply("not looked at"))
        fields = (await client.post("/recog/v1/stt", params=query, content=body)).json()
        assert fields["assessment_score"] > 60
        del query["utterance"]
        # Nothing said, no utterance given.
        fields = (await client.post("/recog/v1/stt", params=query, content=tone(0.2))).json()
        if not fields["text"]:
            assert (fields["assessment_score"], fields["assessment_details"]) == (0, "")


@pytest.mark.parametrize(
    "utterance",
    [
        "x" * 3000,
        "x" * 100,
        "9" * 5000,
        "1" + ",000" * 1500,
        " ".join("q" + "".join(chr(97 + int(digit)) for digit in str(number)) for number in range(3000)),
        "<s> [noise] hello(2) | {a:1}, \\ \0 \u202e\u200b 😀 👩‍👩‍👧 한국 привет ٣ ½",
        "hello " + "'" * 3000,
    ],
    ids=["a word of 3,000", "of 100", "5,000 digits", "a long number", "3,000 words", "all sorts", "apostrophes"],
)
async def test_no_utterance_is_too_odd(hearing: Emulator, talk: Any, data: Path, utterance: str) -> None:
    hearing.script(reply("not looked at"))
    query = {"lang": "Eng", "assessment": "true", "graph": "true", "utterance": utterance}
    async with talk(hearing) as client:
        answer = await client.post("/recog/v1/stt", params=query, content=(data / "sentences" / "10.ogg").read_bytes())
    assert answer.status_code == 200, answer.text
    assert 0 <= answer.json()["assessment_score"] < 40
    assert [word for word, _ in word_scores(answer.json()["assessment_details"])] == words_of(utterance)


async def test_korean_is_accepted_and_not_scored(hearing: Emulator, talk: Any, speech: bytes) -> None:
    query = {"lang": "Kor", "assessment": "true", "graph": "true", "utterance": "우산을 가져가세요"}
    async with talk(hearing) as client:
        fields = (await client.post("/recog/v1/stt", params=query, content=speech)).json()
    assert (fields["assessment_score"], fields["assessment_details"]) == (0, "")
    assert fields["ref_graph"] == []
    assert max(fields["usr_graph"]) > 0
    assert "에뮬레이터" in fields["text"]


def test_the_documented_form() -> None:
    parts = [("f", ("F",), 45), ("a", ("AO",), 100), ("l", ("L",), 97), ("se", ("S",), 43)]
    word = ScoredWord("false", tuple(ScoredPhone(letters, phones, score, 10) for letters, phones, score in parts))
    assert details([word]) == "false|{f(f):45, a(ɔː):100, l(l):97, se(s):43} "
    assert details([]) == ""


def test_phone_scores_rise_with_the_fit() -> None:
    fits = [-math.inf, -1e6, -200.0, -60.0, -30.0, -10.0, 5.0, 40.0, 1e6]
    scores = [phone_score(fit) for fit in fits]
    assert scores == sorted(scores)
    assert (scores[0], scores[4], scores[-1]) == (0, 50, 100)


def test_the_sentence_is_the_mean_over_time() -> None:
    word = ScoredWord("a b", (ScoredPhone("a", ("AA",), 100, 30), ScoredPhone("b", ("B",), 0, 10)))
    assert sentence_score([word]) == 75
    assert sentence_score([]) == 0
    assert sentence_score([ScoredWord("a", (ScoredPhone("a", ("AA",), 0, 0),))]) == 0


def test_loudness_is_fifty_values_a_second_of_full_scale() -> None:
    sine = np.rint(32767 * np.sin(np.arange(RATE) * 2 * np.pi * 1000 / RATE)).astype("<i2")
    assert loudness(sine.tobytes()) == [100] * 50
    assert loudness((sine // 2).tobytes()) == [50] * 50
    assert loudness(b"\0\0" * 330) == [0, 0]
    assert loudness(b"") == []


def test_the_reference_takes_its_time_from_the_phones() -> None:
    def word(*phones: str) -> ScoredWord:
        return ScoredWord("x", tuple(ScoredPhone("x", (phone,), 50, 0) for phone in phones))

    short, long = reference([word("AH")], 40), reference([word("S", "AA", "L", "AY")], 40)
    assert 0 < len(short) < len(long)
    assert max(long) == 40
    assert long[0] == long[-1] == 0
    assert max(reference([word("AA")], 0)) > 0
    assert reference([], 40) == []
